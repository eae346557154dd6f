"""Integer roots of polynomials of one unknown, and where they change sign between two integers.

Coefficients are integers and so is everything computed from them: no float, no tolerance.  Knows
nothing of tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from specgen.records import dataclass

#: Coefficients, the constant first, the last one not zero; () is zero.
Integers = tuple[int, ...]

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


def trimmed(coefficients: Sequence[int]) -> Integers:
    """The coefficients without leading zeros."""
    end = len(coefficients)
    while end and coefficients[end - 1] == 0:
        end -= 1
    return tuple(coefficients[:end])


def value(p: Integers, x: int) -> int:
    result = 0
    for coefficient in reversed(p):
        result = result * x + coefficient
    return result


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def derivative(p: Integers) -> Integers:
    return tuple(n * c for n, c in enumerate(p))[1:]


def product(p: Integers, q: Integers) -> Integers:
    found = [0] * (len(p) + len(q))
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            found[i + j] += a * b
    return trimmed(found)


def subtracted(p: Integers, q: Integers) -> Integers:
    width = max(len(p), len(q))
    return trimmed(
        [(p[n] if n < len(p) else 0) - (q[n] if n < len(q) else 0) for n in range(width)]
    )


def turns(p: Integers, low: int, high: int) -> list[int]:
    """Ascending integers, both ends among them; between two that are not neighbours, p is monotone.

    The turns of the slope are turns here too: between two neighbours of them the slope may be
    zero more than once.  Everywhere else the slope is monotone, and has one sign change at most.
    """
    if len(p) <= 2 or high - low <= 1:
        return sorted({low, high})
    slope = derivative(p)
    points = turns(slope, low, high)
    found = set(points)
    for a, b in pairwise(points):
        if sign(value(slope, a)) * sign(value(slope, b)) < 0:
            last = last_of_sign(slope, a, b)
            found |= {last, last + 1}
    return sorted(found)


def last_of_sign(p: Integers, a: int, b: int) -> int:
    """The last integer from a on whose value has p(a)'s sign; p is monotone up to b, p(b) has not."""
    wanted = sign(value(p, a))
    while b - a > 1:
        middle = (a + b) // 2
        if sign(value(p, middle)) == wanted:
            a = middle
        else:
            b = middle
    return a


def crossings(p: Integers, low: int, high: int) -> Crossings:
    """Every integer root from low to high and every change of sign between two integers.

    Raises:
        ValueError: the polynomial is zero everywhere, or of a degree beyond MAX_DEGREE.
    """
    if not p or len(p) - 1 > MAX_DEGREE:
        raise ValueError("no crossings of zero, and of degrees beyond the limit")
    points = turns(p, low, high)
    roots = {x for x in points if value(p, x) == 0}
    gaps = []
    for a, b in pairwise(points):
        if sign(value(p, a)) * sign(value(p, b)) < 0:
            last = last_of_sign(p, a, b)
            if value(p, last + 1) == 0:
                roots.add(last + 1)
            else:
                gaps.append(last)
    return Crossings(tuple(sorted(roots)), tuple(gaps), tuple(points))
