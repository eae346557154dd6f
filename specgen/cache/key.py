"""The digest under which a result is kept: everything that the result depends on.

That is specgen itself with the data shipped in it, the releases of the libraries that write
its output, every file of the spec, the variant, the overrides and the request.  The imports
are found by a scan, not by the parser, so that a run that finds its result loads neither.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from specgen.diagnostics.source import with_plain_ends
from specgen.frontend.lookup import SUFFIX
from specgen.frontend.selection import Selection
from specgen.regular_files import read_regular
from specgen.resources import PACKAGE, folder
from specgen.version import __version__

#: Larger files are not specs; reading them is left to the loader, which refuses them.
MAX_SIZE: Final = 2**20

#: What specgen itself consists of.
SOURCES: Final = (".py", ".lark", ".json", SUFFIX, ".j2", ".css", ".js")

#: Libraries whose release may change an output byte.
LIBRARIES: Final = ("jinja2", "lark", "sympy")

#: `use` is a reserved word: outside texts and comments it only ever starts an import.
SKIPPED: Final = re.compile(r'"[^"\n]*"|#[^\n]*')
RELATIVE_USE: Final = re.compile(r"\buse\s*\.\s*/\s*(\w+(?:\s*/\s*\w+)*)", re.ASCII)


def key(selection: Selection, request: Sequence[str]) -> str | None:
    """The digest for a request on a spec; None where a file cannot be read."""
    try:
        files = {name: digest(text) for name, text in inputs(selection.path)}
    except OSError:
        return None
    question = {
        "specgen": fingerprint(),
        "files": files,
        "variant": selection.variant,
        "stored": selection.stored,
        "origin": selection.origin and [selection.origin.name, sorted(selection.origin.params)],
        "overrides": {name: repr(value) for name, value in selection.overrides.items()},
        "request": list(request),
    }
    return digest(json.dumps(question, sort_keys=True).encode())


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def inputs(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each file that a spec consists of, by its path from the spec; std blocks excepted.

    Raises:
        OSError: a file cannot be read, is not a regular one, or is too large to be a spec.
    """
    seen = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        name = os.path.relpath(file, path.parent)
        if name in seen:
            continue
        seen.add(name)
        data = read_regular(file, MAX_SIZE)
        yield name, data
        text = SKIPPED.sub(" ", with_plain_ends(data.decode(errors="replace")))
        for found in RELATIVE_USE.finditer(text):
            parts = [part.strip() for part in found[1].split("/")]
            waiting.append(file.parent.joinpath(*parts[:-1], parts[-1] + SUFFIX))


def fingerprint() -> str:
    """A digest of specgen as installed here: its source, its data and its libraries' releases."""
    total = hashlib.sha256(f"{__version__} {sys.version}\n".encode())
    for root in (PACKAGE, *map(folder, ("grammar", "specs", "templates"))):
        for name, path in files_below(str(root)):
            total.update(f"{name}\n".encode())
            with open(path, "rb") as file:  # noqa: PTH123
                total.update(hashlib.sha256(file.read()).digest())
    total.update("\n".join(releases()).encode())
    return total.hexdigest()


def files_below(root: str) -> list[tuple[str, str]]:
    """Every file that specgen reads or runs, in a fixed order: its name from there, its path.

    Texts, since paths of pathlib take as long to be made as the files to be read.
    """
    found: list[tuple[str, str]] = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        below = parent[len(root) :].replace(os.sep, "/").lstrip("/")
        found += [(f"{below}/{n}", f"{parent}{os.sep}{n}") for n in names if n.endswith(SOURCES)]
    return sorted(found)


def releases() -> list[str]:
    """The releases of the libraries, read from the names of their metadata folders.

    importlib.metadata says the same and takes longer than everything else here.
    """
    library = find_spec("lark")
    if library is None or library.origin is None:
        return []
    site = Path(library.origin).parents[1]
    return sorted(
        name
        for name in os.listdir(site)
        if name.endswith(".dist-info") and name.lower().split("-")[0] in LIBRARIES
    )
