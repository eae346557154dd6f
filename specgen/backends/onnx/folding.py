"""Operators on constants of whole numbers, as the constant that they give: arithmetic about dims.

Where dims are numbers, so is all that is computed from them, and compilers for chips do not work
it out.  Numbers with fractions stay: each runtime has its own last digit of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import product as places
from math import prod
from typing import Final

from specgen.backends.onnx.dims import Shape
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Attribute, Edge
from specgen.expr.evaluate import EvaluationError

#: The most elements of a constant that is made: a mask of many tokens is smaller as operators.
MOST: Final = 2**16

#: Every whole number to this is one of f32.
EXACT: Final = 2**24

COMPUTED: Final[Mapping[str, Callable[..., int]]] = {
    "Add": operator.add,
    "And": operator.and_,
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Mul": operator.mul,
    "Not": operator.not_,
    "Or": operator.or_,
    "Sub": operator.sub,
}

#: Operators that leave all elements where they are.
KEPT: Final = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})

DTYPES: Final = frozenset({"bool", "f32", "i32", "i64"})


def folded(
    graph: Graph,
    labels: Sequence[str],
    op: str,
    inputs: Sequence[Edge | None],
    results: Sequence[tuple[str, Shape]],
    attributes: Mapping[str, Attribute],
) -> tuple[Edge, ...] | None:
    """The result of an operator as a constant; None where it is computed when the graph runs."""
    del labels, attributes
    if op not in COMPUTED and op not in KEPT:
        return None
    dtype, dims = results[0]
    operands = [edge for edge in inputs[: 1 if op in KEPT else None] if edge is not None]
    if dtype not in DTYPES or not operands:
        return None
    try:
        shapes = [tuple(map(graph.number, edge.shape)) for edge in operands]
        shape = tuple(map(graph.number, dims))
    except EvaluationError:  # what only the running graph knows
        return None
    if prod(shape) > MOST:
        return None
    found = [numbers for edge in operands if (numbers := graph.numbers(edge)) is not None]
    if len(found) < len(operands):
        return None
    if op in KEPT:
        values = list(found[0])
    else:
        spread = [elements(n, own, shape) for n, own in zip(found, shapes, strict=True)]
        values = [int(COMPUTED[op](*each)) for each in zip(*spread, strict=True)]
    if dtype == "f32" and any(abs(value) > EXACT for value in values):
        return None
    return (graph.constant(dtype, values, shape),)


def elements(numbers: Sequence[int], own: Sequence[int], shape: Sequence[int]) -> list[int]:
    """The numbers of a constant repeated to a shape."""
    if tuple(own) == tuple(shape):
        return list(numbers)
    if len(numbers) == 1:
        return list(numbers) * prod(shape)
    steps, step = [], 1
    for length in reversed(own):
        steps.append(step if length != 1 else 0)
        step *= length
    steps += [0] * (len(shape) - len(own))
    strides = steps[::-1]
    return [numbers[sum(map(operator.mul, place, strides))] for place in places(*map(range, shape))]
