"""What a lowering may use: the operands of one op, its attributes, casts and broadcasting.

Knows the graph and the op; knows no module, no weight and no protobuf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from specgen.backends.onnx import dims
from specgen.backends.onnx.dims import Dim, DimExtent, Environment, Shape
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Attribute, Edge, EdgeStack
from specgen.dtypes import DTYPES, FLOATS
from specgen.expr.node import Expr
from specgen.ir.model import ACTIVATION
from specgen.ir.verify import InternalFault
from specgen.records import dataclass

Number = int | float | bool | Fraction
Operand = Edge | Number


@dataclass(frozen=True, slots=True)
class OnnxCall:
    """An op with its operands lowered; its results have `names`, and `dtypes` in the graph."""

    graph: Graph
    names: tuple[str, ...]
    op: str
    operands: tuple[Operand, ...]
    attrs: Mapping[str, object]
    dtypes: tuple[str, ...]
    env: Environment

    @property
    def name(self) -> str:
        return self.names[0]

    @property
    def dtype(self) -> str:
        return self.dtypes[0]

    def tensor(self, position: int = 0) -> Edge:
        """The operand, which the checker knows to be a tensor."""
        operand = self.operands[position]
        if not isinstance(operand, Edge):
            raise InternalFault(f"{self.name}: {self.op} of a compile-time number")
        return operand

    def operand(self, position: int, dtype: str) -> Edge:
        """The operand in a dtype, a compile-time number as a constant."""
        operand = self.operands[position]
        if isinstance(operand, Edge):
            return convert(self.graph, f"{self.name}.cast", operand, dtype)
        return self._constant(operand, dtype)

    def dim(self, expr: Expr) -> Dim:
        return dims.dim(expr, self.env)

    def bound(self, attribute: str, expr: Expr | None) -> Edge | None:
        """A number in the result's dtype, which may be left out."""
        if expr is None:
            return None
        value = dims.resolve(expr, self.env)
        if isinstance(value, DimExtent):
            length = self.graph.length(value)
            return convert(self.graph, f"{self.name}.{attribute}", length, self.dtype)
        if not isinstance(value, int | float | Fraction):
            raise InternalFault(f"{self.name}: {attribute} is no number")
        return self._constant(value, self.dtype)

    def _constant(self, value: Number, dtype: str) -> Edge:
        if DTYPES[dtype].packing is None:
            return convert(self.graph, f"{self.name}.cast", self._constant(value, "f32"), dtype)
        return self.graph.scalar(dtype, float(value) if dtype in FLOATS else int(value))

    def numbers(self, expr: Expr) -> tuple[Number, ...]:
        """A list of compile-time numbers."""
        value = dims.resolve(expr, self.env)
        if not isinstance(value, tuple):
            raise InternalFault(f"{self.name}: its value is no list")
        return value


#: The results of an op; attributes come by their names.
Function = Callable[..., Edge | tuple[Edge, ...]]
Functions = Mapping[str, Function]

#: An op of stacks as one whose plain lowering computes it for all instances; see `stacks`.
Lifting = Callable[[OnnxCall], OnnxCall]
Liftings = Mapping[str, Lifting]


def dtype_in_graph(dtype: str, compute: str) -> str:
    """The dtype that a table's dtype becomes: `act` is the graph's working precision."""
    return compute if dtype == ACTIVATION else dtype


def convert(graph: Graph, name: str, edge: Edge, dtype: str) -> Edge:
    """The value in a dtype; no node where it has that dtype already."""
    if edge.dtype == dtype:
        return edge
    made = graph.one(name, "Cast", (edge,), dtype, edge.shape, to=DTYPES[dtype].onnx)
    return EdgeStack.of(made) if isinstance(edge, EdgeStack) else made


def reduced(graph: Graph, name: str, op: str, x: Edge, axis: int, keep: bool) -> Edge:
    """A reduction over one axis, counted from the end, in the form that the opset has."""
    at = axis + len(x.shape)
    kept: Shape = (1,) if keep else ()
    shape = x.shape[:at] + kept + x.shape[at + 1 :]
    opset, keepdims = graph.level.opset, int(keep)
    if x.dtype == "bool" and opset < 20:
        numbers = convert(graph, f"{name}.cast", x, "i32")
        return convert(
            graph, name, reduced(graph, f"{name}.number", op, numbers, axis, keep), "bool"
        )
    if op != "ReduceSum" and opset < 18:
        return graph.one(name, op, (x,), x.dtype, shape, axes=(axis,), keepdims=keepdims)
    operands = (x, graph.integers([axis]))
    if keep:
        return graph.one(name, op, operands, x.dtype, shape)
    return graph.one(name, op, operands, x.dtype, shape, keepdims=0)


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The dims that ONNX's multidirectional broadcasting gives."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(next((d for d in column if d != 1), 1) for column in zip(*padded, strict=True))


def expanded(graph: Graph, name: str, edge: Edge, shape: Shape) -> Edge:
    """The value with dims of 1, and those that it lacks in front, repeated."""
    if edge.shape == shape:
        return edge
    return graph.one(name, "Expand", (edge, graph.extents(shape)), edge.dtype, shape)


def common(shapes: set[Shape], sources: set[Shape]) -> Shape | None:
    """The shape that all operands, of `shapes` but reshapes of `sources`, are brought to."""
    if len(sources) == 1:
        return next(iter(sources))
    others = sources - shapes
    rows = next(iter(others))
    return rows if len(others) == 1 and len(sources) == 2 and len(rows) == 2 else None


def elementwise(
    graph: Graph,
    name: str,
    op: str,
    operands: Sequence[Edge],
    dtype: str,
    **attributes: Attribute,
) -> Edge:
    """An operator applied element by element, with broadcasting.

    Where operands are reshapes of values of one shape, it is applied to those values: a map's
    result stays [rows, features] from one Gemm to the next, and so does what is added to it.
    """
    tensors = [edge for edge in operands if edge.shape != ()]
    shapes = {edge.shape for edge in tensors}
    sources = {graph.view(edge).shape for edge in tensors}
    if len(shapes) == 1 and shapes != sources and (rows := common(shapes, sources)):
        viewed = [
            graph.reshape(f"{name}.rows", edge, rows) if edge.shape != () else edge
            for edge in operands
        ]
        made = graph.one(name, op, viewed, dtype, rows, **attributes)
        return graph.reshape(f"{name}.view", made, shapes.pop())
    shape = broadcast([edge.shape for edge in operands])
    return graph.one(name, op, operands, dtype, shape, **attributes)
