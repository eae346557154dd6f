"""Products that are summed, in numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from specgen.expr.node import Expr
from specgen.ir.numpy.call import Array, Functions, NumpyCall


def einsum(
    call: NumpyCall,
    *args: Array,
    inputs: tuple[tuple[str, ...], ...],
    output: tuple[str, ...],
    sizes: Mapping[str, Expr],
) -> Array:
    letters: dict[str, str] = {"...": "..."}
    for axis in (axis for side in inputs for axis in side):
        letters.setdefault(axis, chr(ord("a") + len(letters) - 1))
    sides = ",".join("".join(letters[axis] for axis in side) for side in inputs)
    result = "".join(letters[axis] for axis in output)
    return np.asarray(np.einsum(f"{sides}->{result}", *args))


FUNCTIONS: Functions = {"einsum": einsum}
