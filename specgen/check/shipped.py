"""Which std blocks need no check, since these very texts passed all of them before they were shipped.

Most of what a spec loads is std, and it is the same in every run.  `checked.json` beside the blocks
has the digests of their texts; after a change it is passed over until it is written again, by

    python -m specgen.check.shipped
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from specgen.elaborate.files import Loaded, LoadedFile
from specgen.resources import std_folder

CHECKED: Final = "checked.json"


def passed(loaded: Loaded) -> frozenset[LoadedFile]:
    """The files that passed already: shipped as they are, and so is everything that they use.

    The spec itself is never among them: who asks for a block to be checked is answered.
    """
    place = std_folder() / CHECKED
    digests = frozenset(json.loads(place.read_text("utf-8"))) if place.is_file() else frozenset()
    known = {f for f in loaded.files.values() if f is not loaded.main and digest(f) in digests}
    while unsure := {file for file in known if not used(file) <= known}:
        known -= unsure
    return frozenset(known)


def used(file: LoadedFile) -> set[LoadedFile]:
    """The files that what a file sees is from, itself included."""
    return {file, *(item.file for item in file.names.values())}


def digest(file: LoadedFile) -> str:
    return hashlib.sha256(file.source.text.encode()).hexdigest()


def digests() -> dict[str, str]:
    """The digest of each block, under its name.

    Raises:
        SpecError: a block has a fault, or a warning.
    """
    from specgen.diagnostics.diagnostic import Diagnostics, SpecError
    from specgen.elaborate.files import load_files
    from specgen.elaborate.load import check_modules

    found: dict[str, str] = {}
    for path in sorted(std_folder().glob("*.dsv3")):
        diagnostics = Diagnostics()
        loaded = load_files(path, diagnostics)
        if loaded is not None:
            check_modules(loaded, diagnostics)
            found[digest(loaded.main)] = path.stem
        if diagnostics.all:
            raise SpecError(diagnostics.all)
    return found


def write() -> None:
    text = json.dumps(digests(), indent=2)
    (std_folder() / CHECKED).write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
