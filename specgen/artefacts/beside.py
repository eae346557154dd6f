"""Files put into a folder that holds other things, which stay: a graph beside its weights.

Each file is replaced at once; the folder's manifest says which of them are specgen's.

Note [Beside]: a folder of weights cannot change places with a new one, as build folders do.  So
all files are written and synced under hidden names first: a disk that fills up fills up here, and
nothing has changed.  Then the manifest takes its place, and after it the files, one rename each.
A kill among the renames leaves files of two builds, each whole; the next build replaces them,
since the manifest lists them already.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from specgen.artefacts.content import Content, same
from specgen.artefacts.folder import ForeignFolder, locked, sync, write
from specgen.artefacts.manifest import MAX_MANIFEST, listed_files
from specgen.regular_files import read_regular

#: The manifest's name there: a plain manifest.json may be the checkpoint's.
MANIFEST: Final = "model.onnx.manifest.json"


def place(folder: Path, files: Mapping[str, Content]) -> bool:
    """Puts `files`, their manifest among them, into `folder`; False where they were there already.

    Raises:
        ForeignFolder: one of them stands there and no build wrote it; nothing was changed.
        OSError: they could not be written; what stood there before is as it was.
    """
    folder = Path(os.path.realpath(folder))
    with locked(folder):
        for name in files:  # what killed builds left
            for left in folder.glob(f".{name}.specgen-new-*"):
                left.unlink(missing_ok=True)
        if not list(differing(folder, files)):
            return False
        refuse_foreign(folder, files)
        staged = {name: folder / f".{name}.specgen-new-{secrets.token_hex(8)}" for name in files}
        try:
            for name, content in files.items():
                write(staged[name], content)
            for name in sorted(files, key=lambda name: name != MANIFEST):
                staged[name].replace(folder / name)
            with suppress(OSError):  # done; whether it is durable decides no more
                sync(folder)
        finally:
            for path in staged.values():
                path.unlink(missing_ok=True)
        return True


def differing(folder: Path, files: Mapping[str, Content]) -> Iterator[str]:
    """The files that a build would change.

    Raises:
        OSError: the folder cannot be read.
    """
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or not same(path, content):
            yield name


def refuse_foreign(folder: Path, files: Mapping[str, Content]) -> None:
    """A file that specgen did not write is never replaced."""
    listed: frozenset[str] | None = frozenset()
    with suppress(FileNotFoundError):
        listed = listed_files(read_regular(folder / MANIFEST, MAX_MANIFEST))
    if listed is None:
        raise ForeignFolder(f"its {MANIFEST} is not specgen's")
    present = [name for name in files if os.path.lexists(folder / name)]
    if foreign := sorted(set(present) - listed - {MANIFEST}):
        raise ForeignFolder(f"it holds files that specgen did not write: {', '.join(foreign)}")
    if folders := sorted(name for name in present if not (folder / name).is_file()):
        raise ForeignFolder(f"it holds no files but folders: {', '.join(folders)}")
