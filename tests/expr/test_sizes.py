"""Sizes: exact evaluation, a normal form that decides equality, printing that reads back.

sympy is the independent judge: it is not used on these paths.
"""

from __future__ import annotations

import ast
import random
from fractions import Fraction

import pytest
import sympy

from specgen.expr.assumptions import Assumptions
from specgen.expr.evaluate import EvaluationError, evaluate, evaluate_int, expression
from specgen.expr.node import Apply, Const, Expr, Sym, conjunction, disjunction, negation
from specgen.expr.normal import equal, settled
from specgen.expr.printing import PYTHON, TABLE, to_text
from specgen.expr.sympy_bridge import to_sympy
from specgen.frontend.conditions.divisibility import divides

A, B, H = (Sym(name, "size") for name in ("a", "b", "h"))
N = Sym("n", "count")
LAYER = Sym("layer", "index")


def apply(op: str, *args: Expr) -> Expr:
    return Apply(op, args)  # type: ignore[arg-type]


def random_size(rng: random.Random, depth: int) -> Expr:
    if depth == 0 or rng.random() < 0.2:
        return rng.choice([A, B, H, Const(rng.randint(1, 9))])
    op = rng.choice(["+", "-", "*", "/", "**", "neg"])
    if op == "neg":
        return apply("neg", random_size(rng, depth - 1))
    if op == "**":
        return apply("**", random_size(rng, depth - 1), Const(rng.randint(0, 3)))
    return apply(op, random_size(rng, depth - 1), random_size(rng, depth - 1))


@pytest.mark.parametrize("seed", range(150))
def test_equality_agrees_with_sympy(seed: int) -> None:
    rng = random.Random(seed)
    left, right = random_size(rng, 3), random_size(rng, 3)
    pairs = [(left, right), (left, apply("-", apply("+", left, right), right))]
    for a, b in pairs:
        try:
            difference = sympy.cancel(to_sympy(a) - to_sympy(b))
        except (ZeroDivisionError, sympy.PolynomialError):
            continue
        if difference.has(sympy.zoo, sympy.nan):
            continue
        assert equal(a, b) == (difference == 0), f"{to_text(a)}  and  {to_text(b)}"


@pytest.mark.parametrize("seed", range(100))
def test_python_text_means_the_expression(seed: int) -> None:
    rng = random.Random(seed)
    expr = random_size(rng, 4)
    env = {"a": 6, "b": 4, "h": 3}
    try:
        value = evaluate(expr, env)
    except EvaluationError:
        return
    assert read(ast.parse(to_text(expr, PYTHON), mode="eval").body, env) == value


