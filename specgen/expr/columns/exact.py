"""Operators on columns of exact values: int64 where bounds prove that nothing overflows, Python
integers and fractions elsewhere; nothing ever wraps or rounds.

Knows numpy and the operators of expressions; not how expressions are walked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from specgen.expr.evaluate import MAX_MAGNITUDE, EvaluationError, Value, apply, describe
from specgen.records import dataclass

Array = NDArray[Any]

INT64_LOW: Final = -(2**63)
INT64_HIGH: Final = 2**63 - 1

#: Whole numbers up to here are floats without rounding.
FLOAT_EXACT: Final = 2**53

#: A power up to here is multiplied out; MAX_EXPONENT bounds the others.
SMALL_EXPONENT: Final = 64


#: The kinds of columns, and what numpy calls them.
DTYPES: Final[Mapping[str, Any]] = {"i": np.int64, "f": np.float64, "b": np.bool_, "O": object}


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """Values of one node at all points: an array, or one value for all of them.

    Whole numbers (int64, or Python ints in an object array) have bounds; `low` is None for
    everything else: floats, flags, and object arrays of any values.
    """

    data: Array | Value
    low: int | None = None
    high: int | None = None

    @property
    def whole(self) -> bool:
        return self.low is not None

    @property
    def array(self) -> bool:
        return isinstance(self.data, np.ndarray)

    @property
    def dtype(self) -> str:
        """The array's kind as numpy's letter (i, f, b, O); of a single value, as if it were one."""
        if isinstance(self.data, np.ndarray):
            return self.data.dtype.kind
        match self.data:
            case bool():
                return "b"
            case int():
                return "i" if INT64_LOW <= self.data <= INT64_HIGH else "O"
            case float():
                return "f"
            case _:
                return "O"


def make_column(values: object) -> Column:
    """What a caller gives: an array, or a value for all points.

    Raises:
        TypeError: numbers that are not exact as int64, float64 or Python's own.
    """
    if isinstance(values, np.generic):
        values = values.item()
    if not isinstance(values, np.ndarray):
        value: Value = values  # type: ignore[assignment]  # checked by the operators
        return make_constant(value)
    match values.dtype.kind:
        case "i":
            return take_integers(values.astype(np.int64, copy=False))
        case "u":
            fits = values.size == 0 or int(values.max()) <= INT64_HIGH
            return (
                take_integers(values.astype(np.int64))
                if fits
                else take_objects(values.astype(object))
            )
        case "f":
            if values.dtype.itemsize > 8:
                raise TypeError(f"a column of {values.dtype} is not exact as float64")
            return Column(values.astype(np.float64, copy=False))
        case "b":
            return Column(values)
        case "U":
            return Column(values.astype(object))
        case "O":
            return take_objects(values)
        case _:
            raise TypeError(f"a column of {values.dtype} has no values of a table")


def make_constant(value: Value) -> Column:
    if isinstance(value, int) and not isinstance(value, bool):
        return Column(value, value, value)
    return Column(value)


def take_integers(data: Array) -> Column:
    """An int64 array with the bounds that it has."""
    if data.size == 0:
        return Column(data, 0, 0)
    return Column(data, int(data.min()), int(data.max()))


def take_objects(data: Array) -> Column:
    """Python values; int64 where they are whole numbers that fit."""
    if not all(type(value) is int for value in data.flat):
        return Column(data)
    low, high = min(data.flat, default=0), max(data.flat, default=0)
    if low >= INT64_LOW and high <= INT64_HIGH:
        return Column(data.astype(np.int64), low, high)
    return Column(data, low, high)


def tighten(found: Column) -> Column:
    """The column with the bounds of its values, not those that its expression implies."""
    if not isinstance(found.data, np.ndarray) or found.data.size == 0:
        return found
    return Column(found.data, int(found.data.min()), int(found.data.max()))


def operate(op: str, args: list[Column]) -> Column:
    """One operator applied to columns; exactly `evaluate.apply` at every point.

    Raises:
        EvaluationError: as `evaluate.apply` does, at any of the points.
    """
    if not any(arg.array for arg in args):
        return make_constant(apply(op, [operate_once(arg) for arg in args]))
    if all(arg.whole for arg in args):
        known = WHOLE.get(op)
        if known is not None:
            return known(*args)
    elif all(arg.whole or arg.dtype == "f" for arg in args) and op in FLOATS:
        if all(arg.dtype == "f" or is_exact_float(arg) for arg in args):
            return compute_floats(op, args)
    elif all(arg.dtype == "b" for arg in args) and op in FLAGS:
        return Column(FLAGS[op](*(arg.data for arg in args)))
    return operate_one_by_one(op, args)


def operate_once(arg: Column) -> Value:
    assert not isinstance(arg.data, np.ndarray)
    return arg.data


def operate_one_by_one(op: str, args: list[Column]) -> Column:
    """The operator at each point by itself: slow, and exact whatever the values are."""
    data = [arg.data.tolist() if isinstance(arg.data, np.ndarray) else None for arg in args]
    size = next(len(values) for values in data if values is not None)
    found = np.empty(size, dtype=object)
    for i in range(size):
        point: list[Value] = [
            operate_once(arg) if values is None else values[i]
            for arg, values in zip(args, data, strict=True)
        ]
        found[i] = apply(op, point)
    return gather(found)


def gather(found: Array) -> Column:
    """Python values as the narrowest column that holds them exactly."""
    kinds = {type(value) for value in found.flat}
    if kinds == {bool}:
        return Column(found.astype(np.bool_))
    if kinds == {float}:
        return Column(found.astype(np.float64))
    return take_objects(found)


# ---- whole numbers ---------------------------------------------------------------------


def fits(low: int, high: int) -> bool:
    return low >= INT64_LOW and high <= INT64_HIGH


def take_data(arg: Column, wide: bool) -> Any:
    """The values for numpy; as Python ints where int64 does not hold what comes of them."""
    if isinstance(arg.data, np.ndarray):
        return arg.data.astype(object) if wide and arg.data.dtype != object else arg.data
    return arg.data


def compute_whole(
    compute: Callable[..., Any],
    bounds: Callable[..., tuple[int, int]],
    *args: Column,
) -> Column:
    """A ring operation: int64 where its bounds fit, at need those of the values themselves."""
    low, high = bounds(*args)
    wide = any(arg.dtype == "O" for arg in args)
    if not wide and not fits(low, high):
        args = tuple(tighten(arg) for arg in args)
        low, high = bounds(*args)
    wide = wide or not fits(low, high)
    found = compute(*(take_data(arg, wide) for arg in args))
    result = Column(found, low, high)
    if max(-low, high) > MAX_MAGNITUDE:
        result = tighten(result)
        low, high = require_bounds(result)
        if max(-low, high) > MAX_MAGNITUDE:
            raise EvaluationError("the value is beyond the limits")
    return result


def require_bounds(arg: Column) -> tuple[int, int]:
    assert arg.low is not None
    assert arg.high is not None
    return arg.low, arg.high


def bound_sum(a: Column, b: Column) -> tuple[int, int]:
    (a_low, a_high), (b_low, b_high) = require_bounds(a), require_bounds(b)
    return a_low + b_low, a_high + b_high


def bound_difference(a: Column, b: Column) -> tuple[int, int]:
    (a_low, a_high), (b_low, b_high) = require_bounds(a), require_bounds(b)
    return a_low - b_high, a_high - b_low


def bound_product(a: Column, b: Column) -> tuple[int, int]:
    corners = [x * y for x in require_bounds(a) for y in require_bounds(b)]
    return min(corners), max(corners)


def bound_negative(a: Column) -> tuple[int, int]:
    low, high = require_bounds(a)
    return -high, -low


def bound_absolute(a: Column) -> tuple[int, int]:
    low, high = require_bounds(a)
    return (0 if low <= 0 <= high else min(abs(low), abs(high))), max(abs(low), abs(high))


def bound_least(a: Column, b: Column) -> tuple[int, int]:
    (a_low, a_high), (b_low, b_high) = require_bounds(a), require_bounds(b)
    return min(a_low, b_low), min(a_high, b_high)


def bound_most(a: Column, b: Column) -> tuple[int, int]:
    (a_low, a_high), (b_low, b_high) = require_bounds(a), require_bounds(b)
    return max(a_low, b_low), max(a_high, b_high)


def require_nonzero(divisor: Column) -> None:
    if not np.all(divisor.data != 0):
        raise EvaluationError("division by zero")


def take_quotient_parts(a: Column, b: Column) -> tuple[Any, Any, bool]:
    """Dividend and divisor for numpy's `//`, and whether they are Python ints."""
    require_nonzero(b)
    wide = "O" in (a.dtype, b.dtype) or (
        a.low == INT64_LOW and require_bounds(b)[0] <= -1 <= require_bounds(b)[1]
    )
    return take_data(a, wide), take_data(b, wide), wide


