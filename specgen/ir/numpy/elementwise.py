"""Elementwise ops in numpy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from specgen.expr.node import Expr
from specgen.ir.numpy.call import Array, Functions, NumpyCall, plain


def cast(call: NumpyCall, x: Any) -> Array:
    return call.held(x)


def clamp(call: NumpyCall, x: Array, *, low: Expr | None, high: Expr | None) -> Array:
    least, most = (None if end is None else call.number(end) for end in (low, high))
    return np.asarray(np.clip(x, least, most))


def power(a: Any, b: Any) -> Array:
    return np.asarray(np.power(np.asarray(a, np.float64), b))


FUNCTIONS: Functions = {
    "rsqrt": plain(lambda x: 1 / np.sqrt(x)),
    "sqrt": plain(np.sqrt),
    "exp": plain(np.exp),
    "silu": plain(lambda x: x / (1 + np.exp(-x))),
    "sigmoid": plain(lambda x: 1 / (1 + np.exp(-x))),
    "tanh": plain(np.tanh),
    "erf": plain(np.vectorize(math.erf, otypes=[np.float64])),
    "cos": plain(np.cos),
    "sin": plain(np.sin),
    "cast": cast,
    "clamp": clamp,
    "add": plain(np.add),
    "sub": plain(np.subtract),
    "mul": plain(np.multiply),
    "div": plain(np.divide),
    "pow": plain(power),
    "mod": plain(np.mod),
    "eq": plain(np.equal),
    "ne": plain(np.not_equal),
    "lt": plain(np.less),
    "le": plain(np.less_equal),
    "gt": plain(np.greater),
    "ge": plain(np.greater_equal),
    "and": plain(np.logical_and),
    "or": plain(np.logical_or),
    "not": plain(np.logical_not),
    "neg": plain(np.negative),
}
