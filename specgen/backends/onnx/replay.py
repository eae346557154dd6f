"""Equal instances of a module are walked once: the nodes of the first are repeated for the rest.

Instances are equal if their modules, their compile-time names and the types of their arguments
are.  A repetition adds what a walk would add, name by name; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from specgen.backends.onnx.dims import Dim, DimExtent, Shape
from specgen.backends.onnx.frame import GraphFrame, past
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Operand
from specgen.backends.onnx.nodes import Attribute, Edge, GraphNode, Subgraph, computes, reads
from specgen.backends.onnx.recording import Key, Recording, Recordings

Walk = Callable[[GraphFrame, Sequence[Operand]], tuple[Operand, ...]]


def forward(
    recordings: Recordings, frame: GraphFrame, arguments: Sequence[Operand], walk: Walk
) -> tuple[Operand, ...]:
    """The results of a forward: repeated, if an equal instance was walked, else walked."""
    state, graph = frame.state, frame.graph
    if graph.inside_body:
        return walk(frame, arguments)
    key = (frame.table.id, tuple(frame.scope.items()), kinds(graph, arguments))
    recording = recordings.first.get(key)
    if recording is not None:
        if key not in recordings.fixed:
            recordings.fixed[key] = frozenset(inherited(frame, recording))
        same = {
            old.name
            for old, new in zip(
                sources(graph, recording.arguments), sources(graph, arguments), strict=True
            )
            if old == new
        }
        if recordings.fixed[key] <= same:
            return Repetition(frame, recording).carry_out(arguments)
        return walk(frame, arguments)
    nodes, rows, caches = graph.position, state.weights.position, len(state.caches)
    results = walk(frame, arguments)
    recordings.first[key] = Recording(
        frame.path,
        tuple(arguments),
        state.weights.read_since(rows),
        tuple(state.caches)[caches:],
        graph.nodes_since(nodes),
        results,
    )
    return results


def kinds(graph: Graph, arguments: Sequence[Operand]) -> Key:
    """All that the lowering of a body may ask of its arguments but their names.

    That is dtypes, dims, the dims of what they reshape, and which of all these are the same.
    """
    read = list(sources(graph, arguments))
    numbers = tuple(argument for argument in arguments if not isinstance(argument, Edge))
    return numbers, tuple((edge.dtype, edge.shape, read.index(edge)) for edge in read)


def sources(graph: Graph, arguments: Sequence[Operand]) -> Iterator[Edge]:
    """The values that a body can read of its arguments: themselves, and what they reshape."""
    for argument in arguments:
        if isinstance(argument, Edge):
            yield argument
            yield graph.view(argument)


def inherited(frame: GraphFrame, recording: Recording) -> Iterator[str]:
    """The arguments and own rows behind values that the recording reads but did not compute."""
    graph, weights = frame.graph, frame.state.weights
    own = {edge.name for edge in sources(graph, recording.arguments)}
    computed = set(own)
    own.update(stored.name for stored in weights.below(recording.path))
    computed.update(name for node in recording.nodes for name in computes(node))
    computed.update(weights.edge(row).name for row in recording.rows)
    waiting = {name for node in recording.nodes for name in reads(node)}
    waiting.update(edge.name for edge in recording.results if isinstance(edge, Edge))
    waiting -= computed
    yield from waiting & own
    seen = set(waiting)
    while waiting:
        producer = graph.producers.get(waiting.pop())
        found = set(producer.inputs) - seen if producer else set()
        yield from found & own
        seen |= found
        waiting |= found - own


class Repetition:
    """A recording carried out for another instance: `moved` maps its values to the new ones."""

    def __init__(self, frame: GraphFrame, recording: Recording) -> None:
        self.frame = frame
        self.graph = frame.graph
        self.recording = recording
        self.moved: dict[str, Edge] = {}
        self.renamed: dict[str, str] = {}
        self.shapes: dict[Shape, Shape] = {}
        self.prefix = f"{recording.path}."

    def carry_out(self, arguments: Sequence[Operand]) -> tuple[Operand, ...]:
        state, recording = self.frame.state, self.recording
        before, after = sources(self.graph, recording.arguments), sources(self.graph, arguments)
        for old, new in zip(before, after, strict=True):
            self.moved[old.name] = new
        for row in recording.rows:
            self.moved[state.weights.edge(row).name] = self.frame.read(self.name(row))
        caches: dict[str, str] = {}
        for old_home in recording.caches:
            home, old_key = self.name(old_home), state.caches[old_home]
            old = state.pasts[old_key]
            made = past(state, home, self.layer(old_home), old.dtype, old.shape)
            key = caches[old_key] = state.caches[home]
            self.moved[old.name] = made
            self.renamed[f"present.{old_key}"] = f"present.{key}"
        for node in recording.nodes:
            self.repeat(node)
        for old_key, key in caches.items():
            state.presents[key] = self.moved[state.presents[old_key].name]
        return tuple(self.result(result) for result in recording.results)

    def layer(self, old_home: str) -> int:
        """The layer of a cache: this instance's, unless one of a stack inside it has it."""
        inside = old_home.removeprefix(self.prefix).split(".")
        stacked = any(map(str.isdecimal, inside))
        return self.frame.state.layers[old_home] if stacked else self.frame.layer

    def result(self, old: Operand) -> Operand:
        return self.moved.get(old.name, old) if isinstance(old, Edge) else old

    def name(self, old: str) -> str:
        """A name of the recorded instance in this one's place."""
        if old.startswith(self.prefix) or old == self.recording.path:
            return self.frame.path + old[len(self.prefix) - 1 :]
        return self.renamed.get(old, old)

    def shape(self, old: Shape) -> Shape:
        if old in self.recording.anywhere:
            return old
        if old not in self.shapes:
            self.shapes[old] = tuple(map(self.dim, old))
            if self.shapes[old] == old:
                self.recording.anywhere.add(old)
        return self.shapes[old]

    def dim(self, old: Dim) -> Dim:
        """A dim; those that only this instance has are named after it."""
        if isinstance(old, int):
            return old
        return DimExtent(tuple((tuple(map(self.name, names)), c) for names, c in old.terms))

    def repeat(self, node: GraphNode) -> None:
        edges, moved = self.graph.edges, self.moved
        if node.op == "Constant":
            return
        inputs = [moved.get(name) or edges[name] if name else None for name in node.inputs]
        results = [(edges[name].dtype, self.shape(edges[name].shape)) for name in node.outputs]
        attributes = {key: self.attribute(value) for key, value in node.attributes}
        labels = [self.name(name) for name in node.outputs]
        if node.outputs[0] in self.graph.named:
            self.graph.places.add(labels[0])
        made = self.graph.add(labels, node.op, inputs, *results, **attributes)
        for old, new in zip(node.outputs, made, strict=True):
            moved[old] = new
            if old in self.frame.state.landmarks:
                self.frame.state.landmarks.add(new.name)
            source = self.graph.view(edges[old])
            if source.name != old:
                self.graph.show(new, moved.get(source.name, source))

    def attribute(self, value: Attribute) -> Attribute:
        return self.body(value) if isinstance(value, Subgraph) else value

    def body(self, old: Subgraph) -> Subgraph:
        inputs = tuple(map(self.inner, old.inputs))
        nodes = tuple(map(self.inner_node, old.nodes))
        outputs = tuple(self.moved[edge.name] for edge in old.outputs)
        return Subgraph(inputs, outputs, nodes)

    def inner(self, old: Edge) -> Edge:
        made = self.graph.edge(self.name(old.name), old.dtype, self.shape(old.shape))
        self.moved[old.name] = made
        return made

    def inner_node(self, old: GraphNode) -> GraphNode:
        attributes = tuple((key, self.attribute(value)) for key, value in old.attributes)
        inputs = tuple(self.moved[n].name if n in self.moved else n for n in old.inputs)
        made = tuple(self.inner(self.graph.edges[name]).name for name in old.outputs)
        if old.outputs[0] in self.graph.named:
            self.graph.named.add(made[0])
        return GraphNode(old.op, inputs, made, attributes)
