"""A config.json as a file: read with limits, flat, every key in one spelling.

Files come from anywhere.  Knows how Hugging Face's files have spelt keys over the years, and no
table: what the keys mean is `binding`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.huggingface.configuration_file import BESIDE, CONFIGURATIONS, MAX_CONFIGURATION
from specgen.huggingface.quantised import QUANTISED, algorithm
from specgen.huggingface.reading import SPELLINGS
from specgen.records import dataclass
from specgen.regular_files import exists, is_folder, read_regular, reason_of
from specgen.text.reals import read_real

#: Levels of nesting and values of a file: no released configuration is near these.
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 100_000

#: How much of a value a fault shows.
SHOWN: Final = 60

#: Where rotary embeddings are configured, in files of transformers 5 and before.
ROTARY: Final = "rope_parameters"
SCALING: Final = "rope_scaling"
KIND: Final = f"{SCALING}.rope_type"

#: Where a model of several media has its language model's configuration.
NESTED: Final = ("text_config", "llm_config", "language_config")

#: Keys around it that speak of the language model too.
SHARED: Final = ("torch_dtype", "tie_word_embeddings", QUANTISED)

#: Other spellings of a key.
SAME: Final[Mapping[str, str]] = {
    f"{SCALING}.type": KIND,
    "dtype": "torch_dtype",
}


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A value, and the dotted key as the file writes it; `text` is what it writes for null."""

    key: str
    value: object
    text: str = ""

    @property
    def shown(self) -> str:
        """The value as the file has it, short."""
        return self.text or shown(self.value)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a file says: canonical key -> entry; and keys that others make meaningless, and why.

    `path` is as the user wrote it.  Lists, null and empty objects are values; other objects are
    the keys below them.  `around` are the keys around the object that holds all this, and `inside`
    the name of that object, where it is not the whole file.  `beside` is how a file beside it says
    that the weights are quantised.
    """

    path: str
    entries: Mapping[str, ConfigEntry]
    inert: Mapping[str, str]
    around: tuple[ConfigEntry, ...] = ()
    inside: str = ""
    beside: str = ""


def read(path: str | Path) -> Configuration:
    """The configuration in a file, or in config.json of a folder.

    Raises:
        SpecError: it cannot be read, is no JSON object, or contradicts itself.
    """
    place = Path(path)
    try:
        place = place / CONFIGURATIONS if is_folder(place) else place
        found = spelled(str(path), loaded(place))
        return replace(found, beside=beside(place.parent))
    except OSError as error:
        reason = reason_of(error)
    except RecursionError:
        reason = f"it nests over {MAX_DEPTH} levels"
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8: {error.reason} at byte {error.start}"
    except ValueError as error:
        reason = str(error)
    diagnostics = Diagnostics()
    diagnostics.report("E1001", None, path=shown_text(str(path)), reason=reason)
    raise SpecError(diagnostics.all)


def loaded(place: Path) -> dict[str, Any]:
    """The JSON object in a regular file.

    Raises:
        OSError: it cannot be read, or is too large.
        ValueError: it is no JSON object.
    """
    return parsed(read_regular(place, MAX_CONFIGURATION))


def beside(folder: Path) -> str:
    """How a file of the folder says that its weights are quantised; "" where none does."""
    place = folder / BESIDE
    if not exists(place):
        return ""
    try:
        said = algorithm(loaded(place))
    except (OSError, ValueError, RecursionError):
        return f"{BESIDE}, which cannot be read"
    return f"{shown_text(said)} ({BESIDE})" if said else ""


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object; keys are unique.  NaN and Infinity are read as Python writes them.

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

    def real(text: str) -> float:
        try:
            return read_real(text)
        except ValueError as error:
            given = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            raise ValueError(f"`{given}` is not a number: {error}") from None

    def whole(text: str) -> int:
        real(text)  # no key has a number that no real is near
        return int(text)

    try:
        found = json.loads(
            data.decode("utf-8-sig"),
            object_pairs_hook=unique,
            parse_float=real,
            parse_int=whole,
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
    listed = (ConfigEntry(".".join(names), value) for names, value in leaves(content))
    entries, inert = gathered((entry.key, entry) for entry in listed)
    return Configuration(path, entries, inert)


def gathered(
    listed: Iterable[tuple[str, ConfigEntry]],
) -> tuple[dict[str, ConfigEntry], dict[str, str]]:
    """Values by canonical keys, of dotted keys in any spelling; and what is meaningless, and why.

    Raises:
        ValueError: they contradict each other.
    """
    entries: dict[str, ConfigEntry] = {}
    for name, entry in listed:
        known = entries.setdefault(canonical(name), entry)
        if known is not entry and not same(known.value, entry.value):
            raise ValueError(
                f"`{shown_text(known.key)}` is {known.shown} and `{shown_text(entry.key)}`"
                f" is {entry.shown}, which mean the same"
            )
    inert = without_scaling(entries)
    below: dict[str, ConfigEntry] = {}
    for key, entry in entries.items():
        for outer in outside(key):
            below.setdefault(outer, entry)
    for key, entry in entries.items():
        if key in below:
            raise ValueError(
                f"`{shown_text(entry.key)}` is {entry.shown}, and"
                f" `{shown_text(below[key].key)}` says otherwise"
            )
    return entries, inert


def outside(key: str) -> Iterator[str]:
    """The objects that a dotted key stands in, from the inside out."""
    while "." in key:
        key = key.rpartition(".")[0]
        yield key


def language_model(found: Configuration) -> Configuration | None:
    """The configuration of the language model in that of a model of several media.

    Raises:
        ValueError: what it says, and what stands around it, contradict each other.
    """
    for name in NESTED:
        inner, around = [], []
        for key, entry in found.entries.items():
            if key.startswith(f"{name}."):
                inner.append((key.removeprefix(f"{name}."), entry))
            else:
                around.append((key, entry))
        if not inner:
            continue
        given = {canonical(key).partition(".")[0] for key, _ in inner}
        shared = [
            (key, entry)
            for key, entry in around
            if (first := key.partition(".")[0]) in SHARED
            and not (first == QUANTISED and first in given)
        ]
        entries, inert = gathered([*inner, *shared])
        rest = tuple(entry for key, entry in around if (key, entry) not in shared)
        return Configuration(found.path, entries, inert, rest, name, found.beside)
    return None


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


def without_scaling(entries: dict[str, ConfigEntry]) -> dict[str, str]:
    """Takes out a scaling of rotary embeddings that says that there is none.

    Returns what is thereby meaningless.
    """
    kind = entries.get(KIND)
    empty = entries.get(SCALING)
    if empty is not None and empty.value == {}:
        entries[SCALING] = ConfigEntry(empty.key, None, "{}")
    if kind is None or kind.value not in ("default", None):
        return {}
    said = shown(kind.value)
    below = [key for key in entries if key.startswith(f"{SCALING}.")]
    inert = {entries.pop(key).key: f"`{kind.key}` is {said}" for key in below if key != KIND}
    del entries[KIND]
    entries.setdefault(SCALING, ConfigEntry(kind.key, None, said))
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
