"""model.onnx: the main forward as a graph, flat or of functions, and what belongs to its file.

Says what a file consists of: inputs, outputs, metadata.  The forward itself is `walk`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from specgen.analysis.dataflow.costs import savings
from specgen.analysis.table.config import config
from specgen.analysis.table.instances import environment
from specgen.backends.content import Content
from specgen.backends.onnx import dims, embedding, folding, genai, ranks, slots
from specgen.backends.onnx.alternatives import forms
from specgen.backends.onnx.definitions import Definitions
from specgen.backends.onnx.dims import Dim, DimExtent, Environment, Shape, symbol
from specgen.backends.onnx.frame import GraphFrame, WalkState, shape_variables
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.levels import chosen_level
from specgen.backends.onnx.lowering import convert, dtype_in_graph
from specgen.backends.onnx.nodes import Edge, reads
from specgen.backends.onnx.options import DECODE, DEFAULT, PREFILL, Options, StaticLengths
from specgen.backends.onnx.proto import Document, serialize
from specgen.backends.onnx.recording import Recordings
from specgen.backends.onnx.walk import run
from specgen.backends.onnx.weights import Embedded, Placed, Weights
from specgen.backends.refusal import Refusal, site_of
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import Sym, symbols
from specgen.huggingface.fitting import fitting
from specgen.huggingface.generation import ending_tokens
from specgen.huggingface.safetensors import ByteRange, DamagedCheckpoint
from specgen.ir.model import SCALAR, Arg, Function, Program
from specgen.ir.roots import is_language_model
from specgen.ir.verify import InternalFault
from specgen.records import dataclass
from specgen.version import __version__

#: What the file says of the names in it.
NAMES: Final = {
    "released": "weights: the checkpoint's, where {i} stands for all of a stack; nodes: the"
    " place in the table, or none for a step between two that have one",
    "places": "weights, and values in functions: the place in the table; released_names: the"
    " checkpoint's name for each place",
}

BATCH, SEQUENCE, TOTAL = symbol("batch"), symbol("sequence"), symbol("total")

#: What every table calls the shape variables of its forward and its caches.
LENGTHS: Final = {"B": BATCH, "S": SEQUENCE, "T": TOTAL}

#: The graph's input for each argument of a root forward.
INPUTS: Final[Mapping[str, tuple[str, tuple[DimExtent, DimExtent]]]] = {
    "tokens": ("input_ids", (BATCH, SEQUENCE)),
    "mask": ("attention_mask", (BATCH, TOTAL)),
    "positions": ("position_ids", (BATCH, SEQUENCE)),
}

#: The input that says where the new rows of a static graph's cache go.
START: Final = "cache_position"


@dataclass(frozen=True, slots=True)
class StaticStep:
    """One of the two static graphs: what it is called, and how many tokens are new in it."""

    name: str
    new: int
    lengths: StaticLengths

    @property
    def sizes(self) -> dict[str, int]:
        """The number for each symbolic dim of a language model's graph."""
        counts = (self.lengths.batch, self.new, self.lengths.context)
        return {str(dim): n for dim, n in zip(LENGTHS.values(), counts, strict=True)}


def emit(program: Program, options: Options = DEFAULT) -> Mapping[str, Content]:
    """model.onnx of a program, as the options say, and weights that it cannot hold itself.

    With static lengths it is two graphs, prefill.onnx and decode.onnx, over the same weights.

    Raises:
        SpecError: the table has no forward, or needs what ONNX does not have, or the checkpoint
            cannot be used or does not fit.
        OSError: the checkpoint cannot be read any more.
    """
    if options.lengths is not None:
        return pair(program, options, options.lengths)
    made = checked(program, options)
    files: dict[str, Content] = {"model.onnx": serialize(made)}
    if options.weights == "embed" and options.checkpoint is not None:
        files |= embedding.copies(made.weights, options.checkpoint)
    caches = genai.layers(made)
    forward = program.model.forward
    spoken = forward is not None and is_language_model(forward)
    if options.weights != "none" and spoken and genai.expressible(caches):
        model = config(program, "hf") if "hf" in program.configs else {}
        files[genai.GRAPH] = serialize(genai.adapted(made, caches))
        files[genai.CONFIG] = genai.settings(made, caches, model, ending(made, options.checkpoint))
    return files


def pair(program: Program, options: Options, lengths: StaticLengths) -> Mapping[str, Content]:
    """The two static graphs of a program; see `emit`."""
    files: dict[str, Content] = {}
    for name, new in ((PREFILL, lengths.prefill), (DECODE, 1)):
        made = checked(program, options, step=StaticStep(name, new, lengths))
        files[name] = serialize(made)
        if options.weights == "embed" and options.checkpoint is not None:
            files |= embedding.copies(made.weights, options.checkpoint)
    return files


def ending(made: Document, checkpoint: Path | None) -> tuple[int, ...]:
    """The tokens that end a text: no table of an architecture knows them, a checkpoint may.

    Raises:
        SpecError: the checkpoint names what is no id of a token.
    """
    vocabulary = made.outputs[0].shape[-1]
    if checkpoint is None or not isinstance(vocabulary, int):
        return ()
    try:
        return ending_tokens(checkpoint, vocabulary)
    except DamagedCheckpoint as error:
        raise refused("E0906", path=checkpoint.as_posix(), reason=str(error)) from error


