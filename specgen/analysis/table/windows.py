"""How many of an index's values lie in a window: a stage's layers, a rank's experts.

Knows indices with the stretches that their closed forms sum, and nothing of ranks.
"""

from __future__ import annotations

from collections.abc import Iterator

from specgen.analysis.quantities.sharding import Cut, quotient
from specgen.analysis.table.cases import Index
from specgen.expr.arithmetic import added
from specgen.expr.node import ZERO, Apply, Const, Expr


def within(index: Index, length: Expr, window: Cut) -> Expr:
    """How many of the index's values are in the window, which lies in [0, length).

    Holds where the index's assumptions do; for other parameters too, where the index is closed.
    """
    assert window.stretch is not None
    start, stop = window.stretch
    match index.stretches:
        case (whole,) if whole.low == ZERO and whole.high == length and all(whole.chosen):
            return window.size
        case ():
            return added(list(listed(index, start, stop)))
        case stretches:
            return added(
                [
                    s.between(
                        clamped(start, s.low, s.high, length), clamped(stop, s.low, s.high, length)
                    )
                    for s in stretches
                ]
            )


def clamped(at: Expr, low: Expr, high: Expr, length: Expr) -> Expr:
    """A place in [0, length] moved into [low, high]."""
    above = at if low == ZERO else Apply("max", (at, low))
    return above if high == length else Apply("min", (above, high))


def listed(index: Index, start: Expr, stop: Expr) -> Iterator[Expr]:
    """Of each range of values, those below `stop` without those below `start`."""
    for values in index.values:
        yield Apply("-", (below(stop, values), below(start, values)))


def below(at: Expr, values: range) -> Expr:
    """How many values of a range are below `at`."""
    distance = Apply("-", (at, Const(values.start)))
    steps = distance if values.step == 1 else quotient("ceil", distance, Const(values.step))
    return Apply("min", (Apply("max", (steps, ZERO)), Const(len(values))))
