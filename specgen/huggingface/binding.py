"""A configuration bound to a table: the params that it sets, and an account of each of its keys.

Completes a file by what the table says of absent keys, reads the params from it, builds the
table with them, and has every key accounted for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from specgen.analysis.table.config import written
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, SpecError
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import Sym, symbols
from specgen.frontend.files import Loaded, ModuleDefinition
from specgen.frontend.load import build_program, load_model
from specgen.frontend.values import Override
from specgen.huggingface.account import SCHEME, STORED, Judge, KeyUse, is_ignored, written_cells
from specgen.huggingface.configuration import (
    ConfigEntry,
    Configuration,
    canonical,
    outside,
    same,
    shown_text,
)
from specgen.huggingface.quantised import is_quantisation, method
from specgen.huggingface.reading import settled
from specgen.ir.model import ConfigRow, Program
from specgen.records import dataclass

WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Switches a sliding window on; where a table reads it, what says which window needs it.
WINDOWED: Final = "use_sliding_window"
WINDOW: Final = ("sliding_window", "max_window_layers")

#: Items of a list from which a number is inferred: one try for each, of each item.
MAX_ITEMS: Final = 1024


@dataclass(frozen=True)
class BoundTable:
    """A spec and its defaults, ready to be given other values."""

    path: Path
    loaded: Loaded
    definition: ModuleDefinition
    program: Program

    @cached_property
    def rows(self) -> list[ConfigRow]:
        """The rows of its configuration, their keys in the canonical spelling."""
        found = self.program.configs.get(SCHEME, ())
        return [replace(row, key=canonical(row.key)) for row in found]


@dataclass(frozen=True)
class Bound:
    """A model as a file describes it: `overrides` make it from the table's defaults.

    `assumed` are the keys that the file leaves out, with what the table says that this means.
    `stored` is how the release stores its weights where the table does not say so: then nothing
    that is counted of the table's own storage is the release's.  `silent` are params that no file
    needs to set, and this one does not: the dtype.
    """

    table: BoundTable
    program: Program
    overrides: Mapping[str, Override]
    uses: tuple[KeyUse, ...]
    assumed: Mapping[str, object]
    stored: str = ""
    inside: str = ""
    silent: frozenset[str] = frozenset()


def load_table(path: Path) -> BoundTable:
    """The table of a file.

    Raises:
        SpecError: it has faults.
    """
    loaded, model = load_model(path, Diagnostics())
    return BoundTable(path, loaded, model, build_program(loaded, model, None, {}))


def bind(
    table: BoundTable,
    found: Configuration,
    ignore: Sequence[str] = (),
    defines: Mapping[str, Override] | None = None,
) -> Bound:
    """The model that the configuration describes; `defines` are set after what it says.

    Raises:
        SpecError: with every key that the table cannot say or that is missing.
    """
    if not table.rows:
        diagnostics = Diagnostics()
        reason = f"`{table.program.name}` has no `config {SCHEME}`"
        diagnostics.report("E1002", None, path=shown_text(found.path), reason=reason)
        raise SpecError(diagnostics.all)
    if defines:
        with suppress(SpecError):  # what it says may be no model without them
            return redefined(bind(table, found, ignore), found, defines)
    bound, faults = attempted(table, found, ignore, defines or {})
    quantised = {key: e for key, e in found.entries.items() if is_quantisation(key)}
    how = method({key: entry.value for key, entry in quantised.items()})
    if how is not None and any(map(is_quantisation, faults)):
        rest = {key: e for key, e in found.entries.items() if key not in quantised}
        bound, faults = attempted(table, replace(found, entries=rest), ignore, defines or {})
        reason = f"how {how} stores weights is nothing that `{table.program.name}` says"
        uses = [KeyUse(e.key, e.value, "not counted", reason) for e in quantised.values()]
        bound = replace(bound, uses=(*bound.uses, *uses), stored=how)
    elif found.beside:  # a tool has stored them anew, whatever they were before
        bound = replace(bound, stored=found.beside)
    if faults:
        raise SpecError(list(faults.values()))
    return bound


def redefined(bound: Bound, found: Configuration, defines: Mapping[str, Override]) -> Bound:
    """The model with params set after what the configuration says, which is read without them.

    Raises:
        SpecError: the values break the table's rules.
    """
    overrides = {**bound.overrides, **defines}
    program = build(bound.table, overrides, found.entries)
    moved = {n for n in defines if program.values.get(n) != bound.program.values.get(n)}
    uses = tuple(
        replace(use, how="ignored", reason=f"`-D {use.reason}`")
        if use.how == "param" and use.reason in moved
        else use
        for use in bound.uses
    )
    silent = bound.silent - defines.keys()
    return replace(bound, program=program, overrides=overrides, uses=uses, silent=silent)


def attempted(
    table: BoundTable,
    found: Configuration,
    ignore: Sequence[str],
    defines: Mapping[str, Override],
) -> tuple[Bound, dict[str, Diagnostic]]:
    """The model, and a fault for each key of the file that the table cannot say, or that is missing.

    Raises:
        SpecError: the values break the table's rules.
    """
    entries = {k: e for k, e in found.entries.items() if not is_ignored(k, e.key, ignore)}
    inert = dict(found.inert)
    values = {key: entry.value for key, entry in entries.items()}
    assumed = assumptions(table, values)
    values |= assumed
    for key in switched_off(table, values):
        if key in entries:
            inert[entries.pop(key).key] = f"`{WINDOWED}` is false"
        values[key] = None
    read = settled(table.program, table.rows, objects(values))
    listed = inferred(table, {key: entry.value for key, entry in entries.items()}, read)
    overrides = {**read, **listed, **defines}
    program = build(table, overrides, entries)
    cells = written_cells(program, table.rows)
    judge = Judge(table.rows, program, cells, entries, frozenset(defines))
    judged = {key: judge.use(key, entry) for key, entry in entries.items()}
    ignored = [entry for k, entry in found.entries.items() if is_ignored(k, entry.key, ignore)]
    faults = {key: use for key, use in judged.items() if isinstance(use, Diagnostic)}
    wrong = {outer for key in faults for outer in (key, *outside(key))}
    for key, fault in judge.gaps(assumed, ignore, listed.keys()).items():
        beside = (*outside(key), *outside(judge.first(cells[key].row).key))
        if wrong.isdisjoint(beside):
            faults[key] = fault
    uses = [
        *(use for use in judged.values() if isinstance(use, KeyUse)),
        *(KeyUse(e.key, e.value, "ignored", "`--ignore`") for e in ignored),
        *(KeyUse(key, None, "no effect", why) for key, why in inert.items()),
        *(
            KeyUse(e.key, e.value, "outside", f"stands around `{found.inside}`")
            for e in found.around
        ),
    ]
    of_lists = {row.key for row in table.rows if judge.name(row) in listed}
    left = {k: value for k, value in assumed.items() if k not in inert and k not in of_lists}
    stored = cells.get(STORED)
    silent: frozenset[str] = frozenset()
    if stored is not None and (STORED not in entries or entries[STORED].value is None):
        left[STORED] = stored.value
        silent = frozenset(symbols(stored.row.condition)) - defines.keys()
    bound = Bound(table, program, overrides, tuple(uses), left, inside=found.inside, silent=silent)
    return bound, faults


def assumptions(table: BoundTable, values: Mapping[str, object]) -> dict[str, object]:
    """What the table says of keys that are not there.

    Conditions are those on params that the keys which are there decide.
    """
    rows = [row for row in table.rows if row.role != "absent"]
    known = settled(table.program, rows, objects(values))
    env = plain(known)
    for let in table.program.model.lets:
        with suppress(EvaluationError):
            env[let.name] = evaluate(let.expr, env)
    found: dict[str, object] = {}
    said = {outer for key in values for outer in (key, *outside(key))}
    for row in table.rows:
        if (
            row.role == "absent"
            and row.index is None
            and row.key not in said
            and values.keys().isdisjoint(outside(row.key))  # null for the object that it is in
        ):
            try:
                if evaluate(row.condition, env) is True:
                    found.setdefault(row.key, written(row, env))
            except EvaluationError:
                continue
    return found


def inferred(
    table: BoundTable, values: Mapping[str, object], known: Mapping[str, Override]
) -> dict[str, Override]:
    """Numbers that no key of the file gives, and that a list of it does: every which layer differs.

    Of each list, one number: the one that the table takes by itself where that fits, else the
    least that does.
    """
    found: dict[str, Override] = {}
    given = {
        row.value.name for row in table.rows if isinstance(row.value, Sym) and row.key in values
    }
    lists = {row.key: row.index for row in table.rows if row.index is not None}
    for key, index in lists.items():
        items = values.get(key)
        rows = [row for row in table.rows if row.key == key]
        names = {name for row in rows for name in symbols(row.condition)}
        free = [p for p in table.program.model.params if p.name in names - given]
        if not isinstance(items, list) or len(items) > MAX_ITEMS or len(free) != 1:
            continue
        (param,) = free
        env: dict[str, Value] = {**table.program.values, **plain(known)}
        own = env[param.name]
        if param.kind not in ("size", "count") or not isinstance(own, int):
            continue
        for number in dict.fromkeys((own, *range(1, len(items) + 2))):
            env[param.name] = number
            if all(says(rows, {**env, index[0]: i}, item) for i, item in enumerate(items)):
                found[param.name] = number
                break
    return found


def says(rows: Sequence[ConfigRow], env: dict[str, Value], item: object) -> bool:
    """Whether one of the rows of a list says so of an item."""
    try:
        return any(
            evaluate(row.condition, env) is True and same(written(row, env), item) for row in rows
        )
    except EvaluationError:
        return False


def plain(known: Mapping[str, Override]) -> dict[str, Value]:
    """Overrides as values."""
    return {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in known.items()
    }


def switched_off(table: BoundTable, values: Mapping[str, object]) -> tuple[str, ...]:
    """Keys that say nothing, because the file switches off what they are about."""
    reads = any(row.key == WINDOWED for row in table.rows)
    return WINDOW if reads and values.get(WINDOWED) is False else ()


def objects(values: Mapping[str, object]) -> dict[str, Any]:
    """The values, and the objects that they stand in as something that is there."""
    found: dict[str, Any] = {}
    for key in values:
        names = key.split(".")
        found |= {".".join(names[:i]): {} for i in range(1, len(names))}
    return {**found, **values}


def build(
    table: BoundTable, overrides: Mapping[str, Override], entries: Mapping[str, ConfigEntry]
) -> Program:
    """The table with other values.

    Raises:
        SpecError: they break its rules; the faults say which keys the values are from.
    """
    try:
        return build_program(table.loaded, table.definition, None, overrides)
    except SpecError as error:
        sources = {
            row.value.name: entries[row.key].key
            for row in reversed(table.rows)
            if isinstance(row.value, Sym) and row.key in entries
        }
        raise SpecError(
            [replace(d, notes=(*d.notes, *origins(d, sources))) for d in error.diagnostics]
        ) from error


def origins(diagnostic: Diagnostic, sources: Mapping[str, str]) -> Iterator[str]:
    """Which keys the params that a fault speaks of are from."""
    place = diagnostic.span.source.name if diagnostic.span else ""
    words = set(WORD.findall(" ".join((place, diagnostic.message, *diagnostic.notes))))
    for name, key in sorted(sources.items()):
        if name in words:
            yield f"`{name}` is read from `{shown_text(key)}`"
