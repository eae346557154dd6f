"""What a random body works with: values whose dtype and dims are known, and how sizes are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

#: The params of every random table that stand for sizes, and their numbers.
PARAMS = {"dim": 8, "heads": 2, "head": 4, "k": 3, "vocab_size": 9}

#: What shape variables may be as large as, to keep tensors small.
LENGTHS = {"B": 2, "S": 7, "T": 7, "P": 2, "Q": 7, "N": 8}

#: No value of a random table has more elements.
MAX_ELEMENTS = 6000

#: Any number of leading dims.
REST = "..."

Dims = tuple[str, ...]


@dataclass(frozen=True)
class Value:
    """A name of the dataflow, or an expression; `dtype` is "" for activations."""

    text: str
    dtype: str
    dims: Dims

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def is_float(self) -> bool:
        return self.dtype in ("", "f32")


def number(dim: str) -> int | None:
    """The size of a dim; None where it depends on a shape variable."""
    if dim == REST:
        return None
    text = re.sub(r"[a-z_]+", lambda name: str(PARAMS[name[0]]), dim).replace("×", "*")
    return None if re.search(r"[A-Z]", text) else arithmetic(text)


def bound(dim: str) -> int:
    """The most that a dim can be."""
    if dim == REST:
        return LENGTHS["B"] * LENGTHS["S"]
    text = re.sub(r"[A-Z]", lambda name: str(LENGTHS[name[0]]), dim)
    found = number(text)
    assert found is not None
    return found


def arithmetic(text: str) -> int:
    """The value of a sum, difference or product of numbers in parentheses."""
    while inner := re.search(r"\(([^()]*)\)", text):
        text = text[: inner.start()] + str(arithmetic(inner[1])) + text[inner.end() :]
    total = 0
    for sign, term in re.findall(r"([+-]?)\s*((?:\d+\s*\*\s*)*\d+)", text):
        product = 1
        for factor in term.split("*"):
            product *= int(factor)
        total += -product if sign == "-" else product
    return total


def elements(dims: Sequence[str]) -> int:
    found = 1
    for dim in dims:
        found *= bound(dim)
    return found


def broadcast(a: Dims, b: Dims) -> Dims | None:
    """The dims that numpy's broadcasting gives; None where it gives none."""
    length = max(len(a), len(b))
    result = []
    for x, y in zip(("1",) * (length - len(a)) + a, ("1",) * (length - len(b)) + b, strict=True):
        if x != y and "1" not in (x, y):
            return None
        result.append(y if x == "1" else x)
    return tuple(result)


def axes(count: int) -> list[str]:
    return list("abcdefgh"[:count])


def shape(dims: Sequence[str]) -> str:
    return "[" + ", ".join(dims) + "]"


def typed(dtype: str, dims: Sequence[str]) -> str:
    return f"{dtype} {shape(dims)}".strip()