def divide_floor(a: Column, b: Column) -> Column:
    """floor(a / b)."""
    dividend, divisor, wide = take_quotient_parts(a, b)
    found = dividend // divisor
    return take_objects(found) if wide else take_integers(found)


def divide_ceil(a: Column, b: Column) -> Column:
    """ceil(a / b)."""
    opposite = (
        compute_whole(np.negative, bound_negative, a)
        if a.array
        else make_constant(-require_bounds(a)[0])
    )
    found = divide_floor(opposite, b)
    return compute_whole(np.negative, bound_negative, found)


def take_remainder(a: Column, b: Column) -> Column:
    dividend, divisor, wide = take_quotient_parts(a, b)
    found = dividend % divisor
    return take_objects(found) if wide else take_integers(found)


def divide(a: Column, b: Column) -> Column:
    """a / b: whole numbers where it comes out even at every point, else fractions."""
    quotient = divide_floor(a, b)
    dividend, divisor, _ = take_quotient_parts(a, b)
    if np.all(dividend % divisor == 0):
        return quotient
    return operate_one_by_one("/", [a, b])


def raise_to(a: Column, b: Column) -> Column:
    """a ** b; multiplied out where the exponent is one small natural number."""
    if b.array or not 0 <= require_bounds(b)[0] <= SMALL_EXPONENT:
        return operate_one_by_one("**", [a, b])
    exponent = require_bounds(b)[0]

    def bounds(base: Column) -> tuple[int, int]:
        low, high = require_bounds(base)
        corners = [low**exponent, high**exponent]
        if low < 0 < high:
            corners.append(0)
        return min(corners), max(corners)

    return compute_whole(lambda base: base**exponent, bounds, a)


