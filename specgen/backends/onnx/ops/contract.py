"""Products that are summed, as ONNX operators: MatMul, Gemm, and Einsum for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_letters

from specgen.backends.onnx.dims import Dim, Shape, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Functions, OnnxCall, elementwise
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.ops.shape import axis_sizes, transpose
from specgen.ops.record import REST_GROUP, Group, Groups, Sizes


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


def einsum(call: OnnxCall, *, inputs: Groups, output: Group, sizes: Sizes) -> Edge:
    """Products summed over the axes that the result lacks."""
    tensors = [call.tensor(position) for position in range(len(call.operands))]
    sides = list(inputs)
    for place, (side, x) in enumerate(zip(sides, tensors, strict=True)):
        if side[:1] == REST_GROUP:
            rest = tuple(f"...{i}" for i in range(len(x.shape) - len(side) + 1))
            sides[place] = (*rest, *side[1:])
            if output[:1] == REST_GROUP:
                output = (*rest, *output[1:])
    size: dict[str, Dim] = {}
    for side, x in zip(sides, tensors, strict=True):
        size |= axis_sizes(call, sizes, side, x.shape)
    if len(tensors) == 2:
        left, right = sides
        alone = set(left) ^ set(right)
        if alone <= set(output):
            if not set(left) & set(right) <= set(output):
                return contraction(call, tensors[0], tensors[1], left, right, output, size)
            return outer(call, tensors, sides, output)
    return general(call, tensors, sides, output, size)


def contraction(
    call: OnnxCall,
    x: Edge,
    y: Edge,
    left: Group,
    right: Group,
    output: Group,
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


def shape(size: Mapping[str, Dim], *groups: Group) -> Shape:
    return tuple(product(tuple(size[axis] for axis in group)) for group in groups)


def outer(call: OnnxCall, tensors: Sequence[Edge], sides: Sequence[Group], output: Group) -> Edge:
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
    call: OnnxCall,
    tensors: Sequence[Edge],
    sides: Sequence[Group],
    output: Group,
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


FUNCTIONS: Functions = {"einsum": einsum}
