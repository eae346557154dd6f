"""The headers of safetensors files: which tensor lies where; no byte of a tensor is read.

A file is 8 bytes of length, a header in JSON, and the tensors, one behind the other without gaps.
Files come from anywhere, so everything that a header says is checked before it is used: what the
format's own library refuses is refused here.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from specgen.dtypes import SAFETENSORS
from specgen.records import dataclass
from specgen.regular_files import exists, open_regular, read_regular, reason_of

#: Bytes of a header or an index; the format's own library reads no longer headers.
MAX_HEADER: Final = 100_000_000

#: Axes of a tensor, and elements along one: what runtimes can hold.
MAX_RANK: Final = 64
MAX_SIZE: Final = 2**63

#: How much of a tensor's name a fault shows.
SHOWN: Final = 100

SUFFIX: Final = ".safetensors"
SINGLE: Final = f"model{SUFFIX}"
INDEX: Final = f"{SINGLE}.index.json"

#: Bits per element of every dtype that the format has.
BITS: Final[Mapping[str, int]] = {
    "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "U32": 32, "C64": 64, "U64": 64,
    **{name: row.bits for name, row in SAFETENSORS.items()},
}  # fmt: skip

#: What a header says of a tensor; more is passed over.
FIELDS: Final = frozenset({"dtype", "shape", "data_offsets"})

#: The library counts bits and elements in as many.
COUNTED: Final = 2**64


class DamagedCheckpoint(Exception):
    """The folder holds no checkpoint that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Where a tensor lies: `file` is a name in the folder, `start` counts from its first byte."""

    file: str
    start: int
    dtype: str
    shape: tuple[int, ...]
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length


def stretches(folder: Path) -> dict[str, ByteRange]:
    """Every tensor of the checkpoint in a folder, by its name.

    The files are those of model.safetensors.index.json, else model.safetensors, else all; links, as
    a hub's cache has them, are followed.

    Raises:
        DamagedCheckpoint: there is none, or a header is not as the format has it.
        OSError: the folder cannot be read.
    """
    found: dict[str, ByteRange] = {}
    places = index(folder / INDEX)
    for file in files(folder, places):
        for name, stretch in header(folder / file).items():
            if name in found:
                raise DamagedCheckpoint(f"`{name}` is in two files, {found[name].file} and {file}")
            found[name] = stretch
    for name, file in places.items():
        if name not in found or found[name].file != file:
            raise DamagedCheckpoint(f"{INDEX} has `{name}` in {file}, which does not hold it")
    return found


def files(folder: Path, places: Mapping[str, str]) -> list[str]:
    """The names of the files that belong together."""
    if places:
        return sorted(set(places.values()))
    if exists(folder / SINGLE):
        return [SINGLE]
    names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    if not names:
        raise DamagedCheckpoint(f"there is no file *{SUFFIX}")
    return names


def index(path: Path) -> dict[str, str]:
    """The file of each tensor, where an index says so."""
    try:
        document = parsed(read_regular(path, MAX_HEADER), path.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {reason_of(error)}") from error
    places = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(places, dict) or not places or not all(map(is_file_name, places.values())):
        raise DamagedCheckpoint(f"{path.name} does not say in which files the tensors are")
    return places


def is_file_name(text: object) -> bool:
    """Whether it is the name of a file in the same folder, and no way out of it."""
    return isinstance(text, str) and text.endswith(SUFFIX) and not {"/", "\\", "\0"} & set(text)


def header(path: Path) -> dict[str, ByteRange]:
    """The tensors of one file.

    Raises:
        DamagedCheckpoint: the file cannot be read, or is not as the format has it.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > size - 8:
                raise DamagedCheckpoint(f"{path.name} ends before its header does")
            if length > MAX_HEADER:
                raise DamagedCheckpoint(f"{path.name} has a header of over {MAX_HEADER:,} bytes")
            document = parsed(file.read(length), f"the header of {path.name}")
    except OSError as error:
        raise DamagedCheckpoint(f"{path.name}: {reason_of(error)}") from error
    if not isinstance(document, dict):
        raise DamagedCheckpoint(f"the header of {path.name} is no JSON object")
    try:
        found = dict(entries(path.name, document, 8 + length))
    except ValueError as error:
        raise DamagedCheckpoint(f"the header of {path.name} is damaged: {error}") from error
    lie_together(path.name, found.values(), 8 + length, size)
    return found


