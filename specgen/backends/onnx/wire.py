"""Protobuf's wire format, as far as ONNX's messages need it: fields as bytes.

A message is its fields one after the other, each a key (its number and how it is written) and a
value; what is written in the order of the numbers is what protobuf's own libraries write.
The format is fixed for good, and theirs takes longer to import than this to write a model.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import copysign, inf
from typing import Final

#: How a field is written: a number of as many bytes as it takes, what has a length, four bytes.
VARINT, SIZED, FOUR_BYTES = 0, 2, 5

ONE_BYTE: Final = [bytes((value,)) for value in range(0x80)]


def varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; a negative one in 64 bits."""
    if 0 <= value < 0x80:
        return ONE_BYTE[value]
    value &= (1 << 64) - 1
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def key(number: int, way: int) -> bytes:
    """What stands before a field's value."""
    return varint(number << 3 | way)


def integer(number: int, value: int) -> bytes:
    return key(number, VARINT) + varint(value)


def integers(number: int, values: Sequence[int]) -> bytes:
    return b"".join([integer(number, value) for value in values])


def real(number: int, value: float) -> bytes:
    """A float in 32 bits; what is beyond their range is infinite."""
    try:
        data = struct.pack("<f", value)
    except OverflowError:
        data = struct.pack("<f", copysign(inf, value))
    return key(number, FOUR_BYTES) + data


def sized(data: bytes) -> bytes:
    """Bytes behind their number: the value of a text or message."""
    return varint(len(data)) + data


def chunk(number: int, data: bytes) -> bytes:
    size = len(data)
    if number < 0x10 and size < 0x80:  # nearly always
        return ONE_BYTE[number << 3 | SIZED] + ONE_BYTE[size] + data
    return key(number, SIZED) + varint(size) + data


def text(number: int, value: str) -> bytes:
    return chunk(number, value.encode())


def enclosed(number: int, parts: Sequence[bytes]) -> list[bytes]:
    """A message in parts, which may be large: nothing of them is copied."""
    return [key(number, SIZED) + varint(sum(map(len, parts))), *parts]
