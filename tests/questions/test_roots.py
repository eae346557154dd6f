"""Integer roots, changes of sign and trends, against trying every integer."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Poly

from specgen.expr.evaluate import EvaluationError, expression
from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.questions.equations.quotients import K, split_by_remainder
from specgen.questions.equations.roots import find_crossings
from specgen.questions.equations.zeros import evaluate_at, find_trend, find_zeros

X = Sym("x")


@st.composite
def polynomials(draw: st.DrawFn) -> Poly:
    """Any, and those with several and with multiple integer roots, shifted or not."""
    if draw(st.booleans()):
        return Poly(draw(st.lists(st.integers(-60, 60), min_size=1, max_size=7)), K)
    p = Poly(draw(st.sampled_from([-2, -1, 1, 3])), K)
    for root in draw(st.lists(st.integers(-12, 12), max_size=6)):
        p *= Poly(draw(st.integers(1, 3)) * (K - root), K)
    return p + draw(st.sampled_from([0, 0, 0, -1, 1]))


@settings(max_examples=50, deadline=None)
@given(polynomials(), st.integers(-20, 0), st.integers(0, 40))
def test_crossings(p: Poly, low: int, width: int) -> None:
    high = low + width
    if p.is_zero:
        with pytest.raises(ValueError, match="no crossings"):
            find_crossings(p, low, high)
        return
    found = find_crossings(p, low, high)
    values = {x: int(p(x)) for x in range(low, high + 1)}
    assert found.roots == tuple(x for x in values if values[x] == 0)
    assert found.gaps == tuple(x for x in range(low, high) if values[x] * values[x + 1] < 0)
    for a, b in pairwise(found.turns):
        between = [values[x] for x in range(a, b + 1)]
        assert between in (sorted(between), sorted(between, reverse=True))


def test_roots_far_out() -> None:
    p = Poly((K - 2**40) * (K - 2**47) * (3 * K + 1), K)
    assert find_crossings(p, 0, 2**48).roots == (2**40, 2**47)


def expressions(depth: int) -> st.SearchStrategy[Expr]:
    leaves = st.one_of(st.just(X), st.integers(-6, 9).map(Const))
    if depth == 0:
        return leaves
    inner = expressions(depth - 1)
    number = st.integers(1, 8).map(Const)
    return st.one_of(
        leaves,
        st.builds(lambda op, a, b: Apply(op, (a, b)), st.sampled_from("+-*"), inner, inner),
        st.builds(lambda op, a, n: Apply(op, (a, n)), st.sampled_from("/%"), inner, number),
        st.builds(
            lambda op, a, n: Apply(op, (Apply("/", (a, n)),)),
            st.sampled_from(["ceil", "floor"]), inner, number,
        ),
        st.builds(lambda a, b: Apply("max", (a, b)), inner, inner),
        st.builds(lambda a, b: Apply("/", (a, Apply("+", (b, Const(1000))))), inner, leaves),
        st.builds(
            lambda a, b, c, d: Apply("cond", (Apply(">", (a, b)), c, d)), inner, inner, inner, inner
        ),
    )  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(
    expressions(3), st.fractions(-40, 40, max_denominator=8), st.integers(0, 3), st.integers(0, 250)
)
def test_zeros(expr: Expr, wanted: Fraction, low: int, width: int) -> None:
    """All of them; of a stretch of zeros of one remainder the ends, and the nearest on both sides."""
    expr, high = Apply("-", (expr, expression(wanted))), low + width
    values = {x: evaluate_at(expr, "x", x) for x in range(low, high + 1)}
    roots = [x for x in values if values[x] == 0]
    try:
        found = find_zeros(expr, "x", low, high)
    except ValueError:
        assert len(roots) == len(values)
        return
    assert found.complete
    if found.method in ("polynomial", "quotient") or found.method.startswith("every"):
        assert list(found.roots) == roots
    assert set(found.roots) <= set(roots)
    assert bool(found.roots) == bool(roots)
    if roots:
        assert {min(roots), max(roots)} <= set(found.roots)
    near = {values[x] for x, _ in found.near}
    below = [v for v in values.values() if v < 0]
    above = [v for v in values.values() if v > 0]
    assert not below or max(below) in near
    assert not above or min(above) in near


@settings(max_examples=50, deadline=None)
@given(expressions(3), st.integers(0, 3), st.integers(0, 250))
def test_trends(expr: Expr, low: int, width: int) -> None:
    found = find_trend(expr, "x", low, low + width)
    if found is None:
        return
    values = [evaluate_at(expr, "x", x) for x in range(low, low + width + 1)]
    assert values == sorted(values, reverse=found.direction < 0)
    assert found.direction != 0 or len(set(values)) == 1


def quadratics() -> st.SearchStrategy[Expr]:
    """a x**2 + b x + c."""
    square = Apply("*", (X, X))
    numbers = st.integers(-9, 9).map(Const)
    return st.builds(
        lambda a, b, c: Apply("+", (Apply("+", (Apply("*", (a, square)), Apply("*", (b, X)))), c)),
        numbers, numbers, numbers,
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(quadratics(), quadratics(), st.fractions(-3, 3, max_denominator=9))
def test_quotients(above: Expr, below: Expr, wanted: Fraction) -> None:
    """With poles and without; values that do not exist are not looked at."""
    expr = Apply("-", (Apply("/", (above, below)), expression(wanted)))
    values = {}
    for x in range(1, 61):
        with suppress(EvaluationError):
            values[x] = evaluate_at(expr, "x", x)
    if not values or not any(values.values()):
        return
    found = find_zeros(expr, "x", 1, 60)
    assert found.method in ("polynomial", "quotient")
    assert list(found.roots) == [x for x in values if values[x] == 0]
    near = {values[x] for x, _ in found.near}
    below_zero = [v for v in values.values() if v < 0]
    above_zero = [v for v in values.values() if v > 0]
    assert not below_zero or max(below_zero) in near
    assert not above_zero or min(above_zero) in near


def test_blocks_have_a_polynomial_for_each_remainder() -> None:
    """The scales of a matrix stored in blocks of 128 × 128."""
    blocks = Apply("*", (Const(4), Apply("ceil", (Apply("/", (X, Const(128))),))))
    found = split_by_remainder(Apply("+", (Apply("*", (X, X)), blocks)), "x")
    assert found is not None
    period, quotients = found
    assert (period, len(quotients)) == (128, 128)
    assert find_zeros(Apply("-", (blocks, Const(224))), "x", 1, 2**48).roots[0] == 55 * 128 + 1
