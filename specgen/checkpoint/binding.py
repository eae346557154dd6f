"""A configuration bound to a table: the params that it sets, and an account of each of its keys.

Completes a file by what the table says of absent keys, reads the params from it, builds the
table with them, and has every key accounted for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from specgen.checkpoint.account import SCHEME, Judge, Use, is_ignored, written_cells
from specgen.checkpoint.config import written
from specgen.checkpoint.configuration import Configuration, Entry, canonical, shown_text
from specgen.checkpoint.reading import settled
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, SpecError
from specgen.elaborate.bind import Override
from specgen.elaborate.files import Definition, Loaded
from specgen.elaborate.load import build_program, load_model
from specgen.ir.model import ConfigRow, Program
from specgen.sizes.evaluate import EvaluationError, Value, evaluate
from specgen.sizes.expr import Sym

WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Switches a sliding window on; where a table reads it, what says which window needs it.
WINDOWED: Final = "use_sliding_window"
WINDOW: Final = ("sliding_window", "max_window_layers")


@dataclass(frozen=True)
class Table:
    """A spec and its defaults, ready to be given other values."""

    path: Path
    loaded: Loaded
    definition: Definition
    program: Program

    @property
    def rows(self) -> list[ConfigRow]:
        """The rows of its configuration, their keys in the canonical spelling."""
        found = self.program.configs.get(SCHEME, ())
        return [replace(row, key=canonical(row.key)) for row in found]


@dataclass(frozen=True)
class Bound:
    """A model as a file describes it: `overrides` make it from the table's defaults.

    `assumed` are the keys that the file leaves out, with what the table says that this means.
    """

    table: Table
    program: Program
    overrides: Mapping[str, Override]
    uses: tuple[Use, ...]
    assumed: Mapping[str, object]


def load_table(path: Path) -> Table:
    """The table of a file.

    Raises:
        SpecError: it has faults.
    """
    loaded, model = load_model(path, Diagnostics())
    return Table(path, loaded, model, build_program(loaded, model, None, {}))


def bind(
    table: Table,
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
    defines = defines or {}
    entries = {k: e for k, e in found.entries.items() if not is_ignored(k, e.key, ignore)}
    inert = dict(found.inert)
    values = {key: entry.value for key, entry in entries.items()}
    assumed = assumptions(table, values)
    values |= assumed
    for key in switched_off(table, values):
        if key in entries:
            inert[entries.pop(key).key] = f"`{WINDOWED}` is false"
        values[key] = None
    overrides = {**settled(table.program, table.rows, objects(values)), **defines}
    program = build(table, overrides, entries)
    cells = written_cells(program, table.rows)
    judge = Judge(table.rows, program, cells, entries, frozenset(defines))
    uses = [judge.use(key, entry) for key, entry in entries.items()]
    ignored = [entry for k, entry in found.entries.items() if is_ignored(k, entry.key, ignore)]
    uses += [Use(e.key, e.value, "ignored", "`--ignore`") for e in ignored]
    uses += [Use(key, None, "no effect", why) for key, why in inert.items()]
    wrong = {key for key, use in zip(entries, uses, strict=False) if isinstance(use, Diagnostic)}
    gaps = judge.gaps(assumed, ignore)
    faults = [
        *(use for use in uses if isinstance(use, Diagnostic)),
        *(fault for key, fault in gaps.items() if not is_beside(key, wrong)),
    ]
    if faults:
        raise SpecError(faults)
    return Bound(
        table,
        program,
        overrides,
        tuple(use for use in uses if isinstance(use, Use)),
        {key: value for key, value in assumed.items() if key not in inert},
    )


def is_beside(key: str, others: Collection[str]) -> bool:
    """Whether a key stands in the same object as another one."""
    outer = key.rpartition(".")[0]
    return bool(outer) and any(other.startswith(f"{outer}.") for other in others)


def assumptions(table: Table, values: Mapping[str, object]) -> dict[str, object]:
    """What the table says of keys that are not there.

    Conditions are those on params that the keys which are there decide.
    """
    rows = [row for row in table.rows if row.role != "absent"]
    known = settled(table.program, rows, objects(values))
    env: dict[str, Value] = {
        name: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for name, value in known.items()
    }
    found: dict[str, object] = {}
    for row in table.rows:
        if row.role == "absent" and row.index is None and not is_said(row.key, values):
            try:
                if evaluate(row.condition, env) is True:
                    found.setdefault(row.key, written(row, env))
            except EvaluationError:
                continue
    return found


def is_said(key: str, values: Mapping[str, object]) -> bool:
    """Whether the file has the key, keys below it, or null for an object that it stands in."""
    return any(k == key or k.startswith(f"{key}.") or key.startswith(f"{k}.") for k in values)


def switched_off(table: Table, values: Mapping[str, object]) -> tuple[str, ...]:
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


def build(table: Table, overrides: Mapping[str, Override], entries: Mapping[str, Entry]) -> Program:
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
