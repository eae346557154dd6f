"""The finished graph as ONNX protobuf bytes: which field of which message holds what.

Texts of a spec stand in string fields and nowhere else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import count
from typing import Final, assert_never

from specgen.backends.onnx.definitions import Definitions
from specgen.backends.onnx.dims import UNKNOWN, Dim, Shape
from specgen.backends.onnx.initializers import StoredInitializer
from specgen.backends.onnx.levels import STANDARD, Level
from specgen.backends.onnx.messages import (
    AttributeProto,
    DimensionProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    StringStringEntryProto,
    TensorProto,
    TensorShapeProto,
    TensorTypeProto,
    TypeProto,
    ValueInfoProto,
)
from specgen.backends.onnx.nodes import Attribute, ConstantData, Edge, GraphNode, Subgraph
from specgen.backends.onnx.numerals import LONG, numeral
from specgen.backends.onnx.weights import Embedded, Placed
from specgen.backends.onnx.wire import (
    SIZED,
    chunk,
    enclosed,
    integer,
    integers,
    key,
    real,
    sized,
    text,
)
from specgen.dtypes import DTYPES
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """A graph with all that belongs to the file: `metadata` are texts by key.

    Of the tensors of the table, `weights` are initializers, and `given` are inputs.  `landmarks`
    are values that keep their names and say their dims, though they are neither in nor out.
    `named` are the first values of the nodes that stand for a place in the table.  `names` are
    other names for initializers.
    """

    name: str
    version: str
    inputs: Sequence[Edge]
    outputs: Sequence[Edge]
    nodes: Sequence[GraphNode]
    edges: Mapping[str, Edge]
    weights: Iterable[Placed | Embedded]
    given: Iterable[StoredInitializer]
    metadata: Mapping[str, str]
    level: Level = STANDARD
    functions: Definitions | None = None
    landmarks: Collection[str] = ()
    named: Collection[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def serialize(document: Document) -> bytes:
    """The file's bytes: the same document gives the same bytes."""
    return b"".join(ProtoWriter(document).model(document))


