"""Values of many instances at once: what an op of such stacks is as an op of plain values.

Note [Stacks]: a mixture without control flow carries its part out once, for all instances that
are wanted.  Their rows are stacks, values with a dim in front that counts the instances; so is
what is computed from one.  Every op has a rule, beside its lowering, that arranges its operands
and attributes so that the plain lowering computes all instances; most ops count axes from the
end and take any number of dims in front.  What no stack went into stays plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from specgen.backends.onnx.dims import Dim
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import OnnxCall, Operand, expanded
from specgen.backends.onnx.nodes import Edge, EdgeStack

#: The axis of the instances, a name that no pattern can have.
INSTANCES = "*"


def rank(edge: Edge) -> int:
    """How many dims a value has by itself."""
    return len(edge.shape) - isinstance(edge, EdgeStack)


def stack(graph: Graph, name: str, edge: Edge, count: Dim) -> EdgeStack:
    """The value as a stack: one that all instances share is repeated."""
    if isinstance(edge, EdgeStack):
        return edge
    return EdgeStack.of(expanded(graph, name, edge, (count, *edge.shape)))


def spread(graph: Graph, name: str, edge: Edge, dims: int) -> Edge:
    """A stack whose values have so many dims, of 1 in front; a plain value broadcasts as it is."""
    lacking = dims - rank(edge)
    if not isinstance(edge, EdgeStack) or lacking <= 0:
        return edge
    shape = (edge.shape[0], *(1,) * lacking, *edge.shape[1:])
    return EdgeStack.of(graph.reshape(f"{name}.spread", edge, shape))


# ---- rules -----------------------------------------------------------------------------


def as_is(call: OnnxCall) -> OnnxCall:
    """Of an op that counts its axes from the end."""
    return call


def broadcasting(call: OnnxCall) -> OnnxCall:
    """Of an op whose operands broadcast: stacks of fewer dims than others get them."""
    dims = max(rank(x) for x in call.operands if isinstance(x, Edge))
    operands = (
        spread(call.graph, call.name, x, dims) if isinstance(x, Edge) else x for x in call.operands
    )
    return replace(call, operands=tuple(operands))


def together(call: OnnxCall) -> OnnxCall:
    """Of an op that wants every operand for each instance."""
    count = next(x.shape[0] for x in call.operands if isinstance(x, EdgeStack))
    operands: Sequence[Operand] = [
        stack(call.graph, f"{call.name}.each", x, count) if isinstance(x, Edge) else x
        for x in call.operands
    ]
    return replace(call, operands=tuple(operands))
