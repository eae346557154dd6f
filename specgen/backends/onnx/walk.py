"""The main forward carried out on a graph: layer by layer, calls inlined, conditions decided.

An interpreter of the IR whose values are edges.  How an op becomes operators is `ops`', how
names are bound `frame`'s, and how a protobuf is written `proto`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import prod
from typing import Final

from specgen.analysis.dataflow.costs import Saving
from specgen.backends.onnx import (
    alternatives,
    caches,
    contrib,
    dims,
    functions,
    intrinsics,
    ops,
    replay,
)
from specgen.backends.onnx.dims import DimExtent
from specgen.backends.onnx.frame import GraphFrame, with_lets
from specgen.backends.onnx.instances import Instances, Read
from specgen.backends.onnx.lowering import OnnxCall, Operand, convert
from specgen.backends.onnx.mixture import MixtureLowering
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.ops.contract import linear, linear_stack
from specgen.backends.onnx.options import FLOWLESS
from specgen.backends.refusal import RefusalSite, note_site
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import Expr, Sym
from specgen.ir import model as ir
from specgen.ir.verify import InternalFault
from specgen.ir.visit import Deciding
from specgen.ops.record import Trait
from specgen.ops.registry import has
from specgen.records import dataclass

#: A graph with more is of no use to any runtime, and takes gigabytes to build.
MAX_NODES = 500_000

#: The operator that a function's body may be, by what the table says of it.
OPERATORS: Final = {
    "scaled_dot_product_attention": "Attention",
    "gelu": "Gelu",
    "gelu_tanh": "Gelu",
    "rotary_embedding": "RotaryEmbedding",
    "rotary_embedding_interleaved": "RotaryEmbedding",
}

#: One name for each result of a value.
Names = tuple[str, ...]

#: The results of a value.
Operands = tuple[Operand, ...]

# ---- statements and values -------------------------------------------------------------


def run(frame: GraphFrame, function: ir.Function, names: Names) -> Operands:
    """The results, under the names, of a body whose arguments are bound."""
    try:
        results = GraphInterpreter(frame, names).run(function.body)
    except EvaluationError as error:
        module = frame.module.name if frame.module is not None else ""
        note_site(error, RefusalSite(module, function.name))
        raise
    if results is None:
        raise InternalFault(f"{frame.place} does not return")
    return results


@dataclass
class GraphInterpreter(Deciding[Operands]):
    """Values mean edges, and numbers where they are compile-time; the results get the names."""

    frame: GraphFrame
    names: Names

    def holds(self, condition: Expr) -> bool:
        return dims.holds(condition, self.frame.env)

    def assign(self, statement: ir.Assign) -> None:
        frame, value = self.frame, statement.value
        # A result that is dropped has no name of its own; its operator has one.
        dropped = value.name if isinstance(value, ir.Op) else "dropped"
        labels = tuple(frame.name(dropped if t == "_" else t) for t in statement.names)
        if not frame.unpacking:
            frame.graph.places.update(labels)
        results = GraphInterpreter(frame, labels).value(value)
        bound = zip(statement.names, results, strict=True)
        frame.values.update((target, x) for target, x in bound if target != "_")

    def ret(self, statement: ir.Return) -> Operands:
        match statement.values:
            case (value,):
                return self.value(value)
            case values:
                named = zip(values, self.names, strict=True)
                return tuple(
                    single(GraphInterpreter(self.frame, (name,)).value(value))
                    for value, name in named
                )

    def operand(self, value: ir.Value) -> Operand:
        """The result of a value inside the one that gets the names."""
        match value:
            case ir.Op(name=own) | ir.CallFunction(function=own):
                name = self.frame.name(own)
            case _:
                name = self.names[0]
        return single(GraphInterpreter(self.frame, (name,)).value(value))

    def tensor(self, value: ir.Value) -> Edge:
        return edge(self.operand(value), self.names[0])

    def var(self, value: ir.Var) -> Operands:
        return (self.frame.values[value.name],)

    def scalar(self, value: ir.Scalar) -> Operands:
        return (scalar(self.frame, value.expr),)

    def weight(self, value: ir.Weight) -> Operands:
        return (weight(self.frame, value.row),)

    def op(self, value: ir.Op) -> Operands:
        frame = self.frame
        looks_up = has(value, Trait.LOOKS_UP)
        match value:
            case ir.Op(args=(ir.Weight(row=row), index)) if looks_up and plain(frame, row):
                # Rows are taken first and cast then: a table of many rows is never cast whole.
                operands: Operands = (stored(frame, frame.row_path(row)), self.operand(index))
            case _:
                operands = tuple(map(self.operand, value.args))
        dtypes = tuple(frame.dtype(type_.dtype) for type_ in value.types)
        return ops.lower(
            OnnxCall(frame.graph, self.names, value.name, operands, value.attrs, dtypes, frame.env)
        )

    def apply_map(self, value: ir.ApplyMap) -> Operands:
        """A map applied; its operator has the name of the row."""
        frame, x = self.frame, self.tensor(value.value)
        path, bias = frame.row_path(value.row), f"{value.row}.bias"
        matrix = weight(frame, value.row)
        x = convert(frame.graph, f"{path}.input", x, matrix.dtype)
        added = weight(frame, bias) if frame.row(bias) is not None else None
        frame.graph.places.add(path)
        if any(isinstance(operand, EdgeStack) for operand in (x, matrix, added)):
            return (linear_stack(frame.graph, path, x, matrix, added),)
        return (linear(frame.graph, path, x, matrix, added),)

    def append(self, value: ir.Append) -> Operands:
        """The cache with the new values: an input, an output, and what is read."""
        new = self.tensor(value.value)
        return (caches.appended(self.frame, self.frame.cache(value.cache), new),)

    def call_part(self, value: ir.CallPart) -> Operands:
        """A part called; a repeated one threads its first argument through its instances."""
        frame, arguments = self.frame, tuple(map(self.operand, value.args))
        count = frame.instances(value.part)
        if count is None:
            return instance(frame.child(value.part, None), arguments)
        results: Operands = arguments[:1]
        for index in range(count):
            if frame.state.graph.position > MAX_NODES:
                reason = f"a flat graph of {count:,} × `{frame.name(value.part)}` has over"
                raise EvaluationError(f"{reason} {MAX_NODES:,} nodes")
            results = instance(frame.child(value.part, index), (*results[:1], *arguments[1:]))
            edges = (edge for edge in results if isinstance(edge, Edge))
            frame.state.landmarks.update(frame.graph.view(edge).name for edge in edges)
        return results

    def call_function(self, value: ir.CallFunction) -> Operands:
        """A free function or a method of the module, inlined."""
        frame = self.frame
        place = frame.name(value.function)
        arguments = list(map(GraphInterpreter(frame, (place,)).operand, value.args))
        variables = {key: dims.dim(expr, frame.env) for key, expr in value.dims.items()}
        if value.method:
            function = next(f for f in frame.table.functions if f.name == value.function)
            inner = replace(frame, place=place)
        else:
            function = frame.state.program.functions[value.function]
            inner = replace(frame, module=None, place=place, scope={})
            fused = platform(frame, self.names[0], function, arguments)
            if fused is not None:
                return (fused,)
        return run(inner.enter(function, arguments, variables), function, self.names)

    def mixture(self, value: ir.Mixture) -> Operands:
        """The weighted sum of the chosen instances of a part."""
        frame, name = self.frame, self.names[0]
        count = frame.instances(value.part)
        if count is None:
            raise InternalFault(f"{name} mixes a part that is not repeated")
        child = frame.child(value.part, None)
        frame.graph.places.add(child.path)
        if frame.stacked:
            reason = f"`{child.path}` is a mixture inside of a mixture's part"
            raise EvaluationError(f"{reason}: use `--experts loop`")
        experts = frame.state.weights.experts
        if experts in FLOWLESS:
            child = replace(child, stacked=True)

        def part(read: Read, tokens: Edge) -> Edge:
            return edge(single(instance(replace(child, read=read), (tokens,))), name)

        def stacks(path: str) -> Edge:
            return frame.state.weights.instances(frame.graph, path, frame.read(path))

        pieces = frame.state.weights.pieces(child.path)
        for path in frame.state.weights.rearranged(pieces):
            stacks(path)  # here once, and not in a loop over the instances
        mixed = MixtureLowering(
            graph=frame.graph,
            name=child.path,
            x=self.tensor(value.value),
            weights=self.tensor(value.weights),
            index=self.tensor(value.index),
            instances=Instances(
                frame.graph,
                child.path,
                count,
                pieces,
                stacks,
                partial(frame.state.weights.decoded, frame.graph),
            ),
            part=part,
        )
        if experts == "dense":
            return (mixed.over_every(),)
        if experts == "gathered":
            return (mixed.over_gathered(),)
        if contrib.DOMAIN in frame.graph.level.domains and stacked(child, mixed.instances):
            rows, definitions = partial(all_instances, child), frame.state.definitions
            fused = contrib.mixture(mixed, child.table.forward, rows, definitions)
            if fused is not None:
                return (fused,)
        return (mixed.evaluated(),)


def single(results: Operands) -> Operand:
    (result,) = results
    return result


def edge(value: Operand, name: str) -> Edge:
    if not isinstance(value, Edge):
        raise InternalFault(f"{name} is a compile-time number where a tensor is needed")
    return value


def scalar(frame: GraphFrame, expr: Expr) -> Operand:
    """A compile-time number; one that depends on the inputs' dims is an i64 scalar."""
    value = dims.resolve(expr, frame.env)
    if isinstance(value, DimExtent):
        return frame.graph.length(value)
    if isinstance(value, str | tuple | None):
        raise InternalFault(f"{frame.place}: {value} is no number")
    return value


