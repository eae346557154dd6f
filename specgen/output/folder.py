"""Replaces a folder completely or not at all, however the process ends.

Knows files and bytes; nothing of specs or back ends.

Note [Atomic replacement]: the new files are written and synced into a hidden sibling folder,
which then changes places with the old one in one system call (`exchange.py`).  Until that call
the old folder is untouched, after it the new one is complete; what is left over is swept away,
at once or, after a kill, by the next build.  Where the system cannot exchange two folders, two
renames do it: a kill between them leaves the old folder whole under its hidden name, and the
next build puts it back first.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from specgen.backends.content import Content, ContentPart, Copied, chunks, same
from specgen.output.exchange import exchange
from specgen.output.manifest import MANIFEST, MAX_MANIFEST, digest, listed_files
from specgen.regular_files import read_regular, size_of

#: What Python leaves beside a module that was imported; ours to remove.
BYPRODUCTS: Final = frozenset({"__pycache__"})


class ForeignFolder(Exception):
    """The folder holds something that specgen did not write; the message says what."""


class EditedFolder(Exception):
    """The folder holds files that are not as they were written; the message lists them."""


def replace(folder: Path, files: Mapping[str, Content], *, force: bool = False) -> bool:
    """Makes `folder` hold exactly `files`; False where it already did and nothing was written.

    Raises:
        ForeignFolder: the folder holds files that no build wrote; nothing was changed.
        EditedFolder: files were edited since they were written, and there is no `force`; nothing
            was changed.
        OSError: it could not be written; what stood there before is as it was.
    """
    folder = Path(os.path.realpath(folder))
    with parents(folder), locked(folder.parent):
        sweep(folder)
        if holds(folder, files):
            return False
        listed = refuse_foreign(folder)
        if not force:
            refuse_edited(folder, listed, files)
        staging = hidden(folder, "new")
        try:
            staging.mkdir()
            for name, content in files.items():
                write(staging / name, content)
            sync(staging)
            install(staging, folder)
            with suppress(OSError):  # done; whether the exchange itself is durable decides no more
                sync(folder.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return True


def replace_file(path: Path, data: bytes) -> None:
    """Makes a file hold `data`, completely or not at all.

    What is no regular file, a pipe or a device, has nothing to keep and is written straight.

    Raises:
        OSError: it could not be written; what stood there before is as it was.
    """
    path = Path(os.path.realpath(path))
    if os.path.lexists(path) and not path.is_file():
        path.write_bytes(data)
        return
    staging = hidden(path, "new")
    try:
        write(staging, data)
        if path.exists():
            shutil.copymode(path, staging)
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def holds(folder: Path, files: Mapping[str, Content]) -> bool:
    """Whether the folder holds exactly these files."""
    try:
        if set(os.listdir(folder)) - BYPRODUCTS != set(files):
            return False
        return all(same(folder / name, content) for name, content in files.items())
    except OSError:
        return False


def refuse_foreign(folder: Path) -> Mapping[str, str]:
    """A folder that specgen did not write, or that holds more, is never thrown away.

    Returns the digests of what specgen wrote there.
    """
    if not os.path.lexists(folder):
        return {}
    if not folder.is_dir():
        raise ForeignFolder("it is not a folder")
    present = set(os.listdir(folder)) - BYPRODUCTS
    if not present:
        return {}
    try:
        listed = listed_files(read_regular(folder / MANIFEST, MAX_MANIFEST))
    except FileNotFoundError:
        listed = None
    if listed is None:
        raise ForeignFolder(f"it has no {MANIFEST} of specgen")
    if extra := sorted(present - listed.keys() - {MANIFEST}):
        raise ForeignFolder(f"it holds files that specgen did not write: {', '.join(extra)}")
    return listed


def refuse_edited(folder: Path, listed: Mapping[str, str], files: Mapping[str, Content]) -> None:
    """A file that is neither what was written nor what is to be written holds somebody's work."""
    edited = []
    for name, written in sorted(listed.items()):
        path = folder / name
        if not path.is_file():
            continue
        new = files.get(name)
        if digest(Copied((ContentPart(path, 0, size_of(path)),))) != written and not (
            new is not None and same(path, new)
        ):
            edited.append(name)
    if edited:
        raise EditedFolder(", ".join(edited))


def write(path: Path, content: Content) -> None:
    with path.open("xb") as file:
        file.writelines(chunks(content))
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Makes the entries of a folder durable, where the system knows such a thing."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def install(staging: Path, folder: Path) -> None:
    """Puts the new folder in the place of the old one; see Note [Atomic replacement]."""
    if not folder.exists():
        staging.rename(folder)
        return
    if exchange(staging, folder):
        return
    aside = hidden(folder, "old")
    folder.rename(aside)
    try:
        staging.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def hidden(folder: Path, role: str) -> Path:
    return folder.with_name(f".{folder.name}.specgen-{role}-{secrets.token_hex(8)}")


def sweep(folder: Path) -> None:
    """Clears what killed builds left behind, putting an old folder back where it is missing."""
    for aside in sorted(folder.parent.glob(f".{folder.name}.specgen-old-*")):
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)
    for staging in folder.parent.glob(f".{folder.name}.specgen-new-*"):
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def parents(folder: Path) -> Iterator[None]:
    """Creates the folders above; a build that fails leaves none of them behind."""
    missing = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for parent in missing:
                parent.rmdir()
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One build at a time in a folder, so that none sweeps away what another is writing."""
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
