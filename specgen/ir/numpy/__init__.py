"""What the ops mean, in numpy: a function each, in files named as those of `specgen.ops`.

Numbers have 64 bits, so that rounding decides nothing.  Operands come as positional arguments,
attributes by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specgen.expr.evaluate import Value
from specgen.ir import model as ir
from specgen.ir.numpy import contract, elementwise, reduce, select, shape
from specgen.ir.numpy.call import Array, Functions, NumpyCall

FUNCTIONS: Functions = {
    **elementwise.FUNCTIONS,
    **shape.FUNCTIONS,
    **reduce.FUNCTIONS,
    **select.FUNCTIONS,
    **contract.FUNCTIONS,
}


def evaluated(op: ir.Op, args: Sequence[Any], env: Mapping[str, Value]) -> list[Array]:
    """The results of an op on its operands; `env` gives the names in its attributes."""
    found = FUNCTIONS[op.name](NumpyCall(env, op.types[0].dtype), *args, **op.attrs)
    return list(found) if isinstance(found, list | tuple) else [found]
