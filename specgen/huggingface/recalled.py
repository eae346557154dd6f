"""What released configurations were found to be, remembered by their contents.

A warm run has read the file and one entry: no table was loaded to find out which one it is of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specgen.cache import store
from specgen.cache.key import digest, fingerprint
from specgen.huggingface.configuration_file import BESIDE, CONFIGURATIONS, MAX_CONFIGURATION
from specgen.huggingface.configured import Configured
from specgen.huggingface.select import called
from specgen.regular_files import is_folder, read_regular
from specgen.resources import folder

if TYPE_CHECKING:
    from specgen.frontend.values import Override


def recalled(text: str, overrides: Mapping[str, Override]) -> Configured:
    """The table, variant and overrides that a configuration means, from the cache if it has them.

    Raises:
        SpecError: it is of no table, or says what its table cannot say; this is not remembered.
    """
    key = key_of(Path(text), overrides)
    known = store.get(key) if key is not None else None
    if known is not None:
        return unpacked(known, text, overrides)
    from specgen.huggingface.imported import selection

    found = selection(text, overrides)
    if key is not None and key_of(Path(text), overrides) == key:  # else it was saved meanwhile
        store.put(key, packed(found))
    return found


def key_of(place: Path, overrides: Mapping[str, Override]) -> str | None:
    """The digest of all that the answer depends on; None where a file cannot be read."""
    file = place / CONFIGURATIONS if is_folder(place) else place
    files: list[str] = []
    for path in (file, file.parent / BESIDE):
        try:
            files.append(digest(read_regular(path, MAX_CONFIGURATION)))
        except FileNotFoundError:
            continue
        except OSError:
            return None
    question = {
        "specgen": fingerprint(),
        "configuration": files,
        "name": called(place),
        "overrides": {name: repr(value) for name, value in overrides.items()},
    }
    return digest(json.dumps(question, sort_keys=True).encode())


def packed(found: Configured) -> bytes:
    """A selection of a shipped table, wherever specgen lies."""
    origin = found.origin and [found.origin.name, sorted(found.origin.params)]
    values = [found.path.name, found.variant, dict(found.overrides), found.stored, origin]
    return json.dumps([*values, dict(found.said)]).encode()


def unpacked(data: bytes, text: str, given: Mapping[str, Override]) -> Configured:
    name, variant, overrides, stored, origin, said = json.loads(data)
    of = None
    if origin is not None:
        from specgen.frontend.origin import TableOrigin

        of = TableOrigin(origin[0], frozenset(origin[1]))
    path = folder("specs") / name
    return Configured(path, variant, listed(overrides), stored, of, text, dict(given), listed(said))


def listed(values: Mapping[str, Any]) -> dict[str, Override]:
    """Values from JSON, lists as params have them."""
    return {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
