"""The finished graph as ONNX protobuf bytes.

Only onnx's generated message classes are loaded: the package itself imports numpy and costs four
times as much.  Texts of a spec stand in string fields and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final, assert_never

from specgen.backends.onnx.definitions import Definitions
from specgen.backends.onnx.dims import UNKNOWN, Shape
from specgen.backends.onnx.initializers import Stored
from specgen.backends.onnx.levels import STANDARD, Level
from specgen.backends.onnx.nodes import Attribute, Body, Edge, Literal, Node
from specgen.backends.onnx.numerals import LONG, numeral
from specgen.backends.onnx.weights import Embedded, Placed
from specgen.dtypes import DTYPES
from specgen.records import dataclass

# onnx.proto: AttributeProto.AttributeType and TensorProto.DataLocation
FLOAT, INT, STRING, TENSOR, GRAPH, INTS = 1, 2, 3, 4, 5, 7
EXTERNAL: Final = 1


@cache
def messages() -> Any:
    """onnx's generated message classes, without the package around them."""
    package = importlib.util.find_spec("onnx")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("the package onnx is not installed", name="onnx")
    if "onnx" in sys.modules:
        return importlib.import_module("onnx.onnx_ml_pb2")
    path = Path(package.origin).with_name("onnx_ml_pb2.py")
    spec = importlib.util.spec_from_file_location("specgen_onnx_messages", path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError("the package onnx has no generated messages", name="onnx")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    nodes: Sequence[Node]
    edges: Mapping[str, Edge]
    weights: Iterable[Placed | Embedded]
    given: Iterable[Stored]
    metadata: Mapping[str, str]
    level: Level = STANDARD
    functions: Definitions | None = None
    landmarks: Collection[str] = ()
    named: Collection[str] = ()
    names: Mapping[str, str] = field(default_factory=dict)


def serialize(document: Document) -> bytes:
    """The file's bytes: the same document gives the same bytes."""
    data: bytes = Writer(document).model(document).SerializeToString(deterministic=True)
    return data


class Writer:
    """Makes messages; types of values are shared by dtype and dims while they are made.

    A node has the name that its first value has in the document: its place in the table.  In a
    flat graph the values get numbers for names, but for those that a client may ask for.
    """

    def __init__(self, document: Document) -> None:
        self._pb = messages()
        self._edges = document.edges
        self._types: dict[tuple[str, Shape], Any] = {}
        self._landmarks = document.landmarks
        self._named = document.named
        kept = [edge.name for edge in (*document.inputs, *document.outputs)]
        kept += [placed.stored.name for placed in document.weights]
        kept += [stored.name for stored in document.given]
        #: The names of values in the file, by those in the document.
        self._names = {name: name for name in (*kept, *document.landmarks)}
        self._names.update(document.names)
        self._taken = {*self._names, *self._names.values()}
        self._numbers = (text for n in count() if (text := numeral(n, LONG)) not in self._taken)
        self._readable = document.functions is not None

    def model(self, document: Document) -> Any:
        model = self._pb.ModelProto(
            ir_version=document.level.ir_version,
            producer_name="specgen",
            producer_version=document.version,
        )
        for domain, version in {"": document.level.opset, **document.level.domains}.items():
            model.opset_import.add(domain=domain, version=version)
        self._entries(model.metadata_props, document.metadata)
        graph = model.graph
        graph.name = document.name
        self._fill(graph, document.inputs, document.outputs, document.nodes)
        for stored in document.given:
            value = self._value(document.edges[stored.name])
            if value.name == stored.name:
                self._entries(value.metadata_props, released(stored))
            graph.input.append(value)
        for placed in document.weights:
            self._initializer(graph.initializer.add(), placed)
        if document.functions is not None:
            self._functions(model, document.functions)
        return model

    def _functions(self, model: Any, definitions: Definitions) -> None:
        model.opset_import.add(domain=definitions.domain, version=1)
        # A function's names are its own, and its values have them all.
        self._names, self._taken, self._named = {}, set(), ()
        for definition, name in definitions.names.items():
            made = model.functions.add(
                domain=definitions.domain,
                name=name,
                doc_string=definition.title,
                input=definition.inputs,
                output=definition.outputs,
                opset_import=model.opset_import,
            )
            made.node.extend(map(self._node, definition.nodes))

    def _fill(
        self, graph: Any, inputs: Sequence[Edge], outputs: Sequence[Edge], nodes: Sequence[Node]
    ) -> None:
        graph.input.extend(self._value(edge) for edge in inputs)
        graph.output.extend(self._value(edge) for edge in outputs)
        graph.node.extend(self._node(node) for node in nodes)
        graph.value_info.extend(
            self._value(self._edges[name])
            for node in nodes
            for name in node.outputs
            if name in self._landmarks
        )

    def _name(self, name: str) -> str:
        """The name of a value in the file: its own, or the next number."""
        if name and name not in self._names:
            # An operator may have the name of the row that it applies.
            own = f"{name}.result" if name in self._taken else name
            self._names[name] = own if self._readable else next(self._numbers)
        return self._names.get(name, "")

    def _value(self, edge: Edge) -> Any:
        name = self._name(edge.name)
        return self._pb.ValueInfoProto(name=name, type=self._type(edge.dtype, edge.shape))

    def _untyped(self, edge: Edge) -> Any:
        return self._pb.ValueInfoProto(name=self._name(edge.name))

    def _type(self, dtype: str, shape: Shape) -> Any:
        if (dtype, shape) not in self._types:
            made = self._pb.TypeProto()
            made.tensor_type.elem_type = DTYPES[dtype].onnx
            made.tensor_type.shape.SetInParent()
            for dim in shape:
                if isinstance(dim, int):
                    made.tensor_type.shape.dim.add(dim_value=dim)
                elif dim == UNKNOWN:
                    made.tensor_type.shape.dim.add()
                else:
                    made.tensor_type.shape.dim.add(dim_param=str(dim))
            self._types[dtype, shape] = made
        return self._types[dtype, shape]

    def _node(self, node: Node) -> Any:
        domain, _, op = node.op.rpartition(".")
        return self._pb.NodeProto(
            op_type=op,
            domain=domain,
            name=node.outputs[0] if node.outputs[0] in self._named else "",
            input=map(self._name, node.inputs),
            output=map(self._name, node.outputs),
            attribute=[self._attribute(op, name, value) for name, value in node.attributes],
        )

    def _attribute(self, op: str, name: str, value: Attribute) -> Any:
        made = self._pb.AttributeProto(name=name)
        match value:
            case int():
                made.type, made.i = INT, value
            case float():
                made.type, made.f = FLOAT, value
            case str():
                made.type, made.s = STRING, value.encode()
            case tuple():
                made.type = INTS
                made.ints.extend(value)
            case Literal(dtype=dtype, shape=shape, data=data):
                made.type = TENSOR
                made.t.data_type = DTYPES[dtype].onnx
                made.t.dims.extend(shape)
                made.t.raw_data = data
            case Body():
                made.type = GRAPH
                made.g.name = name.removesuffix("_branch")
                # What is around says the types; onnxruntime wants those of a Loop again.
                declared = self._value if op == "Loop" else self._untyped
                made.g.input.extend(map(declared, value.inputs))
                made.g.node.extend(map(self._node, value.nodes))
                made.g.output.extend(map(self._untyped, value.outputs))
            case _:
                assert_never(value)
        return made

    def _initializer(self, tensor: Any, placed: Placed | Embedded) -> None:
        stored = placed.stored
        tensor.name = self._name(stored.name)
        tensor.data_type = DTYPES[stored.dtype].onnx
        tensor.dims.extend(stored.shape)
        if self._names[stored.name] == stored.name:
            self._entries(tensor.metadata_props, released(stored))
        if isinstance(placed, Embedded):
            tensor.raw_data = placed.data
            return
        tensor.data_location = EXTERNAL
        place = {"location": placed.location}
        if not placed.alone:
            place |= {"offset": str(placed.offset), "length": str(stored.bytes)}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=value)

    def _entries(self, target: Any, texts: Mapping[str, str]) -> None:
        for key, value in texts.items():
            target.add(key=key, value=value)


def released(stored: Stored) -> dict[str, str]:
    """The released name of an initializer that has another, and where its indices lie."""
    if stored.pattern in ("", stored.name):
        return {}
    return {"released_name": stored.pattern, **dict(stored.stacked)}
