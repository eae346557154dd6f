"""Results kept between runs: bytes under a digest, in the user's own cache folder.

Never trusted: an entry is checked against its checksum when read, the folder must belong to
the user alone, and nothing in it is ever unpickled or executed.  Never needed: whatever fails
here, the result is computed again.  The folder can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

MAGIC: Final = b"specgen 1 "
#: The folder is kept below this many bytes, by dropping what was not used for longest.
MAX_TOTAL: Final = 256 * 2**20
MAX_ENTRY: Final = MAX_TOTAL // 8

#: Moves the cache; "off" turns it off.
VARIABLE: Final = "SPECGEN_CACHE"


def get(key: str) -> bytes | None:
    """The bytes kept under a digest; None where there are none, or they are damaged."""
    directory = trusted_folder()
    if directory is None:
        return None
    path = directory / key
    try:
        entry = path.read_bytes()
    except OSError:
        return None
    header, _, payload = entry.partition(b"\n")
    if header != MAGIC + checksum(key, payload):
        return None
    with suppress(OSError):
        os.utime(path)  # the eviction drops what was not used for longest
    return payload


def put(key: str, payload: bytes) -> None:
    """Keeps bytes under a digest; does nothing where that is not possible."""
    directory = trusted_folder(create=True)
    if directory is None or len(payload) > MAX_ENTRY:
        return
    import tempfile  # only where something new is kept

    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=directory)
        with os.fdopen(descriptor, "wb") as file:
            file.write(MAGIC + checksum(key, payload) + b"\n" + payload)
        Path(temporary).replace(directory / key)
    except OSError:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
    else:
        evict(directory)


def checksum(key: str, payload: bytes) -> bytes:
    """Covers the key too, so that an entry under another name is a damaged one."""
    return hashlib.sha256(key.encode() + b"\n" + payload).hexdigest().encode()


def evict(directory: Path) -> None:
    """Drops the entries that were not used for longest, and what killed runs left."""
    with suppress(OSError), os.scandir(directory) as found:
        entries = [(entry.stat().st_mtime, entry.stat().st_size, entry.path) for entry in found]
        total = sum(size for _, size, _ in entries)
        if total <= MAX_TOTAL:
            return
        for _, size, path in sorted(entries):
            Path(path).unlink(missing_ok=True)
            total -= size
            if total <= MAX_TOTAL * 3 // 4:
                return


def trusted_folder(create: bool = False) -> Path | None:
    """The cache folder, if there is one that only this user can write to."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off":
        return None
    try:
        directory = Path(chosen) if chosen else default_folder()
        if create:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
    except (OSError, RuntimeError, ValueError):
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o022):
        return None
    return directory


def default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("specgen", appauthor=False))
