"""The account of a configuration: of each key what became of it, of each missing one why not.

What the table reads from a file it must write again as the file says it; whatever it cannot is a
fault, unless the key is known to change nothing.  So nothing is passed over without a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Final

from specgen.analysis.table.config import config, written
from specgen.analysis.table.instances import environment
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, suggestion
from specgen.expr.evaluate import EvaluationError, Plain, Value, evaluate, evaluate_int, plain
from specgen.expr.node import Const, Sym
from specgen.huggingface.configuration import ConfigEntry, outside, same, shown, shown_text
from specgen.huggingface.immaterial import IMMATERIAL, UNSAID
from specgen.huggingface.quantised import is_quantisation
from specgen.huggingface.reading import converted
from specgen.huggingface.unquantised import keeps, lists_unquantised
from specgen.ir.model import ConfigRow, Param, Program
from specgen.records import dataclass

#: The naming scheme whose configurations are read.
SCHEME: Final = "hf"

#: Either of these says which class a file is of.
IDENTITY: Final = ("architectures", "model_type")

#: The dtype of what is stored; no file needs to say it.
STORED: Final = "torch_dtype"

#: Names of immaterial keys that stand for all that begin so.
FAMILIES: Final = tuple(name.removesuffix("*") for name in IMMATERIAL if name.endswith("*"))

#: Unread keys of a file for which a key with a similar name is looked for.
SUGGESTED: Final = 20

#: Why a key that the table lists as unread does not matter.
UNREAD: Final = "the table says that its class does not read it"

#: How to go on after a key that a table cannot say.
GO_ON: Final = (
    "take a table that has it, or `--ignore {key}` reads the file as if it had no such key"
)

#: What a param of a kind takes, for faults.
WANTED: Final[Mapping[str, str]] = {
    "size": "a whole number from 1 on",
    "count": "a whole number",
    "real": "a number",
    "flag": "true or false",
    "dtype": "a dtype",
    "counts": "a list of whole numbers",
    "reals": "a list of numbers",
}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What became of a key: `how` says in a word, `reason` why.

    A key is of a "param", the "same" as the table says it, without effect ("no effect"), "ignored",
    "unsaid" where it says what a file without it says, "not counted" where it is about storage
    that the table does not say, or "outside" the model that is read.
    """

    key: str
    value: object
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConfigCell:
    """A value that the table writes, and the row that says so."""

    row: ConfigRow
    value: object


def written_cells(program: Program, rows: Iterable[ConfigRow]) -> dict[str, ConfigCell]:
    """What the table writes for these params, by canonical key.

    Raises:
        SpecError: it contradicts itself.
    """
    config(program, SCHEME)
    env = environment(program)
    found: dict[str, ConfigCell] = {}
    for row in rows:
        if row.role:
            continue
        if row.index is not None:
            found.setdefault(row.key, ConfigCell(row, None))  # compared item by item
        elif evaluate(row.condition, env) is True:
            found[row.key] = ConfigCell(row, written(row, env))
    return found


def is_ignored(key: str, given: str, ignore: Sequence[str]) -> bool:
    """Whether the user asked to pass over a key, or over an object that it stands in."""
    return any(
        name == path or path.startswith(f"{name}.") for name in ignore for path in (key, given)
    )


def harmless(key: str, value: object) -> tuple[str, str] | None:
    """What becomes of a key that says nothing, whatever the table, and why; None of others."""
    for name in (key, *outside(key)):
        if name in IMMATERIAL:
            return "no effect", IMMATERIAL[name]
    family = next((name for name in FAMILIES if key.startswith(name)), None)
    if family is not None:
        return "no effect", IMMATERIAL[f"{family}*"]
    values, reason = UNSAID.get(key, ((), ""))
    return ("unsaid", reason) if any(same(value, known) for known in values) else None