class ProtoWriter:
    """Makes messages; texts and types of values are encoded once.

    A node has the name that its first value has in the document: its place in the table.  In a
    flat graph the values get numbers for names, but for those that a client may ask for.
    """

    def __init__(self, document: Document) -> None:
        self._edges = document.edges
        self._types: dict[tuple[str, Shape], bytes] = {}
        self._landmarks = document.landmarks
        self._named = document.named
        kept = [edge.name for edge in (*document.inputs, *document.outputs)]
        kept += [placed.stored.name for placed in document.weights]
        kept += [stored.name for stored in document.given]
        #: The names of values in the file, by those in the document; and each as bytes.
        self._names = {name: name for name in (*kept, *document.landmarks)}
        self._names.update(document.names)
        self._encoded: dict[str, bytes] = {}
        self._taken = {*self._names, *self._names.values()}
        self._numbers = (text for n in count() if (text := numeral(n, LONG)) not in self._taken)
        self._readable = document.functions is not None

    def model(self, document: Document) -> list[bytes]:
        """The file, in parts."""
        opsets = {"": document.level.opset, **document.level.domains}
        graph = self._graph(document)
        functions = []
        if (definitions := document.functions) is not None:
            opsets[definitions.domain] = 1
            functions = list(self._functions(definitions, imported(opsets, FunctionProto)))
        return [
            integer(ModelProto.ir_version, document.level.ir_version),
            text(ModelProto.producer_name, "specgen"),
            text(ModelProto.producer_version, document.version),
            *enclosed(ModelProto.graph, graph),
            imported(opsets, ModelProto),
            entries(ModelProto.metadata_props, document.metadata),
            *functions,
        ]

    def _functions(self, definitions: Definitions, opsets: bytes) -> Iterator[bytes]:
        # A function's names are its own, and its values have them all.
        self._names, self._encoded, self._taken, self._named = {}, {}, set(), ()
        for definition, name in definitions.names.items():
            title = definition.title
            parts = [
                text(FunctionProto.name, name),
                *(text(FunctionProto.input, one) for one in definition.inputs),
                *(text(FunctionProto.output, one) for one in definition.outputs),
                *(chunk(FunctionProto.node, self._node(node)) for node in definition.nodes),
                b"" if title is None else text(FunctionProto.doc_string, title),
                opsets,
                text(FunctionProto.domain, definitions.domain),
            ]
            yield chunk(ModelProto.functions, b"".join(parts))

    def _graph(self, document: Document) -> list[bytes]:
        """The outermost graph; values get their numbers in the order in which they are here."""
        inputs = [chunk(GraphProto.input, self._value(edge)) for edge in document.inputs]
        outputs = [chunk(GraphProto.output, self._value(edge)) for edge in document.outputs]
        nodes = [chunk(GraphProto.node, self._node(node)) for node in document.nodes]
        infos = [
            chunk(GraphProto.value_info, self._value(self._edges[name]))
            for node in document.nodes
            for name in node.outputs
            if name in self._landmarks
        ]
        for stored in document.given:
            value = self._value(self._edges[stored.name])
            if self._name(stored.name) == stored.name:
                value += entries(ValueInfoProto.metadata_props, released(stored))
            inputs.append(chunk(GraphProto.input, value))
        weights = [
            part
            for placed in document.weights
            for part in enclosed(GraphProto.initializer, self._initializer(placed))
        ]
        name = text(GraphProto.name, document.name)
        return [*nodes, name, *weights, *inputs, *outputs, *infos]

    def _name(self, name: str) -> str:
        """The name of a value in the file: its own, or the next number."""
        if name and name not in self._names:
            # An operator may have the name of the row that it applies.
            own = f"{name}.result" if name in self._taken else name
            self._names[name] = own if self._readable else next(self._numbers)
        return self._names.get(name, "")

    def _text(self, name: str) -> bytes:
        """The name in the file as the value of a text."""
        found = self._encoded.get(name)
        if found is None:
            found = self._encoded[name] = sized(self._name(name).encode())
        return found

    def _value(self, edge: Edge) -> bytes:
        return self._untyped(edge) + chunk(ValueInfoProto.type, self._type(edge.dtype, edge.shape))

    def _untyped(self, edge: Edge) -> bytes:
        return key(ValueInfoProto.name, SIZED) + self._text(edge.name)

    def _type(self, dtype: str, shape: Shape) -> bytes:
        if (dtype, shape) not in self._types:
            dims = b"".join([chunk(TensorShapeProto.dim, dimension(dim)) for dim in shape])
            tensor = integer(TensorTypeProto.elem_type, DTYPES[dtype].onnx)
            tensor += chunk(TensorTypeProto.shape, dims)
            self._types[dtype, shape] = chunk(TypeProto.tensor_type, tensor)
        return self._types[dtype, shape]

    def _node(self, node: GraphNode) -> bytes:
        domain, _, op = node.op.rpartition(".")
        attributes = [
            chunk(NodeProto.attribute, self._attribute(op, name, value))
            for name, value in node.attributes
        ]
        parts: list[bytes] = []
        for name in node.inputs:
            parts += NODE_INPUT, self._text(name)
        for name in node.outputs:
            parts += NODE_OUTPUT, self._text(name)
        first = node.outputs[0]
        parts += [
            text(NodeProto.name, first) if first in self._named else NAMELESS,
            text(NodeProto.op_type, op),
            *attributes,
            text(NodeProto.domain, domain) if domain else STANDARD_DOMAIN,
        ]
        return b"".join(parts)

    def _attribute(self, op: str, name: str, value: Attribute) -> bytes:
        match value:
            case int():
                type_, field_ = AttributeProto.INT, integer(AttributeProto.i, value)
            case float():
                type_, field_ = AttributeProto.FLOAT, real(AttributeProto.f, value)
            case str():
                type_, field_ = AttributeProto.STRING, text(AttributeProto.s, value)
            case tuple():
                type_, field_ = AttributeProto.INTS, integers(AttributeProto.ints, value)
            case ConstantData():
                type_, field_ = AttributeProto.TENSOR, chunk(AttributeProto.t, constant(value))
            case Subgraph():
                inner = self._body(op, name, value)
                type_, field_ = AttributeProto.GRAPH, chunk(AttributeProto.g, inner)
            case _:
                assert_never(value)
        return text(AttributeProto.name, name) + field_ + integer(AttributeProto.type, type_)

    def _body(self, op: str, name: str, body: Subgraph) -> bytes:
        # What is around says the types; onnxruntime wants those of a Loop again.
        declared = self._value if op == "Loop" else self._untyped
        inputs = [chunk(GraphProto.input, declared(edge)) for edge in body.inputs]
        nodes = [chunk(GraphProto.node, self._node(node)) for node in body.nodes]
        outputs = [chunk(GraphProto.output, self._untyped(edge)) for edge in body.outputs]
        called = text(GraphProto.name, name.removesuffix("_branch"))
        return b"".join([*nodes, called, *inputs, *outputs])

    def _initializer(self, placed: Placed | Embedded) -> list[bytes]:
        """The tensor, in parts: its bytes may be gigabytes."""
        stored = placed.stored
        name = self._name(stored.name)
        parts = [
            integers(TensorProto.dims, stored.shape),
            integer(TensorProto.data_type, DTYPES[stored.dtype].onnx),
            text(TensorProto.name, name),
        ]
        if isinstance(placed, Embedded):
            parts += enclosed(TensorProto.raw_data, [placed.data])
        else:
            place = {"location": placed.location}
            if not placed.alone:
                place |= {"offset": str(placed.offset), "length": str(stored.bytes)}
            parts.append(entries(TensorProto.external_data, place))
            parts.append(integer(TensorProto.data_location, TensorProto.EXTERNAL))
        if name == stored.name:
            parts.append(entries(TensorProto.metadata_props, released(stored)))
        return parts


