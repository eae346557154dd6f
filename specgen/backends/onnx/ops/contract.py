"""Products that are summed, as ONNX operators: MatMul, Gemm, and Einsum for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_letters

from specgen.backends.onnx.dims import Dim, Shape, multiply, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Functions, Liftings, OnnxCall, elementwise
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.ops.shape import axis_sizes, transpose
from specgen.backends.onnx.stacks import INSTANCES, rank, spread
from specgen.ir.verify import InternalFault
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


def linear_stack(graph: Graph, name: str, x: Edge, matrix: Edge, bias: Edge | None) -> EdgeStack:
    """As `linear`, where x, the matrix or the bias are stacks."""
    if not isinstance(matrix, EdgeStack):
        made = linear(graph, name, x, matrix)
        made = EdgeStack.of(made) if isinstance(x, EdgeStack) else made
    elif isinstance(x, EdgeStack):
        made = each_by_its_own(graph, name, x, matrix)
    else:
        made = one_by_all(graph, name, x, matrix)
    if bias is not None:
        operands = (made, spread(graph, f"{name}.bias", bias, rank(made)))
        made = elementwise(graph, f"{name}.biased", "Add", operands, x.dtype)
    return EdgeStack.of(made)


def each_by_its_own(graph: Graph, name: str, x: EdgeStack, matrix: EdgeStack) -> EdgeStack:
    """Each x [..., in] times the transpose of its matrix [out, in]: a batched product.

    One row is a column behind its matrix, so that no matrix is transposed: that would copy what was
    just gathered.  Several rows meet transposed matrices; runtimes do that when they open the file
    or inside of the product.
    """
    count, out, features = matrix.shape
    lead = x.shape[1:-1]
    rows = product(lead)
    if rows == 1:
        column = graph.reshape(f"{name}.column", x, (count, features, 1))
        made = graph.one(name, "MatMul", (matrix, column), x.dtype, (count, out, 1))
    else:
        wide = graph.reshape(f"{name}.rows", x, (count, rows, features))
        turned = transpose(graph, f"{name}.matrix", matrix, ("e", "o", "i"), ("e", "i", "o"))
        made = graph.one(name, "MatMul", (wide, turned), x.dtype, (count, rows, out))
    return EdgeStack.of(graph.reshape(f"{name}.features", made, (count, *lead, out)))


def one_by_all(graph: Graph, name: str, x: Edge, matrix: EdgeStack) -> EdgeStack:
    """x [..., in] times the transpose of every matrix [out, in]: one map to the features of all.

    A batched product of one x would say so too; OpenVINO 2026.4 gives no rows for it.
    """
    count, out, features = matrix.shape
    lead = x.shape[:-1]
    rows = product(lead)
    flat = graph.reshape(f"{name}.matrices", matrix, (multiply(count, out), features))
    wide = graph.reshape(f"{name}.rows", x, (rows, features))
    made = linear(graph, name, wide, flat)
    if rows != 1:
        apart = graph.reshape(f"{name}.apart", made, (rows, count, out))
        made = transpose(graph, f"{name}.turned", apart, ("n", "e", "o"), ("e", "n", "o"))
    return EdgeStack.of(graph.reshape(f"{name}.features", made, (count, *lead, out)))


def einsum(call: OnnxCall, *, inputs: Groups, output: Group, sizes: Sizes) -> Edge:
    """Products summed over the axes that the result lacks."""
    tensors = [call.tensor(position) for position in range(len(call.operands))]
    sides, output = opened([len(x.shape) for x in tensors], inputs, output)
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


def opened(
    ranks: Sequence[int], inputs: Sequence[Group], output: Group
) -> tuple[list[Group], Group]:
    """The axes of operands with so many dims and of the result: a name for each of `...`."""
    sides = list(inputs)
    for place, (side, dims) in enumerate(zip(sides, ranks, strict=True)):
        if side[:1] == REST_GROUP:
            rest = tuple(f"...{i}" for i in range(dims - len(side) + 1))
            sides[place] = (*rest, *side[1:])
            if output[:1] == REST_GROUP:
                output = (*rest, *output[1:])
    return sides, output


def instanced(call: OnnxCall) -> OnnxCall:
    """Of einsum with an axis in front of each stack, and of the result."""
    tensors = [call.tensor(position) for position in range(len(call.operands))]
    inputs, output = call.attrs["inputs"], call.attrs["output"]
    if not isinstance(inputs, tuple) or not isinstance(output, tuple):
        raise InternalFault(f"{call.name}: einsum of no axes")
    sides, wanted = opened([rank(x) for x in tensors], inputs, output)
    stacked = [
        (INSTANCES, *side) if isinstance(x, EdgeStack) else side
        for side, x in zip(sides, tensors, strict=True)
    ]
    wider = {"inputs": tuple(stacked), "output": (INSTANCES, *wanted)}
    return replace(call, attrs={**call.attrs, **wider})


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

LIFTED: Liftings = {"einsum": instanced}
