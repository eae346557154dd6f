"""Files put into a folder that holds other things, which stay: a graph beside its weights.

Each file is replaced at once; the folder's manifest says which of them are specgen's.

Note [Beside]: a folder of weights cannot change places with a new one, as build folders do.  So
all files are written and synced into a hidden folder first: a disk that fills up fills up here,
and nothing has changed.  One rename of that folder then decides: before it, all is as it was;
after it, the files move to their places, one rename each, the manifest last, and a build that
finds the folder there moves the rest.  So a kill leaves the old files, or the new ones, or some of
these to be moved; and the hashes of the manifest hold only where nothing is left to be moved.

Note [Links]: of weights that are links, as in a hub's cache, runtimes read what lies in the real
folder of the graph or below, lest a model reads what it should not.  So the graph goes where the
weights really lie, under the hash of its bytes, and a link to it into the folder: as a hub's cache
has a model that was downloaded with its weights.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from specgen.backends.content import Content, same
from specgen.output.folder import ForeignFolder, locked, refuse_edited, sync, write
from specgen.output.manifest import MAX_MANIFEST, digest, listed_files
from specgen.regular_files import read_regular

#: The manifest's name there: a plain manifest.json may be the checkpoint's.
MANIFEST: Final = "model.onnx.manifest.json"

#: Folders of files that are being written, and of those that only have to be moved.
STAGING: Final = ".model.onnx.specgen-new-"
DECIDED: Final = ".model.onnx.specgen-next"

GRAPH: Final = ".onnx"
WEIGHTS: Final = ".safetensors"


def place(folder: Path, files: Mapping[str, Content], *, force: bool = False) -> bool:
    """Puts `files`, their manifest among them, into `folder`; False where they were there already.

    Raises:
        ForeignFolder: one of them stands there and no build wrote it; nothing was changed.
        EditedFolder: files were edited since they were written, and there is no `force`; nothing
            was changed.
        OSError: they could not be written; what stood there before is as it was.
    """
    folder = Path(os.path.realpath(folder))
    with locked(folder):
        finish(folder)
        for left in folder.glob(f"{STAGING}*"):  # of killed builds
            shutil.rmtree(left, ignore_errors=True)
        if not list(differing(folder, files)):
            return False
        listed = refuse_foreign(folder, files)
        if not force:
            refuse_edited(folder, {n: d for n, d in listed.items() if n in files}, files)
        staging = folder / f"{STAGING}{secrets.token_hex(8)}"
        try:
            staging.mkdir()
            for name, content in files.items():
                store = store_of(folder) if name.endswith(GRAPH) else None
                lay(folder, staging / name, content, store)
            sync(staging)
            staging.rename(folder / DECIDED)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        finish(folder)
        with suppress(OSError):  # done; whether it is durable decides no more
            sync(folder)
        return True


def finish(folder: Path) -> None:
    """Moves the files that a build has decided on to their places; see Note [Beside]."""
    decided = folder / DECIDED
    if not decided.is_dir():
        return
    for name in sorted(os.listdir(decided), key=lambda name: name == MANIFEST):
        (decided / name).replace(folder / name)
    decided.rmdir()


def lay(folder: Path, path: Path, content: Content, store: Path | None) -> None:
    """Writes a file that is moved into `folder`; with a `store`, into that, and a link to it."""
    if store is None:
        write(path, content)
        return
    target = store / digest(content)
    if not target.is_file() or not same(target, content):
        staged = store / f".{target.name}.specgen-new-{secrets.token_hex(8)}"
        try:
            write(staged, content)
            staged.replace(target)
        finally:
            staged.unlink(missing_ok=True)
    path.symlink_to(os.path.relpath(target, folder))


def store_of(folder: Path) -> Path | None:
    """The folder in which weights lie that are links; None where they lie in `folder` itself."""
    for path in sorted(folder.glob(f"*{WEIGHTS}")):
        real = Path(os.path.realpath(path)).parent
        if real != folder:
            return real
    return None


def differing(folder: Path, files: Mapping[str, Content]) -> Iterator[str]:
    """The files that a build would change.

    Raises:
        OSError: the folder cannot be read.
    """
    for name, content in files.items():
        path = folder / name
        if not path.is_file() or not same(path, content):
            yield name


def refuse_foreign(folder: Path, files: Mapping[str, Content]) -> Mapping[str, str]:
    """A file that specgen did not write is never replaced; the digests of those that it wrote."""
    listed: Mapping[str, str] | None = {}
    with suppress(FileNotFoundError):
        listed = listed_files(read_regular(folder / MANIFEST, MAX_MANIFEST))
    if listed is None:
        raise ForeignFolder(f"its {MANIFEST} is not specgen's")
    present = [name for name in files if os.path.lexists(folder / name)]
    if foreign := sorted(set(present) - listed.keys() - {MANIFEST}):
        raise ForeignFolder(f"it holds files that specgen did not write: {', '.join(foreign)}")
    if folders := sorted(name for name in present if not (folder / name).is_file()):
        raise ForeignFolder(f"it holds no files but folders: {', '.join(folders)}")
    return listed
