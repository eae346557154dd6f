"""What lies where, as ONNX operators.

Patterns come as axis names; no text of a spec is parsed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from specgen.backends.onnx.dims import Dim, Shape, add, multiply, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Functions, Liftings, OnnxCall
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.slots import as_slots, in_time, ordered
from specgen.backends.onnx.stacks import INSTANCES, as_is, together
from specgen.dtypes import FLOATS
from specgen.expr.node import Expr
from specgen.ir.verify import InternalFault
from specgen.ops.record import REST_GROUP, Group, Groups, Sizes


def iota(call: OnnxCall, *, n: Expr) -> Edge:
    length, graph = call.dim(n), call.graph
    if graph.static:
        order = ordered(graph, length)
        return order.places if order else graph.integers(range(graph.number(length)))
    operands = (graph.scalar("i64", 0), graph.length(length), graph.scalar("i64", 1))
    return graph.one(call.name, "Range", operands, "i64", (length,))


def constant(call: OnnxCall, *, value: Expr) -> Edge:
    held = float if call.dtype in FLOATS else int
    values = [held(number) for number in call.numbers(value)]
    return call.graph.constant(call.dtype, values, (len(values),))


def split(call: OnnxCall, *, sizes: tuple[Expr, ...], axis: int) -> tuple[Edge, ...]:
    x = call.tensor()
    if len(sizes) == 1:
        return (x,)
    axis += len(x.shape)
    x = in_time(call.graph, call.name, x, axis)
    lengths = tuple(map(call.dim, sizes))
    results = [(call.dtype, (*x.shape[:axis], n, *x.shape[axis + 1 :])) for n in lengths]
    operands = (x, call.graph.extents(lengths))
    made = call.graph.add(call.names, "Split", operands, *results, axis=axis)
    return tuple(as_slots(call.graph, call.name, part, axis) for part in made)


def concat(call: OnnxCall, *, axis: int) -> Edge:
    parts = [call.operand(i, call.dtype) for i in range(len(call.operands))]
    if len(parts) == 1:
        return parts[0]
    graph, name = call.graph, call.name
    axis += len(parts[0].shape)
    length = parts[0].shape[axis]
    for part in parts[1:]:
        length = add(length, part.shape[axis])
    shape = (*parts[0].shape[:axis], length, *parts[0].shape[axis + 1 :])
    if not any(ordered(graph, part.shape[axis]) for part in parts[1:]) and (
        ordered(graph, parts[0].shape[axis]) or not ordered(graph, length)
    ):
        return graph.one(name, "Concat", parts, call.dtype, shape, axis=axis)
    parts = [in_time(graph, name, part, axis) for part in parts]
    made = graph.one(name, "Concat", parts, call.dtype, shape, axis=axis)
    return as_slots(graph, name, made, axis)


def slice_(call: OnnxCall, *, start: Expr, stop: Expr, axis: int) -> Edge:
    x = call.tensor()
    at = axis + len(x.shape)
    first, end = call.dim(start), call.dim(stop)
    if first == 0 and end == x.shape[at]:
        return x
    graph, length = call.graph, add(end, first, -1)
    shape = (*x.shape[:at], length, *x.shape[at + 1 :])
    within = graph.slots is not None and first == 0 and end == graph.slots.total
    if not within:  # what lies behind the slots goes off, and they stay
        x = in_time(graph, call.name, x, at)
    operands = (x, graph.extents((first,)), graph.extents((end,)), graph.integers([axis]))
    made = graph.one(call.name, "Slice", operands, call.dtype, shape)
    return made if within else as_slots(graph, call.name, made, at)


# ---- rearrange and repeat --------------------------------------------------------------


def rearrange(call: OnnxCall, *, inputs: Groups, outputs: Groups, sizes: Sizes) -> Edge:
    """Split into single axes, permute, repeat, merge: each step only where it does something."""
    graph, name, x = call.graph, call.name, call.tensor()
    rest = tuple(f"...{i}" for i in range(len(x.shape) - len(inputs) + 1))
    if REST_GROUP in inputs:
        inputs = (*((axis,) for axis in rest), *inputs[1:])
        outputs = (*((axis,) for axis in rest), *outputs[1:])
    size = axis_sizes(call, sizes, [g[0] if len(g) == 1 else "" for g in inputs], x.shape)

    def shape_of(groups: Sequence[Group]) -> Shape:
        return tuple(product(tuple(size[axis] for axis in group)) for group in groups)

    old = tuple(axis for group in inputs for axis in group)
    new = tuple(axis for group in outputs for axis in group)
    kept = tuple(axis for axis in new if axis in old)
    if (wider := enlarged(graph, name, x, inputs, outputs, size)) is not None:
        return wider
    if old != kept or old != new:
        x = graph.reshape(f"{name}.split", x, tuple(size[axis] for axis in old))
        x = transpose(graph, f"{name}.permuted" if old != new else name, x, old, kept)
    if kept != new:
        x = graph.reshape(f"{name}.once", x, tuple(size[a] if a in old else 1 for a in new))
        wanted = graph.extents([1 if axis in old else size[axis] for axis in new])
        shape = tuple(size[axis] for axis in new)
        x = graph.one(f"{name}.repeated", "Expand", (x, wanted), x.dtype, shape)
    return graph.reshape(name, x, shape_of(outputs))


def enlarged(
    graph: Graph,
    name: str,
    x: Edge,
    inputs: Sequence[Group],
    outputs: Sequence[Group],
    size: Mapping[str, Dim],
) -> Edge | None:
    """A matrix whose elements become tiles, as Resize: one node, and no slower than four.

    Or a stack of such matrices.  None where the pattern is another, or the dtype one that runtimes
    do not resize.
    """
    old = tuple(axis for group in inputs for axis in group)
    lead = [1] * (inputs[:1] == outputs[:1] == ((INSTANCES,),))
    within = outputs[len(lead) :]
    if x.dtype != "f32" or len(within) != 2 or tuple(g[:1] for g in outputs) != (*inputs,):
        return None
    lengths = tuple(size[axis] for group in outputs for axis in group if axis not in old)
    if len(lengths) != 2 or any(len(group) != 2 for group in within):
        return None
    factors = [*lead, *(length for length in lengths if isinstance(length, int))]
    if len(factors) != len(x.shape):
        return None
    shape = tuple(multiply(dim, factor) for dim, factor in zip(x.shape, factors, strict=True))
    operands = (x, None, graph.constant("f32", factors, (len(factors),)))
    # By default the nearest element is taken, and with whole factors none is as near.
    return graph.one(name, "Resize", operands, x.dtype, shape)


def axis_sizes(call: OnnxCall, stated: Sizes, axes: Sequence[str], shape: Shape) -> dict[str, Dim]:
    """The size of every axis: an input's own dim where it stands alone, else as stated."""
    found = {axis: dim for axis, dim in zip(axes, shape, strict=True) if axis}
    for axis, expr in stated.items():
        if axis not in found:
            found[axis] = call.dim(expr)
    return found