def compare(compute: Callable[..., Any], a: Column, b: Column) -> Column:
    wide = "O" in (a.dtype, b.dtype)
    return Column(np.asarray(compute(take_data(a, wide), take_data(b, wide))).astype(np.bool_))


COMPARE: Final[Mapping[str, Callable[..., Any]]] = {
    "==": np.equal, "!=": np.not_equal, "<": np.less, "<=": np.less_equal,
    ">": np.greater, ">=": np.greater_equal,
}  # fmt: skip

WHOLE: Final[Mapping[str, Callable[..., Column]]] = {
    "+": partial(compute_whole, np.add, bound_sum),
    "-": partial(compute_whole, np.subtract, bound_difference),
    "*": partial(compute_whole, np.multiply, bound_product),
    "neg": partial(compute_whole, np.negative, bound_negative),
    "abs": partial(compute_whole, np.absolute, bound_absolute),
    "min": partial(compute_whole, np.minimum, bound_least),
    "max": partial(compute_whole, np.maximum, bound_most),
    "/": divide,
    "%": take_remainder,
    "**": raise_to,
    "floor": lambda a: a,
    "ceil": lambda a: a,
    "floor/": divide_floor,
    "ceil/": divide_ceil,
    **{op: partial(compare, compute) for op, compute in COMPARE.items()},
}

