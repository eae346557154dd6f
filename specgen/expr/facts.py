"""What an expression is, whatever values its names have: exact, whole, and between which bounds.

All proofs ask here.  A symbol's kind says what values it can have, and nothing else does: a
`real` is not whole, and what is computed with one is a float, rounded at every step, so that
its sums and products may not be put in another order.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, isfinite
from typing import Final, TypeGuard

from specgen.expr.node import COMPARISONS, Apply, Const, Expr, Kind, Sym, remembered
from specgen.records import dataclass

#: The least value of the symbols whose values are whole numbers.
LEAST: Final[dict[Kind, int]] = {"size": 1, "count": 0, "index": 0, "axis": 1}

#: Bits of a bound: powers of powers have no bound of their own.
MAX_BITS: Final = 4096

#: Kinds whose values are no exact numbers.
INEXACT: Final = frozenset({"real", "flag", "choice", "dtype", "counts", "reals"})


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers from `low` to `high`, both included; None where there is no bound."""

    low: Fraction | None = None
    high: Fraction | None = None

    def __add__(self, other: Interval) -> Interval:
        return Interval(
            None if self.low is None or other.low is None else self.low + other.low,
            None if self.high is None or other.high is None else self.high + other.high,
        )

    def __neg__(self) -> Interval:
        return Interval(
            None if self.high is None else -self.high, None if self.low is None else -self.low
        )

    def __mul__(self, other: Interval) -> Interval:
        if Interval(Fraction(0), Fraction(0)) in (self, other):
            return Interval(Fraction(0), Fraction(0))
        if self.natural and other.natural:
            assert self.low is not None
            assert other.low is not None
            unbounded = self.high is None or other.high is None
            return Interval(
                self.low * other.low,
                None if unbounded else self.high * other.high,  # type: ignore[operator]
            )
        if (-self).natural:
            return -(-self * other)
        if (-other).natural:
            return -(self * -other)
        return Interval()

    def __or__(self, other: Interval) -> Interval:
        """From the lesser low to the greater high."""
        return Interval(
            None if self.low is None or other.low is None else min(self.low, other.low),
            None if self.high is None or other.high is None else max(self.high, other.high),
        )

    @property
    def natural(self) -> bool:
        """Whether no number of it is below zero."""
        return self.low is not None and self.low >= 0

    def power(self, exponent: int) -> Interval:
        """Of what is not negative: its powers; a negative power has no value at zero."""
        if not self.natural:
            return Interval(Fraction(0)) if exponent % 2 == 0 else Interval()
        assert self.low is not None
        ends = (*self.low.as_integer_ratio(), *(self.high or Fraction(0)).as_integer_ratio())
        if max(ends).bit_length() * abs(exponent) > MAX_BITS:
            return Interval(Fraction(0))
        if exponent >= 0:
            return Interval(self.low**exponent, None if self.high is None else self.high**exponent)
        return Interval(
            Fraction(0) if not self.high else self.high**exponent,
            self.low**exponent if self.low else None,
        )