def build(
    program: Program,
    options: Options = DEFAULT,
    *,
    compute: str = "f32",
    repeat: bool = True,
    step: StaticStep | None = None,
) -> bytes:
    """The bytes of the graph, which computes in the dtype `compute`; of a `step` if it is static.

    Without `repeat` every instance of a module is walked, however many equal ones there are;
    the bytes are the same.

    Raises:
        SpecError: as `emit`.
    """
    return serialize(checked(program, options, compute, repeat, step))


def checked(
    program: Program,
    options: Options,
    compute: str = "f32",
    repeat: bool = True,
    step: StaticStep | None = None,
) -> Document:
    """The graph and all that belongs to its file.

    Raises:
        SpecError: as `emit`.
    """
    forward = program.model.forward
    if forward is None:
        raise refused("E0903", spec=program.name)
    folder = options.checkpoint
    checkpoint = None
    if folder is not None:
        together = options.beside_checkpoint
        checkpoint = fitting(program, folder, options.ignore, together=together)
    try:
        return document(program, forward, compute, options, checkpoint, repeat, step)
    except EvaluationError as error:
        raise Refusal("onnx", error, site_of(error)) from error


def document(
    program: Program,
    forward: Function,
    compute: str,
    options: Options,
    checkpoint: Mapping[str, ByteRange] | None,
    repeat: bool,
    step: StaticStep | None = None,
) -> Document:
    """The graph and all that belongs to its file."""
    flat = options.onnx_form == "flat"
    level = chosen_level(options.ops, options.opset, functions=not flat)
    graph = Graph(level, None if step is None else step.sizes)
    graph.rewrites = () if step is None else (folding.folded, ranks.narrowed)
    scope = environment(program)
    conventional = is_language_model(forward)
    if step is not None:
        refuse_static(forward)
    known = lengths_of(step, options)
    if conventional:
        inputs = usual(graph, forward, options.index, known)
    else:
        inputs = own(graph, forward, scope, compute, options.index)
    names = ("logits",) if conventional else results_of(forward)
    reserved = {*(edge.name for edge in inputs.values()), *names}
    weights = Weights(program, graph, options, checkpoint, reserved)
    arguments = [convert(graph, a.name, inputs[a.name], inside(a, compute)) for a in forward.args]
    lengths: Environment = known if conventional else {}
    lengths = {**lengths, **shape_variables(forward, arguments, scope)}
    recordings = Recordings() if flat and repeat and not weights.sliced else None
    state = WalkState(program, graph, weights, compute, scope, lengths, recordings)
    state.savings = savings(program)
    state.forms = forms(program, options.form)
    given_start = keep_cache(state, options, step)
    if not flat:
        state.definitions = Definitions(f"specgen.{program.name}", repeat and not weights.sliced)
    frame = GraphFrame(state, program.model, "", "", scope, scope, weights.read, 0)
    results = run(frame.enter(forward, arguments), forward, names)
    outputs = {}
    for result, name in zip(results, names, strict=True):
        if not isinstance(result, Edge):
            raise InternalFault("the forward gives no tensor")
        outputs[name] = result
    outputs |= {f"present.{key}": edge for key, edge in state.presents.items()}
    nodes = graph.finish(outputs)
    if step is not None:  # inference knows the standard's operators, and its dims are to be whole
        state.landmarks.update(name for n in nodes if "." in n.op for name in n.outputs)
    weights.leave_out({name for node in nodes for name in reads(node)})
    # Names are half the file in the form of functions; a rule for each row says as much.
    ruled = not flat and not options.apart and checkpoint is None
    called = weights.places() if ruled else weights.patterns()
    given = weights.ordered() if options.weights == "none" else ()
    return Document(
        name=program.name,
        version=__version__,
        inputs=[
            graph.edges[edge.name]
            for edge in (*inputs.values(), *given_start, *state.pasts.values())
        ],
        outputs=[graph.edges[name] for name in outputs],
        nodes=nodes,
        edges=graph.edges,
        weights=() if options.weights == "none" else tuple(held(weights, options)),
        given=given,
        metadata={
            "spec": program.name,
            "variant": program.variant or "",
            **({"origin": program.origin} if program.origin else {}),
            "spec_hash": program.hash,
            "specgen_version": __version__,
            "parameters": str(weights.parameters),
            "names": NAMES["places" if ruled else "released"],
            **(metadata(step, options) if step is not None else {}),
            **options.noted(),
            **({"weight_inputs": str(len(given))} if given else {}),
            **({"released_names": "\n".join(weights.rules)} if ruled else {}),
        },
        level=level,
        functions=state.definitions,
        landmarks=state.landmarks,
        named=graph.named,
        names=called,
    )


def held(weights: Weights, options: Options) -> Iterable[Placed | Embedded]:
    """The initializers, each with its bytes or the place of them."""
    if options.weights == "embed" and options.checkpoint is not None:
        return embedding.embedded(weights.ordered(), options.checkpoint)
    return weights.placed()