# ---- rows ------------------------------------------------------------------------------


def plain(frame: GraphFrame, name: str) -> bool:
    """Whether a row is stored as the table has it, but for its dtype."""
    row = frame.row(name)
    return row is not None and row.format is None


def weight(frame: GraphFrame, name: str) -> Edge:
    """A row's tensor in the dtype that it computes in, out of its storage format."""
    row, path = frame.row(name), frame.row_path(name)
    if row is None:
        raise InternalFault(f"there is no row {path}")
    values = stored(frame, path) if row.format is None else decoded(frame, row, row.format)
    return convert(frame.graph, f"{path}.cast", values, frame.dtype(row.compute))


def stored(frame: GraphFrame, path: str) -> Edge:
    """The stored values of a row, which may lie in one tensor with other rows."""
    return frame.state.weights.unpacked(frame.graph, path, frame.read(path))


def decoded(frame: GraphFrame, row: ir.Tensor, format_: ir.Format) -> Edge:
    """The matrix that a storage format's forward gives."""
    module = frame.state.program.formats[format_.module]
    path = frame.row_path(row.name)
    sizes = zip(("R", "C"), row.shape, strict=False)
    scope = with_lets(
        module,
        {
            **{param.name: param.value for param in module.params if param.value is not None},
            **{key: dims.dim(expr, frame.env) for key, expr in sizes},
            **{key: dims.resolve(expr, frame.env) for key, expr in format_.arguments.items()},
        },
    )
    # The format's `weight` has the name of the row itself; its other tensors follow it.
    inner = replace(
        frame,
        module=module,
        path=path,
        place=path,
        scope=scope,
        env=scope,
        read=lambda inside: frame.read(path if inside == f"{path}.weight" else inside),
        values={},
    )
    return edge(single(matrix(inner)), path)


