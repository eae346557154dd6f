"""The dtypes of the language: each one row, with what every library and format calls it.

Widths are in bits: of a dtype narrower than a byte several elements share one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import nan
from typing import Final, Literal

from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Dtype:
    """One dtype, as tables name it, and as others do.

    `computes` says that values of dataflow may be of it; `kept` that a row which is stored so is
    computed with so, and not in the working precision.  `onnx` is TensorProto.DataType, and `since`
    the opset from which on operators take it; `packing` is the code of `struct` for one element,
    where there is one.
    """

    name: str
    bits: int
    kind: Literal["float", "integer", "bool"]
    torch: str
    safetensors: str
    onnx: int
    since: int = 0
    packing: str | None = None
    computes: bool = False
    kept: bool = False

    @property
    def bytes(self) -> int | Fraction:
        """Bytes of one element; a fraction where several share a byte."""
        return Fraction(self.bits, 8) if self.bits % 8 else self.bits // 8


# fmt: off
ROWS: Final = (
    #     name      bits  kind       torch                safetensors onnx
    Dtype("f64",    64, "float",   "float64",            "F64",     11, 0, "d", computes=True, kept=True),
    Dtype("f32",    32, "float",   "float32",            "F32",      1, 0, "f", computes=True, kept=True),
    Dtype("f16",    16, "float",   "float16",            "F16",     10, 0, "e", computes=True),
    Dtype("bf16",   16, "float",   "bfloat16",           "BF16",    16, 0, computes=True),
    Dtype("f8e4m3",  8, "float",   "float8_e4m3fn",      "F8_E4M3", 17, 19),
    Dtype("f4e2m1",  4, "float",   "float4_e2m1fn_x2",   "F4",      23, 23),
    Dtype("i64",    64, "integer", "int64",              "I64",      7, 0, "q", computes=True, kept=True),
    Dtype("i32",    32, "integer", "int32",              "I32",      6, 0, "i", computes=True, kept=True),
    Dtype("i8",      8, "integer", "int8",               "I8",       3, 0, "b"),
    Dtype("u8",      8, "integer", "uint8",              "U8",       2, 0, "B"),
    Dtype("bool",    8, "bool",    "bool",               "BOOL",     9, 0, "?", computes=True, kept=True),
)
# fmt: on

DTYPES: Final[Mapping[str, Dtype]] = {row.name: row for row in ROWS}

#: By the names of the headers of safetensors files.
SAFETENSORS: Final[Mapping[str, Dtype]] = {row.safetensors: row for row in ROWS}

#: Those whose values may be any real number within their range.
FLOATS: Final = frozenset(row.name for row in ROWS if row.kind == "float")

INTEGERS: Final = frozenset(row.name for row in ROWS if row.kind == "integer")

#: Narrow floats, which ONNX's Scan, If, Identity and Cast take, but not Gather, Slice and Split.
UNGATHERED: Final = frozenset(row.name for row in ROWS if row.since)

#: Floats in which dataflow is computed: what `act` may be.
COMPUTED_FLOATS: Final = tuple(row.name for row in ROWS if row.kind == "float" and row.computes)

COMPUTED: Final = tuple(row.name for row in ROWS if row.computes)


def f8e4m3_values() -> list[float]:
    """What each byte of f8e4m3 stands for, from 0 on: 1.mmm × 2^(eeee - 7), no infinity."""
    found = []
    for byte in range(256):
        exponent, mantissa = byte >> 3 & 15, byte & 7
        value = (8 + mantissa) * 2.0 ** (exponent - 10) if exponent else mantissa * 2.0**-9
        value = nan if byte & 127 == 127 else value
        found.append(-value if byte & 128 else value)
    return found


#: Of those, what the codes of a dtype stand for where whole bytes hold them.
CODES: Final[Mapping[str, Callable[[], list[float]]]] = {"f8e4m3": f8e4m3_values}


def bytes_of(dtype: str, elements: int) -> int:
    """The bytes that so many elements of a dtype take, the last one filled up."""
    return -(-elements * DTYPES[dtype].bits // 8)