def parsed(data: bytes, what: str) -> Any:
    """JSON in UTF-8; None where it is none.

    Raises:
        DamagedCheckpoint: an object of `what` has a key twice, of which readers take one or the other.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = Counter(key for key, _ in pairs)
            key = next(key for key, count in keys.items() if count > 1)
            raise DamagedCheckpoint(f"{what} has the key `{key[:SHOWN]}` twice")
        return found

    def refused(word: str) -> None:
        raise ValueError(f"JSON has no {word}")

    def whole(digits: str) -> int | float:
        return -0.0 if digits == "-0" else int(digits)

    try:
        found = json.loads(
            data.decode(),
            object_pairs_hook=unique,
            parse_constant=refused,
            parse_int=whole if b"-0" in data else None,  # a function takes time
        )
        if b"\\u" in data:  # halves of a character are none
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return found


def entries(file: str, document: Mapping[str, Any], origin: int) -> Iterator[tuple[str, ByteRange]]:
    """The tensors that a header lists; `origin` is where the first of them starts."""
    for name, entry in document.items():
        if name == "__metadata__":
            texts = {} if entry is None else entry
            if not isinstance(texts, dict) or not all(isinstance(t, str) for t in texts.values()):
                raise ValueError("`__metadata__` holds other things than texts")
            continue
        shown = name if len(name) <= SHOWN else f"{name[:SHOWN]}..."
        try:
            dtype, dims = entry["dtype"], entry["shape"]
            start, stop = entry["data_offsets"]
            others = entry.keys() - FIELDS
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ValueError(f"`{shown}` has no dtype, shape and place") from None
        if not isinstance(dtype, str) or not isinstance(dims, list):
            raise ValueError(f"`{shown}` has no dtype, shape and place")
        if len(dims) > MAX_RANK:  # before they are multiplied
            raise ValueError(f"`{shown}` has {len(dims):,} axes, and may have {MAX_RANK}")
        if not all(map(is_size, (*dims, start, stop))):
            raise ValueError(f"`{shown}` has no dtype, shape and place")
        if dtype not in BITS:
            raise ValueError(f"`{shown}` is {dtype[:SHOWN]}, which the format does not have")
        if not all(is_plain(entry[field]) for field in others):
            raise ValueError(f"`{shown}` has more than dtype, shape and place")
        bits = bits_of(dims, BITS[dtype])
        if bits is None or stop < start or 8 * (stop - start) != bits:
            raise ValueError(f"`{shown}` has {stop - start} bytes for {dtype[:SHOWN]} {dims}")
        known = SAFETENSORS[dtype].name if dtype in SAFETENSORS else dtype
        yield name, ByteRange(file, origin + start, known, tuple(dims), stop - start)


def bits_of(dims: Iterable[int], each: int) -> int | None:
    """The bits of a tensor; None where one factor after the other they are too many to count."""
    count = 1
    for factor in (*dims, each):
        count *= factor
        if count >= COUNTED:
            return None
    return count


def is_plain(value: object) -> bool:
    """Whether it is a text, a word or a number that others can read, too."""
    if isinstance(value, int | float):
        return abs(value) < float("inf") and (isinstance(value, float) or abs(value) < MAX_SIZE)
    return value is None or isinstance(value, str)


def is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_SIZE


def lie_together(file: str, found: Iterable[ByteRange], start: int, size: int) -> None:
    """From `start` to the end of the file there is one tensor behind the other."""
    end = start
    for stretch in sorted(found, key=lambda stretch: (stretch.start, stretch.stop)):
        if stretch.start < end:
            raise DamagedCheckpoint(f"two tensors of {file} overlap")
        if stretch.start > end:
            gap = f"{stretch.start - end:,} bytes at {end:,}"
            raise DamagedCheckpoint(f"{file} has a gap of {gap}, which are of no tensor")
        end = stretch.stop
    if end > size:
        raise DamagedCheckpoint(f"{file} is cut short: it has {size:,} of {end:,} bytes")
    if end < size:
        raise DamagedCheckpoint(f"{file} has {size - end:,} bytes behind its last tensor")
