"""The numbers of fields in ONNX's messages, as onnx.proto gives them: of those that are written.

Each class has the name of a message, each of its attributes that of a field.
"""

from __future__ import annotations


class ModelProto:
    ir_version, producer_name, producer_version, graph, opset_import = 1, 2, 3, 7, 8
    metadata_props, functions = 14, 25


class OperatorSetIdProto:
    domain, version = 1, 2


class StringStringEntryProto:
    key, value = 1, 2


class GraphProto:
    node, name, initializer, input, output, value_info = 1, 2, 5, 11, 12, 13


class FunctionProto:
    name, input, output, node, doc_string, opset_import, domain = 1, 4, 5, 7, 8, 9, 10


class NodeProto:
    input, output, name, op_type, attribute, domain = 1, 2, 3, 4, 5, 7


class AttributeProto:
    name, f, i, s, t, g, ints, type = 1, 2, 3, 4, 5, 6, 8, 20
    # AttributeType
    FLOAT, INT, STRING, TENSOR, GRAPH, INTS = 1, 2, 3, 4, 5, 7


class TensorProto:
    dims, data_type, name, raw_data, external_data, data_location = 1, 2, 8, 9, 13, 14
    metadata_props = 16
    # DataLocation
    EXTERNAL = 1


class ValueInfoProto:
    name, type, metadata_props = 1, 2, 4


class TypeProto:
    tensor_type = 1


class TensorTypeProto:
    """TypeProto.Tensor."""

    elem_type, shape = 1, 2


class TensorShapeProto:
    dim = 1


class DimensionProto:
    """TensorShapeProto.Dimension."""

    dim_value, dim_param = 1, 2
