"""Choices among numbers that are there, as ONNX operators."""

from __future__ import annotations

from dataclasses import replace

from specgen.backends.onnx.dims import multiply
from specgen.backends.onnx.lowering import (
    Functions,
    Liftings,
    OnnxCall,
    broadcast,
    convert,
    elementwise,
    expanded,
)
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.slots import as_slots, in_time
from specgen.backends.onnx.stacks import as_is, broadcasting, rank, spread
from specgen.expr.node import Expr


def where(call: OnnxCall) -> Edge:
    test, then, other = call.tensor(), call.operand(1, call.dtype), call.operand(2, call.dtype)
    graph, name, dtype = call.graph, call.name, call.dtype
    if dtype != "bool":
        return elementwise(graph, name, "Where", (test, then, other), dtype)
    # onnxruntime has no Where of truths.
    left = elementwise(graph, f"{name}.then", "And", (test, then), dtype)
    opposite = elementwise(graph, f"{name}.not", "Not", (test,), dtype)
    right = elementwise(graph, f"{name}.else", "And", (opposite, other), dtype)
    return elementwise(graph, name, "Or", (left, right), dtype)


def take(call: OnnxCall) -> Edge:
    """Rows of a table; a table stored in few bits is cast after the rows are taken."""
    table, index = in_time(call.graph, call.name, call.tensor(0), 0), call.tensor(1)
    shape = index.shape + table.shape[1:]
    rows = call.graph.one(call.name, "Gather", (table, index), table.dtype, shape)
    return convert(call.graph, f"{call.name}.cast", rows, call.dtype)


def gather(call: OnnxCall) -> Edge:
    # The axis is counted from the front: onnx's reference evaluator is wrong about -1.
    x, index = call.tensor(0), call.tensor(1)
    x = in_time(call.graph, call.name, x, len(x.shape) - 1)
    lead = broadcast([x.shape[:-1], index.shape[:-1]])
    x, index = (
        expanded(call.graph, f"{call.name}.{which}", edge, (*lead, edge.shape[-1]))
        for which, edge in (("values", x), ("index", index))
    )
    operands = (x, index)
    return call.graph.one(
        call.name, "GatherElements", operands, call.dtype, index.shape, axis=len(lead)
    )


def topk(call: OnnxCall, *, k: Expr) -> tuple[Edge, ...]:
    x = in_time(call.graph, call.name, call.tensor(), len(call.tensor().shape) - 1)
    count = call.dim(k)
    shape = (*x.shape[:-1], count)
    operands = (x, call.graph.extents((count,)))
    results = ((call.dtypes[0], shape), ("i64", shape))
    made = call.graph.add(call.names, "TopK", operands, *results)
    return tuple(as_slots(call.graph, call.name, edge, len(shape) - 1) for edge in made)


FUNCTIONS: Functions = {
    "where": where,
    "take": take,
    "gather": gather,
    "topk": topk,
}


def tables(call: OnnxCall) -> OnnxCall:
    """Of `take` the rows of all tables under each other, and places among them."""
    table, index = call.tensor(0), call.tensor(1)
    if not isinstance(table, EdgeStack):
        return call
    graph, name = call.graph, call.name
    count, rows = table.shape[:2]
    if isinstance(count, int) and isinstance(rows, int):
        first = graph.integers(range(0, count * rows, rows))
    else:
        bounds = (0, multiply(count, rows), rows)
        numbers = [graph.length(bound) for bound in bounds]
        first = graph.one(f"{name}.first", "Range", numbers, "i64", (count,))
    firsts = spread(graph, name, EdgeStack.of(first), rank(index))
    index = convert(graph, f"{name}.index", index, "i64")
    places = elementwise(graph, f"{name}.places", "Add", (index, firsts), "i64")
    joined = graph.reshape(f"{name}.rows", table, (multiply(count, rows), *table.shape[2:]))
    return replace(call, operands=(joined, EdgeStack.of(places)))


LIFTED: Liftings = {
    "where": broadcasting,
    "take": tables,
    "gather": broadcasting,
    "topk": as_is,
}
