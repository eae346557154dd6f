"""Rearrange, repeat, einsum and linear maps as Reshape, Transpose, Expand, MatMul and Gemm.

Patterns come as axis names; no text of a spec is parsed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_letters
from typing import cast

from specgen.backends.onnx import dims
from specgen.backends.onnx.dims import Dim, Shape, multiply, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Call, elementwise
from specgen.backends.onnx.nodes import Edge
from specgen.expr.node import Expr

Axes = tuple[str, ...]


def linear(graph: Graph, name: str, x: Edge, matrix: Edge, bias: Edge | None = None) -> Edge:
    """x @ matrix.T + bias for a matrix [out, in], over any leading dims of x.

    Gemm and not Transpose and MatMul: in onnxruntime both run equally fast once it has
    transposed every matrix while opening, which takes 4 to 60 times as long and 1.4 times the
    memory; without that optimisation MatMul is 10 times slower for one token.
    """
    lead = x.shape[:-1]
    rows = graph.reshape(f"{name}.rows", x, (product(lead), x.shape[-1]))
    operands = [rows, matrix] if bias is None else [rows, matrix, bias]
    shape = (rows.shape[0], matrix.shape[0])
    result = graph.one(name, "Gemm", operands, x.dtype, shape, transB=1)
    return graph.reshape(f"{name}.features", result, (*lead, matrix.shape[0]))


def transpose(graph: Graph, name: str, x: Edge, axes: Axes, wanted: Axes) -> Edge:
    """The tensor with its axes in another order."""
    if axes == wanted:
        return x
    perm = tuple(axes.index(axis) for axis in wanted)
    shape = tuple(x.shape[position] for position in perm)
    return graph.one(name, "Transpose", (x,), x.dtype, shape, perm=perm)


# ---- rearrange and repeat --------------------------------------------------------------


def rearrange(call: Call) -> Edge:
    """Split into single axes, permute, repeat, merge: each step only where it does something."""
    graph, name, x = call.graph, call.name, call.tensor()
    inputs = cast("tuple[Axes, ...]", call.attrs["inputs"])
    outputs = cast("tuple[Axes, ...]", call.attrs["outputs"])
    rest = tuple(f"...{i}" for i in range(len(x.shape) - len(inputs) + 1))
    if ("...",) in inputs:
        inputs = (*((axis,) for axis in rest), *inputs[1:])
        outputs = (*((axis,) for axis in rest), *outputs[1:])
    size = axis_sizes(call, [g[0] if len(g) == 1 else "" for g in inputs], x.shape)

    def shape_of(groups: Sequence[Axes]) -> Shape:
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
    inputs: Sequence[Axes],
    outputs: Sequence[Axes],
    size: Mapping[str, Dim],
) -> Edge | None:
    """A matrix whose elements become tiles, as Resize: one node, and no slower than four.

    None where the pattern is another, or the dtype one that runtimes do not resize.
    """
    old = tuple(axis for group in inputs for axis in group)
    if x.dtype != "f32" or len(inputs) != 2 or tuple(group[:1] for group in outputs) != (*inputs,):
        return None
    lengths = tuple(size[axis] for group in outputs for axis in group if axis not in old)
    if len(lengths) != 2 or any(len(group) != 2 for group in outputs):
        return None
    factors = [length for length in lengths if isinstance(length, int)]
    if len(factors) != 2:
        return None
    shape = tuple(multiply(dim, factor) for dim, factor in zip(x.shape, factors, strict=True))
    operands = (x, None, graph.constant("f32", factors, (2,)))
    # By default the nearest element is taken, and with whole factors none is as near.
    return graph.one(name, "Resize", operands, x.dtype, shape)


def axis_sizes(call: Call, axes: Sequence[str], shape: Shape) -> dict[str, Dim]:
    """The size of every axis: an input's own dim where it stands alone, else as stated."""
    stated = cast("Mapping[str, Expr]", call.attrs["sizes"])
    found = {axis: dim for axis, dim in zip(axes, shape, strict=True) if axis}
    for axis, expr in stated.items():
        if axis not in found:
            found[axis] = dims.dim(expr, call.env)
    return found


# ---- einsum ----------------------------------------------------------------------------


