"""What a build would change in a folder, as a unified diff; writes nothing.

Knows files and bytes; nothing of specs or back ends.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from specgen.backends.content import Content, ContentPart, Copied, same
from specgen.output.folder import BYPRODUCTS
from specgen.output.manifest import digest
from specgen.regular_files import read_regular, size_of

#: Bytes of a file that is compared line by line; larger ones are described.
COMPARED: Final = 1 << 26


def drift(folder: Path, files: Mapping[str, Content], *, alone: bool = True) -> Iterator[str]:
    """Lines of a unified diff from what `folder` holds to `files`; none where they agree.

    Files that are not text are described by size and hash.  Not `alone`, other files may be there.

    Raises:
        OSError: the folder could not be read.
    """
    present = {}
    if folder.is_dir():
        present = {p.name: p for p in folder.iterdir() if p.name not in BYPRODUCTS}
    for name in sorted(present.keys() | files.keys() if alone else files):
        path, new = present.get(name), files.get(name)
        if path is not None and path.is_file() and new is not None and same(path, new):
            continue
        old: Content | None = None
        if path is not None:
            old = read(path, whole=not isinstance(new, Copied)) if path.is_file() else b""
        yield from difference(f"{folder.as_posix()}/{name}", old, new)


def read(path: Path, whole: bool) -> Content:
    """A file's bytes; of one that may be too large to be held, where they are."""
    size = size_of(path)
    if whole and size <= COMPARED:
        return read_regular(path, COMPARED)
    return Copied((ContentPart(path, 0, size),))


def difference(name: str, old: Content | None, new: Content | None) -> Iterator[str]:
    """The lines for one file; None stands for a file that is not there."""
    before, after = lines(old), lines(new)
    if before is None or after is None or before == after:  # equal but for the last line's end
        sizes_tell = old is not None and new is not None and len(old) != len(new)
        yield f"{name}: {describe(old, sizes_tell)} -> {describe(new, sizes_tell)}"
        return
    yield from difflib.unified_diff(
        before,
        after,
        "/dev/null" if old is None else name,
        "/dev/null" if new is None else name,
        lineterm="",
    )


def lines(data: Content | None) -> list[str] | None:
    """The lines of a text; None where it is not one."""
    if data is None:
        return []
    if not isinstance(data, bytes) or b"\0" in data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text.removesuffix("\n").split("\n")


def describe(data: Content | None, sizes_tell: bool) -> str:
    """Size and hash; of a very large file its size alone, where that tells the difference."""
    if data is None:
        return "absent"
    if sizes_tell and len(data) > COMPARED:
        return f"{len(data)} bytes"
    return f"{len(data)} bytes, sha256 {digest(data)[:16]}"
