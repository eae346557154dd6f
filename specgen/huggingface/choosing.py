"""Which table a configuration is of: the shipped ones say so themselves, in their `config` rows.

Knows no model by name.  Texts of tables are looked through first, so that only those that mention
the configuration's class are loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.frontend.lookup import SUFFIX
from specgen.huggingface.account import IDENTITY, harmless, plain_value
from specgen.huggingface.binding import BoundTable, bind, load_table
from specgen.huggingface.configuration import (
    ConfigEntry,
    Configuration,
    language_model,
    same,
    shown_text,
)
from specgen.resources import folder

#: Faults of the closest table that are listed.
LISTED: Final = 12


def choose(found: Configuration) -> tuple[BoundTable, Configuration]:
    """The shipped table of the class that the configuration names, and what is of that class.

    That is the configuration, or the one of the language model in it.

    Raises:
        SpecError: it names none, or there is no table of it; with the closest table, and what
            does not fit there.
    """
    inner = nested(found)
    for configuration in (found, inner):
        for entry in named(configuration) if configuration is not None else ():
            for path in mentioning(entry.value):
                table = load_table(path)
                if is_of(table, entry) and configuration is not None:
                    return table, configuration
    said = [*named(found), *(named(inner) if inner is not None else ())]
    diagnostics = Diagnostics()
    if not said:
        diagnostics.report(
            "E1002",
            None,
            path=shown_text(found.path),
            reason="it has neither `architectures` nor `model_type`",
            help="say which table it is of: `--spec SPEC`",
        )
        raise SpecError(diagnostics.all)
    configuration = inner if inner is not None else found
    tables = [table for table in map(load_table, shipped()) if table.rows]
    closest = max(tables, key=lambda table: closeness(table, configuration))
    where = [f"its language model is in `{inner.inside}`"] if inner is not None else []
    diagnostics.report(
        "E1002",
        None,
        path=shown_text(found.path),
        reason=" and ".join(f"`{shown_text(e.key)}` is {e.shown}" for e in said),
        notes=[
            *where,
            f"there are tables of {', '.join(table.program.name for table in tables)}",
            f"the closest is `{closest.program.name}`, where these do not fit:",
            *misfits(closest, configuration),
        ],
        help="write a table of it, or give the one to read it as: `--spec SPEC`",
    )
    raise SpecError(diagnostics.all)


def read_as(table: BoundTable, found: Configuration) -> Configuration:
    """What of a configuration is of a table that the user chose: all, or the language model."""
    inner = nested(found)
    of_it = any(is_of(table, entry) for entry in named(found))
    return found if inner is None or of_it else inner


def nested(found: Configuration) -> Configuration | None:
    """The language model in the configuration.

    Raises:
        SpecError: it contradicts what stands around it.
    """
    try:
        return language_model(found)
    except ValueError as error:
        diagnostics = Diagnostics()
        diagnostics.report("E1001", None, path=shown_text(found.path), reason=str(error))
        raise SpecError(diagnostics.all) from error


def named(found: Configuration) -> list[ConfigEntry]:
    """What the configuration says of its class."""
    entries = [found.entries[key] for key in IDENTITY if key in found.entries]
    return [entry for entry in entries if entry.value]


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


def is_of(table: BoundTable, entry: ConfigEntry) -> bool:
    """Whether a row of the table says what the configuration says of its class."""
    return any(
        row.key == entry.key.rpartition(".")[2] and same(plain_value(row, {}), entry.value)
        for row in table.rows
    )


def closeness(table: BoundTable, found: Configuration) -> tuple[int, int, int]:
    """How many keys the table reads, less those that it does not; of equals, how much of the name
    of the class is its own (`qwen3` of `qwen3_vl_text`), and how many keys it misses.
    """
    keys = {row.key for row in table.rows if not row.role}
    known = {part for row in table.rows for part in (row.key, row.key.partition(".")[0])}
    read = sum(1 if key in known else -1 for key in relevant(found))
    return read, kinship(table, found), -len(keys - found.entries.keys())


def kinship(table: BoundTable, found: Configuration) -> int:
    """The length of the name of the table's class with which that of the configuration begins."""
    entry = found.entries.get(IDENTITY[1])
    if entry is None or not isinstance(entry.value, str):
        return 0
    own = [plain_value(row, {}) for row in table.rows if row.key == IDENTITY[1]]
    begun = [name for name in own if isinstance(name, str) and entry.value.startswith(name)]
    return max(map(len, begun), default=0)


def relevant(found: Configuration) -> list[str]:
    """The keys that may matter."""
    return [
        key
        for key, entry in found.entries.items()
        if key not in IDENTITY and not harmless(key, entry.value)
    ]


def misfits(table: BoundTable, found: Configuration) -> Sequence[str]:
    """Why the configuration is not of this table, its class apart."""
    read = {row.key for row in table.rows}
    messages = [
        f"`{shown_text(found.entries[key].key)}` is {found.entries[key].shown}, which no row reads"
        for key in relevant(found)
        if key not in read
    ]
    try:
        bind(table, found, ignore=IDENTITY)
    except SpecError as error:
        if all(diagnostic.span is None for diagnostic in error.diagnostics):
            messages = [diagnostic.message for diagnostic in error.diagnostics]
    more = [f"and {len(messages) - LISTED} more"] if len(messages) > LISTED else []
    return [*messages[:LISTED], *more] or ["only the class: it may compute something else"]
