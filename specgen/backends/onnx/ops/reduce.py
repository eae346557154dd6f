"""Ops along one axis as ONNX operators."""

from __future__ import annotations

from specgen.backends.onnx.lowering import Function, Functions, Liftings, OnnxCall, reduced
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.slots import as_slots, in_time
from specgen.backends.onnx.stacks import as_is


def softmax(call: OnnxCall, *, axis: int) -> Edge:
    x = call.tensor()
    return call.graph.one(call.name, "Softmax", (x,), call.dtype, x.shape, axis=axis)


def cumulative(call: OnnxCall, *, axis: int) -> Edge:
    graph, at = call.graph, axis + len(call.tensor().shape)
    x = in_time(graph, call.name, call.tensor(), at)
    operands = (x, graph.scalar("i64", at))
    made = graph.one(call.name, "CumSum", operands, call.dtype, x.shape)
    return as_slots(graph, call.name, made, at)


def reduction(operator: str) -> Function:
    def lowered(call: OnnxCall, *, axis: int, keep: bool) -> Edge:
        return reduced(call.graph, call.name, operator, call.tensor(), axis, keep)

    return lowered


#: `any` is the maximum.
FUNCTIONS: Functions = {
    "softmax": softmax,
    "sum": reduction("ReduceSum"),
    "cumsum": cumulative,
    "mean": reduction("ReduceMean"),
    "max": reduction("ReduceMax"),
    "any": reduction("ReduceMax"),
}

LIFTED: Liftings = dict.fromkeys(FUNCTIONS, as_is)
