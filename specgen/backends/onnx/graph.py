"""A graph under construction: appends nodes, gives names, shares equal nodes, tells dims.

Knows operators only as names; no protobuf here, and no IR.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Final

from specgen.backends.onnx.dims import Dim, DimExtent, Shape, settled, symbol
from specgen.backends.onnx.levels import STANDARD, Level
from specgen.backends.onnx.nodes import (
    Attribute,
    ConstantData,
    Edge,
    GraphNode,
    Subgraph,
    live,
    names,
    rename,
)
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError
from specgen.ir.verify import InternalFault
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.backends.onnx.slots import SlotOrder

#: Operators that compute nothing: their nodes stand for no place in the table.
MOVES: Final = frozenset(
    {"Cast", "Concat", "Expand", "Identity", "Reshape", "Split", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip

#: What makes two nodes equal.
Key = tuple[str, tuple[str, ...], tuple[tuple[str, Attribute], ...]]


@dataclass(slots=True)
class NodeScope:
    """The nodes of a graph or body so far, and what each computes."""

    nodes: list[GraphNode] = field(default_factory=list)
    known: dict[Key, tuple[Edge, ...]] = field(default_factory=dict)


class Graph:
    """Appends nodes in order; an operator on the same inputs is emitted once and shared.

    Of a static graph `sizes` are the numbers that symbolic dims stand for, None of any other.
    """

    def __init__(self, level: Level = STANDARD, sizes: Mapping[str, int] | None = None) -> None:
        self.level = level
        self.static = sizes is not None
        self.sizes: Mapping[str, int] = sizes or {}
        #: The order of slots in a cache, where it is not that of time.
        self.slots: SlotOrder | None = None
        #: What gives the results of an operator in another way, each where it has one.
        self.rewrites: Sequence[Callable[..., tuple[Edge, ...] | None]] = ()
        self.edges: dict[str, Edge] = {}
        self.producers: dict[str, GraphNode] = {}
        #: Places in the table that a node may stand for, and the first values of those that do.
        self.places: set[str] = set()
        self.named: set[str] = set()
        self._scopes = [NodeScope()]
        self._taken: dict[str, int] = {}
        self._literals: dict[ConstantData, Edge] = {}
        self._views: dict[str, Edge] = {}
        self._sources: dict[str, tuple[Edge, int]] = {}
        #: Dims that nothing in the graph has, each as a vector that comes from outside.
        self.borrowed: dict[DimExtent, Edge] | None = None

    # -- names and values

    def unique(self, name: str) -> str:
        """The name, or the name with the first free number from 2."""
        number = self._taken.get(name, 0) + 1
        self._taken[name] = number
        return name if number == 1 else self.unique(f"{name}_{number}")

    def edge(self, name: str, dtype: str, shape: Shape) -> Edge:
        """A new value that no node of the graph computes: an input or an initializer.

        Raises:
            EvaluationError: the level has no such dtype.
        """
        if self.level.lacks(dtype):
            reason = f"`{name}` is {dtype}, which opset {self.level.opset} lacks"
            newer = "--ops standard" if self.level.opset == 17 else f"--opset {DTYPES[dtype].since}"
            raise EvaluationError(f"{reason}: use `{newer}`, or store it otherwise")
        made = Edge(self.unique(name), dtype, shape)
        self.edges[made.name] = made
        return made

    def measure(self, edge: Edge, axis: int) -> None:
        """Says that a symbolic dim is the extent of a value along an axis."""
        self._sources[str(edge.shape[axis])] = (edge, axis)

    # -- nodes

    def add(
        self,
        labels: Sequence[str],
        op: str,
        inputs: Sequence[Edge | None],
        *results: tuple[str, Shape],
        **attributes: Attribute,
    ) -> tuple[Edge, ...]:
        """The results of an operator, (dtype, shape) each, under names made from the labels."""
        for rewrite in self.rewrites:
            found = rewrite(self, labels, op, inputs, results, attributes)
            if found is not None:
                return found
        names = tuple(edge.name if edge else "" for edge in inputs)
        key = (op, names, tuple(attributes.items()))
        # What a body computes has new names: there is no equal one, and it takes long to hash.
        is_new = any(isinstance(value, Subgraph) and value.nodes for value in attributes.values())
        if not is_new:
            for scope in reversed(self._scopes):
                if known := scope.known.get(key):
                    return known
        if lacking := self.level.missing(op, attributes):
            reason = f"`{labels[0]}` needs {lacking}, which opset {self.level.opset} lacks"
            raise EvaluationError(f"{reason}: use a later `--opset`")
        made = tuple(
            self.edge(label, dtype, shape)
            for label, (dtype, shape) in zip(labels, results, strict=True)
        )
        if labels[0] in self.places and op not in MOVES:
            self.named.add(made[0].name)
        scope = self._scopes[-1]
        node = GraphNode(op, names, tuple(edge.name for edge in made), key[2])
        scope.nodes.append(node)
        if not is_new:
            scope.known[key] = made
        for name in node.outputs:
            self.producers[name] = node
        return made

    def one(
        self,
        name: str,
        op: str,
        inputs: Sequence[Edge | None],
        dtype: str,
        shape: Shape,
        **attributes: Attribute,
    ) -> Edge:
        """The only result of an operator."""
        return self.add((name,), op, inputs, (dtype, shape), **attributes)[0]

    def constant(
        self, dtype: str, values: Iterable[float | int | bool], shape: tuple[int, ...] = ()
    ) -> Edge:
        """A constant; equal ones are one node, in the outermost graph."""
        values = list(values)
        try:
            data = struct.pack(f"<{len(values)}{DTYPES[dtype].packing}", *values)
        except (OverflowError, struct.error) as error:
            raise EvaluationError(f"a constant is beyond the range of {dtype}") from error
        literal = ConstantData(dtype, shape, data)
        if literal not in self._literals:
            made = self.edge(f"c{len(self._literals)}", dtype, shape)
            node = GraphNode("Constant", (), (made.name,), (("value", literal),))
            self._scopes[0].nodes.append(node)
            self.producers[made.name] = node
            self._literals[literal] = made
        return self._literals[literal]

    def scalar(self, dtype: str, value: float | int | bool) -> Edge:
        return self.constant(dtype, [value])

    def integers(self, values: Sequence[int]) -> Edge:
        """A constant i64 vector."""
        return self.constant("i64", values, (len(values),))

    def numbers(self, edge: Edge) -> tuple[int, ...] | None:
        """The elements of a constant of whole numbers, in order; None of any other value."""
        node = self.producers.get(edge.name)
        match node.attributes if node is not None else ():
            case (("value", ConstantData(dtype="i64" | "i32" | "bool" as dtype, data=data)),):
                layout = struct.Struct(f"<{DTYPES[dtype].packing}")
                return tuple(int(n) for (n,) in layout.iter_unpack(data))
        return None

    @property
    def mark(self) -> int:
        """How many nodes the graph or body has that is under construction."""
        return len(self._scopes[-1].nodes)

    def since(self, mark: int) -> tuple[GraphNode, ...]:
        return tuple(self._scopes[-1].nodes[mark:])

    def settle(self, mark: int, nodes: Sequence[GraphNode]) -> None:
        """Only these of the nodes since then stay; nothing shares the others any more."""
        scope = self._scopes[-1]
        for node in scope.nodes[mark:]:
            scope.known.pop((node.op, node.inputs, node.attributes), None)
        del scope.nodes[mark:]
        self.extend(nodes)

    def extend(self, nodes: Iterable[GraphNode]) -> None:
        """Appends nodes whose values exist already."""
        scope = self._scopes[-1]
        for node in nodes:
            made = tuple(self.edges[name] for name in node.outputs)
            scope.nodes.append(node)
            scope.known[node.op, node.inputs, node.attributes] = made
            self.producers.update((name, node) for name in node.outputs)

    @property
    def inside_body(self) -> bool:
        return len(self._scopes) > 1

    @property
    def position(self) -> int:
        """How many nodes the outermost graph has."""
        return len(self._scopes[0].nodes)

    def nodes_since(self, position: int) -> tuple[GraphNode, ...]:
        return tuple(self._scopes[0].nodes[position:])

    # -- shapes

    def settled(self, dim: Dim) -> Dim:
        """The dim as a number, where the graph has one for it."""
        return settled(dim, self.sizes)

    def number(self, dim: Dim) -> int:
        """A dim of a static graph.

        Raises:
            EvaluationError: the graph finds it out as it runs.
        """
        found = self.settled(dim)
        if not isinstance(found, int):
            raise EvaluationError(f"`{dim}` is known only when the graph runs")
        return found

    def view(self, edge: Edge) -> Edge:
        """The value that this one is a reshape of, or itself."""
        return self._views.get(edge.name, edge)

    def reshape(self, name: str, edge: Edge, shape: Shape) -> Edge:
        """The same elements with other dims; a reshape of a reshape is one Reshape."""
        if edge.shape == shape:
            return edge
        source = self.view(edge)
        if source.shape == shape:
            return source
        made = self._reshape(name, source, shape)
        self.show(made, source)
        return made

    def show(self, edge: Edge, source: Edge) -> None:
        """Says that a value is a reshape of another."""
        self._views[edge.name] = source

    def _reshape(self, name: str, source: Edge, shape: Shape) -> Edge:
        if all(isinstance(self.settled(dim), int) for dim in (*source.shape, *shape)):
            operands = (source, self.extents(shape))
            return self.one(name, "Reshape", operands, source.dtype, shape)
        if axes := inserted(source.shape, shape):
            operands = (source, self.integers(axes))
            return self.one(name, "Unsqueeze", operands, source.dtype, shape)
        if axes := inserted(shape, source.shape):
            operands = (source, self.integers(axes))
            return self.one(name, "Squeeze", operands, source.dtype, shape)
        # 0 keeps the dim at its position, one -1 is inferred: both spare a computed shape.
        kept: list[Dim] = [
            0 if position < len(source.shape) and dim == source.shape[position] else dim
            for position, dim in enumerate(shape)
        ]
        unknown = [position for position, dim in enumerate(kept) if not isinstance(dim, int)]
        if len(unknown) == 1:
            kept[unknown[0]] = -1
        operands = (source, self.extents(kept))
        return self.one(name, "Reshape", operands, source.dtype, shape)

    def extents(self, shape: Sequence[Dim]) -> Edge:
        """The dims as an i64 vector: a constant, or computed from the inputs' shapes."""
        if not shape:
            return self.integers([])
        shape = [self.settled(dim) for dim in shape]
        pieces: list[Edge] = []
        for run in runs(shape, self._sources):
            if isinstance(run[0], DimExtent):
                pieces.append(self._extent(run[0], len(run)))
            else:
                pieces.append(self.integers([dim for dim in run if isinstance(dim, int)]))
        if len(pieces) == 1:
            return pieces[0]
        return self.one("shape", "Concat", pieces, "i64", (len(shape),), axis=0)

    def _extent(self, extent: DimExtent, count: int = 1) -> Edge:
        """A symbolic dim, or `count` neighbouring ones of one value, as an i64 vector."""
        if str(extent) in self._sources:
            edge, axis = self._sources[str(extent)]
            name = f"{extent}.extent"
            stop = axis + count
            if self.level.missing("Shape", ("start",)):
                whole = self.one(f"{edge.name}.dims", "Shape", (edge,), "i64", (len(edge.shape),))
                bounds = [self.integers([bound]) for bound in (axis, stop, 0)]
                return self.one(name, "Slice", (whole, *bounds), "i64", (count,))
            return self.one(name, "Shape", (edge,), "i64", (count,), start=axis, end=stop)
        if self.borrowed is not None and extent.name:
            if extent not in self.borrowed:
                self.borrowed[extent] = self.edge(f"{extent}.extent", "i64", (1,))
            return self.borrowed[extent]
        if extent.name:
            raise InternalFault(f"no value of the graph has the dim `{extent}`")
        terms = []
        for factors, coefficient in extent.terms:
            parts = [self._extent(symbol(factor)) for factor in factors]
            if coefficient != 1 or not parts:
                parts.append(self.integers([coefficient]))
            terms.append(reduce(partial(self._extent_op, "Mul"), parts))
        return reduce(partial(self._extent_op, "Add"), terms)

    def _extent_op(self, op: str, left: Edge, right: Edge) -> Edge:
        return self.one("extent", op, (left, right), "i64", (1,))

    def length(self, dim: Dim) -> Edge:
        """A dim as an i64 scalar."""
        dim = self.settled(dim)
        if isinstance(dim, int):
            return self.scalar("i64", dim)
        name = f"{dim.name}.length" if dim.name else "length"
        return self.one(name, "Squeeze", (self._extent(dim), self.integers([0])), "i64", ())

    # -- bodies and the end

    @contextmanager
    def body(self) -> Iterator[Callable[[Sequence[Edge], Sequence[Edge]], Subgraph]]:
        """Nodes added inside go into a subgraph; the function given closes it."""
        scope = NodeScope()
        self._scopes.append(scope)

        def close(inputs: Sequence[Edge], outputs: Sequence[Edge]) -> Subgraph:
            return Subgraph(tuple(inputs), tuple(outputs), live(scope.nodes, names(outputs)))

        try:
            yield close
        finally:
            self._scopes.pop()

    def finish(self, outputs: Mapping[str, Edge]) -> tuple[GraphNode, ...]:
        """The nodes that the outputs need, their values renamed to the outputs' names.

        From then on the dims of all values are numbers where the graph has numbers for them.
        """
        computed = {name for node in self._scopes[0].nodes for name in node.outputs}
        given = {name for name, edge in outputs.items() if edge.name == name}
        renamed: dict[str, str] = {}
        for wanted, edge in outputs.items():
            if edge.name == wanted:
                continue
            own = edge
            if edge.name not in computed:
                own = self.one(wanted, "Identity", (edge,), edge.dtype, edge.shape)
            while own.name in given:  # equal operators are one: each copy is of the copy before it
                own = self.one(wanted, "Identity", (own,), edge.dtype, edge.shape)
            given.add(own.name)
            if wanted in self.edges and own.name != wanted:
                renamed[wanted] = self.unique(wanted)
            renamed[own.name] = wanted
        moved = [(new, replace(self.edges[old], name=new)) for old, new in renamed.items()]
        self.edges.update(moved)
        self.named.update(new for old, new in renamed.items() if old in self.named)
        nodes = tuple(rename(node, renamed) for node in self._scopes[0].nodes)
        if self.sizes:
            self.edges = {
                name: replace(edge, shape=tuple(map(self.settled, edge.shape)))
                for name, edge in self.edges.items()
            }
        return live(nodes, set(outputs))


def inserted(source: Shape, target: Shape) -> tuple[int, ...]:
    """Where `target` has a 1 that `source` lacks, if that is all that differs; else nothing."""
    axes = []
    position = 0
    for axis, dim in enumerate(target):
        if position < len(source) and source[position] == dim:
            position += 1
        elif dim == 1:
            axes.append(axis)
        else:
            return ()
    return tuple(axes) if position == len(source) else ()


def runs(shape: Sequence[Dim], sources: Mapping[str, tuple[Edge, int]]) -> list[list[Dim]]:
    """The dims in runs: of numbers, or of neighbouring axes of one value."""
    result: list[list[Dim]] = []
    for dim in shape:
        if result and neighbours(result[-1][-1], dim, sources):
            result[-1].append(dim)
        else:
            result.append([dim])
    return result


def neighbours(left: Dim, right: Dim, sources: Mapping[str, tuple[Edge, int]]) -> bool:
    if isinstance(left, int) or isinstance(right, int):
        return isinstance(left, int) and isinstance(right, int)
    here, there = sources.get(str(left)), sources.get(str(right))
    return here is not None and there == (here[0], here[1] + 1)
