"""Folded expressions are the same functions of what is left in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.expr.evaluate import EvaluationError, evaluate
from specgen.expr.node import Apply, Const, Expr, Sym, symbols
from specgen.expr.printing import to_text
from specgen.expr.simplify import fold
from tests.questions.expressions import POINT, WHOLE_NAMES, flags, numbers

NAMES = (*WHOLE_NAMES, "x", "f", "c")


def outcome(expr: Expr, point: dict[str, object]) -> object:
    try:
        return evaluate(expr, point)  # type: ignore[arg-type]
    except EvaluationError:
        return EvaluationError


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.one_of(numbers(3), flags(3)), POINT, st.sets(st.sampled_from(NAMES)))
def test_same_value(expr: Expr, point: dict[str, object], free: set[str]) -> None:
    values = {name: value for name, value in point.items() if name not in free}
    folded = fold(expr, values, free)
    assert symbols(folded) <= free
    expected = outcome(expr, point)
    if expected is not EvaluationError:  # a part that cancels may have had none
        found = outcome(folded, point)
        assert type(found) is type(expected)
        assert found == expected or found != found  # NaN


def test_definitions_follow_free_names() -> None:
    dim, heads = Sym("dim", "size"), Sym("heads", "size")
    head_dim = Apply("/", (dim, heads))
    found = fold(
        Apply("*", (Sym("head_dim", "size"), heads)), {"head_dim": head_dim, "heads": 8}, {"dim"}
    )
    assert to_text(found) == "8*(dim/8)"
    assert fold(Sym("head_dim"), {"head_dim": head_dim, "dim": 64, "heads": 8}) == Const(8)


def test_a_name_defined_by_itself_stays() -> None:
    assert fold(Sym("a"), {"a": Apply("+", (Sym("a"), Const(1)))}) == Apply(
        "+", (Sym("a"), Const(1))
    )


def test_divisions_stay_where_they_come_out_even() -> None:
    a, b = Sym("a", "size"), Sym("b", "size")
    expr = Apply("/", (Apply("+", (a, b)), Const(2)))
    assert fold(expr, {}, {"a", "b"}) == expr  # not a / 2 + b / 2


def test_what_a_condition_guards_may_have_no_value() -> None:
    guarded = Apply(
        "cond", (Apply(">", (Sym("n"), Const(0))), Apply("/", (Const(1), Sym("n"))), Const(0))
    )
    assert fold(guarded, {"n": 0}) == Const(0)


def test_nested_roundings_with_reals_take_no_time() -> None:
    expr: Expr = Sym("x", "real")
    for _ in range(60):
        expr = Apply("+", (Apply("ceil", (expr,)), Const(1.5)))
    assert symbols(fold(expr, {}, {"x"})) == {"x"}
