"""The rows of a cache: what of them comes into the graph, what of it comes out, and what is read.

Knows edges and shapes; which value is appended to which row is the walk's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product as places

from specgen.backends.onnx import dims
from specgen.backends.onnx.dims import Dim, Shape
from specgen.backends.onnx.frame import GraphFrame, past
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Edge
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import Sym
from specgen.ir import model as ir

#: The symbolic dim of a cache before the new tokens.
PAST = dims.symbol("past")


def appended(frame: GraphFrame, cache: ir.Cache, new: Edge) -> Edge:
    """All of a cache row, the new values among it; they are an output of the graph, or it is."""
    state = frame.state
    axis = cache.shape.index(Sym(cache.along))
    shape = tuple(dims.dim(expr, frame.env) for expr in cache.shape)
    home = frame.row_path(cache.name)
    before = (*shape[:axis], length_before(frame, shape[axis], new.shape[axis]), *shape[axis + 1 :])
    old = past(state, home, frame.layer, new.dtype, before)
    key = state.caches[home]
    # The output's name is taken where another forward of the module has appended before.
    label = frame.name(cache.name) if key in state.presents else f"present.{key}"
    if state.cache == "position":
        whole = written(frame, label, old, new, axis)
    else:
        kept = old if state.cache != "shift" else newest(frame.graph, label, old, new, axis)
        parts = (new,) if kept is None else (kept, new)
        whole = new
        if len(parts) > 1:
            whole = frame.graph.one(label, "Concat", parts, new.dtype, shape, axis=axis)
    state.presents[key] = new if state.cache == "new" else whole
    return whole


def length_before(frame: GraphFrame, total: Dim, new: Dim) -> Dim:
    """How many slots of a cache come into the graph, where it has `total` with the new ones."""
    match frame.state.cache:
        case None:
            return PAST
        case "new":
            return frame.graph.settled(dims.add(total, new, -1))
        case _:
            return total


def newest(graph: Graph, name: str, old: Edge, new: Edge, axis: int) -> Edge | None:
    """The rows that stay when new ones come behind them; None where there is no room for any."""
    gone, size = new.shape[axis], old.shape[axis]
    if gone == size:
        return None
    bounds = [graph.extents((at,)) for at in (gone, size)]
    shape = (*old.shape[:axis], dims.add(size, gone, -1), *old.shape[axis + 1 :])
    operands = (old, *bounds, graph.integers([axis]))
    return graph.one(f"{name}.kept", "Slice", operands, old.dtype, shape)


def written(frame: GraphFrame, name: str, old: Edge, new: Edge, axis: int) -> Edge:
    """The rows with the new ones over those from the start on, round the end.

    Raises:
        EvaluationError: the axis is not that of the slots of the whole graph.
    """
    graph, start = frame.graph, frame.state.start
    slots = graph.slots
    if start is None or slots is None or old.shape[axis] != slots.total:
        reason = f"the cache `{frame.row_path('')}` does not grow along the tokens of the model"
        raise EvaluationError(f"{reason}: use `--cache shift`")
    if axis > 0 and graph.level.offers("TensorScatter"):
        lengths = graph.extents(old.shape[:1])
        starts = graph.one("starts", "Expand", (start, lengths), "i64", old.shape[:1])
        operands = (old, new, starts)
        return graph.one(
            name, "TensorScatter", operands, old.dtype, old.shape, axis=axis, mode="circular"
        )
    lead = [graph.number(dim) for dim in old.shape[: axis + 1]]
    targets = indices(graph, lead, graph.number(new.shape[axis]), start)
    return graph.one(name, "ScatterND", (old, targets, new), old.dtype, old.shape)


def indices(graph: Graph, lead: Sequence[int], new: int, start: Edge) -> Edge:
    """Where new rows go: for each of them its indices along the axes down to that of slots.

    `lead` are the lengths of these axes; i64 [..., new, axes].
    """
    *outer, total = lead
    shape: Shape = (*outer, new, len(lead))
    numbers = [n for place in places(*map(range, (*outer, new))) for n in place]
    grid = graph.constant("i64", numbers, (*outer, new, len(lead)))
    last = graph.integers([0] * len(outer) + [1])
    moved = graph.one("start", "Mul", (start, last), "i64", (len(lead),))
    found = graph.one("targets", "Add", (grid, moved), "i64", shape)
    # A row behind the last slot is in the first; the other indices are below their lengths.
    return graph.one("targets", "Mod", (found, graph.integers([*outer, total])), "i64", shape)