def matrix(frame: GraphFrame) -> Operands:
    """The result of a storage format's forward, by its function if there are functions."""

    def body(inside: GraphFrame, _: Sequence[Operand]) -> Operands:
        function = inside.table.forward
        if function is None:
            raise InternalFault(f"the format {inside.table.name} has no forward")
        return run(inside, function, (inside.name("matrix"),))

    definitions = frame.state.definitions
    if definitions is None or frame.stacked:
        return body(frame, ())
    return functions.call(definitions, replace(frame, place=frame.name("matrix")), (), body)


# ---- calls -----------------------------------------------------------------------------


def instance(frame: GraphFrame, arguments: Sequence[Operand]) -> Operands:
    """The main forward of the frame's module: its function called, or walked, or repeated."""
    definitions, recordings = frame.state.definitions, frame.state.recordings
    if frame.stacked:  # no other call is like it
        return forward(frame, arguments)
    if definitions is not None:
        return functions.call(definitions, frame, arguments, forward)
    if recordings is None:
        return forward(frame, arguments)
    return replay.forward(recordings, frame, arguments, forward)


def forward(frame: GraphFrame, arguments: Sequence[Operand]) -> Operands:
    """The forward of the frame's module: the main one, for few tokens a cheaper one, or as told."""
    function = frame.table.forward
    if function is None:
        raise InternalFault(f"{frame.path} has no forward")
    frame.graph.places.add(frame.place)
    form = frame.state.forms.get(frame.table.id)
    if form is not None:
        function = next(one for one in frame.table.forwards if one.name == form)
    if frame.stacked:  # one forward, written out: operators take no stacks of rows
        return walk(frame, function, arguments)
    fused = normalised(frame, function, arguments)
    if fused is not None:
        return (fused,)
    saving = frame.state.savings.get(frame.table.id)
    if saving is None or form is not None:
        return walk(frame, function, arguments)
    other = next(form for form in frame.table.forwards if form.name == saving.forward)
    if frame.graph.static:  # what an If would ask for is known
        return walk(frame, other if saves(frame, saving) else function, arguments)
    aside = replace(frame, place=frame.name(other.name))
    return alternatives.either(
        frame,
        saving.operations,
        lambda: walk(frame, function, arguments),
        lambda: walk(aside, other, arguments),
    )


