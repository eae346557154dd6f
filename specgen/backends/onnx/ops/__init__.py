"""The ops as ONNX operators: a function each, in files named as those of `specgen.ops`."""

from __future__ import annotations

from specgen.backends.onnx.lowering import Functions, Liftings, OnnxCall
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.ops import contract, elementwise, reduce, select, shape
from specgen.ops.registry import complete

FILES = (elementwise, shape, reduce, select, contract)

FUNCTIONS: Functions = complete("ONNX", *(file.FUNCTIONS for file in FILES))

#: What each op is of stacks; see Note [Stacks].
LIFTED: Liftings = complete("ONNX of stacks", *(file.LIFTED for file in FILES))


def lower(call: OnnxCall) -> tuple[Edge, ...]:
    """The results of an op; of stacks they are stacks."""
    lifts = any(isinstance(x, EdgeStack) for x in call.operands)
    if lifts:
        call = LIFTED[call.op](call)
    results = FUNCTIONS[call.op](call, **call.attrs)
    made = results if isinstance(results, tuple) else (results,)
    return tuple(map(EdgeStack.of, made)) if lifts else made
