"""Tables that are meant by name: where they are looked for, and what a wrong name may have meant.

A name has no folder in it.  It is looked for in the working folder, in `specs/` there and above, in
the folders of SPECGEN_PATH, and among the tables that are shipped with specgen, in this order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specgen.regular_files import exists, is_regular, read_regular
from specgen.resources import folder
from specgen.text.printable import safe

if TYPE_CHECKING:
    from specgen.diagnostics.diagnostic import SpecError

SUFFIX: Final = ".dsv3"

#: The variable with further folders of tables, separated as those of PATH.
FOLDERS: Final = "SPECGEN_PATH"

#: Longer files are no specs.
MAX_BYTES: Final = 1 << 20

#: A suggestion names no more than this.
MANY: Final = 3

VARIANTS: Final = re.compile(r"^\s*variant\s+(\w+)", re.MULTILINE)


def is_name(text: str) -> bool:
    """Whether a table is given by its name, and not by a path."""
    return bool(text) and not any(end in text for end in (os.sep, os.altsep) if end)


def find(name: str) -> Path | None:
    """The table of that name."""
    file = name if name.endswith(SUFFIX) else name + SUFFIX
    return next((path for place in places() if exists(path := place / file)), None)


def places() -> Iterator[Path]:
    """The folders in which names are looked for, as far as they are there."""
    yield Path()
    with suppress(FileNotFoundError):  # the working folder may be gone
        here = Path.cwd()
        yield from (above / "specs" for above in (here, *here.parents))
    yield from (Path(given) for given in os.environ.get(FOLDERS, "").split(os.pathsep) if given)
    yield folder("specs")


def missing(name: str, variant: str | None) -> SpecError:
    """What is said of a table that is nowhere."""
    from specgen.diagnostics.diagnostic import Diagnostics, SpecError, did_you_mean

    diagnostics = Diagnostics()
    is_link = os.path.islink(name)  # noqa: PTH114  # raises for no text
    reason = "it is a link to nothing" if is_link else "there is no such file"
    notes: list[str] = []
    if is_name(name):
        reason += ", and no table of that name"
        help_ = question(meant(name, variant))
        notes = [f"tables: {', '.join(sorted(tables()))}"]
    else:
        beside = [path.as_posix() for path in files_in(Path(name).parent)]
        help_ = did_you_mean(Path(name).as_posix(), beside)
    diagnostics.report("E0101", None, path=name, reason=reason, help=help_, notes=notes)
    return SpecError(diagnostics.all)


def question(close: Sequence[str]) -> str | None:
    """Whether one of these was meant."""
    if not close:
        return None
    *others, last = (f"`{safe(one)}`" for one in close)
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}?"


def tables() -> dict[str, Path]:
    """Every table that can be meant by name; of equal names the first one found."""
    found: dict[str, Path] = {}
    for place in places():
        for path in sorted(files_in(place)):
            found.setdefault(path.stem, path)
    return found


def files_in(folder: Path) -> Iterator[Path]:
    """What can be read as a table there."""
    return (path for path in folder.glob(f"*{SUFFIX}") if is_regular(path))


def meant(name: str, variant: str | None) -> list[str]:
    """What a name that no table has was probably to mean: at most MANY tables or variants."""
    from specgen.diagnostics.diagnostic import suggestion

    known = {table: plain(table) for table in tables()}
    asked = plain(name.removesuffix(SUFFIX))
    suffix = f"@{variant}" if variant else ""
    if equal := [table for table, text in known.items() if text == asked]:
        return [table + suffix for table in equal][:MANY]
    variants = dict(shipped_variants())
    for fits in (str.__eq__, str.startswith):
        if close := [one for one, text in variants.items() if asked and fits(text, asked)]:
            return close[:MANY]
    begun = [table for table, text in known.items() if asked and text.startswith(asked)]
    if begun:
        return [table + suffix for table in begun][:MANY]
    near = suggestion(asked, {*known.values(), *variants.values()})
    return [one for one, text in {**known, **variants}.items() if text == near][:1]


def shipped_variants() -> Iterator[tuple[str, str]]:
    """`table@variant` for every variant of every table, with the plain name of the variant."""
    for table, path in tables().items():
        try:
            text = read_regular(path, MAX_BYTES).decode()
        except (OSError, ValueError):
            continue
        yield from ((f"{table}@{name}", plain(name)) for name in VARIANTS.findall(text))


def plain(name: str) -> str:
    """A name without case and signs: `DeepSeek-V3` and `deepseek_v3` are one."""
    return re.sub(r"[\W_]+", "", name.lower())
