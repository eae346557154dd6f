"""Expressions of one unknown as polynomials, and as quotients of two.

`ceil(x / 128)` is no polynomial of x, but of k where x = 128 × k + r: one for each remainder r.
So expressions with rounding are exact here too, as long as their period is short.  Knows
expressions, not what they count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Final

from specgen.expr.evaluate import EvaluationError, Value, apply, evaluate, expression
from specgen.expr.node import COMPARISONS, Apply, Const, Expr, Sym, symbols
from specgen.questions.equations.roots import Integers, trimmed
from specgen.records import dataclass

#: Remainders that are looked at one by one; storage formats have blocks of 32, 64 or 128.
MAX_PERIOD: Final = 1024

#: The quantities of a model have degree 3 or so; a quotient's slope has four times this degree.
MAX_POWER: Final = 16

#: Power of the unknown -> coefficient, none of them zero; powers may be negative.
Powers = Mapping[int, Fraction]

ONE: Final[Powers] = {0: Fraction(1)}


class NotPolynomial(Exception):
    """The expression is no polynomial; `period` is that of the unknown for which it may be one."""

    def __init__(self, period: int | None = None) -> None:
        super().__init__(period)
        self.period = period


@dataclass(frozen=True, slots=True)
class Quotient:
    """One polynomial by another."""

    above: Powers
    below: Powers = field(default_factory=lambda: ONE)

    def integers(self) -> tuple[Integers, Integers]:
        """Both with whole coefficients and powers: their quotient is this one times a positive
        number."""
        lowest = min(0, *self.above, *self.below)
        return coefficients(self.above, lowest), coefficients(self.below, lowest)


def powers(expr: Expr, unknown: str, period: int = 1, offset: int = 0) -> Powers:
    """The expression as a polynomial in k, where the unknown is period × k + offset.

    Raises:
        NotPolynomial: it is none.
        EvaluationError: it has no value anywhere.
    """
    found = interpreted(expr, unknown, period, offset)
    if not isinstance(found, dict):
        raise NotPolynomial
    return found


Interpreted = dict[int, Fraction] | bool | str | tuple[object, ...] | None


def interpreted(expr: Expr, unknown: str, period: int, offset: int) -> Interpreted:
    """`powers`, with the values of conditions and texts that do not depend on the unknown."""
    if isinstance(expr, Sym) and expr.name == unknown:
        return tidied({0: Fraction(offset), 1: Fraction(period)})
    if unknown not in symbols(expr):
        return constant(evaluate(expr, {}))
    assert isinstance(expr, Apply)
    if expr.op == "cond":
        test, then, otherwise = expr.args
        chosen = interpreted(test, unknown, period, offset)
        if not isinstance(chosen, bool):
            raise NotPolynomial
        return interpreted(then if chosen else otherwise, unknown, period, offset)
    args = [interpreted(arg, unknown, period, offset) for arg in expr.args]
    match expr.op, args:
        case "+", [dict(a), dict(b)]:
            return added(a, b)
        case "-", [dict(a), dict(b)]:
            return added(a, scaled(b, Fraction(-1)))
        case "neg", [dict(a)]:
            return scaled(a, Fraction(-1))
        case "*", [dict(a), dict(b)]:
            return multiplied(a, b)
        case "/", [dict(a), dict(b)] if len(b) == 1:
            ((power, coefficient),) = b.items()
            return {n - power: c / coefficient for n, c in a.items()}
        case "**", [dict(a), dict(b)] if set(b) <= {0}:
            return raised(a, b.get(0, Fraction(0)))
        case "ceil" | "floor" as op, [dict(a)]:
            return rounded(op, a, period)
        case "%", [dict(a), dict(b)] if set(b) == {0}:
            quotient = rounded("floor", scaled(a, 1 / b[0]), period)
            return added(a, scaled(quotient, -b[0]))
        case op, [dict(a), dict(b)] if op in COMPARISONS:
            return compared(op, added(a, scaled(b, Fraction(-1))))
        case "and" | "or" | "not", _ if all(isinstance(arg, bool) for arg in args):
            return constant(evaluate(Apply(expr.op, tuple(Const(bool(a)) for a in args)), {}))
        case _:
            raise NotPolynomial


def constant(value: Value) -> Interpreted:
    match value:
        case bool() | str() | None | tuple():
            return value
        case _:
            return tidied({0: exact(value)})


def exact(number: int | Fraction | float) -> Fraction:
    """The number as it is; an irrational one is the float that was computed."""
    try:
        return Fraction(number)
    except (OverflowError, ValueError):
        raise EvaluationError(f"{number} is not finite") from None


def tidied(terms: Powers) -> dict[int, Fraction]:
    return {power: c for power, c in terms.items() if c}


def added(a: Powers, b: Powers) -> dict[int, Fraction]:
    return tidied({n: a.get(n, Fraction(0)) + b.get(n, Fraction(0)) for n in (a.keys() | b.keys())})


def scaled(a: Powers, factor: Fraction) -> dict[int, Fraction]:
    return {n: c * factor for n, c in a.items()} if factor else {}


def multiplied(a: Powers, b: Powers) -> dict[int, Fraction]:
    result: dict[int, Fraction] = {}
    for n, c in a.items():
        for m, d in b.items():
            result[n + m] = result.get(n + m, Fraction(0)) + c * d
    if any(abs(n) > MAX_POWER for n in result):
        raise NotPolynomial
    return tidied(result)


def raised(a: Powers, exponent: Fraction) -> dict[int, Fraction]:
    if set(a) <= {0}:
        value = apply("**", [a.get(0, Fraction(0)), whole(exponent)])
        return tidied({0: exact(value)}) if isinstance(value, int | float | Fraction) else {}
    if exponent.denominator != 1 or abs(exponent) > MAX_POWER or (exponent < 0 and len(a) > 1):
        raise NotPolynomial
    base = a if exponent >= 0 else {-n: 1 / c for n, c in a.items()}
    result: dict[int, Fraction] = {0: Fraction(1)}
    for _ in range(abs(exponent.numerator)):
        result = multiplied(result, base)
    return result


def whole(number: Fraction) -> int | Fraction:
    return number.numerator if number.denominator == 1 else number


def rounded(op: str, a: Powers, period: int) -> dict[int, Fraction]:
    """A polynomial in k whose other coefficients are whole is rounded by rounding its constant."""
    rest = [c for n, c in a.items() if n != 0]
    if any(n < 0 for n in a):
        raise NotPolynomial
    if any(c.denominator != 1 for c in rest):
        raise NotPolynomial(period * lcm(*(c.denominator for c in rest)))
    alone = a.get(0, Fraction(0))
    return tidied({**a, 0: Fraction(ceil(alone) if op == "ceil" else floor(alone))})


def compared(op: str, difference: Powers) -> bool:
    if not set(difference) <= {0}:
        raise NotPolynomial
    return bool(apply(op, [difference.get(0, Fraction(0)), 0]))


def numerator(terms: Powers) -> Integers:
    """Coefficients of the polynomial times what makes all of them and their powers whole."""
    return coefficients(terms, min(0, *terms) if terms else 0)


def coefficients(terms: Powers, lowest: int) -> Integers:
    """Whole coefficients, those of the power `lowest` first."""
    factor = lcm(*(c.denominator for c in terms.values()))
    width = max(terms, default=lowest) - lowest + 1
    return trimmed([int(terms.get(n + lowest, Fraction(0)) * factor) for n in range(width)])


def without(expr: Expr, unknown: str) -> Expr:
    """The expression as a number where the unknown cancels."""
    try:
        terms = powers(expr, unknown)
    except (NotPolynomial, EvaluationError):
        return expr
    return expr if set(terms) - {0} else expression(terms.get(0, Fraction(0)))


# ---- quotients -------------------------------------------------------------------------


def quotient(expr: Expr, unknown: str, period: int = 1, offset: int = 0) -> Quotient:
    """The expression as one polynomial in k by another; see `powers`."""
    try:
        return Quotient(powers(expr, unknown, period, offset))
    except NotPolynomial as fault:
        if fault.period is not None or not isinstance(expr, Apply):
            raise
    if expr.op not in ("+", "-", "*", "/", "neg"):
        raise NotPolynomial
    parts = [quotient(arg, unknown, period, offset) for arg in expr.args]
    match expr.op, parts:
        case "neg", [a]:
            return Quotient(scaled(a.above, Fraction(-1)), a.below)
        case "*", [a, b]:
            return Quotient(multiplied(a.above, b.above), multiplied(a.below, b.below))
        case "/", [a, b] if b.above:
            return Quotient(multiplied(a.above, b.below), multiplied(a.below, b.above))
        case "+" | "-", [a, b]:
            sign = Fraction(1 if expr.op == "+" else -1)
            crossed = multiplied(scaled(b.above, sign), a.below)
            if a.below == b.below:
                return Quotient(added(a.above, scaled(b.above, sign)), a.below)
            above = added(multiplied(a.above, b.below), crossed)
            return Quotient(above, multiplied(a.below, b.below))
        case _:
            raise NotPolynomial


def classes(expr: Expr, unknown: str) -> tuple[int, Sequence[Quotient]] | None:
    """The period of the expression and its quotient for each remainder; None if it has none."""
    period = 1
    while period <= MAX_PERIOD:
        try:
            return period, [quotient(expr, unknown, period, r) for r in range(period)]
        except NotPolynomial as fault:
            if fault.period is None or fault.period <= period:
                return None
            period = fault.period
    return None
