"""A config.json as a file: read with limits, flat, every key in one spelling.

Files come from anywhere.  Knows how Hugging Face's files have spelt keys over the years, and no
table: what the keys mean is `binding`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from specgen.checkpoint.reading import SPELLINGS
from specgen.diagnostics.diagnostic import Diagnostics, SpecError

#: Bytes of a file, levels of nesting and values: no released configuration is near these.
MAX_BYTES: Final = 4_000_000
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 100_000

#: How much of a value a fault shows.
SHOWN: Final = 60

FILE: Final = "config.json"

#: Where rotary embeddings are configured, in files of transformers 5 and before.
ROTARY: Final = "rope_parameters"
SCALING: Final = "rope_scaling"
KIND: Final = f"{SCALING}.rope_type"

#: Other spellings of a key.
SAME: Final[Mapping[str, str]] = {
    **{other: key for key, other in SPELLINGS.items()},
    f"{SCALING}.type": KIND,
    "dtype": "torch_dtype",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A value, and the dotted key as the file writes it."""

    key: str
    value: object


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says: canonical key -> entry; and keys that others make meaningless, and why.

    `path` is as the user wrote it.  Lists, null and empty objects are values; other objects are
    the keys below them.
    """

    path: str
    entries: Mapping[str, Entry]
    inert: Mapping[str, str]


def read(path: str | Path) -> Configuration:
    """The configuration in a file, or in config.json of a folder.

    Raises:
        SpecError: it cannot be read, is no JSON object, or contradicts itself.
    """
    place = Path(path)
    try:
        place = place / FILE if place.is_dir() else place
        with place.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"it has over {MAX_BYTES:,} bytes")
        return spelled(str(path), parsed(data))
    except OSError as error:
        reason = error.strerror or str(error)
    except RecursionError:
        reason = f"it nests over {MAX_DEPTH} levels"
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        reason = str(error)
    diagnostics = Diagnostics()
    diagnostics.report("E1001", None, path=shown_text(str(path)), reason=reason)
    raise SpecError(diagnostics.all)


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object; numbers are finite, keys unique.

    Raises:
        ValueError: it is none; the message says why.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"the key {shown(key)} is there twice")
            found[key] = value
        return found

    def constant(text: str) -> float:
        raise ValueError(f"{text} is no number of JSON")

    def real(text: str) -> float:
        value = float(text)
        if value - value != 0:
            raise ValueError(f"{text[:SHOWN]} is too large a number")
        return value

    try:
        found = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=unique,
            parse_constant=constant,
            parse_float=real,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"it is no JSON: {error.msg} at {place}") from error
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def spelled(path: str, content: Mapping[str, Any]) -> Configuration:
    """The configuration with every key in its canonical spelling.

    Raises:
        ValueError: it contradicts itself, or is too deep or too long.
    """
    entries: dict[str, Entry] = {}
    for names, value in leaves(content):
        entry = Entry(".".join(names), value)
        key = canonical(entry.key)
        known = entries.setdefault(key, entry)
        if not same(known.value, value):
            raise ValueError(
                f"`{shown_text(known.key)}` is {shown(known.value)} and `{shown_text(entry.key)}`"
                f" is {shown(value)}, which mean the same"
            )
    inert = without_scaling(entries)
    for key, entry in entries.items():
        below = next((other for other in entries if other.startswith(f"{key}.")), None)
        if below is not None:
            raise ValueError(
                f"`{shown_text(entry.key)}` is {shown(entry.value)}, and"
                f" `{shown_text(entries[below].key)}` says otherwise"
            )
    return Configuration(path, entries, inert)


def leaves(content: Mapping[str, Any]) -> list[tuple[tuple[str, ...], object]]:
    """Every value that is no object, or an empty one, with the names that lead to it."""
    found: list[tuple[tuple[str, ...], object]] = []
    waiting: list[tuple[tuple[str, ...], int, object]] = [((), 0, content)]
    count = 0
    while waiting:
        names, level, value = waiting.pop()
        count += 1
        if level > MAX_DEPTH:
            raise ValueError(f"it nests over {MAX_DEPTH} levels")
        if count > MAX_VALUES:
            raise ValueError(f"it has over {MAX_VALUES:,} values")
        inside = len(names) < level  # an item of a list, looked at for its depth alone
        if isinstance(value, Mapping) and (value or not names) and not inside:
            below = [((*names, component(k)), level + 1, inner) for k, inner in value.items()]
            waiting.extend(reversed(below))
            continue
        if not inside:
            found.append((names, value))
        items = list(value.values()) if isinstance(value, Mapping) else value
        if isinstance(items, list):
            waiting.extend((names, level + 1, item) for item in items)
    return found


def component(key: str) -> str:
    """A key as a part of a dotted one; quoted where it has dots itself, or is empty."""
    return json.dumps(key) if not key or "." in key else key


def canonical(key: str) -> str:
    """The one spelling of a dotted key."""
    first, _, rest = key.partition(".")
    if first == ROTARY:
        key = rest if rest.partition(".")[0] in {*SPELLINGS, *SPELLINGS.values()} else SCALING
        key = f"{SCALING}.{rest}" if rest and key == SCALING else key
    return SAME.get(key, key)


def without_scaling(entries: dict[str, Entry]) -> dict[str, str]:
    """Takes out a scaling of rotary embeddings that says that there is none.

    Returns what is thereby meaningless.
    """
    kind = entries.get(KIND)
    if kind is None or kind.value != "default":
        return {}
    below = [key for key in entries if key.startswith(f"{SCALING}.")]
    inert = {entries.pop(key).key: f'`{kind.key}` is "default"' for key in below if key != KIND}
    del entries[KIND]
    entries.setdefault(SCALING, Entry(kind.key, None))
    return inert


def same(left: object, right: object) -> bool:
    """Whether two values of JSON say the same: 1 and 1.0 do, 1 and true do not."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def shown(value: object) -> str:
    """A value as JSON has it, short, in ASCII: it may come from anywhere."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def shown_text(text: str) -> str:
    """A text of the file or of the command line, safe to print."""
    return shown(text)[1:-1] if len(text) <= SHOWN else f"{json.dumps(text[:SHOWN])[1:-1]}..."
