"""Ops along one axis, in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from specgen.ir.numpy.call import Array, Function, Functions, NumpyCall


def softmax(call: NumpyCall, x: Array, *, axis: int) -> Array:
    shifted = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis, keepdims=True))


def cumsum(call: NumpyCall, x: Array, *, axis: int) -> Array:
    return x.cumsum(axis)


def reduction(function: Callable[..., Any]) -> Function:
    def reduced(call: NumpyCall, x: Array, *, axis: int, keep: bool) -> Array:
        return np.asarray(function(x, axis=axis, keepdims=keep))

    return reduced


FUNCTIONS: Functions = {
    "softmax": softmax,
    "sum": reduction(np.sum),
    "cumsum": cumsum,
    "mean": reduction(np.mean),
    "max": reduction(np.max),
    "any": reduction(np.any),
}
