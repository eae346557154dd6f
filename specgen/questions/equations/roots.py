"""Integer roots of polynomials of one unknown, and where they change sign between two integers.

Coefficients are whole and so is everything computed from them: no float, no tolerance.  sympy's own
isolation of real roots takes milliseconds for each polynomial, and a quantity may have one for each
remainder by 128; halving ranges of integers takes a hundredth of that.  Knows nothing of tables.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from itertools import pairwise
from typing import Final

from sympy import Poly

from specgen.records import dataclass

#: The quantities of a model have degree 3 or so; this bounds the work on any other.
MAX_DEGREE: Final = 64


@dataclass(frozen=True, slots=True)
class Crossings:
    """Where a polynomial is zero on the integers of a range, and between which it changes sign.

    `turns` are ascending and hold both ends of the range: between two of them that are not
    neighbours the polynomial is monotone, so its extremes on the range are among them.
    """

    roots: tuple[int, ...]
    gaps: tuple[int, ...]  # x where p(x) and p(x + 1) have opposite signs
    turns: tuple[int, ...]


def sign_at(p: Poly, x: int) -> int:
    value = int(p(x))
    return (value > 0) - (value < 0)


def find_turns(p: Poly, low: int, high: int) -> list[int]:
    """Ascending integers, both ends among them; between two that are not neighbours, p is monotone.

    The turns of the slope are turns here too: between two neighbours of them the slope may be
    zero more than once.  Everywhere else the slope is monotone, and has one sign change at most.
    """
    if p.degree() <= 1 or high - low <= 1:
        return sorted({low, high})
    slope = p.diff()
    found = set(points := find_turns(slope, low, high))
    for last in find_changes(slope, points):
        found |= {last, last + 1}
    return sorted(found)


def find_changes(p: Poly, points: list[int]) -> list[int]:
    """Between points with other signs, the last integer that has the sign of the first of them."""
    signs = [(x, sign_at(p, x)) for x in points]
    return [
        a + bisect_left(range(a, b), True, key=partial(has_not, p, before)) - 1
        for (a, before), (b, after) in pairwise(signs)
        if before * after < 0
    ]


def has_not(p: Poly, sign: int, x: int) -> bool:
    return sign_at(p, x) != sign


def find_crossings(p: Poly, low: int, high: int) -> Crossings:
    """Every integer root from low to high and every change of sign between two integers.

    Raises:
        ValueError: the polynomial is zero everywhere, or of a degree beyond MAX_DEGREE.
    """
    if p.is_zero or p.degree() > MAX_DEGREE:
        raise ValueError("no crossings of zero, and of degrees beyond the limit")
    points = find_turns(p, low, high)
    changes = find_changes(p, points)
    tried = {*points, *(x + 1 for x in changes)}
    return Crossings(
        tuple(sorted(x for x in tried if sign_at(p, x) == 0)),
        tuple(x for x in changes if sign_at(p, x + 1)),
        tuple(points),
    )
