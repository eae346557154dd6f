"""Columns give exactly what `sizes.evaluate` gives at each point: no wrapping, no rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from specgen.expr.columns import vector
from specgen.expr.columns.vector import evaluate, evaluate_all, find_where
from specgen.expr.evaluate import EvaluationError
from specgen.expr.evaluate import evaluate as at_point
from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.questions.points import make_axis
from tests.questions.expressions import POINTS, flags, numbers

M, N = Sym("m", "size"), Sym("n", "size")


def columns(points: list[dict[str, object]]) -> dict[str, np.ndarray]:
    return {name: make_axis(name, [p[name] for p in points]).array for name in points[0]}


def same(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
        return True
    return type(a) is type(b) and a == b


def agrees(expr: Expr, points: list[dict[str, object]]) -> None:
    expected, faulty = [], False
    for point in points:
        try:
            expected.append(at_point(expr, point))
        except EvaluationError:
            faulty = True
    try:
        (found,) = evaluate_all([expr], columns(points))
    except EvaluationError:
        assert faulty
        return
    assert not faulty
    values = found.tolist() if found.shape else [found[()].item()] * len(points)
    pairs = zip(values, expected, strict=True)
    assert all(same(a, b) for a, b in pairs), (expr, points, values, expected)


@settings(max_examples=250, deadline=None)
@given(numbers(3), POINTS)
def test_numbers(expr: Expr, points: list[dict[str, object]]) -> None:
    agrees(expr, points)


@settings(max_examples=150, deadline=None)
@given(flags(3), POINTS)
def test_flags(expr: Expr, points: list[dict[str, object]]) -> None:
    agrees(expr, points)


# ---- limits of int64 -------------------------------------------------------------------


@pytest.mark.parametrize(
    "expr",
    [
        Apply("+", (M, N)), Apply("-", (M, N)), Apply("*", (M, N)), Apply("neg", (M,)),
        Apply("abs", (M,)), Apply("**", (M, Const(3))), Apply("*", (M, Const(2**62))),
        Apply("floor", (Apply("/", (M, N)),)), Apply("ceil", (Apply("/", (M, N)),)),
        Apply("%", (M, N)), Apply("max", (M, Const(2**63))), Apply("<", (M, Const(2**63))),
        Apply("==", (Apply("*", (M, M)), Apply("*", (N, N)))),
    ],
)  # fmt: skip
def test_nothing_wraps(expr: Expr) -> None:
    edges = [2**63 - 1, -(2**63), 2**62, -(2**62), 2**32, 3037000500, -1, 1, 7]
    points = [{"m": m, "n": n} for m in edges for n in edges]
    expected = [at_point(expr, point) for point in points]
    (found,) = evaluate_all([expr], columns(points))
    assert found.tolist() == expected


def test_results_that_fit_stay_in_int64() -> None:
    # The bounds of the parts exceed int64; those of the values do not.
    found = evaluate(Apply("*", (M, N)), {"m": np.array([2**40, 1]), "n": np.array([1, 2**40])})
    assert found.tolist() == [2**40, 2**40]
    found = evaluate(Apply("*", (M, M)), {"m": np.arange(1000)})
    assert found.dtype == np.int64


def test_beyond_int64_are_python_integers() -> None:
    found = evaluate(Apply("*", (M, M)), {"m": np.array([2**32, 3], dtype=np.int64)})
    assert found.dtype == object
    assert found.tolist() == [2**64, 9]
    assert all(type(value) is int for value in found)


def test_beyond_the_limits_of_the_language_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="beyond the limits"):
        evaluate(Apply("**", (M, Const(4))), {"m": np.array([2**60])})
    towers: Expr = M
    for _ in range(6):
        towers = Apply("**", (towers, M))
    with pytest.raises(EvaluationError, match="beyond the limits"):
        evaluate(towers, {"m": np.array([9, 9])})


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8, np.uint32, np.uint64])
def test_narrow_columns_are_widened(dtype: type) -> None:
    column = np.array([1, 120], dtype=dtype)
    assert evaluate(Apply("*", (M, Const(10**9))), {"m": column}).tolist() == [10**9, 120 * 10**9]


def test_unsigned_beyond_int64() -> None:
    column = np.array([2**64 - 1, 1], dtype=np.uint64)
    assert evaluate(Apply("+", (M, Const(1))), {"m": column}).tolist() == [2**64, 2]


def test_longer_floats_are_refused() -> None:
    if np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match="not exact"):
        evaluate(M, {"m": np.array([1.0], dtype=np.longdouble)})


# ---- divisions -------------------------------------------------------------------------


def test_a_division_that_comes_out_even_is_whole() -> None:
    found = evaluate(Apply("/", (M, Const(128))), {"m": np.array([128, 7168])})
    assert found.dtype == np.int64
    assert found.tolist() == [1, 56]


def test_a_division_that_does_not_is_an_error_or_a_fraction() -> None:
    half = Apply("/", (M, Const(2)))
    with pytest.raises(EvaluationError, match="3/2 is not a whole number"):
        evaluate(half, {"m": np.array([2, 3])})
    (found,) = evaluate_all([half], {"m": np.array([2, 3])})
    assert found.tolist() == [1, Fraction(3, 2)]
    assert evaluate(Apply("*", (half, Const(2))), {"m": np.array([2, 3])}).tolist() == [2, 3]


def test_division_by_zero() -> None:
    with pytest.raises(EvaluationError, match="division by zero"):
        evaluate(Apply("/", (Const(1), M)), {"m": np.array([1, 0])})
    guarded = Apply("cond", (Apply(">", (M, Const(0))), Apply("/", (Const(6), M)), Const(-1)))
    assert evaluate(guarded, {"m": np.array([1, 0, 3])}).tolist() == [6, -1, 2]
    both = Apply(
        "and", (Apply(">", (M, Const(0))), Apply("==", (Apply("%", (Const(6), M)), Const(0))))
    )
    assert evaluate(both, {"m": np.array([4, 0, 3])}).tolist() == [False, False, True]


# ---- shapes ----------------------------------------------------------------------------


def test_batches_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector, "BATCH", 7)
    data = np.arange(1, 100) * 2**31
    squares = evaluate(Apply("*", (M, M)), {"m": data})  # int64 in the first batches only
    assert squares.tolist() == [int(v) ** 2 for v in data]


def test_values_for_all_points() -> None:
    assert evaluate(Apply("*", (M, N)), {"m": np.array([1, 2]), "n": 3}).tolist() == [3, 6]
    assert evaluate(Apply("*", (M, N)), {"m": 2, "n": 3}) == 6
    assert evaluate(Const(5), {"m": np.array([1, 2])}).tolist() == [5, 5]
    assert evaluate(M, {"m": np.array([], dtype=np.int64)}).tolist() == []


def test_columns_of_two_lengths() -> None:
    with pytest.raises(ValueError, match="columns of 2 and 3 points"):
        evaluate(Apply("*", (M, N)), {"m": np.arange(2), "n": np.arange(3)})


def test_lists() -> None:
    layers = make_axis("layers", [(1, 2), (), (3,)]).array
    name = Sym("layers", "counts")
    assert evaluate(Apply("length", (name,)), {"layers": layers}).tolist() == [2, 0, 1]
    has = Apply("contains", (name, Const(3)))
    assert evaluate(has, {"layers": layers}).tolist() == [False, False, True]


def test_names_without_a_value() -> None:
    with pytest.raises(EvaluationError, match="`n` has no value here"):
        evaluate(Apply("+", (M, N)), {"m": np.arange(3)})


def test_conditions_without_a_value_do_not_hold() -> None:
    condition = Apply("<", (Apply("/", (Const(6), M)), Const(4)))
    assert find_where(condition, {"m": np.array([0, 1, 2])}, 3).tolist() == [False, False, True]


def test_limit_on_distinct_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector, "MAX_NODES", 50)
    long: Expr = M
    for i in range(60):
        long = Apply("+", (long, Const(i)))
    with pytest.raises(EvaluationError, match="more than 50 parts"):
        evaluate(long, {"m": np.arange(3)})


def test_doubling_is_no_work() -> None:
    # 2 ** 120 nodes as a tree, 120 distinct ones: equal objects are taken once by identity.
    expr: Expr = M
    for _ in range(18):
        expr = Apply("-", (Apply("+", (expr, expr)), expr))
    assert evaluate(expr, {"m": np.arange(5)}).tolist() == [0, 1, 2, 3, 4]
