"""The form of functions: a module's forward is written once, and each instance is one node.

Every distinct instance is a `Definition`; what its body reads comes in as inputs, since a function
sees nothing from around it.  How a body becomes nodes is the walk's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from specgen.backends.onnx.definitions import CacheUse, Definitions, FunctionDefinition, Key
from specgen.backends.onnx.dims import DimExtent
from specgen.backends.onnx.frame import GraphFrame, WalkState, join, past
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import Operand
from specgen.backends.onnx.nodes import Edge, translate
from specgen.dtypes import UNGATHERED

Walk = Callable[[GraphFrame, Sequence[Operand]], tuple[Operand, ...]]

#: The layer of a function's own caches: that of whoever calls it.
CALLER = -1


def call(
    definitions: Definitions, frame: GraphFrame, arguments: Sequence[Operand], walk: Walk
) -> tuple[Operand, ...]:
    """The results of a forward, by one node that calls its function."""
    key: Key = (
        frame.table.id,
        tuple(frame.scope.items()),
        tuple((a.dtype, a.shape) if isinstance(a, Edge) else a for a in arguments),
    )
    definition = definitions.first.get(key) if definitions.reusable else None
    if definition is None:
        definition = definitions.first[key] = define(frame, arguments, walk)
    part = next(step for step in reversed(frame.path.split(".")) if not step.isdecimal())
    op = definitions.enter(definition, frame.variants(), part)
    return node(frame, definition, op, arguments)


def define(frame: GraphFrame, arguments: Sequence[Operand], walk: Walk) -> FunctionDefinition:
    """The function of an instance, its names those below the instance's path."""
    path, graph = frame.path, Graph(frame.graph.level)
    graph.borrowed = {}
    rows: dict[str, Edge] = {}

    def read(row: str) -> Edge:
        if row not in rows:
            stored = frame.read(row)
            # An operator of this module has the name of the row, in a part's function another.
            own = "." not in row.removeprefix(f"{path}.")
            name = f"{row}.stored" if own else row
            rows[row] = graph.edge(name, stored.dtype, stored.shape)
        return rows[row]

    given: list[Operand] = []
    function = frame.table.forward
    for arg, value in zip(function.args if function else (), arguments, strict=True):
        if not isinstance(value, Edge):
            given.append(value)
            continue
        inner = graph.edge(join(path, arg.name), value.dtype, value.shape)
        for axis, dim in enumerate(inner.shape):
            if isinstance(dim, DimExtent):
                graph.measure(inner, axis)
        given.append(inner)
    state = frame.state.within(graph)
    results = walk(replace(frame, state=state, place=path, read=read, layer=CALLER), given)
    labels = function.result_names if function and len(results) > 1 else ("result",)
    taken = {edge.name for edge in given if isinstance(edge, Edge)}
    outputs = {
        f"{name}.result" if (name := join(path, label)) in taken else name: value
        for label, value in zip(labels, results, strict=True)
        if isinstance(value, Edge)
    }
    outputs |= {f"{home}.present": value for home, value in state.presents.items()}
    nodes = graph.finish(outputs)
    inputs = [value for value in given if isinstance(value, Edge)]
    inputs += [*rows.values(), *state.pasts.values(), *graph.borrowed.values()]

    def own(name: str) -> str:
        if name == path or name.startswith(f"{path}_"):
            return f"result.rows{name.removeprefix(path)}"  # before a last reshape
        return name.removeprefix(f"{path}.")

    return FunctionDefinition(
        module=frame.table.name,
        inputs=tuple(own(edge.name) for edge in inputs),
        outputs=tuple(map(own, outputs)),
        nodes=tuple(translate(made, own) for made in nodes),
        rows=tuple(row[len(path) :] for row in rows),
        caches=tuple(
            CacheUse(home[len(path) :], layer, state.pasts[home], state.presents[home].shape)
            for home, layer in state.layers.items()
        ),
        extents=tuple(graph.borrowed),
        results=tuple((r.dtype, r.shape) if isinstance(r, Edge) else r for r in results),
        title=frame.table.title,
    )


def node(
    frame: GraphFrame, definition: FunctionDefinition, op: str, arguments: Sequence[Operand]
) -> tuple[Operand, ...]:
    """The node that calls a function for an instance, and the instance's results."""
    state, graph = frame.state, frame.graph
    homes = [frame.path + use.home for use in definition.caches]
    inputs = [value for value in arguments if isinstance(value, Edge)]
    inputs += [handed(state, frame.read(frame.path + row)) for row in definition.rows]
    for home, use in zip(homes, definition.caches, strict=True):
        layer = frame.layer if use.layer == CALLER else use.layer
        inputs.append(past(state, home, layer, use.past.dtype, use.past.shape))
    inputs += [graph.extents((extent,)) for extent in definition.extents]
    keys = [state.caches[home] for home in homes]
    types = [result for result in definition.results if isinstance(result, tuple)]
    types += [(use.past.dtype, use.present) for use in definition.caches]
    results = definition.outputs[: len(types) - len(keys)]
    labels = [frame.name(name) if len(results) > 1 else frame.place for name in results]
    graph.places.update(labels)
    made = iter(graph.add([*labels, *(f"present.{key}" for key in keys)], op, inputs, *types))
    found = tuple(next(made) if isinstance(r, tuple) else r for r in definition.results)
    state.presents.update(zip(keys, made, strict=True))
    return found


def handed(state: WalkState, row: Edge) -> Edge:
    """A row's tensor as it goes into a function.

    What types an input of a function may have, onnxruntime infers from the operators in it that
    read the input; another function tells it nothing, and then 8-bit floats are not among them.
    """
    if not state.inside or row.dtype not in UNGATHERED:
        return row
    return state.graph.one("as_is", "Identity", (row,), row.dtype, row.shape)
