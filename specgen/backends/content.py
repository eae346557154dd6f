"""What a file is to hold: bytes, or stretches of other files, which are copied piece by piece.

Knows files and bytes; nothing of specs or back ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from specgen.records import dataclass
from specgen.regular_files import open_regular, read_regular, size_of

CHUNK: Final = 2**24


@dataclass(frozen=True, slots=True)
class ContentPart:
    """`length` bytes of a file from `start` on; without a file, zeros."""

    file: Path | None
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Copied:
    """A file that is too large to be held: its parts, one after the other."""

    parts: tuple[ContentPart, ...]

    def __len__(self) -> int:
        return sum(part.length for part in self.parts)


Content = bytes | Copied


def chunks(content: Content) -> Iterator[bytes]:
    """The bytes, some at a time.

    Raises:
        OSError: a file of a part cannot be read, or has become shorter.
    """
    if isinstance(content, bytes):
        yield content
        return
    for part in content.parts:
        yield from copied(part)


def copied(part: ContentPart) -> Iterator[bytes]:
    sizes = [CHUNK] * (part.length // CHUNK) + [part.length % CHUNK]
    if part.file is None:
        yield from map(bytes, sizes)
        return
    with open_regular(part.file) as file:
        file.seek(part.start)
        for size in sizes:
            data = file.read(size)
            if len(data) < size:
                raise OSError(f"{part.file.name} has become shorter")
            yield data


def same(path: Path, content: Content) -> bool:
    """Whether a file holds exactly this.

    Raises:
        OSError: it cannot be read.
    """
    if size_of(path) != len(content):
        return False
    if isinstance(content, bytes):
        return read_regular(path, len(content)) == content
    with open_regular(path) as file:
        pieces = ((file.read(len(data)), data) for data in chunks(content))
        return all(found == data for found, data in pieces)
