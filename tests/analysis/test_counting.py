"""Counting: exact sets and closed forms against enumeration, also for other parameters."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.analysis.table.counting import MAX_ENUMERATED, IndexSelection, select
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import TRUE, Apply, Expr, conjunction, disjunction, negation
from specgen.expr.printing import to_text
from tests.analysis.hand import expr, op
from tests.work import calls

LAYERS: dict[str, Value] = {"n": 61, "d": 3, "p": 6, "r": 2, "few": (7, 0, 3, 3), "none": ()}


def matching(condition: Expr, env: dict[str, Value]) -> list[int]:
    return [i for i in range(int(str(env["n"]))) if evaluate(condition, {**env, "i": i})]


def listed(selection: IndexSelection) -> list[int]:
    return sorted(value for values in selection.values for value in values)


def shifted(by: int, period: int | str) -> Expr:
    return op("%", op("+", "i", by), period)


#: Condition, closed form, assumptions.
FORMS = [
    (op("<", "i", "d"), "d", ["d <= n"]),
    (op(">=", "i", "d"), "n - d", ["d <= n"]),
    (op("<=", "i", "d"), "d + 1", ["d + 1 <= n"]),
    (op(">", op("+", "i", 1), "d"), "n - d", ["d <= n"]),
    (op("==", shifted(1, 6), 0), "floor(n/6)", []),
    (op("==", shifted(1, "p"), 0), "floor(n/p)", ["1 <= p"]),
    (op("!=", shifted(1, "p"), 0), "n - floor(n/p)", ["1 <= p"]),
    (op("==", op("%", "i", 2), 0), "floor((n - 1)/2) + 1", []),
    (
        conjunction(op(">=", "i", "d"), op("==", op("%", "i", "p"), 0)),
        "floor((n - 1)/p) - floor((d - 1)/p)",
        ["d <= n", "1 <= p"],
    ),
    (op("==", "i", 5), "1", ["6 <= n"]),
    (op("==", "i", op("-", "n", 1)), "1", ["1 <= n"]),
    (op("<", op("*", 2, "i"), "n"), "ceil(n/2)", ["ceil(n/2) <= n"]),
    (op("<", op("*", "d", "i"), "n"), "21", []),
    (op("contains", "few", "i"), "3", ["few == [7, 0, 3, 3]", "8 <= n"]),
    (negation(op("contains", "few", "i")), "n - 3", ["few == [7, 0, 3, 3]", "8 <= n"]),
    (op("contains", "few", op("+", "i", 1)), "2", ["few == [7, 0, 3, 3]", "7 <= n"]),
    (op("contains", "none", "i"), "0", ["none == []"]),
    (op("contains", op("list", 0, op("-", "n", 1)), "i"), "2", ["2 <= n"]),
    (
        conjunction(op(">=", "i", "d"), negation(op("contains", "few", "i"))),
        "n - d - 2",
        ["few == [7, 0, 3, 3]", "1 <= d", "d <= 3", "8 <= n"],
    ),
]


@pytest.mark.parametrize(("condition", "form", "assumptions"), FORMS, ids=str)
def test_closed_forms(condition: Expr, form: str, assumptions: list[str]) -> None:
    found = select("i", expr("n"), condition, LAYERS)
    assert listed(found) == matching(condition, dict(LAYERS))
    assert to_text(found.count) == form
    assert [to_text(a) for a in found.assumptions] == assumptions


def test_what_has_no_closed_form_says_so() -> None:
    square = op("==", op("%", op("*", "i", "i"), 7), 2)
    found = select("i", expr("n"), square, LAYERS)
    assert not found.closed
    assert listed(found) == matching(square, dict(LAYERS))


def test_enumeration_is_bounded() -> None:
    square = op("==", op("%", op("*", "i", "i"), 7), 2)
    with pytest.raises(EvaluationError, match="no closed form"):
        select("i", expr(MAX_ENUMERATED + 1), square, {})


def test_a_period_must_be_positive() -> None:
    with pytest.raises(EvaluationError, match="positive"):
        select("i", expr("n"), op("==", op("%", "i", "z"), 0), {"n": 4, "z": 0})


def test_unknown_names_are_faults_of_the_table() -> None:
    with pytest.raises(EvaluationError, match="`nobody`"):
        select("i", expr("n"), op("<", "i", "nobody"), LAYERS)


def test_the_work_does_not_depend_on_the_number_of_values() -> None:
    condition = conjunction(op(">=", "i", "d"), op("==", shifted(1, "p"), 0))

    def work(n: int) -> int:
        return calls(lambda: select("i", expr("n"), condition, {**LAYERS, "n": n}))

    work(61)  # fills the caches of normal forms
    assert work(10**9) <= 1.1 * work(61)


bounds = st.sampled_from(
    [expr(k) for k in (-1, 0, 1, 2, 5)]
    + [expr("d"), expr("n"), expr("p"), op("-", "n", "d"), op("/", "n", 2), op("+", "d", "p")]
)
comparisons = st.builds(
    lambda name, bound, flip: op(name, bound, "i") if flip else op(name, "i", bound),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    bounds,
    st.booleans(),
)
remainders = st.builds(
    lambda by, name, period, bound: op(name, shifted(by, period), bound),
    st.integers(0, 4),
    st.sampled_from(["==", "!=", "<", ">="]),
    st.sampled_from([1, 2, 3, 6, "p"]),
    st.sampled_from([0, 1, 2, "r"]),
)
members = st.builds(
    lambda items, by: op("contains", items, op("+", "i", by)),
    st.sampled_from([expr("few"), op("list"), op("list", 0, "d", op("-", "n", 2))]),
    st.integers(0, 4),
)
conditions = st.recursive(
    comparisons | remainders | members | st.just(op("==", "p", 3)) | st.just(TRUE),
    lambda inner: st.one_of(
        st.builds(conjunction, inner, inner),
        st.builds(disjunction, inner, inner),
        st.builds(negation, inner),
        st.builds(lambda a, b, c: Apply("cond", (a, b, c)), inner, inner, inner),
    ),
    max_leaves=5,
)
environments = st.fixed_dictionaries(
    {"n": st.integers(0, 30), "d": st.integers(0, 12), "p": st.integers(1, 9),
     "r": st.integers(0, 4), "few": st.lists(st.integers(0, 12), max_size=4).map(tuple)}
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(conditions, environments)
def test_any_condition_selects_what_enumeration_does(
    condition: Expr, env: dict[str, Value]
) -> None:
    found = select("i", expr("n"), condition, env)
    assert listed(found) == matching(condition, dict(env))
    assert evaluate(found.count, env) == found.size
    for assumption in found.assumptions:
        assert evaluate(assumption, env) is True


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(conditions, environments)
def test_closed_forms_hold_wherever_their_assumptions_do(
    condition: Expr, env: dict[str, Value]
) -> None:
    found = select("i", expr("n"), condition, env)
    if not found.closed:
        return
    for n, d, p, r in product((0, 1, 2, 7, 12), (0, 1, 3, 7), (1, 3, 4), (0, 2)):
        other = {**env, "n": n, "d": d, "p": p, "r": r}
        if all(evaluate(assumption, other) is True for assumption in found.assumptions):
            assert evaluate(found.count, other) == len(matching(condition, dict(other)))
