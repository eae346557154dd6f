"""Which files need no check, since these very texts passed all of them before they were shipped.

Most of what a spec loads is std, and a table that is shipped is the same in every run.
`checked.json` beside the tables has the digests of their texts; a text that is not in it, a changed
one or a user's, is checked.  It is written anew by

    python -m specgen.frontend.shipped
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostic, SpecError
from specgen.frontend.files import Loaded, LoadedFile
from specgen.resources import folder, std_folder

CHECKED: Final = "checked.json"


def passed(loaded: Loaded) -> frozenset[LoadedFile]:
    """The files that passed already: shipped as they are, and so is everything that they use."""
    known = {f for f in loaded.files.values() if digest(f.source.text) in checked()}
    while unsure := {file for file in known if not used(file) <= known}:
        known -= unsure
    return frozenset(known)


@cache
def checked() -> frozenset[str]:
    """The digests that were written; none where there is no file of them."""
    place = folder("specs") / CHECKED
    return frozenset(json.loads(place.read_text("utf-8"))) if place.is_file() else frozenset()


def used(file: LoadedFile) -> set[LoadedFile]:
    """The files that what a file sees is from, itself included."""
    return {file, *(item.file for item in file.names.values())}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shipped() -> dict[str, Path]:
    """The blocks, as a `use` calls them, and the tables."""
    blocks = {f"std.{path.stem}": path for path in sorted(std_folder().glob("*.dsv3"))}
    return blocks | {path.stem: path for path in sorted(folder("specs").glob("*.dsv3"))}


def digests() -> dict[str, str]:
    """The digest of each text that is shipped, and its name."""
    return {digest(path.read_text("utf-8")): name for name, path in shipped().items()}


def faults() -> Iterator[Diagnostic]:
    """What is wrong with the files that are shipped; warnings too."""
    from specgen.frontend.load import check_file

    for path in shipped().values():
        yield from check_file(path).all


def write() -> None:
    """Writes the digests.

    Raises:
        SpecError: a file has a fault, or a warning.
    """
    found = list(faults())
    if found:
        raise SpecError(found)
    text = json.dumps(digests(), indent=2)
    (folder("specs") / CHECKED).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