def saves(frame: GraphFrame, saving: Saving) -> bool:
    """Whether the other forward has fewer operations for the tokens of a static graph."""
    total = 0
    for variables, coefficient in saving.operations.items():
        lengths = (dims.dim(Sym(name), frame.state.lengths) for name in variables)
        total += prod((coefficient, *map(frame.graph.number, lengths)))
    return total > 0


def walk(frame: GraphFrame, function: ir.Function, arguments: Sequence[Operand]) -> Operands:
    """The results of a forward, named after the frame's place."""
    names: Names = (frame.place,)
    if len(function.results) > 1:
        names = tuple(frame.name(result) for result in function.result_names)
    return run(frame.enter(function, arguments), function, names)


def normalised(
    frame: GraphFrame, function: ir.Function, arguments: Sequence[Operand]
) -> Edge | None:
    """A module with the rows and params of an intrinsic, as one operator."""
    operators = {"rms_norm": "RMSNormalization", "layer_norm": "LayerNormalization"}
    operator = operators.get(function.intrinsic or "")
    if operator is None or not frame.graph.level.offers(operator):
        return None
    epsilon = scalar(frame, Sym("norm_eps"))
    if isinstance(epsilon, Edge):
        raise InternalFault(f"{frame.place}: norm_eps is no compile-time number")
    x, gain = edge(arguments[0], frame.place), weight(frame, "weight")
    if function.intrinsic == "rms_norm":
        return intrinsics.rms_norm(frame.graph, frame.place, x, gain, float(epsilon))
    added = weight(frame, "bias") if frame.row("bias") is not None else None
    return intrinsics.layer_norm(frame.graph, frame.place, x, gain, added, float(epsilon))


def platform(
    frame: GraphFrame, name: str, function: ir.Function, arguments: Sequence[Operand]
) -> Edge | None:
    """A function with the arguments of an intrinsic, as one operator; None where it is not one."""
    operator = OPERATORS.get(function.intrinsic or "")
    if operator is None or not frame.graph.level.offers(operator):
        return None
    match function.intrinsic, arguments:
        case "gelu" | "gelu_tanh", [EdgeStack() as x]:
            approximate = "tanh" if function.intrinsic == "gelu_tanh" else "none"
            return EdgeStack.of(intrinsics.gelu(frame.graph, name, x, approximate))
        case _ if any(isinstance(x, EdgeStack) for x in arguments):
            return None  # the others count their dims from the front
        case "scaled_dot_product_attention", _:
            return attention(frame, name, arguments)
        case "gelu", [Edge() as x]:
            return intrinsics.gelu(frame.graph, name, x, "none")
        case "gelu_tanh", [Edge() as x]:
            return intrinsics.gelu(frame.graph, name, x, "tanh")
        case "rotary_embedding", [Edge() as x, Edge() as cos, Edge() as sin]:
            return intrinsics.rotary(frame.graph, name, x, cos, sin, interleaved=False)
        case "rotary_embedding_interleaved", [Edge() as x, Edge() as cos, Edge() as sin]:
            return intrinsics.rotary(frame.graph, name, x, cos, sin, interleaved=True)
        case _:
            return None


def attention(frame: GraphFrame, name: str, arguments: Sequence[Operand]) -> Edge | None:
    """A function with the arguments of the intrinsic, as one operator where ONNX's is equal."""
    match arguments:
        case [Edge() as q, Edge() as k, Edge() as v, Edge() as seen, scale]:
            if isinstance(scale, int | float | Fraction):
                kept = bool(frame.state.presents)
                return intrinsics.attention(
                    frame.graph, name, q, k, v, seen, float(scale), kept=kept
                )
    return None


def stacked(frame: GraphFrame, instances: Instances) -> bool:
    """Whether each row of a mixture's part lies in one initializer, as the table has it."""
    paths = ((row, frame.row_path(row.name)) for row in frame.table.tensors)
    return all(
        row.format is None and frame.state.weights.alone(path) and instances.whole(path)
        for row, path in paths
        if dims.holds(row.condition, frame.env)
    )


def all_instances(frame: GraphFrame, name: str) -> Edge | None:
    """A row of all instances of a mixture's part, if there is one."""
    return weight(frame, name) if frame.row(name) is not None else None
