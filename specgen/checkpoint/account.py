"""The account of a configuration: of each key what became of it, of each missing one why not.

What the table reads from a file it must write again as the file says it; whatever it cannot is a
fault, unless it is known to change nothing.  So nothing is passed over without a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from specgen.analysis.instances import environment
from specgen.analysis.json_text import Plain, plain
from specgen.checkpoint.config import config, written
from specgen.checkpoint.configuration import Entry, same, shown, shown_text
from specgen.checkpoint.immaterial import IMMATERIAL
from specgen.checkpoint.reading import converted
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, suggestion
from specgen.ir.model import ConfigRow, Param, Program
from specgen.sizes.evaluate import EvaluationError, Value, evaluate, evaluate_int
from specgen.sizes.expr import Const, Sym

#: The naming scheme whose configurations are read.
SCHEME: Final = "hf"

#: Either of these says which class a file is of.
IDENTITY: Final = ("architectures", "model_type")

#: The dtype of what is stored, and the bytes of an element by the names that files have for it.
STORED: Final = "torch_dtype"
WIDTHS: Final = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}

#: Values that switch off what a table has not.
OFF: Final[Sequence[object]] = (None, False, 0, "", [], {})

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
class Use:
    """What became of a key: `how` is "param", "same", "no effect", "off" or "ignored"."""

    key: str
    value: object
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A value that the table writes, and the row that says so."""

    row: ConfigRow
    value: object


def written_cells(program: Program, rows: Iterable[ConfigRow]) -> dict[str, Cell]:
    """What the table writes for these params, by canonical key.

    Raises:
        SpecError: it contradicts itself.
    """
    config(program, SCHEME)
    env = environment(program)
    return {
        row.key: Cell(row, written(row, env))
        for row in rows
        if not row.role and evaluate(row.condition, env) is True
    }


def is_ignored(key: str, given: str, ignore: Sequence[str]) -> bool:
    """Whether the user asked to pass over a key, or over an object that it stands in."""
    return any(
        name == path or path.startswith(f"{name}.") for name in ignore for path in (key, given)
    )


