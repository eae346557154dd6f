"""The finished graph as ONNX protobuf bytes.

Only onnx's generated message classes are loaded: the package itself imports numpy and costs four
times as much.  Texts of a spec stand in string fields and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, assert_never

from specgen.backends.onnx.dims import Shape
from specgen.backends.onnx.lowering import DTYPES
from specgen.backends.onnx.nodes import Attribute, Body, Edge, Literal, Node
from specgen.backends.onnx.weights import LOCATION, Placed

OPSET: Final = 24
IR_VERSION: Final = 11

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
    """A graph with all that belongs to the file: `metadata` are texts by key."""

    name: str
    version: str
    inputs: Sequence[Edge]
    outputs: Sequence[Edge]
    nodes: Sequence[Node]
    edges: Mapping[str, Edge]
    weights: Iterable[Placed]
    metadata: Mapping[str, str]


def serialize(document: Document) -> bytes:
    """The file's bytes: the same document gives the same bytes."""
    data: bytes = Writer(document.edges).model(document).SerializeToString(deterministic=True)
    return data


class Writer:
    """Makes messages; types of values are shared by dtype and dims while they are made."""

    def __init__(self, edges: Mapping[str, Edge]) -> None:
        self._pb = messages()
        self._edges = edges
        self._types: dict[tuple[str, Shape], Any] = {}

    def model(self, document: Document) -> Any:
        model = self._pb.ModelProto(
            ir_version=IR_VERSION, producer_name="specgen", producer_version=document.version
        )
        model.opset_import.add(domain="", version=OPSET)
        self._entries(model.metadata_props, document.metadata)
        graph = model.graph
        graph.name = document.name
        self._fill(graph, document.inputs, document.outputs, document.nodes)
        for placed in document.weights:
            self._initializer(graph.initializer.add(), placed)
        return model

    def _fill(
        self, graph: Any, inputs: Sequence[Edge], outputs: Sequence[Edge], nodes: Sequence[Node]
    ) -> None:
        graph.input.extend(self._value(edge) for edge in inputs)
        graph.output.extend(self._value(edge) for edge in outputs)
        graph.node.extend(self._node(node) for node in nodes)
        declared = {edge.name for edge in outputs}
        graph.value_info.extend(
            self._value(self._edges[name])
            for node in nodes
            if node.op != "Constant"
            for name in node.outputs
            if name not in declared
        )

    def _value(self, edge: Edge) -> Any:
        return self._pb.ValueInfoProto(name=edge.name, type=self._type(edge.dtype, edge.shape))

    def _type(self, dtype: str, shape: Shape) -> Any:
        if (dtype, shape) not in self._types:
            made = self._pb.TypeProto()
            made.tensor_type.elem_type = DTYPES[dtype][0]
            made.tensor_type.shape.SetInParent()
            for dim in shape:
                if isinstance(dim, int):
                    made.tensor_type.shape.dim.add(dim_value=dim)
                else:
                    made.tensor_type.shape.dim.add(dim_param=str(dim))
            self._types[dtype, shape] = made
        return self._types[dtype, shape]

    def _node(self, node: Node) -> Any:
        return self._pb.NodeProto(
            op_type=node.op,
            name=node.outputs[0],
            input=node.inputs,
            output=node.outputs,
            attribute=[self._attribute(name, value) for name, value in node.attributes],
        )

    def _attribute(self, name: str, value: Attribute) -> Any:
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
                made.t.data_type = DTYPES[dtype][0]
                made.t.dims.extend(shape)
                made.t.raw_data = data
            case Body():
                made.type = GRAPH
                made.g.name = value.name
                self._fill(made.g, value.inputs, value.outputs, value.nodes)
            case _:
                assert_never(value)
        return made

    def _initializer(self, tensor: Any, placed: Placed) -> None:
        stored = placed.stored
        tensor.name = stored.name
        tensor.data_type = DTYPES[stored.dtype][0]
        tensor.dims.extend(stored.shape)
        tensor.data_location = EXTERNAL
        for key, value in (
            ("location", LOCATION),
            ("offset", str(placed.offset)),
            ("length", str(stored.bytes)),
        ):
            tensor.external_data.add(key=key, value=value)
        ranges = {index: f"0..{size - 1}" for index, size in stored.stacked}
        self._entries(tensor.metadata_props, {"released_name": stored.pattern, **ranges})

    def _entries(self, target: Any, texts: Mapping[str, str]) -> None:
        for key, value in texts.items():
            target.add(key=key, value=value)
