"""What a build would change in a folder, as a unified diff; writes nothing.

Knows files and bytes; nothing of specs or back ends.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from specgen.artefacts.folder import BYPRODUCTS


def drift(folder: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    """Lines of a unified diff from what `folder` holds to `files`; none where they agree.

    Files that are not text are described by size and hash.

    Raises:
        OSError: the folder could not be read.
    """
    present = {}
    if folder.is_dir():
        present = {p.name: p for p in folder.iterdir() if p.name not in BYPRODUCTS}
    for name in sorted(present.keys() | files.keys()):
        path = present.get(name)
        old = None if path is None else path.read_bytes() if path.is_file() else b""
        new = files.get(name)
        if old != new:
            yield from difference(f"{folder.as_posix()}/{name}", old, new)


def difference(name: str, old: bytes | None, new: bytes | None) -> Iterator[str]:
    """The lines for one file; None stands for a file that is not there."""
    before, after = lines(old), lines(new)
    if before is None or after is None or before == after:  # equal but for the last line's end
        yield f"{name}: {describe(old)} -> {describe(new)}"
        return
    yield from difflib.unified_diff(
        before,
        after,
        "/dev/null" if old is None else name,
        "/dev/null" if new is None else name,
        lineterm="",
    )


def lines(data: bytes | None) -> list[str] | None:
    """The lines of a text; None where it is not one."""
    if data is None:
        return []
    if b"\0" in data:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text.removesuffix("\n").split("\n")


def describe(data: bytes | None) -> str:
    if data is None:
        return "absent"
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"
