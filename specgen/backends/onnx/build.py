"""model.onnx: the main forward as one flat graph of standard operators, weights by reference.

Says what a file consists of: inputs, outputs, metadata.  The forward itself is `walk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import specgen
from specgen.analysis.instances import environment
from specgen.backends.onnx.dims import Extent, symbol
from specgen.backends.onnx.frame import Frame, State, shape_variables
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import convert
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.proto import Document, serialize
from specgen.backends.onnx.recording import Recordings
from specgen.backends.onnx.walk import run
from specgen.backends.onnx.weights import Weights
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.ir.model import Arg, Function, Program
from specgen.ir.verify import InternalFault
from specgen.sizes.evaluate import EvaluationError

BATCH, SEQUENCE, TOTAL = symbol("batch"), symbol("sequence"), symbol("total")

#: What every table calls the shape variables of its forward and its caches.
LENGTHS: Final = {"B": BATCH, "S": SEQUENCE, "T": TOTAL}

#: The graph's input for each argument of a root forward.
INPUTS: Final[Mapping[str, tuple[str, tuple[Extent, Extent]]]] = {
    "tokens": ("input_ids", (BATCH, SEQUENCE)),
    "mask": ("attention_mask", (BATCH, TOTAL)),
    "positions": ("position_ids", (BATCH, SEQUENCE)),
}


def emit(program: Program) -> Mapping[str, bytes]:
    """model.onnx of a program.

    Raises:
        SpecError: the table has no forward, or needs what ONNX does not have.
    """
    return {"model.onnx": build(program)}


def build(
    program: Program, *, compute: str = "f32", intrinsics: bool = True, repeat: bool = True
) -> bytes:
    """The bytes of the graph, which computes in the dtype `compute`.

    Without `intrinsics` every body of the table is expanded.  Without `repeat` every instance of
    a module is walked, however many equal ones there are; the bytes are the same.

    Raises:
        SpecError: as `emit`.
    """
    forward = program.model.forward
    if forward is None:
        raise refused("E0903", spec=program.name)
    try:
        return serialize(document(program, forward, compute, intrinsics, repeat))
    except EvaluationError as error:
        raise refused("E0905", reason=str(error)) from error


def document(
    program: Program,
    forward: Function,
    compute: str,
    intrinsics: bool,
    repeat: bool,
) -> Document:
    """The graph and all that belongs to its file."""
    graph = Graph()
    inputs = {
        argument: graph.edge(name, "i64", shape) for argument, (name, shape) in INPUTS.items()
    }
    graph.measure(inputs["tokens"], 0)
    graph.measure(inputs["tokens"], 1)
    graph.measure(inputs["mask"], 1)
    weights = Weights(program, graph)
    arguments = [argument(graph, arg, inputs) for arg in forward.args]
    scope = environment(program)
    lengths = {**LENGTHS, **shape_variables(forward, arguments, scope)}
    recordings = Recordings() if repeat and not weights.sliced else None
    state = State(program, graph, weights, compute, intrinsics, scope, lengths, recordings)
    frame = Frame(state, program.model, "", "", scope, scope, weights.read, 0)
    (logits,) = run(frame.enter(forward, arguments), forward, ("logits",))
    if not isinstance(logits, Edge):
        raise InternalFault("the forward gives no tensor")
    outputs = {"logits": logits}
    outputs |= {f"present.{key}": edge for key, edge in state.presents.items()}
    nodes = graph.finish(outputs)
    return Document(
        name=program.name,
        version=specgen.__version__,
        inputs=(*inputs.values(), *state.pasts.values()),
        outputs=[graph.edges[name] for name in outputs],
        nodes=nodes,
        edges=graph.edges,
        weights=weights.placed(),
        metadata={
            "spec": program.name,
            "variant": program.variant or "",
            "source_hash": program.source_hash,
            "specgen_version": specgen.__version__,
            "parameters": str(weights.parameters),
        },
    )


def argument(graph: Graph, arg: Arg, inputs: Mapping[str, Edge]) -> Edge:
    """The graph's input for an argument of the root forward, in the argument's dtype."""
    if arg.name not in inputs:
        reason = f"no input for the argument `{arg.name}` of the model's forward"
        raise refused("E0905", reason=reason)
    return convert(graph, arg.name, inputs[arg.name], arg.type.dtype)


def refused(code: str, *, spec: str = "", reason: str = "") -> SpecError:
    diagnostics = Diagnostics()
    diagnostics.report(code, None, target="onnx", spec=spec, reason=reason)
    return SpecError(diagnostics.all)