def read(node: ast.expr, env: dict[str, int]) -> Fraction:
    """A Python expression evaluated in fractions, by its own walk."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            x, y = read(left, env), read(right, env)
            match op:
                case ast.Add():
                    return x + y
                case ast.Sub():
                    return x - y
                case ast.Mult():
                    return x * y
                case ast.Div():
                    return x / y
                case ast.Pow():
                    return Fraction(x**y)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -read(operand, env)
        case ast.Name(id=name):
            return Fraction(env[name])
        case ast.Constant(value=int(value)):
            return Fraction(value)
    raise AssertionError(ast.dump(node))


def test_rational_functions_that_divide_by_sums_cancel() -> None:
    total = apply("+", A, B)
    assert equal(apply("/", apply("*", total, H), total), H)
    assert not equal(apply("/", apply("*", total, H), apply("+", A, H)), H)


def test_the_table_notation_keeps_the_users_expression() -> None:
    expr = apply("*", Sym("n_heads"), apply("+", A, B))
    assert to_text(expr, TABLE) == "n_heads × (a + b)"
    assert to_text(expr, PYTHON) == "n_heads*(a + b)"


@pytest.mark.parametrize("height", [6, 40, 400])
def test_towers_of_powers_are_an_error(height: int) -> None:
    tower: Expr = Const(2)
    for _ in range(height):
        tower = apply("**", Const(2), tower)
    with pytest.raises(EvaluationError, match="limits"):
        evaluate(tower, {})


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        (apply("/", A, Const(0)), "division by zero"),
        (apply("/", Const(1), Const(2)), "whole number"),
        (apply("+", Const(True), A), "numbers"),
        (Sym("missing"), "no value"),
        (apply("ln", Const(0)), "no value"),
    ],
)
def test_what_has_no_value_says_why(expr: Expr, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        evaluate_int(expr, {"a": 6})


def test_conditions_exclude_and_imply_each_other() -> None:
    start = Assumptions()
    below, above = apply("<", LAYER, N), apply(">=", LAYER, N)
    assumed = start.assume(below)
    assert assumed is not None
    assert assumed.decide(above) is False
    assert assumed.decide(apply("<", LAYER, apply("+", N, Const(1)))) is True
    assert start.decide(below) is None
    assert start.decide(apply(">=", N, Const(0))) is True
    assert start.decide(apply("==", A, Const(0))) is False, "a size is at least 1"
    not_zero = start.assume(apply("!=", N, Const(0)))
    assert not_zero is not None
    assert not_zero.decide(apply(">", N, Const(0))) is True


def test_conditions_combine() -> None:
    start = Assumptions(choices={"score": ("softmax", "sigmoid")})
    soft = apply("==", Sym("score", "choice"), Const("softmax"))
    hard = apply("==", Sym("score", "choice"), Const("sigmoid"))
    assumed = start.assume(negation(soft))
    assert assumed is not None
    assert assumed.decide(hard) is True
    both = conjunction(soft, apply(">", N, Const(0)))
    assert start.decide(both) is None
    assumed_soft = start.assume(soft)
    assert assumed_soft is not None
    assert assumed_soft.decide(negation(both)) is None
    either = disjunction(soft, apply(">", N, Const(0)))
    none = start.assume(negation(either))
    assert none is not None
    assert none.decide(soft) is False
    assert none.decide(apply("==", N, Const(0))) is True


def test_lists_are_values() -> None:
    few = Sym("few", "counts")
    env = {"few": (0, 3), "a": 3, "n": 1}
    assert evaluate(apply("list", A, apply("/", N, Const(2))), env) == (3, Fraction(1, 2))
    assert evaluate(apply("length", few), env) == 2
    assert evaluate(apply("contains", few, A), env) is True
    assert evaluate(apply("contains", few, N), env) is False
    assert evaluate(expression((1, 2.5)), {}) == (1, 2.5)
    assert to_text(apply("contains", apply("list", A, Const(-1)), N)) == "contains([a, -1], n)"
    assert equal(apply("length", apply("list", A, B)), Const(2))
    for wrong in (apply("length", A), apply("contains", A, few), apply("list", few)):
        with pytest.raises(EvaluationError, match="takes"):
            evaluate(wrong, env)


def test_lists_exclude_and_imply() -> None:
    few, start = Sym("few", "counts"), Assumptions()
    inside = apply("contains", few, LAYER)
    assumed = start.assume(inside)
    assert assumed is not None
    assert assumed.decide(inside) is True
    assert assumed.decide(negation(inside)) is False
    assert assumed.decide(apply("contains", few, N)) is None
    ends = apply("contains", apply("list", Const(0), Const(7)), LAYER)
    low = start.assume(apply("<", LAYER, Const(5)))
    assert low is not None
    assert low.decide(ends) is None
    first = low.assume(ends)
    assert first is not None
    assert first.decide(apply("==", LAYER, Const(0))) is True
    other = low.assume(negation(ends))
    assert other is not None
    assert other.decide(apply(">", LAYER, Const(0))) is True
    assert start.decide(apply("contains", apply("list"), LAYER)) is False
    assert start.decide(apply(">=", apply("length", few), Const(0))) is True


def test_conditions_that_no_value_changes_are_settled() -> None:
    text = Apply("==", (Const("half"), Const("none")))
    same = Apply("<=", (A, A))
    open_ = Apply("<", (A, B))
    assert settled(same) == Const(True)
    assert settled(text) == Const(False)
    assert settled(Apply("==", (Const(0.0), Const(0)))) == Const(True)
    assert settled(Apply(">", (Apply("+", (A, Const(1))), A))) == Const(True)
    assert settled(Apply("and", (Apply("not", (text,)), open_))) == open_
    assert settled(Apply("or", (text, Apply("<", (A, A))))) == Const(False)
    assert settled(open_) == open_
    assert settled(Apply("==", (Sym("way", "choice"), Const("half")))).args[1] == Const("half")


def test_division_is_exact_by_algebra_or_by_requirement() -> None:
    even = apply("==", apply("%", H, Const(2)), Const(0))

    def exact(part: Expr, whole: Expr, *required: Expr) -> bool:
        known = Assumptions()
        for condition in required:
            known = known.assume(condition) or known
        return divides(part, whole, known, {})

    assert exact(H, apply("*", A, H))
    assert not exact(Const(2), H)
    assert exact(Const(2), H, even)
    assert exact(Const(2), apply("*", A, H), even)
    assert not exact(Const(4), H, even)
    grouped = apply("==", apply("%", A, B), Const(0))
    assert exact(B, A, grouped)
    assert exact(B, apply("*", A, H), conjunction(even, grouped))