# ---- floats and flags ------------------------------------------------------------------


def is_exact_float(arg: Column) -> bool:
    low, high = arg.low, arg.high
    return low is not None and high is not None and max(-low, high) <= FLOAT_EXACT


#: What float64 does in numpy exactly as in Python.
FLOATS: Final[Mapping[str, Callable[..., Any]]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "neg": np.negative,
    "abs": np.absolute, **COMPARE,
}  # fmt: skip


def compute_floats(op: str, args: list[Column]) -> Column:
    if op == "/":
        require_nonzero(args[1])
    data = [
        arg.data.astype(np.float64) if isinstance(arg.data, np.ndarray) else float(arg.data)  # type: ignore[arg-type]  # numbers
        for arg in args
    ]
    with np.errstate(all="ignore"):  # Python's floats overflow to infinity in silence as well
        return Column(FLOATS[op](*data))


FLAGS: Final[Mapping[str, Callable[..., Any]]] = {
    "==": np.equal, "!=": np.not_equal, "not": np.logical_not,
}  # fmt: skip


def divide_rounded(op: str, args: list[Column]) -> Column:
    """`floor/` and `ceil/` of anything: the division and its rounding in one for whole numbers."""
    if all(arg.whole for arg in args) and any(arg.array for arg in args):
        return WHOLE[op](*args)
    return operate(op.removesuffix("/"), [operate("/", args)])


def merge(mask: Array, then: Column, otherwise: Column) -> Column:
    """`then` where the mask holds, with a value for each such point, and `otherwise` elsewhere."""
    kinds = {then.dtype, otherwise.dtype}
    kind = kinds.pop() if len(kinds) == 1 else "O"
    found = np.empty(mask.size, dtype=DTYPES[kind])
    for chosen, part in ((mask, then), (~mask, otherwise)):
        if isinstance(part.data, np.ndarray):
            found[chosen] = part.data.astype(object) if kind == "O" else part.data
        elif isinstance(part.data, tuple):
            for i in np.flatnonzero(chosen):
                found[i] = part.data
        else:
            found[chosen] = part.data
    if then.whole and otherwise.whole:
        return Column(found, *bound_either(then, otherwise))
    return Column(found)


def bound_either(a: Column, b: Column) -> tuple[int, int]:
    (a_low, a_high), (b_low, b_high) = require_bounds(a), require_bounds(b)
    return min(a_low, b_low), max(a_high, b_high)


def require_flags(found: Column) -> Array | bool:
    """The column as conditions.

    Raises:
        EvaluationError: something else than true or false.
    """
    if isinstance(found.data, bool):
        return found.data
    if isinstance(found.data, np.ndarray):
        if found.data.dtype == np.bool_:
            return found.data
        wrong: Value = next((v for v in found.data.tolist() if not isinstance(v, bool)), None)
    else:
        wrong = found.data
    raise EvaluationError(f"a condition must be true or false, not {describe(wrong)}")


def require_counts(found: Column) -> Array | int:
    """The column as whole numbers.

    Raises:
        EvaluationError: something else, with an example.
    """
    if found.whole:
        assert isinstance(found.data, np.ndarray | int)
        return found.data
    data: list[Value] = found.data.tolist() if isinstance(found.data, np.ndarray) else [found.data]
    for value in data:
        if isinstance(value, Fraction):
            raise EvaluationError(f"{value} is not a whole number")
        if isinstance(value, bool) or not isinstance(value, int):
            raise EvaluationError(f"a whole number is needed, not {describe(value)}")
    return np.array(data, dtype=object)
