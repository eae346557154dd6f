"""Values and nodes of a graph, and what they read: plain records, changed by no one.

No protobuf here, and no IR: a spec's words arrive only inside names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from specgen.backends.onnx.dims import Dim, DimExtent, Shape
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Edge:
    """A value of the graph: its unique name, its dtype and its dims."""

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class EdgeStack(Edge):
    """A value of many instances at once: the first dim counts them, the others are the value's."""

    @staticmethod
    def of(edge: Edge) -> EdgeStack:
        return EdgeStack(edge.name, edge.dtype, edge.shape)


@dataclass(frozen=True, slots=True)
class ConstantData:
    """The value of a Constant node, packed."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A subgraph of Loop, Scan or If; it may read every value before the node it belongs to."""

    inputs: tuple[Edge, ...]
    outputs: tuple[Edge, ...]
    nodes: tuple[GraphNode, ...]


Attribute = int | float | str | tuple[int, ...] | ConstantData | Subgraph


@dataclass(frozen=True, slots=True)
class GraphNode:
    """An operator applied to names; "" is an input left out.  Its name is its first output's.

    An operator beyond the standard has its domain in front: `com.microsoft.FusedMatMul`.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()


def names(edges: Iterable[Edge]) -> set[str]:
    return {edge.name for edge in edges}


def rename(node: GraphNode, renamed: Mapping[str, str]) -> GraphNode:
    """The node with values under new names, in its bodies too."""
    if renamed.keys().isdisjoint(node.outputs) and renamed.keys().isdisjoint(reads(node)):
        return node

    def new(edges: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(name, name) for name in edges)

    attributes = tuple(
        (key, renamed_body(value, renamed) if isinstance(value, Subgraph) else value)
        for key, value in node.attributes
    )
    return GraphNode(node.op, new(node.inputs), new(node.outputs), attributes)


def renamed_body(body: Subgraph, renamed: Mapping[str, str]) -> Subgraph:
    outputs = (replace(edge, name=renamed.get(edge.name, edge.name)) for edge in body.outputs)
    nodes = (rename(node, renamed) for node in body.nodes)
    return replace(body, outputs=tuple(outputs), nodes=tuple(nodes))


def translate(node: GraphNode, new: Callable[[str], str]) -> GraphNode:
    """The node with every name in it made new: of values, and in their dims."""

    def extent(dim: Dim) -> Dim:
        if isinstance(dim, int):
            return dim
        return DimExtent(tuple((tuple(map(new, factors)), count) for factors, count in dim.terms))

    def edges(old: tuple[Edge, ...]) -> tuple[Edge, ...]:
        return tuple(Edge(new(e.name), e.dtype, tuple(map(extent, e.shape))) for e in old)

    def attribute(value: Attribute) -> Attribute:
        if not isinstance(value, Subgraph):
            return value
        nodes = tuple(translate(inner, new) for inner in value.nodes)
        return Subgraph(edges(value.inputs), edges(value.outputs), nodes)

    attributes = tuple((key, attribute(value)) for key, value in node.attributes)
    return GraphNode(
        node.op, tuple(map(new, node.inputs)), tuple(map(new, node.outputs)), attributes
    )


def live(nodes: Sequence[GraphNode], needed: set[str]) -> tuple[GraphNode, ...]:
    """The nodes without those whose results nothing reads."""
    needed = set(needed)
    kept = []
    for node in reversed(nodes):
        if needed.isdisjoint(node.outputs):
            continue
        kept.append(node)
        needed.update(reads(node))
    return tuple(reversed(kept))


def reads(node: GraphNode) -> Sequence[str]:
    """Every name that the node reads, in its bodies too."""
    found: list[str] | None = None
    for _, value in node.attributes:
        if isinstance(value, Subgraph):
            found = found or [*node.inputs]
            found += [edge.name for edge in value.outputs]
            for inner in value.nodes:
                found += reads(inner)
    return node.inputs if found is None else found


def computes(node: GraphNode) -> Iterator[str]:
    """Every name that the node gives a value, in its bodies too."""
    yield from node.outputs
    for _, value in node.attributes:
        if isinstance(value, Subgraph):
            yield from (edge.name for edge in value.inputs)
            for inner in value.nodes:
                yield from computes(inner)
