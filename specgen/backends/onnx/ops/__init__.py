"""The ops as ONNX operators: a function each, in files named as those of `specgen.ops`."""

from __future__ import annotations

from specgen.backends.onnx.lowering import Functions, OnnxCall
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.ops import contract, elementwise, reduce, select, shape
from specgen.ops.registry import complete

FUNCTIONS: Functions = complete(
    "ONNX",
    elementwise.FUNCTIONS,
    shape.FUNCTIONS,
    reduce.FUNCTIONS,
    select.FUNCTIONS,
    contract.FUNCTIONS,
)


def lower(call: OnnxCall) -> tuple[Edge, ...]:
    """The results of an op."""
    results = FUNCTIONS[call.op](call, **call.attrs)
    return results if isinstance(results, tuple) else (results,)
