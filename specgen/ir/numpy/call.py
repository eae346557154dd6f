"""What the function of an op is told beside its operands, and the dtypes that values are held in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specgen.dtypes import DTYPES
from specgen.expr.evaluate import Value, evaluate, evaluate_int
from specgen.expr.node import Expr
from specgen.records import dataclass

Array = NDArray[Any]

#: The results of a `NumpyCall` on operands and attributes.
Function = Callable[..., Any]
Functions = Mapping[str, Function]

#: How compute dtypes are held: everything real in 64 bits.
HELD: Mapping[str, Any] = {
    row.name: {"bool": np.bool_, "integer": np.int64, "float": np.float64}[row.kind]
    for row in DTYPES.values()
}


@dataclass(frozen=True, slots=True)
class NumpyCall:
    """The values of compile-time names, and the table's dtype of the first result."""

    env: Mapping[str, Value]
    dtype: str

    def size(self, expr: Expr) -> int:
        return evaluate_int(expr, self.env)

    def number(self, expr: Expr) -> int | float:
        value = evaluate(expr, self.env)
        assert not isinstance(value, str | tuple | None)
        return value if isinstance(value, int) else float(value)

    def held(self, values: Any) -> Array:
        """Values in the dtype of the result."""
        return np.asarray(values, HELD.get(self.dtype, np.float64))


def plain(function: Callable[..., Any]) -> Function:
    """A function of the operands alone."""
    return lambda _, *args: function(*args)
