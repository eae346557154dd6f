"""Every question about an expression is answered, or given up, in bounded work: of the size that
tables have, in less than a second."""

from __future__ import annotations

from functools import reduce
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specgen.expr.assumptions import Assumptions
from specgen.expr.facts import exact, extent, whole
from specgen.expr.node import Const, Expr, Sym
from specgen.expr.normal import equal, normalize, settled, tidy
from specgen.expr.polynomial import TooComplex
from specgen.frontend.conditions.divisibility import divides
from tests.proofs.drawing import CHOICE, CHOICES, FLAGS, LAYER, RATE, SIZES, N, T, apply
from tests.work import calls

#: Calls of functions, Python's own counted: a second is some five million.
LIMIT = 4_000_000

NAMES = (*SIZES, Sym("c", "size"), Sym("d", "size"), N, LAYER, T)

#: Operators that are drawn: all, or those that lead to much of the same work.
FAMILIES = (
    ("+", "-", "*", "/", "%", "min", "max", "ceil", "floor", "neg", "abs", "**c", "**", "cond"),
    ("+", "-", "*", "/"),
    ("min", "max", "abs", "cond", "+"),
    ("**c", "+", "*"),
    ("**", "%", "+", "ceil"),
)


def number(random: Random, size: int, ops: tuple[str, ...]) -> Expr:
    """A number of about so many nodes."""
    if size <= 1:
        way = random.random()
        if way < 0.6:
            return random.choice(NAMES)
        return Const(random.randint(-2, 64)) if way < 0.9 else random.choice([RATE, Const(0.5)])
    op, first = random.choice(ops), random.randint(1, max(1, size - 2))
    third = max(1, size // 3)
    match op:
        case "ceil" | "floor" | "neg" | "abs":
            return apply(op, number(random, size - 1, ops))
        case "**c":
            return apply("**", number(random, size - 2, ops), Const(random.choice([-2, 2, 3, 64])))
        case "cond":
            then, otherwise = (number(random, third, ops) for _ in range(2))
            return apply(op, condition(random, third, ops), then, otherwise)
        case _:
            return apply(op, *(number(random, n, ops) for n in (first, size - 1 - first)))


def condition(random: Random, size: int, ops: tuple[str, ...]) -> Expr:
    """A condition of about so many nodes."""
    if size <= 2:
        return random.choice([*FLAGS, apply("==", CHOICE, Const("x"))])
    way, first = random.random(), random.randint(1, max(1, size - 2))
    rest = size - 1 - first
    if way < 0.6:
        op = random.choice(["==", "!=", "<", "<=", ">", ">="])
        return apply(op, number(random, first, ops), number(random, rest, ops))
    if way < 0.85:
        op = random.choice(["and", "or"])
        return apply(op, condition(random, first, ops), condition(random, rest, ops))
    if way < 0.95:
        return apply("not", condition(random, size - 1, ops))
    listed = apply("list", *(number(random, size // 4, ops) for _ in range(3)))
    return apply("contains", listed, number(random, size // 4, ops))


def ask_numbers(left: Expr, right: Expr) -> None:
    """All that is asked of numbers; each may be given up."""
    for expr in (left, right):
        whole(expr), exact(expr), extent(expr), tidy(expr)
        try:
            normalize(expr).bounds()
        except (TooComplex, ZeroDivisionError):
            continue
    equal(left, right)


def ask_conditions(fact: Expr, asked: Expr) -> None:
    known = Assumptions(choices=CHOICES).assume(fact)
    if known is not None:
        known.decide(asked)
    settled(asked)


def ask_division(fact: Expr, part: Expr, top: Expr) -> None:
    known = Assumptions(choices=CHOICES).assume(fact)
    if known is not None:
        divides(part, top, known, {})


def ask(seed: int, size: int, family: int) -> None:
    random, ops = Random(seed), FAMILIES[family]
    ask_numbers(number(random, size, ops), number(random, size, ops))
    ask_conditions(condition(random, size, ops), condition(random, size, ops))
    ask_division(*(f(random, size // 2, ops) for f in (condition, number, number)))


A, B, C, D = NAMES[:4]
SUM = apply("+", apply("+", A, B), C)


def repeated(op: str, items: list[Expr]) -> Expr:
    return reduce(lambda left, right: apply(op, left, right), items)


DRAWS = st.tuples(st.integers(0, 2**32), st.integers(10, 60), st.integers(0, len(FAMILIES) - 1))


@settings(max_examples=5, suppress_health_check=list(HealthCheck), deadline=None)
@given(DRAWS)
@example((1000151, 40, 0))
def test_work_is_bounded(draw: tuple[int, int, int]) -> None:
    assert calls(lambda: ask(*draw)) < 3 * LIMIT  # three questions


@pytest.mark.slow
@settings(max_examples=50, suppress_health_check=list(HealthCheck), deadline=None)
@given(DRAWS)
def test_work_is_bounded_of_many(draw: tuple[int, int, int]) -> None:
    assert calls(lambda: ask(*draw)) < 3 * LIMIT


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # Powers of powers: of a number, of a sum, of a name.
        (repeated("**", [Const(2), *[Const(64)] * 4]), Const(2)),
        (repeated("**", [SUM, *[Const(8)] * 4]), SUM),
        (repeated("**", [A, *[B] * 60]), A),
        (repeated("*", [apply("**", apply("+", SUM, D), Const(20))] * 5), SUM),
        # Divisions by sums: sympy's cancel takes minutes.
        (
            repeated("+", [apply("/", n, apply("+", SUM, Const(i))) for i, n in enumerate(NAMES * 3)]),
            A,
        ),
        (repeated("/", [apply("+", SUM, Const(i)) for i in range(40)]), A),
        # Conditional values, each of which is looked at with each other.
        (repeated("max", [apply("*", n, Const(i)) for i, n in enumerate(NAMES)]), A),
        (repeated("+", [apply("min", apply("abs", apply("-", n, A)), B) for n in NAMES]), A),
        # Deep ones.
        (repeated("%", [*NAMES * 10]), repeated("+", [*NAMES * 10])),
    ],
)  # fmt: skip
def test_work_is_bounded_where_it_multiplies(left: Expr, right: Expr) -> None:
    assert calls(lambda: ask_numbers(left, right)) < LIMIT
    assert calls(lambda: ask_conditions(apply("<", left, right), apply("<=", left, right))) < LIMIT
    assert calls(lambda: ask_division(apply(">", left, right), right, left)) < LIMIT


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (apply("/", apply("*", A, SUM), SUM), A),
        (apply("+", apply("/", A, SUM), apply("/", apply("+", B, C), SUM)), Const(1)),
        (apply("/", A, apply("/", B, SUM)), apply("/", apply("*", A, SUM), B)),
        (apply("/", Const(1), apply("**", SUM, Const(-2))), apply("*", SUM, SUM)),
    ],
)
def test_sizes_that_divide_by_sums_are_decided(left: Expr, right: Expr) -> None:
    assert equal(left, right)
    assert not equal(left, apply("+", right, Const(1)))
    assert not equal(left, apply("/", right, apply("-", SUM, SUM)))
