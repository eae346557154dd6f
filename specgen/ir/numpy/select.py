"""Choices among numbers that are there, in numpy."""

from __future__ import annotations

import numpy as np

from specgen.expr.node import Expr
from specgen.ir.numpy.call import Array, Functions, NumpyCall, plain


def gather(call: NumpyCall, x: Array, index: Array) -> Array:
    """The axes before the last one broadcast."""
    rank = max(x.ndim, index.ndim)
    x, index = (arg.reshape((1,) * (rank - arg.ndim) + arg.shape) for arg in (x, index))
    return np.take_along_axis(x, index, -1)


def topk(call: NumpyCall, x: Array, *, k: Expr) -> list[Array]:
    order = np.argsort(-x, -1, kind="stable")[..., : call.size(k)]
    return [np.take_along_axis(x, order, -1), order]


FUNCTIONS: Functions = {
    "where": plain(np.where),
    "take": plain(lambda table, index: table[index]),
    "gather": gather,
    "topk": topk,
}
