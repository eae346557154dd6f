"""Exact evaluation of compile-time expressions.

Sizes are evaluated in integers and fractions, never in floats, so that a count is exact;
magnitudes are bounded, so that `2 ** 2 ** 2 ** ...` is an error and not a hang.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final, assert_never

from specgen.expr.node import Apply, Const, Expr, Sym

Number = int | Fraction | float
Value = Number | bool | str | tuple[Number, ...] | None

#: No size, count or intermediate result of a real model comes near this.
MAX_MAGNITUDE: Final = 2**200
MAX_EXPONENT: Final = 512


class EvaluationError(Exception):
    """An expression that has no value under the given environment; the message says why."""


def evaluate(expr: Expr, env: Mapping[str, Value]) -> Value:
    """The value of `expr` where each symbol has the value that `env` gives it.

    Raises:
        EvaluationError: an unknown symbol, a division by zero, a result beyond the limits,
            or an operator applied to values that it does not take.
    """
    match expr:
        case Const(value=value):
            return value
        case Sym(name=name):
            try:
                return env[name]
            except KeyError:
                raise EvaluationError(f"`{name}` has no value here") from None
        case Apply(op="cond", args=(condition, then, otherwise)):
            return evaluate(then if truth(evaluate(condition, env)) else otherwise, env)
        case Apply(op="and", args=args):
            return all(truth(evaluate(arg, env)) for arg in args)
        case Apply(op="or", args=args):
            return any(truth(evaluate(arg, env)) for arg in args)
        case Apply(op=op, args=args):
            return apply(op, [evaluate(arg, env) for arg in args])
    assert_never(expr)


def evaluate_int(expr: Expr, env: Mapping[str, Value]) -> int:
    """The value of `expr`, which must be a whole number.

    Raises:
        EvaluationError: as `evaluate`, and where the value is not a whole number.
    """
    value = evaluate(expr, env)
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise EvaluationError(f"a whole number is needed, not {describe(value)}")
    if isinstance(value, Fraction):
        if value.denominator != 1:
            raise EvaluationError(f"{value} is not a whole number")
        return value.numerator
    return value


def truth(value: Value) -> bool:
    """The value as a condition."""
    if not isinstance(value, bool):
        raise EvaluationError(f"a condition must be true or false, not {describe(value)}")
    return value


def holds(condition: Expr, env: Mapping[str, Value]) -> bool:
    """Whether a condition holds; one that has no value does not."""
    try:
        return evaluate(condition, env) is True
    except EvaluationError:
        return False


def describe(value: Value) -> str:
    """The value as a reader writes it in a table."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(map(describe, value))}]"
        case _:
            return str(value)


def expression(value: Value) -> Expr:
    """The expression that evaluates to the value."""
    match value:
        case tuple():
            return Apply("list", tuple(map(expression, value)))
        case Fraction():
            return Apply("/", (Const(value.numerator), Const(value.denominator)))
        case _:
            return Const(value)


def apply(op: str, args: list[Value]) -> Value:
    """One operator applied to values; see `evaluate` for the errors."""
    if op in ("==", "!="):
        left, right = args
        same = left == right and isinstance(left, bool) == isinstance(right, bool)
        return same if op == "==" else not same
    if op == "not":
        return not truth(args[0])
    if op == "length":
        return len(listed(args[0], op))
    if op == "contains":
        return number(args[1], op) in listed(args[0], op)
    numbers = tuple(number(arg, op) for arg in args)
    if op == "list":
        return numbers
    try:
        return bounded(OPERATIONS[op](*numbers))
    except ZeroDivisionError:
        raise EvaluationError("division by zero") from None
    except (ValueError, OverflowError) as error:
        raise EvaluationError(f"`{op}` has no value here: {error}") from None


def exact_fraction(number: Number) -> Fraction:
    """The number as it is; an irrational one is the float that was computed.

    Raises:
        EvaluationError: it is not finite.
    """
    try:
        return Fraction(number)
    except (OverflowError, ValueError):
        raise EvaluationError(f"{number} is not finite") from None


def listed(value: Value, op: str) -> tuple[Number, ...]:
    if not isinstance(value, tuple):
        raise EvaluationError(f"`{op}` takes a list, not {describe(value)}")
    return value


def number(value: Value, op: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | Fraction | float):
        raise EvaluationError(f"`{op}` takes numbers, not {describe(value)}")
    return value


def bounded(value: Value) -> Value:
    if isinstance(value, Fraction):
        if max(abs(value.numerator), value.denominator) > MAX_MAGNITUDE:
            raise EvaluationError("the value is beyond the limits")
        return value.numerator if value.denominator == 1 else value
    if isinstance(value, int) and not -MAX_MAGNITUDE <= value <= MAX_MAGNITUDE:
        raise EvaluationError("the value is beyond the limits")
    return value


def divide(left: Number, right: Number) -> Fraction | float:
    if isinstance(left, float) or isinstance(right, float):
        return float(left) / float(right)
    return Fraction(left) / Fraction(right)


def power(base: Number, exponent: Number) -> Number:
    if isinstance(base, float) or not isinstance(exponent, int):
        return math.pow(float(base), float(exponent))
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise EvaluationError("the value is beyond the limits")
    return Fraction(base) ** exponent


OPERATIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": divide,
    "%": operator.mod,
    "**": power,
    "neg": operator.neg,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "ceil": math.ceil,
    "floor": math.floor,
    "ln": math.log,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "cos": math.cos,
    "sin": math.sin,
    "tanh": math.tanh,
    "abs": abs,
    "min": min,
    "max": max,
}


#: What JSON has instead of the values of params.
Plain = int | float | bool | str | list["Plain"] | None


def plain(value: Value) -> Plain:
    """A value as JSON has it; a fraction and an infinite number are texts."""
    match value:
        case tuple():
            return list(map(plain, value))
        case bool() | int() | str() | None:
            return value
        case float() if value - value == 0:
            return value
        case _:
            return describe(value)
