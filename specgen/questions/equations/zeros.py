"""Where an expression of one unknown whole number is zero: by polynomials, by its trend, by trying.

Knows expressions, not what they count.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, assert_never

from sympy import Poly

from specgen.expr.evaluate import EvaluationError, evaluate, exact_fraction
from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.questions.equations.quotients import Quotient, split_by_remainder
from specgen.questions.equations.roots import find_crossings
from specgen.records import dataclass

#: Values that are tried one by one where nothing better is known.
MAX_SCAN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Zeros:
    """Integers where the expression is zero, and around which it is nearest to zero.

    The greatest value below zero on the range and the least above are at one of `near` (value,
    step to values of the same kind), unless the search was not `complete`.  Of `stretches` of
    zeros only the ends are among the roots.
    """

    roots: tuple[int, ...]
    near: tuple[tuple[int, int], ...]
    method: str
    complete: bool = True
    stretches: tuple[range, ...] = ()


# ---- zeros -----------------------------------------------------------------------------


def find_zeros(expr: Expr, unknown: str, low: int, high: int, near: int | None = None) -> Zeros:
    """Every integer from low to high where the expression is zero.

    Without a polynomial it is bisected where it is monotone for sure, and else tried one by one,
    for MAX_SCAN values around `near` at most.

    Raises:
        ValueError: it is zero everywhere.
        EvaluationError: it has no value there.
    """
    periodic = split_by_remainder(expr, unknown)
    if periodic is not None:
        return solve_classes(*periodic, low, high)
    direction = find_trend(expr, unknown, low, high)
    if direction is not None:
        return bisect_zeros(expr, unknown, low, high)
    around = low if near is None else near - MAX_SCAN // 2
    return scan_zeros(expr, unknown, low, high, around)


def solve_classes(period: int, quotients: Sequence[Quotient], low: int, high: int) -> Zeros:
    """The zeros of a quotient of polynomials for each remainder."""
    if all(one.above.is_zero for one in quotients):
        raise ValueError("zero everywhere")
    roots: list[int] = []
    near: list[tuple[int, int]] = []
    same: list[range] = []
    for r, one in enumerate(quotients):
        first, last = -((r - low) // period), (high - r) // period
        above, below = one.cleared()
        if period == 1 and not below(0):
            first = max(first, 1)
        if first > last:
            continue
        if above.is_zero:  # all of one remainder: the ends stand for them
            same.append(range(first * period + r, last * period + r + 1, period))
            roots += sorted({same[-1][0], same[-1][-1]})
            continue
        found, beside = find_around(above, below, first, last)
        roots += [k * period + r for k in found]
        near += [(k * period + r, period) for k in beside]
    what = "polynomial" if all(one.is_of_powers for one in quotients) else "quotient"
    method = what if period == 1 else f"{what}s, one for each remainder by {period}"
    return Zeros(tuple(sorted(roots)), tuple(sorted(near)), method, True, tuple(same))


def find_around(above: Poly, below: Poly, first: int, last: int) -> tuple[list[int], list[int]]:
    """The roots of above / below, and the integers among which it is nearest to zero."""
    shapes = [above]
    if not below.is_ground:
        # Its slope has the sign of above' × below - above × below'.
        slope = above.diff() * below - above * below.diff()
        shapes += [below, *([] if slope.is_zero else [slope])]
    points: set[int] = {first, last}
    for shape in shapes:
        found = find_crossings(shape, first, last)
        points |= {*found.turns, *(k + d for k in found.roots for d in (-1, 0, 1))}
        points |= {k + d for k in found.gaps for d in (0, 1)}
    kept = [k for k in sorted(points) if first <= k <= last and below(k)]
    roots = [k for k in kept if above(k) == 0]
    return roots, [k for k in kept if k not in roots]


def evaluate_at(expr: Expr, unknown: str, x: int | float) -> Fraction:
    """The value of the expression.

    Raises:
        EvaluationError: it has none, or it is no number.
    """
    found = evaluate(expr, {unknown: x})
    if isinstance(found, bool) or not isinstance(found, int | float | Fraction):
        raise EvaluationError("a number is needed")
    return exact_fraction(found)


def bisect_zeros(expr: Expr, unknown: str, low: int, high: int) -> Zeros:
    """The zeros of a monotone expression: one stretch of integers, of which the ends are given."""
    rising = evaluate_at(expr, unknown, low) <= evaluate_at(expr, unknown, high)

    toward = 1 if rising else -1

    def key(x: int) -> Fraction:
        return toward * evaluate_at(expr, unknown, x)

    zero, every = Fraction(0), range(low, high + 1)
    start = low + bisect_left(every, zero, key=key)
    end = low + bisect_right(every, zero, key=key) - 1
    roots = sorted({start, end}) if start <= end else []
    near = {x for x in (low, high, start - 1, start, end, end + 1) if low <= x <= high}
    same = (range(start, end + 1),) if len(roots) > 1 else ()
    method = "bisection: it is monotone"
    return Zeros(tuple(roots), tuple((x, 1) for x in sorted(near)), method, True, same)


def scan_zeros(expr: Expr, unknown: str, low: int, high: int, start: int) -> Zeros:
    """The zeros among MAX_SCAN integers, from `start` if there are as many."""
    first = max(low, min(start, high - MAX_SCAN + 1))
    last = min(high, first + MAX_SCAN - 1)
    roots = []
    below: tuple[Fraction, int] | None = None
    above: tuple[Fraction, int] | None = None
    for x in range(first, last + 1):
        try:
            found = evaluate_at(expr, unknown, x)
        except EvaluationError:
            continue
        if found == 0:
            roots.append(x)
        elif found < 0 and (below is None or found > below[0]):
            below = found, x
        elif found > 0 and (above is None or found < above[0]):
            above = found, x
    near = {(side[1], 1) for side in (below, above) if side is not None}
    method = f"every value from {first:,} to {last:,}"
    complete = (first, last) == (low, high)
    return Zeros(tuple(roots), tuple(sorted(near)), method, complete)


# ---- trend -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trend:
    """A monotone expression on a range: its direction (0: constant) and its values at the ends."""

    direction: int
    start: Fraction
    end: Fraction

    @property
    def low(self) -> Fraction:
        return min(self.start, self.end)

    @property
    def high(self) -> Fraction:
        return max(self.start, self.end)


RISING: Final = frozenset({"ceil", "floor", "exp", "sqrt", "ln", "tanh"})


def find_trend(expr: Expr, unknown: str, low: int, high: int) -> Trend | None:
    """How the expression moves from low to high, if that is plain from how it is put together."""
    direction = find_direction(expr, unknown, low, high)
    if direction is None:
        return None
    try:
        start, end = (evaluate_at(expr, unknown, x) for x in (low, high))
    except EvaluationError:
        return None
    return Trend(direction, start, end)


def find_direction(expr: Expr, unknown: str, low: int, high: int) -> int | None:
    match expr:
        case Const():
            return 0
        case Sym(name=name):
            return 1 if name == unknown else 0
        case Apply(op=op, args=args):
            parts = [find_trend(arg, unknown, low, high) for arg in args]
            if any(part is None for part in parts):
                return None
            return compose_directions(op, [part for part in parts if part is not None])
    assert_never(expr)


def compose_directions(op: str, parts: list[Trend]) -> int | None:
    """The direction of an operator applied to monotone arguments."""
    directions = {part.direction for part in parts} - {0}
    match op, parts:
        case _, _ if not directions:
            return 0
        case "neg", [part]:
            return -part.direction
        case "-", [left, right]:
            signs = {left.direction, -right.direction} - {0}
            return signs.pop() if len(signs) == 1 else None
        case "+" | "min" | "max", _:
            return directions.pop() if len(directions) == 1 else None
        case op, [part] if op in RISING:
            return part.direction
        case "*", [left, right]:
            return multiply_directions(left, right)
        case "/", [left, right] if right.low > 0 or right.high < 0:
            flipped = Trend(-right.direction, 1 / right.start, 1 / right.end)
            return multiply_directions(left, flipped)
        case "**", [base, exponent] if exponent.direction == 0 and base.low >= 0:
            return base.direction if exponent.start > 0 else -base.direction
        case _:
            return None


def multiply_directions(left: Trend, right: Trend) -> int | None:
    """|left| and |right| both grow or both shrink, or one of them stays."""
    signs = []
    sizes = set()
    for part in (left, right):
        if part.low < 0 < part.high:
            if part.direction and (left.direction and right.direction):
                return None
            sign = 1
        else:
            sign = -1 if part.low < 0 else 1
        signs.append(sign)
        sizes.add(part.direction * sign)
    if left.direction == 0:
        return right.direction * ((left.start > 0) - (left.start < 0))
    if right.direction == 0:
        return left.direction * ((right.start > 0) - (right.start < 0))
    return sizes.pop() * signs[0] * signs[1] if len(sizes) == 1 else None
