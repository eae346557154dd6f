"""How files that users name are read: regular files alone, and never more than a limit.

A path may lead anywhere: to a pipe that nobody writes to, a device without an end, a sparse file
of terabytes.  Every read of a spec, a configuration or a checkpoint's header comes through here,
that for the cache's key included, and fails at once with the reason.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

#: Opening a pipe waits for its other end, but for this; a regular file does not care.
AT_ONCE: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class NotRegular(OSError):
    """The path leads to a folder, a pipe, a socket or a device; the message says which."""


class TooLarge(OSError):
    """The file has more bytes than anything of its kind; `size` and `limit` say how many."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"it has {size:,} bytes; no more than {limit:,} bytes are read")
        self.size, self.limit = size, limit


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, open for reading bytes.

    Raises:
        NotRegular: it is something else.
        OSError: the system refuses it, or the path is none (a NUL in it).
    """
    try:
        refuse_others(Path(path).stat().st_mode)  # before opening: a device may act on it
        descriptor = os.open(path, os.O_RDONLY | AT_ONCE)
    except ValueError as error:
        raise OSError("the path is not valid") from error
    try:
        refuse_others(os.fstat(descriptor).st_mode)  # and after: it may have been exchanged
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        TooLarge: it has more than `limit`; they were not read.
        NotRegular, OSError: as `open_regular`.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise TooLarge(size, limit)
        data = file.read(limit + 1)  # a file that grows, or that the system makes up
    if len(data) > limit:
        raise TooLarge(len(data), limit)
    return data


def size_of(path: str | os.PathLike[str]) -> int:
    """Bytes of a regular file.  Raises as `open_regular`."""
    status = Path(path).stat()
    refuse_others(status.st_mode)
    return status.st_size


def refuse_others(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    what = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
    raise NotRegular(f"it is {what}")


def reason_of(error: OSError) -> str:
    """Why a file cannot be read, as the end of a sentence."""
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case NotADirectoryError():
            return "a part of the path is not a folder"
        case OSError(strerror=str(said)):
            return said.lower()
    return str(error)


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether the path leads to anything; one that the system does not take leads nowhere."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # too long, a NUL, a folder that may not be entered
        return False


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether the path leads to a regular file.  As `exists`, raises nothing."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether the path leads to a folder.  As `exists`, raises nothing."""
    return os.path.isdir(path)  # noqa: PTH112


def real_path(path: str | os.PathLike[str]) -> Path:
    """Where the path leads through all links, so far as it does; links may go in circles."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return Path(path)
