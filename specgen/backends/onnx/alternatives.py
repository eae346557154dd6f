"""A module with several forwards: an If over what they do not share, and the rest once.

Knows nodes and edges; which forward is whose, and what they compute, is the walk's business.

Note [Sharing]: the forwards are walked one after the other into the same scope, where equal
operators on equal inputs are one node.  What both need is what they share; it stays, and
everything else moves into the branches.  Both may also end alike (one projection of different
values): then those values leave the If, and the end follows once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from specgen.backends.onnx import dims
from specgen.backends.onnx.dims import Dim
from specgen.backends.onnx.frame import GraphFrame, join
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Operand
from specgen.backends.onnx.nodes import Edge, GraphNode, Subgraph, live, names, reads, rename
from specgen.backends.onnx.openvino_if import once
from specgen.backends.onnx.options import CHOSEN, EXPANDED, OptionsError
from specgen.expr.node import Sym
from specgen.ir import model as ir
from specgen.ir.verify import InternalFault
from specgen.records import dataclass

Walk = Callable[[], tuple[Operand, ...]]


def forms(program: ir.Program, form: str) -> Mapping[str, str]:
    """The forward that each module has in every call, by ids; nothing where calls choose.

    A module that has none of the name has its main one, "".

    Raises:
        OptionsError: no module has a forward of the name.
    """
    if form == CHOSEN:
        return {}
    several = [module for module in program.modules.values() if len(module.forwards) > 1]
    names = {module.id: {one.name for one in module.forwards} for module in several}
    known = sorted(set().union(*names.values()) - {""})
    if form != EXPANDED and form not in known:
        there = ", ".join((CHOSEN, EXPANDED, *known))
        raise OptionsError(f"form is {there}; no module has a forward {form!r}")
    return {key: form if form in found else "" for key, found in names.items()}


def either(
    frame: GraphFrame, saved: Mapping[tuple[str, ...], int], main: Walk, other: Walk
) -> tuple[Operand, ...]:
    """The results of `other` where what it saves is positive, else those of `main`.

    `saved` is a polynomial of the shape variables S and T, which the graph evaluates.
    """
    state, graph = frame.state, frame.graph
    condition = positive(frame, saved)
    # What is recorded here could stand in a branch, out of the reach of later instances.
    recordings, state.recordings = state.recordings, None
    start, known = graph.mark, len(state.presents)
    ours = [tensor(result) for result in main()]
    presents = dict(state.presents)
    theirs = [tensor(result) for result in other()]
    state.recordings = recordings
    if state.presents.keys() != presents.keys():
        raise InternalFault(f"{frame.place}: its forwards do not append to the same caches")
    caches, results = list(presents)[known:], len(ours)
    ours += [presents[key] for key in caches]
    theirs += [state.presents[key] for key in caches]
    chosen = join_walks(graph, join(frame.place, "either"), start, condition, ours, theirs)
    state.presents.update(zip(caches, chosen[results:], strict=True))
    return tuple(chosen[:results])


def positive(frame: GraphFrame, polynomial: Mapping[tuple[str, ...], int]) -> Edge:
    """Whether a polynomial of shape variables is positive: bool [1]."""
    terms: Dim = 0
    for variables, coefficient in polynomial.items():
        lengths = (dims.dim(Sym(name), frame.state.lengths) for name in variables)
        terms = dims.add(terms, dims.product((coefficient, *lengths)))
    graph, name = frame.graph, join(frame.place, "cheaper")
    operands = (graph.extents([terms]), graph.integers([0]))
    return graph.one(name, "Greater", operands, "bool", (1,))


def tensor(operand: Operand) -> Edge:
    if not isinstance(operand, Edge):
        raise InternalFault("a forward with alternatives gives a compile-time number")
    return operand


@dataclass(slots=True)
class IfBranch:
    """What one walk alone added, and its results."""

    nodes: list[GraphNode]
    results: list[Edge]

    def last(self, position: int) -> GraphNode | None:
        """The node of a result that nothing else here reads."""
        name = self.results[position].name
        for node in self.nodes:
            if name in reads(node):
                return None
        return next((node for node in self.nodes if node.outputs == (name,)), None)


def join_walks(
    graph: Graph,
    name: str,
    start: int,
    condition: Edge,
    ours: Sequence[Edge],
    theirs: Sequence[Edge],
) -> list[Edge]:
    """What two walks added since `start`, as one If; see Note [Sharing].

    Gives one value for each pair of results, `theirs` where the condition holds.
    """
    nodes = graph.since(start)
    shared = outside(graph, nodes, ours, theirs)
    stays = [node for node in nodes if node.outputs[0] in shared]
    differing = [at for at, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    main, other = (
        IfBranch(
            [n for n in live(nodes, names(edges)) if n.outputs[0] not in shared],
            [edges[at] for at in differing],
        )
        for edges in (ours, theirs)
    )
    endings = [ending(graph, main, other, at) for at in range(len(differing))]
    graph.settle(start, stays)
    if not differing:
        return list(ours)
    results = [(edge.dtype, edge.shape) for edge in main.results]
    joined = once(
        graph,
        name,
        lambda: graph.add(
            [name] * len(differing),
            "If",
            (condition,),
            *results,
            then_branch=body(graph, f"{name}.then", other),
            else_branch=body(graph, f"{name}.else", main),
        ),
    )
    chosen = list(ours)
    for at, value, inside, end in zip(differing, joined, main.results, endings, strict=True):
        graph.extend([rename(node, {inside.name: value.name}) for node in end])
        for node in end[:1]:
            made = graph.edges[node.outputs[0]]
            if graph.view(made) == inside:
                graph.show(made, value)
        if not end:
            chosen[at] = value
    return chosen


def outside(
    graph: Graph, nodes: Sequence[GraphNode], ours: Sequence[Edge], theirs: Sequence[Edge]
) -> set[str]:
    """The first outputs of the nodes that stay: constants, what both need, and numbers about dims.

    These last are few, and other modules share them.
    """
    main, other = ({n.outputs[0] for n in live(nodes, names(e))} for e in (ours, theirs))
    stays = main & other
    inside: set[str] = set()
    for node in nodes:
        whole = all(graph.edges[name].dtype == "i64" for name in node.outputs)
        if node.op == "Constant" or (whole and inside.isdisjoint(reads(node))):
            stays.add(node.outputs[0])
        if node.outputs[0] not in stays:
            inside.update(node.outputs)
    return stays


def ending(graph: Graph, main: IfBranch, other: IfBranch, position: int) -> list[GraphNode]:
    """Takes equal operators off the ends of both branches; those of the main one, in order."""
    taken: list[GraphNode] = []
    while True:
        ours, theirs = main.last(position), other.last(position)
        if ours is None or theirs is None or len(ours.inputs) != len(theirs.inputs):
            break
        differing = [(a, b) for a, b in zip(ours.inputs, theirs.inputs, strict=True) if a != b]
        if (ours.op, ours.attributes, len(differing)) != (theirs.op, theirs.attributes, 1):
            break
        before, instead = (graph.edges[name] for name in differing[0])
        if (before.dtype, before.shape) != (instead.dtype, instead.shape):
            break
        main.nodes.remove(ours)
        other.nodes.remove(theirs)
        main.results[position], other.results[position] = before, instead
        taken.insert(0, ours)
    return taken


def body(graph: Graph, name: str, branch: IfBranch) -> Subgraph:
    """The branch as a graph; a result from outside passes through an Identity."""
    computed = {output for node in branch.nodes for output in node.outputs}
    nodes, results = list(branch.nodes), []
    for edge in branch.results:
        if edge.name in computed:
            results.append(edge)
            continue
        results.append(graph.edge(f"{name}.result", edge.dtype, edge.shape))
        nodes.append(GraphNode("Identity", (edge.name,), (results[-1].name,)))
    return Subgraph((), tuple(results), tuple(nodes))
