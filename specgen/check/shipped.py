"""Which files need no check, since these very texts passed all of them before they were shipped.

Most of what a spec loads is std, and a table that is shipped is the same in every run.
`checked.json` beside the tables has the digests of their texts; a text that is not in it, a changed
one or a user's, is checked.  It is written anew by

    python -m specgen.check.shipped
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostic, SpecError
from specgen.elaborate.files import Loaded, LoadedFile
from specgen.resources import folder, std_folder

CHECKED: Final = "checked.json"


def passed(loaded: Loaded) -> frozenset[LoadedFile]:
    """The files that passed already: shipped as they are, and so is everything that they use."""
    place = folder("specs") / CHECKED
    digests = frozenset(json.loads(place.read_text("utf-8"))) if place.is_file() else frozenset()
    known = {f for f in loaded.files.values() if digest(f) in digests}
    while unsure := {file for file in known if not used(file) <= known}:
        known -= unsure
    return frozenset(known)


def used(file: LoadedFile) -> set[LoadedFile]:
    """The files that what a file sees is from, itself included."""
    return {file, *(item.file for item in file.names.values())}


def digest(file: LoadedFile) -> str:
    return hashlib.sha256(file.source.text.encode()).hexdigest()


def shipped() -> dict[str, Path]:
    """The blocks, as a `use` calls them, and the tables."""
    blocks = {f"std.{path.stem}": path for path in sorted(std_folder().glob("*.dsv3"))}
    return blocks | {path.stem: path for path in sorted(folder("specs").glob("*.dsv3"))}


def digests() -> dict[str, str]:
    """The digest of each text that is shipped, and its name."""
    return {
        hashlib.sha256(path.read_text("utf-8").encode()).hexdigest(): name
        for name, path in shipped().items()
    }


def faults() -> Iterator[Diagnostic]:
    """What is wrong with the files that are shipped; warnings too."""
    from specgen.elaborate.load import check_file

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