@dataclass(frozen=True)
class Judge:
    """Compares what a file says with what the table, given the file's values, writes."""

    rows: Sequence[ConfigRow]
    program: Program
    cells: Mapping[str, ConfigCell]
    entries: Mapping[str, ConfigEntry]
    defined: frozenset[str]

    @cached_property
    def by_key(self) -> Mapping[str, Sequence[ConfigRow]]:
        found: dict[str, list[ConfigRow]] = {}
        for row in self.rows:
            found.setdefault(row.key, []).append(row)
        return found

    @cached_property
    def written_objects(self) -> Mapping[str, str]:
        """The objects that the table writes, each with the first key in it."""
        found: dict[str, str] = {}
        for key in self.cells:
            for outer in outside(key):
                found.setdefault(outer, key)
        return found

    @cached_property
    def is_quantised(self) -> bool:
        """Whether the table, with these values, says that weights are quantised."""
        return any(is_quantisation(key) for key in self.cells)

    @cached_property
    def objects(self) -> frozenset[str]:
        """The objects that the file's keys stand in."""
        return frozenset(outer for key in self.entries for outer in outside(key))

    def use(self, key: str, entry: ConfigEntry) -> KeyUse | Diagnostic:
        """What becomes of one key."""
        cell = self.cells.get(key)
        rows = self.by_key.get(key, ())
        if key in (*IDENTITY, STORED) and entry.value in (None, [], ""):
            return KeyUse(entry.key, entry.value, "unsaid", "it says nothing")
        if any(row.role == "unread" for row in rows):
            return KeyUse(entry.key, entry.value, "no effect", UNREAD)
        if any(row.index is not None for row in rows):
            return self.listed(rows, entry)
        if cell is not None and same(cell.value, entry.value):
            return KeyUse(entry.key, entry.value, *self.source(cell.row))
        if cell is not None and self.name(cell.row) in self.defined:
            return KeyUse(entry.key, entry.value, "ignored", f"`-D {self.name(cell.row)}`")
        for row in rows:
            follows = row.role == "absent" and entry.value is None
            if (cell is None or row.role == "read" or follows) and self.agrees(row, entry.value):
                return KeyUse(entry.key, entry.value, *self.source(row))
        if cell is not None:
            name = self.name(cell.row) if entry.value is None else ""
            return self.fault(entry, self.contradiction(cell, rows, entry.value), name)
        if rows:
            return self.fault(entry, self.otherwise(rows))
        return self.unread(key, entry)

    def source(self, row: ConfigRow) -> tuple[str, str]:
        name = self.name(row)
        return ("param", name) if name else ("same", "the table says so too")

    def name(self, row: ConfigRow) -> str:
        """The param that a row is of; "" for others."""
        named = isinstance(row.value, Sym) and row.value.name in self.params
        return row.value.name if named and isinstance(row.value, Sym) else ""

    @cached_property
    def params(self) -> Mapping[str, Param]:
        return {param.name: param for param in self.program.model.params}

    @cached_property
    def env(self) -> Mapping[str, Value]:
        return environment(self.program)

    def agrees(self, row: ConfigRow, value: object) -> bool:
        """Whether a row that writes nothing here says what the file says.

        A row of a param does so even where it would not be written; null means that the param
        follows from others.
        """
        try:
            holds = bool(self.name(row)) or evaluate(row.condition, self.env) is True
            said = written(row, dict(self.env))
        except EvaluationError:
            return False
        return holds and same(said, value)

    def listed(self, rows: Sequence[ConfigRow], entry: ConfigEntry) -> KeyUse | Diagnostic:
        """A list that follows a repeated part, compared item by item."""
        if not isinstance(entry.value, list):
            if entry.value is None:
                return KeyUse(entry.key, None, "unsaid", "null says nothing of the layers")
            return self.fault(entry, "the table has a list here")
        index = next(row.index for row in rows if row.index is not None)
        count = evaluate_int(index[1], self.env)
        if len(entry.value) != count:
            return self.fault(entry, f"it has {len(entry.value)} items instead of {count}")
        for i, item in enumerate(entry.value):
            inner = {**self.env, index[0]: i}
            wanted = [plain_value(row, inner) for row in rows if holds(row, inner)]
            if not any(same(value, item) for value in wanted):
                has = " or ".join(dict.fromkeys(map(shown, wanted))) or "nothing"
                return self.fault(entry, f"item {i} is {shown(item)}, where the table has {has}")
        return KeyUse(entry.key, entry.value, "same", "the table's own pattern")

    def unread(self, key: str, entry: ConfigEntry) -> KeyUse | Diagnostic:
        """A key that no row of the table is about."""
        for name in outside(key):
            if any(row.role == "unread" for row in self.by_key.get(name, ())):
                return KeyUse(entry.key, entry.value, "no effect", UNREAD)
        if lists_unquantised(key) and self.is_quantised:
            if keeps(self.program, entry.value):
                return KeyUse(entry.key, entry.value, "same", "the table quantises no other rows")
            return self.fault(entry, "it quantises other rows")
        inner = self.written_objects.get(key)
        if inner is not None:
            has = shown(self.cells[inner].value)
            return self.fault(entry, f"it knows {has} for `{inner}` only")
        nothing = harmless(key, entry.value)
        if nothing is not None:
            return KeyUse(entry.key, entry.value, *nothing)
        for name in outside(key):
            cell = self.cells.get(name)
            if cell is not None:
                return self.fault(entry, f"it writes {shown(cell.value)} for `{name}`")
        if key in UNSAID:
            values = " or ".join(map(shown, UNSAID[key][0]))
            return self.fault(entry, f"without a row for it, it knows {values} only")
        seldom = len(self.entries) <= len(self.by_key) + len(IMMATERIAL) + SUGGESTED
        close = suggestion(entry.key, self.by_key) if seldom else None
        hint = f" (it reads `{close}`)" if close else ""
        return self.fault(
            entry, f"none of its rows reads the key, which may change what the model is{hint}"
        )

    def contradiction(self, cell: ConfigCell, rows: Sequence[ConfigRow], value: object) -> str:
        """Why the table would write another value than the file has."""
        name = self.name(cell.row)
        if not name:
            literals = [row.value for row in rows if not row.role]
            known = {shown(v.value) for v in literals if isinstance(v, Const)}
            others = sorted(known - {shown(value)})
            return f"it knows {' and '.join(others) or shown(cell.value)} only"
        param = self.params[name]
        if value is None or converted(value, param) is None:
            wanted = WANTED.get(param.kind) or " or ".join(map(shown, param.choices))
            return f"`{name}` is {wanted}"
        return f"`{name}` is {shown(cell.value)}, as another key says"

    def otherwise(self, rows: Sequence[ConfigRow]) -> str:
        """Why rows that are not written here do not say what the file says."""
        said = [plain_value(row, self.env) for row in rows if row.role and holds(row, self.env)]
        if said:
            return f"it knows {' and '.join(map(shown, said))} only"
        return "other keys say that this does not apply"

    def gaps(
        self, assumed: Mapping[str, object], ignore: Sequence[str], inferred: Iterable[str]
    ) -> dict[str, Diagnostic]:
        """What the table writes and the file does not say, by key.

        `inferred` are params whose values other keys give.
        """
        rows = [row for row in self.rows if self.name(row) and row.key in self.entries]
        given = {self.name(row) for row in rows if not row.role}
        free = {self.name(row) for row in rows if row.role == "read"}
        free |= {*self.defined, *inferred}
        found: dict[str, Diagnostic] = {}
        for key, cell in self.cells.items():
            row = cell.row
            if (
                self.says(key)
                or key in self.objects
                or (cell.value is None and row.index is None)
                or key == STORED
                or is_ignored(key, row.key, ignore)
            ):
                continue
            if key in IDENTITY and any(self.says(other) for other in IDENTITY):
                continue
            if row.index is not None:
                if not any(other.role == "absent" for other in self.by_key[key]):
                    found[key] = self.missing(key, cell)
                continue
            name = self.name(row)
            if name in free or (name in given and row != self.first(row)):
                continue
            if key in assumed and (name or same(assumed[key], cell.value)):
                continue
            if key in assumed and assumed[key] is None and not self.writes_null(key):
                continue  # what the key would say is left to the defaults of its params
            found[key] = self.missing(key, cell)
        return found

    def writes_null(self, key: str) -> bool:
        """Whether null is what the table says there of some models."""
        return any(not row.role and row.value == Const(None) for row in self.by_key[key])

    def says(self, key: str) -> bool:
        """Whether the file has a value there; a null that the table cannot say is a fault."""
        if key not in self.entries:
            return False
        return self.entries[key].value is not None or key not in IDENTITY

    def first(self, row: ConfigRow) -> ConfigRow:
        """The row of the same param whose key a file must have; others only repeat it."""
        name = self.name(row)
        rows = (other for other in self.rows if not other.role and self.name(other) == name)
        return next(rows, row) if name else row

    def fault(self, entry: ConfigEntry, reason: str, name: str = "") -> Diagnostic:
        """The diagnostic of a key that the table cannot say; `name` is a param that may be given."""
        diagnostics = Diagnostics()
        key = shown_text(entry.key)
        diagnostics.report(
            "E1003",
            None,
            key=key,
            value=entry.shown,
            spec=self.program.name,
            reason=reason,
            help=GO_ON.format(key=key) + (f", or give `-D {name}=...`" if name else ""),
        )
        return diagnostics.all[0]

    def missing(self, key: str, cell: ConfigCell) -> Diagnostic:
        diagnostics = Diagnostics()
        name = self.name(cell.row)
        wanted = f"`-D {name}=...`" if name else f"`--ignore {key}` for {shown(cell.value)}"
        diagnostics.report(
            "E1004",
            None,
            key=key,
            spec=self.program.name,
            help=f"add it to the file, or give {wanted}",
        )
        return diagnostics.all[0]


def holds(row: ConfigRow, env: Mapping[str, Value]) -> bool:
    try:
        return evaluate(row.condition, env) is True
    except EvaluationError:
        return False


def plain_value(row: ConfigRow, env: Mapping[str, Value]) -> Plain:
    """What a row says, as JSON has it; null where it has no value."""
    items = row.value if isinstance(row.value, tuple) else (row.value,)
    try:
        found = [plain(evaluate(item, env)) for item in items]
    except EvaluationError:
        return None
    return found if isinstance(row.value, tuple) else found[0]
