"""Results of commands, computed or remembered.

A warm run ends here: it has read the spec's files and one entry, and imported no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from specgen.cache import store
from specgen.cache.key import key
from specgen.frontend.selection import Selection


def remembered(selection: Selection, request: Sequence[str], compute: Callable[[], bytes]) -> bytes:
    """The result of a request on a spec, from the cache where it has it."""
    digest = key(selection, request)
    if digest is None:
        return compute()
    found = store.get(digest)
    if found is None:
        found = compute()
        if key(selection, request) == digest:  # else a file was saved in the meantime
            store.put(digest, found)
    return found


def pack(files: Mapping[str, bytes]) -> bytes:
    """Several files as one result: a line of JSON that lists the sizes, then the bytes."""
    sizes = [[name, len(data)] for name, data in files.items()]
    return json.dumps(sizes).encode() + b"\n" + b"".join(files.values())


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files that `pack` was given."""
    header, _, rest = packed.partition(b"\n")
    files = {}
    for name, size in json.loads(header):
        files[name], rest = rest[:size], rest[size:]
    return files
