"""manifest.json: which table, which compiler and which bytes a folder of artefacts holds.

Written last into every folder; its presence says that specgen owns the folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from specgen.backends.content import Content, chunks
from specgen.text.printable import safe_json
from specgen.version import __version__

MANIFEST: Final = "manifest.json"
GENERATOR: Final = "specgen"

#: Bytes; a longer file is no manifest.
MAX_MANIFEST: Final = 10_000_000


def manifest(header: Mapping[str, object], files: Mapping[str, Content]) -> bytes:
    """The manifest of `files`; `header` says what they were made from."""
    document = {
        "generator": GENERATOR,
        "version": __version__,
        **header,
        "files": {name: digest(files[name]) for name in sorted(files)},
    }
    return (safe_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n").encode()


def digest(content: Content) -> str:
    total = hashlib.sha256()
    for data in chunks(content):
        total.update(data)
    return total.hexdigest()


def listed_files(data: bytes) -> Mapping[str, str] | None:
    """The files that a manifest lists, with digests; None where it is not one of specgen's."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("generator") != GENERATOR:
        return None
    files = document.get("files")
    return files if isinstance(files, dict) else None
