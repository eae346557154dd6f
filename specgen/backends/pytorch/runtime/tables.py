"""The tables of checkpoint.py, as a build writes them; here they are empty, and tests fill them.

`if TABLE:` is taken without its test where the build has that table, and left out where not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

# Dtype of a tensor as safetensors calls it, None for any of FLOATS; and its shape.
Kind = tuple[str | None, tuple[int, ...]]

INDEX = "model.safetensors.index.json"

FLOATS = ("F64", "F32", "F16", "BF16")


class Format(NamedTuple):
    """How matrices [R, C] are stored that are not stored as they are."""

    names: list[tuple[str, str]]  # what the names of the tensors begin with, and the matrix
    tensors: Callable[..., dict[str, Kind]]  # R, C -> kinds of the tensors, by ends of their names
    restore: Callable[..., list[Tensor]]  # the tensors -> the matrix alone
    store: Callable[[Tensor], list[Tensor]] | None  # the matrix -> the tensors, if that is known


class Packed(NamedTuple):
    """A tensor that holds several parameters, or one in another order, as einops would write it.

    `pattern` is that of `pack`, or of `rearrange` on all that is in `parameters`, stacked.
    """

    name: str
    parameters: list[str]
    way: Callable[..., Packing]
    pattern: str
    sizes: Callable[[Any], dict[str, int]] = lambda config: {}


class Packing(NamedTuple):
    """The shape of a tensor that holds rows, what takes them out of it, and what puts them in."""

    shape: tuple[int, ...]
    unpack: Callable[..., list[Tensor]]
    pack: Callable[..., list[Tensor]]


NAMES: list[tuple[str, str]] = []
DTYPES: dict[str, str] = {}
FORMATS: list[Format] = []
PACKED: list[Packed] = []
WHERE: dict[tuple[str, str], Callable[[Any, dict[str, int]], bool]] = {}
NUMBERS: dict[str, Callable[[Any, dict[str, int]], int]] = {}
COPIES: list[tuple[str, str, str]] = []
RESPELLINGS: list[tuple[str, str]] = []
BESIDES: list[str] = []

# No tables, but decided as those are.
CACHED = True  # whether the model has caches
NARROW = True  # whether values are narrower than keys somewhere
FLAGS = True  # whether Config has fields of that kind, and of those below
TEXTS = True
FOURS = True  # whether rows are stored as floats of 4 bits
WHOLES = True  # whether rows are stored as whole numbers
TUPLES = True
LITERALS = True
