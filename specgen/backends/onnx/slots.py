"""The order of slots in a cache whose new rows are written over older ones.

Note [Slots]: the table counts slots in the order of time: the S new tokens are the last of T.  A
cache of fixed length that is written by position has them elsewhere, and its oldest row behind
the newest.  Every axis of T slots lies as the cache does, and what asks for the order gets it: a
row of numbers is the place of each slot in time, a running sum or a stretch is taken of values
that were put in order, and what has T slots again goes back.  Attention asks for nothing of that,
so keys and values stay where they are.  An axis of T slots and some more has these at its end.
"""

from __future__ import annotations

from specgen.backends.onnx.dims import Dim, DimExtent, Shape
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Edge
from specgen.expr.evaluate import EvaluationError
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class SlotOrder:
    """`places` i64 [T] are the places in time of the slots, `slots` i64 [T] their inverse.

    `total` is the dim T, which is symbolic so that it is told from any other of its size.
    """

    total: DimExtent
    places: Edge
    slots: Edge


def by_position(graph: Graph, total: DimExtent, new: int, start: Edge) -> SlotOrder:
    """Of a cache in which the new rows lie from `start` i64 [1] on, round its end."""
    size = graph.sizes[str(total)]
    before = graph.integers([slot - new for slot in range(size)])
    behind = graph.integers([place + new for place in range(size)])
    places = graph.one("places", "Sub", (before, start), "i64", (total,))
    slots = graph.one("slots", "Add", (behind, start), "i64", (total,))
    return SlotOrder(total, *(around(graph, edge, size) for edge in (places, slots)))


def before_new(graph: Graph, total: DimExtent, new: int, start: Edge) -> SlotOrder:
    """Of older rows, the oldest of them in the slot `start` i64 [1], and the new ones behind."""
    size = graph.sizes[str(total)]
    older = size - new
    numbers, last = graph.integers(range(older)), graph.integers(range(older, size))
    found = []
    for name, op in (("places", "Sub"), ("slots", "Add")):
        moved = graph.one(name, op, (numbers, start), "i64", (older,))
        parts = (around(graph, moved, older), last)
        found.append(graph.one(name, "Concat", parts, "i64", (total,), axis=0))
    return SlotOrder(total, *found)


def around(graph: Graph, edge: Edge, size: int) -> Edge:
    """The numbers modulo a size, from 0."""
    return graph.one("around", "Mod", (edge, graph.integers([size])), "i64", edge.shape)


def ordered(graph: Graph, dim: Dim) -> SlotOrder | None:
    """The order of an axis of this dim; None where it lies as the table counts.

    Raises:
        EvaluationError: slots are one axis with something else.
    """
    known = graph.slots
    if known is None or isinstance(dim, int):
        return None
    if dim == known.total:
        return known
    terms, name = dict(dim.terms), str(known.total)
    alone, more = terms.pop((name,), 0), terms.pop((), 0)
    if terms or alone != 1:
        if any(name in factors for factors, _ in dim.terms):
            reason = f"an axis of {dim} is slots of the cache and something else, whose order"
            raise EvaluationError(f"{reason} a cache by position has not: use `--cache shift`")
        return None
    if more < 0:
        return None  # a stretch, which was put in order
    size = graph.sizes[name]
    behind = graph.integers(range(size, size + more))
    found = [
        graph.one("order", "Concat", (edge, behind), "i64", (dim,), axis=0)
        for edge in (known.places, known.slots)
    ]
    return SlotOrder(dim, *found)


def in_time(graph: Graph, name: str, x: Edge, axis: int) -> Edge:
    """The value with an axis of slots in the order of time."""
    order = ordered(graph, x.shape[axis])
    return x if order is None else taken(graph, f"{name}.in_time", x, order.slots, axis)


def as_slots(graph: Graph, name: str, x: Edge, axis: int) -> Edge:
    """The value, whose axis is in the order of time, with it as the slots lie."""
    order = ordered(graph, x.shape[axis])
    return x if order is None else taken(graph, f"{name}.as_slots", x, order.places, axis)


def taken(graph: Graph, name: str, x: Edge, order: Edge, axis: int) -> Edge:
    shape: Shape = (*x.shape[:axis], order.shape[0], *x.shape[axis + 1 :])
    return graph.one(name, "Gather", (x, order), x.dtype, shape, axis=axis)