def einsum(call: Call) -> Edge:
    """Products summed over the axes that the result lacks."""
    tensors = [call.tensor(position) for position in range(len(call.operands))]
    sides = list(cast("tuple[Axes, ...]", call.attrs["inputs"]))
    output = cast("Axes", call.attrs["output"])
    for place, (side, x) in enumerate(zip(sides, tensors, strict=True)):
        if side[:1] == ("...",):
            rest = tuple(f"...{i}" for i in range(len(x.shape) - len(side) + 1))
            sides[place] = (*rest, *side[1:])
            if output[:1] == ("...",):
                output = (*rest, *output[1:])
    size: dict[str, Dim] = {}
    for side, x in zip(sides, tensors, strict=True):
        size |= axis_sizes(call, side, x.shape)
    if len(tensors) == 2:
        left, right = sides
        alone = set(left) ^ set(right)
        if alone <= set(output):
            if not set(left) & set(right) <= set(output):
                return contraction(call, tensors[0], tensors[1], left, right, output, size)
            return outer(call, tensors, sides, output)
    return general(call, tensors, sides, output, size)


def contraction(
    call: Call,
    x: Edge,
    y: Edge,
    left: Axes,
    right: Axes,
    output: Axes,
    size: Mapping[str, Dim],
) -> Edge:
    """A batched matrix product; axes that play the same part are merged into one."""
    graph, name = call.graph, call.name
    summed = tuple(axis for axis in left if axis not in output)
    batch = tuple(axis for axis in output if axis in left and axis in right)
    rows = tuple(axis for axis in output if axis in left and axis not in right)
    columns = tuple(axis for axis in output if axis in right and axis not in left)
    if not batch and left == (*rows, *summed) and right == (*columns, *summed):
        # A matrix stored [out, in] applied to features: as a map.
        matrix = graph.reshape(f"{name}.matrix", y, shape(size, columns, summed))
        wide = graph.reshape(f"{name}.left", x, (*(size[a] for a in rows), *shape(size, summed)))
        result = linear(graph, name, wide, matrix)
        result = graph.reshape(name, result, tuple(size[a] for a in (*rows, *columns)))
        return transpose(graph, name, result, (*rows, *columns), output)
    if output.index((rows or columns or batch)[0]) > output.index((columns or rows or batch)[0]):
        return contraction(call, y, x, right, left, output, size)
    a = transpose(graph, f"{name}.left", x, left, (*batch, *rows, *summed))
    b = transpose(graph, f"{name}.right", y, right, (*batch, *summed, *columns))
    lead = tuple(size[axis] for axis in batch)
    a = graph.reshape(f"{name}.left_matrix", a, (*lead, *shape(size, rows, summed)))
    b = graph.reshape(f"{name}.right_matrix", b, (*lead, *shape(size, summed, columns)))
    product_shape = (*lead, *shape(size, rows, columns))
    result = graph.one(f"{name}.matmul", "MatMul", (a, b), call.dtype, product_shape)
    axes = (*batch, *rows, *columns)
    result = graph.reshape(f"{name}.axes", result, tuple(size[axis] for axis in axes))
    return transpose(graph, name, result, axes, output)


def shape(size: Mapping[str, Dim], *groups: Axes) -> Shape:
    return tuple(product(tuple(size[axis] for axis in group)) for group in groups)


def outer(call: Call, tensors: Sequence[Edge], sides: Sequence[Axes], output: Axes) -> Edge:
    """A product without a sum: each operand with its axes in place, multiplied."""
    operands = []
    for which, x, side in zip(("left", "right"), tensors, sides, strict=True):
        order = tuple(axis for axis in output if axis in side)
        turned = transpose(call.graph, f"{call.name}.{which}", x, side, order)
        wanted = iter(turned.shape)
        spread = tuple(next(wanted) if axis in side else 1 for axis in output)
        lacking = next((at for at, axis in enumerate(output) if axis in side), len(output))
        spread = spread[lacking:]  # dims in front broadcast; an axis of 1 that it has stays
        operands.append(call.graph.reshape(f"{call.name}.{which}_spread", turned, spread))
    return elementwise(call.graph, call.name, "Mul", operands, call.dtype)


def general(
    call: Call,
    tensors: Sequence[Edge],
    sides: Sequence[Axes],
    output: Axes,
    size: Mapping[str, Dim],
) -> Edge:
    """Any other einsum, as ONNX's own operator."""
    letters = dict(
        zip(dict.fromkeys(a for side in sides for a in side), ascii_letters, strict=False)
    )
    texts = ["".join(letters[axis] for axis in side) for side in sides]
    equation = f"{','.join(texts)}->{''.join(letters[axis] for axis in output)}"
    result = tuple(size[axis] for axis in output)
    return call.graph.one(call.name, "Einsum", tensors, call.dtype, result, equation=equation)