def transpose(graph: Graph, name: str, x: Edge, axes: Group, wanted: Group) -> Edge:
    """The tensor with its axes in another order."""
    if axes == wanted:
        return x
    perm = tuple(axes.index(axis) for axis in wanted)
    shape = tuple(x.shape[position] for position in perm)
    return graph.one(name, "Transpose", (x,), x.dtype, shape, perm=perm)


FUNCTIONS: Functions = {
    "iota": iota,
    "constant": constant,
    "split": split,
    "concat": concat,
    "slice": slice_,
    "rearrange": rearrange,
    "repeat": rearrange,
}


def grouped(call: OnnxCall) -> OnnxCall:
    """Of a pattern, with an axis in front where it does not take any that there are."""
    inputs, outputs = call.attrs["inputs"], call.attrs["outputs"]
    if not isinstance(inputs, tuple) or not isinstance(outputs, tuple):
        raise InternalFault(f"{call.name}: its pattern is no pair of groups")
    if REST_GROUP in inputs:
        return call
    wider = {"inputs": ((INSTANCES,), *inputs), "outputs": ((INSTANCES,), *outputs)}
    return replace(call, attrs={**call.attrs, **wider})


LIFTED: Liftings = {
    "iota": as_is,
    "constant": as_is,
    "split": as_is,
    "concat": together,
    "slice": as_is,
    "rearrange": grouped,
    "repeat": grouped,
}