@dataclass(frozen=True)
class Judge:
    """Compares what a file says with what the table, given the file's values, writes."""

    rows: Sequence[ConfigRow]
    program: Program
    cells: Mapping[str, Cell]
    entries: Mapping[str, Entry]
    defined: frozenset[str]

    def use(self, key: str, entry: Entry) -> Use | Diagnostic:
        """What becomes of one key."""
        cell = self.cells.get(key)
        rows = [row for row in self.rows if row.key == key]
        if entry.value is None and key in (*IDENTITY, STORED):
            return Use(entry.key, None, "off", "null")
        if any(row.index is not None for row in rows):
            return self.listed(rows, entry)
        if cell is not None and same(cell.value, entry.value):
            return Use(entry.key, entry.value, *self.source(cell.row))
        if cell is not None and self.name(cell.row) in self.defined:
            return Use(entry.key, entry.value, "ignored", f"`-D {self.name(cell.row)}`")
        if cell is not None and key == STORED and self.as_wide(cell.value, entry.value):
            return Use(entry.key, entry.value, "no effect", f"as wide as {cell.value}")
        for row in rows:
            follows = row.role == "absent" and entry.value is None
            if (cell is None or row.role == "read" or follows) and self.agrees(row, entry.value):
                return Use(entry.key, entry.value, *self.source(row))
        if cell is not None:
            return self.fault(entry, self.contradiction(cell, rows, entry.value))
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

    def listed(self, rows: Sequence[ConfigRow], entry: Entry) -> Use | Diagnostic:
        """A list that follows a repeated part, compared item by item."""
        if not isinstance(entry.value, list):
            if entry.value is None:
                return Use(entry.key, None, "off", "null")
            return self.fault(entry, "the table has a list here")
        index = next(row.index for row in rows if row.index is not None)
        count = evaluate_int(index[1], self.env)
        if len(entry.value) != count:
            return self.fault(entry, f"it has {len(entry.value)} items instead of {count}")
        for i, item in enumerate(entry.value):
            inner = {**self.env, index[0]: i}
            wanted = [plain_value(row, inner) for row in rows if holds(row, inner)]
            if not any(same(value, item) for value in wanted):
                has = " or ".join(map(shown, wanted)) or "nothing"
                return self.fault(entry, f"item {i} is {shown(item)}, where the table has {has}")
        return Use(entry.key, entry.value, "same", "the table's own pattern")

    def unread(self, key: str, entry: Entry) -> Use | Diagnostic:
        """A key that no row of the table is about."""
        names = key.split(".")
        outer = [".".join(names[:i]) for i in range(len(names), 0, -1)]
        for name in outer:
            if name in IMMATERIAL:
                return Use(entry.key, entry.value, "no effect", IMMATERIAL[name])
        if any(same(entry.value, off) for off in OFF):
            return Use(entry.key, entry.value, "off", shown(entry.value))
        for name in outer:
            cell = self.cells.get(name)
            if cell is not None:
                return self.fault(entry, f"it writes {shown(cell.value)} for `{name}`")
        known = {row.key for row in self.rows}
        close = suggestion(entry.key, known)
        hint = f" (it reads `{close}`)" if close else ""
        return self.fault(
            entry, f"none of its rows reads the key, which may change what the model is{hint}"
        )

    def contradiction(self, cell: Cell, rows: Sequence[ConfigRow], value: object) -> str:
        """Why the table would write another value than the file has."""
        name = self.name(cell.row)
        if not name:
            literals = [row.value for row in rows if not row.role]
            others = sorted({shown(v.value) for v in literals if isinstance(v, Const)})
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

    def gaps(self, assumed: Mapping[str, object], ignore: Sequence[str]) -> dict[str, Diagnostic]:
        """What the table writes and the file does not say, by key."""
        rows = [row for row in self.rows if self.name(row) and row.key in self.entries]
        given = {self.name(row) for row in rows if not row.role}
        free = {self.name(row) for row in rows if row.role == "read"} | self.defined
        found: dict[str, Diagnostic] = {}
        for key, cell in self.cells.items():
            row = cell.row
            below = any(k.startswith(f"{key}.") for k in self.entries)
            if (
                self.says(key)
                or below
                or cell.value is None
                or key == STORED
                or is_ignored(key, row.key, ignore)
            ):
                continue
            if key in IDENTITY and any(self.says(other) for other in IDENTITY):
                continue
            name = self.name(row)
            if name in free or (name in given and row != self.first(row)):
                continue
            if key in assumed and (name or same(assumed[key], cell.value)):
                continue
            found[key] = self.missing(key, cell)
        return found

    def says(self, key: str) -> bool:
        """Whether the file has a value there; a null that the table cannot say is a fault."""
        if key not in self.entries:
            return False
        return self.entries[key].value is not None or key not in IDENTITY

    def first(self, row: ConfigRow) -> ConfigRow:
        """The row of the same param whose key a file must have; others only repeat it."""
        name = self.name(row)
        return next(other for other in self.rows if not other.role and self.name(other) == name)

    def fault(self, entry: Entry, reason: str) -> Diagnostic:
        """The diagnostic of a key that the table cannot say."""
        diagnostics = Diagnostics()
        key = shown_text(entry.key)
        diagnostics.report(
            "E1003",
            None,
            key=key,
            value=shown(entry.value),
            spec=self.program.name,
            reason=reason,
            help=GO_ON.format(key=key),
        )
        return diagnostics.all[0]

    def missing(self, key: str, cell: Cell) -> Diagnostic:
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

    def as_wide(self, ours: object, theirs: object) -> bool:
        """Whether elements of both dtypes take the same room."""
        widths = [WIDTHS.get(dtype) for dtype in (ours, theirs) if isinstance(dtype, str)]
        return len(widths) == 2 and widths[0] is not None and widths[0] == widths[1]


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
