"""Expressions of one unknown as quotients of polynomials, in sympy's exact arithmetic.

`ceil(x / 128)` is no polynomial of x, but of k where x = 128 × k + r: one for each remainder r.
So expressions with rounding are exact here too, as long as their period is short.  Knows
expressions, not what they count.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from sympy import QQ, Poly, Rational, Symbol

from specgen.expr.evaluate import (
    EvaluationError,
    Value,
    apply,
    evaluate,
    exact_fraction,
    expression,
)
from specgen.expr.node import COMPARISONS, Apply, Const, Expr, Sym, symbols
from specgen.records import dataclass

#: Remainders that are looked at one by one; storage formats have blocks of 32, 64 or 128.
MAX_PERIOD: Final = 1024

#: The quantities of a model have degree 3 or so; a quotient's slope has four times this degree.
MAX_DEGREE: Final = 16

#: The unknown of all polynomials.
K: Final = Symbol("k")


class NotPolynomial(Exception):
    """The expression is no quotient of polynomials; `period` is that of the unknown for which it
    may be one."""

    def __init__(self, period: int | None = None) -> None:
        super().__init__(period)
        self.period = period


@lru_cache(maxsize=256)  # the same numbers come back for each remainder
def make_polynomial(*coefficients: Fraction | int) -> Poly:
    """The polynomial with these coefficients, that of the highest power first."""
    numbers = [QQ(c.numerator, c.denominator) for c in coefficients]
    return Poly.from_list(numbers, K, domain=QQ)


ONE: Final = make_polynomial(1)


def to_fraction(number: Any) -> Fraction:
    """A rational number of sympy as Python has it."""
    return Fraction(int(number.p), int(number.q))


@dataclass(frozen=True, slots=True)
class Quotient:
    """One polynomial by another.

    Nothing is cancelled: the expression has no value where `below` is zero.  But for powers of the
    unknown in a sum of them: `below` is 1 or a power of k where the expression has no divisor that
    is a sum.
    """

    above: Poly
    below: Poly = ONE

    def __post_init__(self) -> None:
        if max(self.above.degree(), self.below.degree()) > MAX_DEGREE:
            raise NotPolynomial

    @staticmethod
    def of(above: Poly, below: Poly) -> Quotient:
        """The quotient; without common powers of the unknown where `below` is one term."""
        if not below.is_monomial or below == ONE:
            return Quotient(above, below)
        ((power,), coefficient) = below.LT()
        above = above.quo_ground(coefficient)
        common = min((power, *(n for (n,) in above.monoms()))) if above else power
        if not common:
            return Quotient(above, below.quo_ground(coefficient))
        shared = Poly(K**common, K, domain=QQ)
        return Quotient(above.quo(shared), below.quo_ground(coefficient).quo(shared))

    def cleared(self) -> tuple[Poly, Poly]:
        """Both with whole coefficients: their quotient is this one times a positive number."""
        above, below = (p.clear_denoms(convert=True)[1] for p in (self.above, self.below))
        return above, below

    @property
    def is_of_powers(self) -> bool:
        """Whether it is a sum of powers of the unknown, which may be negative."""
        return bool(self.below.is_monomial)

    @property
    def number(self) -> Fraction | None:
        """The value, where it is the same everywhere."""
        same = self.below == ONE and self.above.is_ground
        return to_fraction(self.above.TC()) if same else None

    def __add__(self, other: Quotient) -> Quotient:
        if self.below == other.below:
            return Quotient.of(self.above + other.above, self.below)
        crossed = self.above * other.below + other.above * self.below
        return Quotient.of(crossed, self.below * other.below)

    def __neg__(self) -> Quotient:
        return Quotient(-self.above, self.below)

    def __sub__(self, other: Quotient) -> Quotient:
        return self + -other

    def __mul__(self, other: Quotient) -> Quotient:
        return Quotient.of(self.above * other.above, self.below * other.below)

    def __truediv__(self, other: Quotient) -> Quotient:
        if other.above.is_zero:
            raise NotPolynomial
        return Quotient.of(self.above * other.below, self.below * other.above)

    def __pow__(self, exponent: int) -> Quotient:
        if abs(exponent) > MAX_DEGREE:
            raise NotPolynomial
        if exponent < 0:
            return (Quotient(ONE) / self) ** -exponent
        return Quotient.of(self.above**exponent, self.below**exponent)


def make_constant(number: Fraction | int) -> Quotient:
    return Quotient(make_polynomial(number))


# ---- reading expressions ---------------------------------------------------------------


Read = Quotient | bool | str | tuple[object, ...] | None


def read_quotient(expr: Expr, unknown: str, period: int = 1, offset: int = 0) -> Quotient:
    """The expression as a quotient of polynomials in k, where the unknown is period × k + offset.

    Raises:
        NotPolynomial: it is none.
        EvaluationError: it has no value anywhere.
    """
    found = read(expr, unknown, Quotient(make_polynomial(period, offset)), period)
    if not isinstance(found, Quotient):
        raise NotPolynomial
    return found


def read(expr: Expr, unknown: str, at: Quotient, period: int) -> Read:
    """The expression with `at` for the unknown; conditions and texts that do not depend on it are
    their values."""
    if isinstance(expr, Sym) and expr.name == unknown:
        return at
    if unknown not in symbols(expr):
        return read_value(evaluate(expr, {}))
    assert isinstance(expr, Apply)
    if expr.op == "cond":
        test, then, otherwise = expr.args
        chosen = read(test, unknown, at, period)
        if not isinstance(chosen, bool):
            raise NotPolynomial
        return read(then if chosen else otherwise, unknown, at, period)
    args = [read(arg, unknown, at, period) for arg in expr.args]
    match expr.op, args:
        case "+", [Quotient() as a, Quotient() as b]:
            return a + b
        case "-", [Quotient() as a, Quotient() as b]:
            return a - b
        case "neg", [Quotient() as a]:
            return -a
        case "*", [Quotient() as a, Quotient() as b]:
            return a * b
        case "/", [Quotient() as a, Quotient() as b]:
            return a / b
        case "**", [Quotient() as a, Quotient(number=Fraction() as exponent)]:
            return raise_to(a, exponent)
        case "ceil" | "floor" as op, [Quotient() as a]:
            return round_off(op, a, period)
        case "%", [Quotient() as a, Quotient(number=Fraction()) as b]:
            return a - b * round_off("floor", a / b, period)
        case op, [Quotient() as a, Quotient() as b] if op in COMPARISONS:
            difference = (a - b).number
            if difference is None:
                raise NotPolynomial
            return bool(apply(op, [difference, 0]))
        case "and" | "or" | "not", _ if all(isinstance(arg, bool) for arg in args):
            return bool(evaluate(Apply(expr.op, tuple(Const(bool(a)) for a in args)), {}))
        case _:
            raise NotPolynomial


def read_value(value: Value) -> Read:
    match value:
        case bool() | str() | None | tuple():
            return value
        case _:
            return make_constant(exact_fraction(value))


def raise_to(base: Quotient, exponent: Fraction) -> Quotient:
    whole = exponent.numerator if exponent.denominator == 1 else None
    if base.number is not None:
        found = apply("**", [base.number, exponent if whole is None else whole])
        assert isinstance(found, int | float | Fraction)
        return make_constant(exact_fraction(found))
    if whole is None:
        raise NotPolynomial
    return base**whole


def round_off(op: str, quotient: Quotient, period: int) -> Quotient:
    """A polynomial in k whose other coefficients are whole is rounded by rounding its constant."""
    if quotient.below != ONE:
        raise NotPolynomial
    alone = to_fraction(quotient.above.TC())
    denominator = int((quotient.above - quotient.above.TC()).clear_denoms()[0])
    if denominator != 1:
        raise NotPolynomial(period * denominator)
    rounded = Fraction(-(-alone // 1) if op == "ceil" else alone // 1)
    return quotient + make_constant(rounded - alone)


def drop_cancelled(expr: Expr, unknown: str) -> Expr:
    """The expression as a number where the unknown cancels."""
    try:
        number = read_quotient(expr, unknown).number
    except (NotPolynomial, EvaluationError):
        return expr
    return expr if number is None else expression(number)


def split_by_remainder(expr: Expr, unknown: str) -> tuple[int, Sequence[Quotient]] | None:
    """The period of the expression and its quotient for each remainder; None if it has none."""
    period = 1
    while period <= MAX_PERIOD:
        try:
            return period, [read_quotient(expr, unknown, period, r) for r in range(period)]
        except NotPolynomial as fault:
            if fault.period is None or fault.period <= period:
                return None
            period = fault.period
    return None


def differentiate(quotient: Quotient, at: Fraction) -> Fraction | None:
    """The slope in proportion to the value, Q' / Q, at a value of the unknown; None where Q is 0."""
    x = Rational(at.numerator, at.denominator)
    above, below = quotient.above, quotient.below
    if not above(x) or not below(x):
        return None
    slope = above.diff()(x) / above(x) - below.diff()(x) / below(x)
    return to_fraction(slope)
