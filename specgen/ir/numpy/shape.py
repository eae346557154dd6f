"""What lies where, in numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from specgen.expr.evaluate import evaluate
from specgen.expr.node import Expr
from specgen.ir.numpy.call import Array, Functions, NumpyCall


def iota(call: NumpyCall, *, n: Expr) -> Array:
    return np.arange(call.size(n))


def constant(call: NumpyCall, *, value: Expr) -> Array:
    return call.held(evaluate(value, call.env))


def split(call: NumpyCall, x: Array, *, sizes: tuple[Expr, ...], axis: int) -> Sequence[Array]:
    ends = np.cumsum([call.size(size) for size in sizes])[:-1]
    return np.split(x, ends, axis)


def concat(call: NumpyCall, *parts: Array, axis: int) -> Array:
    return np.concatenate(parts, axis)


def slice_(call: NumpyCall, x: Array, *, start: Expr, stop: Expr, axis: int) -> Array:
    return np.take(x, np.arange(call.size(start), call.size(stop)), axis)


def rearranged(
    call: NumpyCall,
    x: Array,
    *,
    inputs: tuple[tuple[str, ...], ...],
    outputs: tuple[tuple[str, ...], ...],
    sizes: Mapping[str, Expr],
) -> Array:
    """Splits every group into axes, orders them, adds the new ones, and merges."""
    lengths = {axis: call.size(size) for axis, size in sizes.items()}
    rest = x.shape[: len(x.shape) - len(inputs) + 1] if ("...",) in inputs else ()
    source = [axis for group in inputs for axis in group if axis != "..."]
    target = [axis for group in outputs for axis in group if axis != "..."]
    x = x.reshape(rest + tuple(lengths[axis] for axis in source))
    added = [axis for axis in target if axis not in source]
    x = np.broadcast_to(
        x.reshape(x.shape + (1,) * len(added)), x.shape + tuple(lengths[a] for a in added)
    )
    source += added
    lead = len(rest)
    x = x.transpose([*range(lead), *(lead + source.index(axis) for axis in target)])
    shape: list[int] = []
    for group in outputs:
        if group == ("...",):
            shape.extend(rest)
        else:
            shape.append(int(np.prod([lengths[axis] for axis in group], dtype=np.int64)))
    return x.reshape(shape)


FUNCTIONS: Functions = {
    "iota": iota,
    "constant": constant,
    "split": split,
    "concat": concat,
    "slice": slice_,
    "rearrange": rearranged,
    "repeat": rearranged,
}
