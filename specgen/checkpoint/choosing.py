"""Which table a configuration is of: the shipped ones say so themselves, in their `config` rows.

Knows no model by name.  Texts of tables are looked through first, so that only those that mention
the configuration's class are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from specgen.checkpoint.account import IDENTITY, OFF, plain_value
from specgen.checkpoint.binding import Table, bind, load_table
from specgen.checkpoint.configuration import Configuration, Entry, same, shown, shown_text
from specgen.checkpoint.immaterial import IMMATERIAL
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.resources import folder
from specgen.selection import SUFFIX

#: Faults of the closest table that are listed.
LISTED: Final = 12


def choose(found: Configuration) -> Table:
    """The shipped table of the class that the configuration names.

    Raises:
        SpecError: it names none, or there is no table of it; with the closest table, and what
            does not fit there.
    """
    named = [found.entries[key] for key in IDENTITY if key in found.entries]
    named = [entry for entry in named if entry.value]
    diagnostics = Diagnostics()
    if not named:
        diagnostics.report(
            "E1002",
            None,
            path=shown_text(found.path),
            reason="it has neither `architectures` nor `model_type`",
            help="say which table it is of: `--spec SPEC`",
        )
        raise SpecError(diagnostics.all)
    for entry in named:
        for path in mentioning(entry.value):
            table = load_table(path)
            if is_of(table, entry):
                return table
    tables = [table for table in map(load_table, shipped()) if table.rows]
    closest = max(tables, key=lambda table: closeness(table, found))
    diagnostics.report(
        "E1002",
        None,
        path=shown_text(found.path),
        reason=" and ".join(f"`{e.key}` is {shown(e.value)}" for e in named),
        notes=[
            f"there are tables of {', '.join(table.program.name for table in tables)}",
            f"the closest is `{closest.program.name}`, where these do not fit:",
            *misfits(closest, found),
        ],
        help="write a table of it, or give the one to read it as: `--spec SPEC`",
    )
    raise SpecError(diagnostics.all)


def shipped() -> list[Path]:
    """The tables that specgen has, in order of their names."""
    return sorted(folder("specs").glob(f"*{SUFFIX}"))


def mentioning(value: object) -> Iterator[Path]:
    """The tables whose text has each of these names in quotes."""
    names = value if isinstance(value, list) else [value]
    quoted = [f'"{name}"' for name in names if isinstance(name, str)]
    for path in shipped():
        text = path.read_text(encoding="utf-8")
        if quoted and all(name in text for name in quoted):
            yield path


def is_of(table: Table, entry: Entry) -> bool:
    """Whether a row of the table says what the configuration says of its class."""
    return any(
        row.key == entry.key and same(plain_value(row, {}), entry.value) for row in table.rows
    )


def closeness(table: Table, found: Configuration) -> tuple[int, int]:
    """How many keys the table reads, less those that it does not; and how many it misses."""
    keys = {row.key for row in table.rows if not row.role}
    known = {part for row in table.rows for part in (row.key, row.key.partition(".")[0])}
    read = sum(1 if key in known else -1 for key in relevant(found))
    return read, -len(keys - found.entries.keys())


def relevant(found: Configuration) -> list[str]:
    """The keys that may matter."""
    return [
        key
        for key, entry in found.entries.items()
        if key.partition(".")[0] not in {*IMMATERIAL, *IDENTITY}
        and not any(same(entry.value, off) for off in OFF)
    ]


def misfits(table: Table, found: Configuration) -> Sequence[str]:
    """Why the configuration is not of this table, its class apart."""
    messages = [
        f"`{shown_text(found.entries[key].key)}` is {shown(found.entries[key].value)}, which no row reads"
        for key in relevant(found)
        if not any(row.key == key for row in table.rows)
    ]
    try:
        bind(table, found, ignore=IDENTITY)
    except SpecError as error:
        if all(diagnostic.span is None for diagnostic in error.diagnostics):
            messages = [diagnostic.message for diagnostic in error.diagnostics]
    more = [f"and {len(messages) - LISTED} more"] if len(messages) > LISTED else []
    return [*messages[:LISTED], *more] or ["only the class: it may compute something else"]
