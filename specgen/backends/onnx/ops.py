"""Every op of the table's closed set as ONNX operators; patterns and einsum are in `patterns`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from specgen.backends.onnx import patterns
from specgen.backends.onnx.dims import add
from specgen.backends.onnx.lowering import (
    Call,
    broadcast,
    convert,
    elementwise,
    expanded,
    reduced,
)
from specgen.backends.onnx.nodes import Edge
from specgen.dtypes import FLOATS

UNARY: Final = {
    "neg": "Neg", "sqrt": "Sqrt", "exp": "Exp", "sigmoid": "Sigmoid", "cos": "Cos",
    "sin": "Sin", "tanh": "Tanh", "erf": "Erf", "not": "Not",
}  # fmt: skip

ARITHMETIC: Final = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "pow": "Pow"}

COMPARISON: Final = {
    "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual",
}  # fmt: skip

LOGIC: Final = {"and": "And", "or": "Or"}

#: `any` is the maximum.
REDUCTION: Final = {
    "sum": "ReduceSum",
    "mean": "ReduceMean",
    "max": "ReduceMax",
    "any": "ReduceMax",
}


def unary(call: Call) -> Edge:
    return elementwise(call.graph, call.name, UNARY[call.op], (call.tensor(),), call.dtype)


def rsqrt(call: Call) -> Edge:
    root = elementwise(call.graph, f"{call.name}.sqrt", "Sqrt", (call.tensor(),), call.dtype)
    return elementwise(call.graph, call.name, "Reciprocal", (root,), call.dtype)


def silu(call: Call) -> Edge:
    # Swish exists at opset 24 exactly, and some runtimes lack it: two older operators.
    x = call.tensor()
    gate = elementwise(call.graph, f"{call.name}.sigmoid", "Sigmoid", (x,), call.dtype)
    return elementwise(call.graph, call.name, "Mul", (x, gate), call.dtype)


def arithmetic(call: Call) -> Edge:
    operands = (call.operand(0, call.dtype), call.operand(1, call.dtype))
    return elementwise(call.graph, call.name, ARITHMETIC[call.op], operands, call.dtype)


def comparison(call: Call) -> Edge:
    found = {x.dtype for x in call.operands if isinstance(x, Edge)}
    whole = all(isinstance(x, Edge) or float(x).is_integer() for x in call.operands)
    dtype = found.pop() if len(found) == 1 else "f32"
    if dtype not in FLOATS and not whole:
        dtype = "f32"
    operands = (call.operand(0, dtype), call.operand(1, dtype))
    if call.op == "ne":
        same = elementwise(call.graph, f"{call.name}.equal", "Equal", operands, "bool")
        return elementwise(call.graph, call.name, "Not", (same,), "bool")
    return elementwise(call.graph, call.name, COMPARISON[call.op], operands, "bool")


def remainder(call: Call) -> Edge:
    """a - b * floor(a / b), which has the sign of b.

    ONNX's Mod has it for whole numbers alone; for floats it has the sign of a.
    """
    graph, name, dtype = call.graph, call.name, call.dtype
    a, b = call.operand(0, dtype), call.operand(1, dtype)
    if dtype not in FLOATS:
        return elementwise(graph, name, "Mod", (a, b), dtype)
    ratio = elementwise(graph, f"{name}.ratio", "Div", (a, b), dtype)
    times = elementwise(graph, f"{name}.times", "Floor", (ratio,), dtype)
    whole = elementwise(graph, f"{name}.whole", "Mul", (times, b), dtype)
    return elementwise(graph, name, "Sub", (a, whole), dtype)


def logic(call: Call) -> Edge:
    operands = (call.operand(0, "bool"), call.operand(1, "bool"))
    return elementwise(call.graph, call.name, LOGIC[call.op], operands, "bool")


def where(call: Call) -> Edge:
    test, then, other = call.tensor(), call.operand(1, call.dtype), call.operand(2, call.dtype)
    graph, name, dtype = call.graph, call.name, call.dtype
    if dtype != "bool":
        return elementwise(graph, name, "Where", (test, then, other), dtype)
    # onnxruntime has no Where of truths.
    left = elementwise(graph, f"{name}.then", "And", (test, then), dtype)
    opposite = elementwise(graph, f"{name}.not", "Not", (test,), dtype)
    right = elementwise(graph, f"{name}.else", "And", (opposite, other), dtype)
    return elementwise(graph, name, "Or", (left, right), dtype)


def clamp(call: Call) -> Edge:
    x = call.tensor()
    operands = (x, call.bound("low"), call.bound("high"))
    return call.graph.one(call.name, "Clip", operands, call.dtype, x.shape)


def cast(call: Call) -> Edge:
    if isinstance(call.operands[0], Edge):
        return convert(call.graph, call.name, call.tensor(), call.dtype)
    return call.operand(0, call.dtype)


def softmax(call: Call) -> Edge:
    x = call.tensor()
    return call.graph.one(call.name, "Softmax", (x,), call.dtype, x.shape, axis=call.axis)


def cumulative(call: Call) -> Edge:
    x = call.tensor()
    operands = (x, call.graph.scalar("i64", call.axis + len(x.shape)))
    return call.graph.one(call.name, "CumSum", operands, call.dtype, x.shape)


def reduction(call: Call) -> Edge:
    return reduced(call.graph, call.name, REDUCTION[call.op], call.tensor(), call.axis, call.keep)


def constant(call: Call) -> Edge:
    held = float if call.dtype in FLOATS else int
    values = [held(value) for value in call.numbers("value")]
    return call.graph.constant(call.dtype, values, (len(values),))


def iota(call: Call) -> Edge:
    n = call.dim("n")
    graph = call.graph
    operands = (graph.scalar("i64", 0), graph.length(n), graph.scalar("i64", 1))
    return graph.one(call.name, "Range", operands, "i64", (n,))


def take(call: Call) -> Edge:
    """Rows of a table; a table stored in few bits is cast after the rows are taken."""
    table, index = call.tensor(0), call.tensor(1)
    shape = index.shape + table.shape[1:]
    rows = call.graph.one(call.name, "Gather", (table, index), table.dtype, shape)
    return convert(call.graph, f"{call.name}.cast", rows, call.dtype)


def gather(call: Call) -> Edge:
    # The axis is counted from the front: onnx's reference evaluator is wrong about -1.
    x, index = call.tensor(0), call.tensor(1)
    lead = broadcast([x.shape[:-1], index.shape[:-1]])
    x, index = (
        expanded(call.graph, f"{call.name}.{which}", edge, (*lead, edge.shape[-1]))
        for which, edge in (("values", x), ("index", index))
    )
    operands = (x, index)
    return call.graph.one(
        call.name, "GatherElements", operands, call.dtype, index.shape, axis=len(lead)
    )


def topk(call: Call) -> tuple[Edge, ...]:
    x = call.tensor()
    k = call.dim("k")
    shape = (*x.shape[:-1], k)
    operands = (x, call.graph.extents((k,)))
    return call.graph.add(call.names, "TopK", operands, (call.dtypes[0], shape), ("i64", shape))


def split(call: Call) -> tuple[Edge, ...]:
    x = call.tensor()
    sizes = call.dims("sizes")
    if len(sizes) == 1:
        return (x,)
    axis = call.axis + len(x.shape)
    results = [(call.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in sizes]
    operands = (x, call.graph.extents(sizes))
    return call.graph.add(call.names, "Split", operands, *results, axis=axis)


def concat(call: Call) -> Edge:
    parts = [call.operand(i, call.dtype) for i in range(len(call.operands))]
    if len(parts) == 1:
        return parts[0]
    axis = call.axis + len(parts[0].shape)
    length = parts[0].shape[axis]
    for part in parts[1:]:
        length = add(length, part.shape[axis])
    shape = (*parts[0].shape[:axis], length, *parts[0].shape[axis + 1 :])
    return call.graph.one(call.name, "Concat", parts, call.dtype, shape, axis=axis)


def slice_(call: Call) -> Edge:
    x = call.tensor()
    axis = call.axis + len(x.shape)
    start, stop = call.dim("start"), call.dim("stop")
    if start == 0 and stop == x.shape[axis]:
        return x
    shape = (*x.shape[:axis], add(stop, start, -1), *x.shape[axis + 1 :])
    graph = call.graph
    operands = (x, graph.extents((start,)), graph.extents((stop,)), graph.integers([call.axis]))
    return graph.one(call.name, "Slice", operands, call.dtype, shape)


OPS: Final[Mapping[str, Callable[[Call], Edge | tuple[Edge, ...]]]] = {
    **dict.fromkeys(UNARY, unary),
    **dict.fromkeys(ARITHMETIC, arithmetic),
    **dict.fromkeys((*COMPARISON, "ne"), comparison),
    **dict.fromkeys(LOGIC, logic),
    "mod": remainder,
    **dict.fromkeys(REDUCTION, reduction),
    "rsqrt": rsqrt,
    "silu": silu,
    "where": where,
    "clamp": clamp,
    "cast": cast,
    "softmax": softmax,
    "cumsum": cumulative,
    "constant": constant,
    "iota": iota,
    "take": take,
    "gather": gather,
    "topk": topk,
    "split": split,
    "concat": concat,
    "slice": slice_,
    "rearrange": patterns.rearrange,
    "repeat": patterns.rearrange,
    "einsum": patterns.einsum,
}


def lower(call: Call) -> tuple[Edge, ...]:
    """The results of an op."""
    results = OPS[call.op](call)
    return results if isinstance(results, tuple) else (results,)
