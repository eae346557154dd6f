"""Nothing is called proved that is not so: every proof against evaluation at random points.

Sizes are drawn with reals, flags, choices, ceil, floor, %, min, max and conditional values; the
slow tests draw a hundred times as many.
"""

from __future__ import annotations

import os
from fractions import Fraction

import pytest
import sympy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specgen.expr.assumptions import Assumptions, split
from specgen.expr.facts import exact, extent, whole
from specgen.expr.node import Const, Expr, Sym, symbols
from specgen.expr.normal import equal, normalize, settled, tidy
from specgen.expr.polynomial import TooComplex
from specgen.expr.sympy_bridge import symbol, to_sympy
from specgen.frontend.conditions.divisibility import divides
from tests.proofs.drawing import (
    CHOICES,
    RATE,
    SIZES,
    N,
    Point,
    apply,
    conditions,
    numbers,
    points,
    relatives,
    value,
)

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
#: `SPECGEN_EXAMPLES` draws as many as one has time for.
MANY = settings(
    max_examples=int(os.environ.get("SPECGEN_EXAMPLES", "600")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

A, B = SIZES
UP, DOWN = (apply(op, apply("*", RATE, N)) for op in ("ceil", "floor"))
POINTS = points(24)


def check_numbers(pair: tuple[Expr, Expr], here: list[Point]) -> None:
    left, right = pair
    same = equal(left, right)
    for point in here:
        x, y = value(left, point), value(right, point)
        if same and x is not None and y is not None:
            assert x == y, f"{left} is not {right} at {point}"
        if x is not None:
            check_facts(left, x)
            shorter = value(tidy(left), point)
            assert shorter is None or shorter == x
    if same:
        check_with_sympy(left, right, here)


def check_facts(expr: Expr, found: object) -> None:
    assert isinstance(found, int | float | Fraction)
    if whole(expr):
        assert isinstance(found, int), f"{expr} is {found}"
    if exact(expr):
        assert not isinstance(found, float), f"{expr} is {found}"
    reach = extent(expr)
    assert reach.low is None or reach.low <= found, f"{expr} is {found}"
    assert reach.high is None or found <= reach.high, f"{expr} is {found}"
    try:
        p = normalize(expr)
    except (TooComplex, ZeroDivisionError):
        return
    if p.integral:
        assert isinstance(found, int), f"{expr} is {found}"
    reach = p.bounds()
    assert reach.low is None or reach.low <= found, f"{expr} is {found}"
    assert reach.high is None or found <= reach.high, f"{expr} is {found}"


def check_with_sympy(left: Expr, right: Expr, here: list[Point]) -> None:
    """What is proved equal is equal by sympy's arithmetic too, in fractions: an equality in floats
    is one of expressions that are written alike."""
    try:
        first, second = to_sympy(left), to_sympy(right)
    except (ValueError, TypeError, ZeroDivisionError):
        return
    kinds = {"rate": "real"}
    for point in here[:3]:
        values = {
            symbol(n, kinds.get(n, "unknown")): sympy.Rational(str(point[n]))  # type: ignore[arg-type]
            for n in symbols(left) | symbols(right)
            if not isinstance(point[n], bool | str)
        }
        try:
            x, y = first.subs(values), second.subs(values)
        except (ZeroDivisionError, ValueError):  # sympy's zoo
            continue
        if x.is_number and y.is_number and x.is_finite and y.is_finite:
            assert sympy.simplify(x - y) == 0, f"{left} is not {right} at {point}"


def check_conditions(facts: list[Expr], asked: Expr, here: list[Point]) -> None:
    known: Assumptions | None = Assumptions(choices=CHOICES)
    for fact in facts:
        known = known.assume(fact) if known is not None else None
    answer = known.decide(asked) if known is not None else None
    simple = settled(asked)
    for point in here:
        truth = value(asked, point)
        if truth is not None:
            assert value(simple, point) in (truth, None), f"{asked} settled to {simple} at {point}"
        if not all(value(fact, point) is True for fact in facts):
            continue
        assert known is not None, f"{facts} exclude each other, but not at {point}"
        if answer is not None and truth is not None:
            assert truth is answer, f"{facts} do not give {asked} at {point}"


def check_division(facts: list[Expr], top: Expr, below: Expr, here: list[Point]) -> None:
    known: Assumptions | None = Assumptions(choices=CHOICES)
    for fact in facts:
        known = known.assume(fact) if known is not None else None
    if known is None or not divides(below, top, known, {}):
        return
    for point in here:
        if all(value(fact, point) is True for fact in facts):
            found = value(apply("/", top, below), point)
            if found is not None:
                assert isinstance(found, int), f"{top} / {below} is {found} at {point}"


#: Requirements of the kind that tables have.
REQUIRED = st.one_of(
    st.tuples(numbers(1, reals=False), numbers(1, reals=False), st.integers(0, 2)).map(
        lambda t: apply("==", apply("%", t[0], t[1]), Const(t[2]))
    ),
    st.tuples(numbers(1, reals=False), numbers(2, reals=False)).map(lambda t: apply("==", *t)),
    conditions(2),
)


@FEW
@given(relatives(numbers(3)), POINTS)
@example((UP, DOWN), [{"rate": 0.25, "n": 10}])
@example(
    (
        apply("ceil", apply("*", apply("*", RATE, N), Const(3))),
        apply("ceil", apply("*", apply("*", RATE, Const(3)), N)),
    ),
    [{"rate": 0.1, "n": 10}],
)
@example((apply("floor", apply("%", RATE, N)), apply("%", RATE, N)), [{"rate": 0.5, "n": 3}])
@example((apply("ceil", apply("min", RATE, N)), apply("min", RATE, N)), [{"rate": 0.5, "n": 3}])
def test_numbers(pair: tuple[Expr, Expr], here: list[Point]) -> None:
    check_numbers(pair, here)


@FEW
@given(st.lists(conditions(2), max_size=3), conditions(3), POINTS)
@example([], apply("<", N, apply("*", RATE, N)), [{"rate": 1.5, "n": 1}])
@example(
    [apply("<", N, apply("*", RATE, A))],
    apply("<=", N, apply("-", apply("*", RATE, A), Const(1))),
    [{"rate": 0.25, "a": 10, "n": 2}],
)
def test_conditions(facts: list[Expr], asked: Expr, here: list[Point]) -> None:
    check_conditions(facts, asked, here)


@FEW
@given(st.lists(REQUIRED, max_size=3), numbers(2), numbers(1), POINTS)
def test_divisions(facts: list[Expr], top: Expr, below: Expr, here: list[Point]) -> None:
    check_division(facts, top, below, here)


@FEW
@given(numbers(3), POINTS)
def test_cases_of_a_conditional_value(expr: Expr, here: list[Point]) -> None:
    for point in here:
        found = value(expr, point)
        if found is None:
            continue
        for condition, case in split(expr):
            if value(condition, point) is True:
                assert value(case, point) == found


@pytest.mark.slow
@MANY
@given(
    st.one_of(relatives(numbers(2)), relatives(numbers(3)), st.tuples(numbers(2), numbers(2))),
    points(60),
)
def test_many_numbers(pair: tuple[Expr, Expr], here: list[Point]) -> None:
    check_numbers(pair, here)


@pytest.mark.slow
@MANY
@given(st.lists(conditions(2), max_size=4), conditions(3), points(60))
def test_many_conditions(facts: list[Expr], asked: Expr, here: list[Point]) -> None:
    check_conditions(facts, asked, here)


@pytest.mark.slow
@MANY
@given(st.lists(conditions(2), max_size=3), relatives(conditions(2)), points(60))
def test_many_conditions_that_look_alike(
    facts: list[Expr], pair: tuple[Expr, Expr], here: list[Point]
) -> None:
    check_conditions([*facts, pair[0]], pair[1], here)


@pytest.mark.slow
@MANY
@given(st.lists(REQUIRED, max_size=3), numbers(2), numbers(1), points(60))
def test_many_divisions(facts: list[Expr], top: Expr, below: Expr, here: list[Point]) -> None:
    check_division(facts, top, below, here)


def test_normal_forms_keep_the_value() -> None:
    """Also where a name is both a real and a size, which only an error can bring about."""
    assert equal(Sym("x", "real"), Sym("x", "real"))
    assert not equal(UP, DOWN)
    assert equal(UP, apply("ceil", apply("*", N, RATE)))
    half = apply("/", A, Const(2))
    assert normalize(apply("ceil", apply("+", half, half))).to_expr() == A
