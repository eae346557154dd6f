"""The ops as torch code: a function each, in files named as those of `specgen.ops`."""

from __future__ import annotations

from specgen.backends.pytorch.layout import Node
from specgen.backends.pytorch.ops import contract, elementwise, reduce, select, shape
from specgen.backends.pytorch.ops.call import Functions, TorchCall
from specgen.ops.registry import complete

FUNCTIONS: Functions = complete(
    "PyTorch",
    elementwise.FUNCTIONS,
    shape.FUNCTIONS,
    reduce.FUNCTIONS,
    select.FUNCTIONS,
    contract.FUNCTIONS,
)


def written(call: TorchCall) -> Node:
    """The op as an expression."""
    return FUNCTIONS[call.op.name](call, **call.op.attrs)
