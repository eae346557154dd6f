"""Among integers, the one that a table allows and where an expression is nearest to zero on one side.

Knows expressions of one unknown; what is allowed is asked of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import Expr
from specgen.questions.equations.zeros import evaluate_at
from specgen.records import dataclass

#: Values that are tried in each direction to find one that is allowed: one by one, and among
#: those of one remainder.
MAX_WALK: Final = 8192
MAX_PERIODIC_WALK: Final = 32


@dataclass(frozen=True, slots=True)
class Near:
    """An integer around which an expression, right from low to high, is nearest to zero; values of
    the same kind are `step` apart."""

    x: int
    step: int
    low: int
    high: int
    expr: Expr


def find_nearest(
    starts: Sequence[Near], unknown: str, side: int, allowed: Callable[[int], bool]
) -> int | None:
    """The allowed integer whose value has the sign `side` and is nearest to zero."""
    best: tuple[Fraction, int] | None = None
    for start in starts:
        size = measure_size(start, unknown, start.x, side)
        if size is None or (best is not None and size >= best[0]):
            continue  # further on it only grows: what is nearer to zero starts elsewhere
        for step in (-start.step, start.step):
            x = find_allowed(start, step, allowed)
            reached = None if x is None else measure_size(start, unknown, x, side)
            if x is not None and reached is not None and (best is None or reached < best[0]):
                best = reached, x
    return None if best is None else best[1]


def measure_size(start: Near, unknown: str, x: int, side: int) -> Fraction | None:
    """How far the value is from zero, None where it is on the other side or there is none."""
    try:
        found = evaluate_at(start.expr, unknown, x) * side
    except EvaluationError:
        return None
    return found if found > 0 else None


def find_allowed(start: Near, step: int, allowed: Callable[[int], bool]) -> int | None:
    """The first allowed integer in one direction, if there is one nearby."""
    limit = MAX_WALK if start.step == 1 else MAX_PERIODIC_WALK
    for x in range(start.x, start.x + limit * step, step):
        if not start.low <= x <= start.high:
            return None
        if allowed(x):
            return x
    return None