def refuse_static(forward: Function) -> None:
    """Refuses a forward that has no step of one token after those before it.

    Raises:
        EvaluationError: it has none.
    """
    if not is_language_model(forward):
        raise EvaluationError("a static graph is one of a language model, and of one result")
    if whole(forward):
        raise EvaluationError("a forward whose mask is [B, S] has no step that decodes one token")


def lengths_of(step: StaticStep | None, options: Options) -> Mapping[str, Dim]:
    """The shape variables that every table has: symbolic dims, or in a static graph numbers.

    But for the slots of a cache that is not in order: their dim has to be known from others.
    """
    if step is None:
        return LENGTHS
    sizes = step.sizes
    symbolic = () if options.cache == "shift" else (str(TOTAL),)
    found = {name: (str(dim), dim) for name, dim in LENGTHS.items()}
    return {n: dim if text in symbolic else sizes[text] for n, (text, dim) in found.items()}


def keep_cache(state: WalkState, options: Options, step: StaticStep | None) -> Sequence[Edge]:
    """Says how the cache of a static graph is kept; the input that is for it."""
    if step is None:
        return ()
    state.cache = options.cache
    if options.cache == "shift":
        return ()
    graph = state.graph
    given = graph.edge(START, options.index, (1,))
    state.start = convert(graph, f"{START}.whole", given, "i64")
    order = slots.by_position if options.cache == "position" else slots.before_new
    graph.slots = order(graph, TOTAL, step.new, state.start)
    return (given,)


def metadata(step: StaticStep, options: Options) -> dict[str, str]:
    """What the file says of its lengths and of its cache."""
    return {"static": str(step.lengths), "new_tokens": str(step.new), "cache": options.cache}


def whole(forward: Function) -> bool:
    """Whether the forward is given all tokens at once: its mask [B, S] is of the new ones."""
    return any(arg.name == "mask" and arg.type.shape[1] == Sym("S") for arg in forward.args)


def usual(
    graph: Graph, forward: Function, index: str, known: Mapping[str, Dim]
) -> Mapping[str, Edge]:
    """The inputs of a language model, all of them whatever it takes: clients give them."""
    numbers = {str(dim): known[name] for name, dim in LENGTHS.items()}
    shapes: dict[str, Shape] = {
        argument: tuple(numbers[str(dim)] for dim in shape)
        for argument, (_, shape) in INPUTS.items()
    }
    if whole(forward):
        shapes["mask"] = shapes["tokens"]
    inputs = {
        argument: graph.edge(name, index, shapes[argument])
        for argument, (name, _) in INPUTS.items()
    }
    if graph.static:
        return inputs
    graph.measure(inputs["tokens"], 0)
    graph.measure(inputs["tokens"], 1)
    if not whole(forward):
        graph.measure(inputs["mask"], 1)
    return inputs


def own(
    graph: Graph, forward: Function, scope: Environment, compute: str, index: str
) -> Mapping[str, Edge]:
    """The inputs of any other forward: its arguments, under their names and in their dtypes.

    Raises:
        EvaluationError: an argument is a number, or a shape variable is never a dim by itself.
    """
    inputs: dict[str, Edge] = {}
    measured: set[str] = set()
    for arg in forward.args:
        if arg.type.dtype == SCALAR:
            raise EvaluationError(f"`{arg.name}`, which the model's forward takes, is no tensor")
        free = {name for dim in arg.type.shape for name in symbols(dim)} - scope.keys()
        env = {**scope, **{name: LENGTHS.get(name, symbol(name)) for name in free}}
        shape = tuple(dims.dim(dim, env) for dim in arg.type.shape)
        dtype = inside(arg, compute)
        given = index if dtype == "i64" else dtype
        inputs[arg.name] = edge = graph.edge(arg.name, given, shape)
        for axis, dim in enumerate(arg.type.shape):
            if isinstance(dim, Sym) and dim.name in free - measured:
                graph.measure(edge, axis)
                measured.add(dim.name)
    for arg in forward.args:
        for dim in arg.type.shape:
            if unknown := sorted(symbols(dim) - scope.keys() - measured):
                reason = f"no argument of the model's forward has `{unknown[0]}` as a dim by itself"
                raise EvaluationError(reason)
    return inputs


def inside(arg: Arg, compute: str) -> str:
    return dtype_in_graph(arg.type.dtype, compute)


def results_of(forward: Function) -> tuple[str, ...]:
    """The names of the outputs: the table's, where they are no argument's."""
    taken = {arg.name for arg in forward.args}
    many = len(forward.results) > 1
    names = [name or f"result{n if many else ''}" for n, name in enumerate(forward.result_names)]
    return tuple(f"{name}.result" if name in taken else name for name in names)


def refused(code: str, *, spec: str = "", reason: str = "", path: str = "") -> SpecError:
    """What is no fault of the table's dataflow."""
    diagnostics = Diagnostics()
    diagnostics.report(code, None, target="onnx", spec=spec, reason=reason, path=path)
    return SpecError(diagnostics.all)