def is_int(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number; a flag is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_flag(expr: Expr) -> bool:
    """Whether the value is true or false."""
    match expr:
        case Const(value=value):
            return isinstance(value, bool)
        case Sym(kind=kind):
            return kind == "flag"
        case Apply(op="cond", args=(_, then, _)):
            return is_flag(then)
        case Apply(op=op):
            return op in COMPARISONS or op in ("and", "or", "not", "contains")


def exact(expr: Expr) -> bool:
    """Whether the value is computed in whole numbers and fractions, never in floats.

    Only then do the laws of arithmetic hold: 0.1 × 10 × 3 is not 0.1 × 3 × 10.
    """
    return remembered(expr, "_exact", is_exact)


def is_exact(expr: Expr) -> bool:
    """`exact`, worked out anew."""
    match expr:
        case Const(value=value):
            return is_int(value)
        case Sym(kind=kind):
            return kind not in INEXACT
        case Apply(op="ceil" | "floor" | "length"):
            return True
        case Apply(op="**", args=(base, exponent)):
            return exact(base) and whole(exponent)
        case Apply(op="/" | "%" | "min" | "max" | "abs" | "+" | "-" | "*" | "neg", args=args):
            return all(map(exact, args))
        case Apply(op="cond", args=(_, then, otherwise)):
            return exact(then) and exact(otherwise)
        case _:
            return False


def whole(expr: Expr, divided: bool = False) -> bool:
    """Whether every value of the expression is visibly a whole number.

    A quotient is not, unless the expression is a size whose divisions are known to be exact
    (`divided`): whether one part divides the other is for `frontend.conditions.divisibility` to say.
    """
    match expr:
        case Const(value=value):
            return is_int(value)
        case Sym(kind=kind):
            return kind in LEAST
        case Apply(op="ceil" | "floor" | "length"):
            return True
        case Apply(op="**", args=(base, exponent)):
            natural = whole(exponent, divided) and extent(exponent).natural
            return natural and whole(base, divided)
        case Apply(op="/", args=args) if divided:
            return all(whole(arg, divided) for arg in args)
        case Apply(op="%" | "min" | "max" | "abs" | "+" | "-" | "*" | "neg", args=args):
            return all(whole(arg, divided) for arg in args)
        case Apply(op="cond", args=(_, then, otherwise)):
            return whole(then, divided) and whole(otherwise, divided)
        case _:
            return False


def extent(expr: Expr) -> Interval:
    """Bounds on the value of a number, as narrow as can be told at sight."""
    return remembered(expr, "_extent", ranging)


def ranging(expr: Expr) -> Interval:
    """`extent`, worked out anew."""
    match expr:
        case Const(value=int() | float() as value) if not isinstance(value, bool):
            known = isinstance(value, int) or isfinite(value)
            return Interval(Fraction(value), Fraction(value)) if known else Interval()
        case Const():
            return Interval()
        case Sym(kind=kind):
            return Interval(Fraction(LEAST[kind])) if kind in LEAST else Interval()
        case Apply(op="length"):
            return Interval(Fraction(0))
        case Apply(op="ceil" | "floor" as op, args=(arg,)):
            inner = extent(arg)
            low, high = inner.low, inner.high
            rounded = ceil if op == "ceil" else floor
            return Interval(
                None if low is None else Fraction(rounded(low)),
                None if high is None else Fraction(rounded(high)),
            )
        case Apply(op="cond", args=(_, then, otherwise)):
            return extent(then) | extent(otherwise)
        case Apply(op="min" | "max" as op, args=(left, right)):
            return (
                lesser(extent(left), extent(right))
                if op == "min"
                else -lesser(-extent(left), -extent(right))
            )
        case Apply(op="abs", args=(arg,)):
            inner = extent(arg)
            if inner.natural:
                return inner
            return -inner if (-inner).natural else Interval(Fraction(0))
        case Apply(op="%", args=(left, right)):
            return remainder(left, right)
    if not exact(expr):
        return Interval()  # rounding may carry a float over a bound
    match expr:
        case Apply(op="neg", args=(arg,)):
            return -extent(arg)
        case Apply(op="+", args=(left, right)):
            return extent(left) + extent(right)
        case Apply(op="-", args=(left, right)):
            return extent(left) + -extent(right)
        case Apply(op="*", args=(left, right)):
            return extent(left) * extent(right)
        case Apply(op="/", args=(left, right)):
            below = extent(right)
            return extent(left) * below.power(-1) if below.natural else Interval()
        case Apply(op="**", args=(base, Const(value=int(exponent)))) if abs(exponent) <= 64:
            return extent(base).power(exponent)
        case Apply(op="**", args=(base, exponent)) if extent(base).natural:
            least = extent(base).low
            one = least is not None and least >= 1 and extent(exponent).natural
            return Interval(Fraction(1 if one else 0))
        case _:
            return Interval()


def lesser(left: Interval, right: Interval) -> Interval:
    """Of the lesser of two numbers."""
    highs = [high for high in (left.high, right.high) if high is not None]
    low = None if left.low is None or right.low is None else min(left.low, right.low)
    return Interval(low, min(highs, default=None))


def remainder(left: Expr, right: Expr) -> Interval:
    """Of left % right, which has the sign of the divisor, and no value where that is zero."""
    divisor, dividend = extent(right), extent(left)
    if not divisor.natural:
        return Interval()
    highs = [dividend.high] if dividend.natural and dividend.high is not None else []
    if divisor.high is not None:
        highs.append(divisor.high - 1 if whole(left) and whole(right) else divisor.high)
    return Interval(Fraction(0), min(highs, default=None))
