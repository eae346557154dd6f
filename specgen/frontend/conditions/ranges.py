"""What is known of a part's arguments: values, or the ranges that an index runs through."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from specgen.expr.assumptions import Assumptions, Bounds
from specgen.expr.evaluate import Value
from specgen.expr.node import Expr, Sym, substitute
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex
from specgen.frontend.conditions.oracle import literals
from specgen.frontend.modules.module import ModuleView
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """The values of an index-dependent param: whole numbers from low to high."""

    low: int
    high: int


Known = Value | Range


def bounds_of(value: Range) -> Bounds:
    return Bounds(Fraction(value.low), Fraction(value.high))


def assume(
    exists: bool | None,
    condition: Expr,
    view: ModuleView,
    values: Mapping[str, Value],
    ranges: Mapping[str, Known],
) -> Mapping[str, Known]:
    """The ranges of indices, narrowed by the condition under which a part exists."""
    if exists:
        return ranges
    expanded = substitute(view.scope.expand(condition), constants(values, ranges))
    narrowed = dict(ranges)
    for name, value in ranges.items():
        if not isinstance(value, Range):
            continue
        key = normalize(Sym(name, "index"))
        start = Assumptions(bounds={key: bounds_of(value)})
        found = start.assume(expanded)
        bounds = found.bounds.get(key) if found is not None else None
        if bounds is not None and bounds.low is not None and bounds.high is not None:
            narrowed[name] = Range(int(bounds.low), int(bounds.high))
    return narrowed


def constants(values: Mapping[str, Value], ranges: Mapping[str, Known]) -> dict[str, Expr]:
    """The names whose values are known, as literals; not those that an index decides."""
    return literals({name: value for name, value in values.items() if name not in ranges})


def shifted(expr: Expr, values: Mapping[str, Value], ranges: Mapping[str, Known]) -> Known:
    """The range of `index + constant`; None where the expression is not of that form."""
    try:
        p = normalize(substitute(expr, constants(values, ranges)))
    except (TooComplex, ZeroDivisionError):
        return None
    offset = 0
    index: Range | None = None
    for monomial, c in p.terms:
        if not monomial and c.denominator == 1:
            offset = int(c)
            continue
        match monomial:
            case ((Sym(name=name), 1),) if c == 1 and index is None:
                found = ranges.get(name)
                if not isinstance(found, Range):
                    return None
                index = found
            case _:
                return None
    return None if index is None else Range(index.low + offset, index.high + offset)
