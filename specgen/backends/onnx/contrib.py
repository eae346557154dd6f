"""Mixtures as onnxruntime's own operator, where that computes exactly what the table says.

Knows edges and the body of the part that is mixed; the walk reads the rows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from specgen.backends.onnx.definitions import Definitions
from specgen.backends.onnx.dims import Shape, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import elementwise, reduced
from specgen.backends.onnx.mixture import MixtureLowering
from specgen.backends.onnx.nodes import ConstantData, Edge, GraphNode
from specgen.ir import model as ir
from specgen.records import dataclass

DOMAIN: Final = "com.microsoft"

#: Gives all instances of a row of the part, [count, ...]; None where it has no such row.
Stack = Callable[[str], Edge | None]

#: The smallest normal f32: its logarithm is finite, and as a weight it adds nothing.
TINY: Final = struct.unpack("<f", b"\0\0\x80\0")[0]

#: Results that are never negative, and those that are not if no operand is.
POSITIVE: Final = frozenset({"Sigmoid", "Softmax", "Exp", "Sqrt"})
KEEPING: Final = frozenset({"Add", "Mul", "Div"})
#: As KEEPING, of the first operand alone: the others are places or dims.
MOVING: Final = frozenset({
    "Cast", "Identity", "Reciprocal", "ReduceSum", "Reshape", "Squeeze", "Unsqueeze", "Transpose",
    "Gather", "GatherElements", "Slice", "Split", "TopK",
})  # fmt: skip


def gated(forward: ir.Function | None) -> tuple[str, str, str] | None:
    """The rows (gate, up, down) of a forward `down(silu(gate(x)) * up(x))`; None for any other."""
    match forward.body if forward else ():
        case (
            ir.Return(
                values=(
                    ir.ApplyMap(
                        row=down,
                        value=ir.Op(
                            name="mul",
                            args=(
                                ir.Op(
                                    name="silu",
                                    args=(ir.ApplyMap(row=gate, value=ir.Var(name=x)),),
                                ),
                                ir.ApplyMap(row=up, value=ir.Var(name=y)),
                            ),
                        ),
                    ),
                )
            ),
        ) if x == y:
            return gate, up, down
        case _:
            return None


def mixture(
    mixed: MixtureLowering,
    forward: ir.Function | None,
    stack: Stack,
    definitions: Definitions | None,
) -> Edge | None:
    """The mixture as one operator; None where that is not exact.

    The operator takes a softmax of what it is given and normalises the best: it is given the
    logarithms of the weights, and their sum is a factor on its result.
    """
    graph, name = mixed.graph, mixed.name
    rows, origins = gated(forward), Origins(graph.producers, definitions)
    chosen = mixed.index.shape[-1]
    if (
        rows is None
        or not isinstance(chosen, int)
        or mixed.x.dtype != "f32"
        or not origins.distinct(mixed.index.name)
        or not origins.nonnegative(mixed.weights.name)
    ):
        return None
    gate, up, down = (stack(row) for row in rows)
    gate_bias, up_bias, down_bias = (stack(f"{row}.bias") for row in rows)
    if gate is None or up is None or down is None or (gate_bias is None) != (up_bias is None):
        return None
    lead = mixed.x.shape[:-1]
    tokens: Shape = (product(lead), mixed.x.shape[-1])
    x = graph.reshape(f"{name}.tokens", mixed.x, tokens)
    weights = graph.reshape(f"{name}.shares", mixed.weights, (tokens[0], chosen))
    index = graph.reshape(f"{name}.chosen", mixed.index, (tokens[0], chosen))
    first_bias = None
    if gate_bias is not None and up_bias is not None:
        first_bias = interleaved(graph, f"{name}.first_bias", gate_bias, up_bias)
    result = graph.one(
        f"{name}.mixed",
        f"{DOMAIN}.MoE",
        (
            x,
            logarithms(mixed, weights, index),
            interleaved(graph, f"{name}.first", gate, up),
            first_bias,
            down,
            down_bias,
        ),
        x.dtype,
        tokens,
        activation_type="swiglu",
        swiglu_fusion=1,
        activation_alpha=1.0,
        activation_beta=0.0,
        k=chosen,
        normalize_routing_weights=1,
    )
    total = reduced(graph, f"{name}.total", "ReduceSum", weights, -1, keep=True)
    scaled = elementwise(graph, f"{name}.scaled", "Mul", (result, total), x.dtype)
    return graph.reshape(f"{name}.sum", scaled, mixed.x.shape)


def logarithms(mixed: MixtureLowering, weights: Edge, index: Edge) -> Edge:
    """The logarithm of each instance's weight, -inf for those that a token did not choose."""
    graph, name = mixed.graph, mixed.name
    bound = graph.scalar("f32", TINY)
    held = elementwise(graph, f"{name}.held", "Max", (weights, bound), "f32")
    logs = elementwise(graph, f"{name}.logarithms", "Log", (held,), "f32")
    shape = (weights.shape[0], mixed.count)
    nothing = ConstantData("f32", (1,), struct.pack("<f", float("-inf")))
    none = graph.one(
        f"{name}.none", "ConstantOfShape", (graph.extents(shape),), "f32", shape, value=nothing
    )
    return graph.one(f"{name}.scores", "ScatterElements", (none, index, logs), "f32", shape, axis=1)


def interleaved(graph: Graph, name: str, left: Edge, right: Edge) -> Edge:
    """Two [E, H, ...] as one [E, 2 × H, ...] whose rows take turns; carried out at load."""
    count, rows, *rest = left.shape
    pair = [
        graph.reshape(f"{name}.{side}", edge, (count, rows, 1, *rest))
        for side, edge in (("even", left), ("odd", right))
    ]
    shape = (count, rows, 2, *rest)
    joined = graph.one(f"{name}.pairs", "Concat", pair, left.dtype, shape, axis=2)
    return graph.reshape(name, joined, (count, product((rows, 2)), *rest))


@dataclass(frozen=True, slots=True)
class Origins:
    """The nodes behind a graph's values, or behind those of a function's body."""

    producers: Mapping[str, GraphNode]
    definitions: Definitions | None

    def within(self, node: GraphNode, name: str) -> tuple[Origins, str] | None:
        """What a call's result is called in the body of the function; None where none is called."""
        body = self.definitions.called(node.op) if self.definitions else None
        if body is None:
            return None
        producers = {output: inner for inner in body.nodes for output in inner.outputs}
        return Origins(producers, self.definitions), body.outputs[node.outputs.index(name)]

    def distinct(self, name: str) -> bool:
        """Whether no token chooses an instance twice: the choice is TopK's."""
        node = self.producers.get(name)
        if node is None:
            return False
        if inside := self.within(node, name):
            origins, result = inside
            return origins.distinct(result)
        return node.op == "TopK"

    def nonnegative(self, name: str) -> bool:
        """Whether the operators before a value show that none of its elements is below zero."""
        node = self.producers.get(name)
        if node is None:
            return False
        if inside := self.within(node, name):
            origins, result = inside
            return origins.nonnegative(result)
        match node.attributes:
            case (("value", ConstantData(dtype="f32", data=data)),):
                return all(value >= 0 for (value,) in struct.iter_unpack("<f", data))
        if node.op in MOVING:
            return self.nonnegative(node.inputs[0])
        return node.op in POSITIVE or (
            node.op in KEEPING and all(map(self.nonnegative, node.inputs))
        )