#: What is written for most nodes.
NAMELESS: Final = text(NodeProto.name, "")
STANDARD_DOMAIN: Final = text(NodeProto.domain, "")
NODE_INPUT: Final = key(NodeProto.input, SIZED)
NODE_OUTPUT: Final = key(NodeProto.output, SIZED)


def constant(literal: ConstantData) -> bytes:
    """A small tensor, with its bytes."""
    return (
        integers(TensorProto.dims, literal.shape)
        + integer(TensorProto.data_type, DTYPES[literal.dtype].onnx)
        + chunk(TensorProto.raw_data, literal.data)
    )


def dimension(dim: Dim) -> bytes:
    if isinstance(dim, int):
        return integer(DimensionProto.dim_value, dim)
    return b"" if dim == UNKNOWN else text(DimensionProto.dim_param, str(dim))


def imported(opsets: Mapping[str, int], message: type[ModelProto | FunctionProto]) -> bytes:
    """The version of each domain, as a model or a function says it."""
    found = []
    for domain, version in opsets.items():
        entry = text(OperatorSetIdProto.domain, domain)
        entry += integer(OperatorSetIdProto.version, version)
        found.append(chunk(message.opset_import, entry))
    return b"".join(found)


def entries(number: int, texts: Mapping[str, str]) -> bytes:
    """A field that is texts by key."""
    return b"".join(
        [
            chunk(
                number,
                text(StringStringEntryProto.key, name) + text(StringStringEntryProto.value, value),
            )
            for name, value in texts.items()
        ]
    )


def released(stored: StoredInitializer) -> dict[str, str]:
    """The released name of an initializer that has another, and where its indices lie."""
    if stored.pattern in ("", stored.name):
        return {}
    return {"released_name": stored.pattern, **dict(stored.stacked)}
