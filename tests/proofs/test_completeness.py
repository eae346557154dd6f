"""What is so in every case is proved: conditions over finite domains against all their cases."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.expr.assumptions import Assumptions
from specgen.expr.evaluate import Value, evaluate
from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.frontend.conditions.divisibility import divides
from tests.proofs.drawing import CHOICES, applied, apply

F, G, H = (Sym(name, "flag") for name in ("f", "g", "h"))
WAY, TWO = Sym("way", "choice"), Sym("two", "choice")
N = Sym("n", "count")
A, B, C, D, K = (Sym(name, "size") for name in ("a", "b", "c", "d", "k"))

#: Comparisons look at 0 to 3 only, so that 4 and 5 stand for all numbers above.
DOMAINS: dict[str, tuple[Value, ...]] = {
    "f": (False, True), "g": (False, True), "h": (False, True),
    "way": CHOICES["way"], "two": CHOICES["two"], "n": (0, 1, 2, 3, 4, 5),
}  # fmt: skip
CASES = [dict(zip(DOMAINS, values, strict=True)) for values in product(*DOMAINS.values())]

COMPARED = ["==", "!=", "<", "<=", ">", ">="]


def formulas(depth: int) -> st.SearchStrategy[Expr]:
    leaf = st.one_of(
        st.sampled_from([F, G, H]),
        st.sampled_from([apply("==", WAY, Const(text)) for text in CHOICES["way"]]),
        st.sampled_from([apply("!=", TWO, Const(text)) for text in CHOICES["two"]]),
        st.sampled_from([apply(op, F, G) for op in ("==", "!=")]),
        st.sampled_from([apply("==", WAY, TWO), apply("==", H, Const(False))]),
        st.tuples(st.sampled_from(COMPARED), st.integers(0, 3)).map(
            lambda pair: apply(pair[0], N, Const(pair[1]))
        ),
        st.lists(st.integers(0, 3), max_size=3).map(
            lambda items: apply("contains", apply("list", *map(Const, items)), N)
        ),
    )
    if depth == 0:
        return leaf
    inner = formulas(depth - 1)
    valued = st.tuples(inner, st.integers(0, 3), st.integers(0, 3)).map(
        lambda t: apply("cond", t[0], Const(t[1]), Const(t[2]))
    )
    return st.one_of(
        leaf,
        inner.map(lambda arg: apply("not", arg)),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)).map(
            applied
        ),
        st.tuples(inner, inner, inner).map(lambda args: apply("cond", *args)),
        st.tuples(st.sampled_from(["==", "!="]), st.tuples(inner, inner)).map(applied),
        st.tuples(st.sampled_from(COMPARED), valued).map(lambda p: apply(p[0], N, p[1])),
        st.tuples(st.sampled_from(COMPARED), valued).map(lambda p: apply(p[0], p[1], Const(2))),
    )


def check(facts: list[Expr], asked: Expr) -> None:
    held = [case for case in CASES if all(evaluate(fact, case) is True for fact in facts)]
    known: Assumptions | None = Assumptions(choices=CHOICES)
    for fact in facts:
        known = known.assume(fact) if known is not None else None
    assert (known is None) == (not held), f"{facts} hold in {len(held)} cases"
    if known is not None:
        truths = {evaluate(asked, case) for case in held}
        wanted = truths.pop() if len(truths) == 1 else None
        assert known.decide(asked) is wanted, f"{facts} and {asked}"


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(formulas(1), max_size=3), formulas(2))
def test_what_holds_in_all_cases_is_proved(facts: list[Expr], asked: Expr) -> None:
    check(facts, asked)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(formulas(2), max_size=3), formulas(2))
def test_what_holds_in_all_cases_is_proved_of_many(facts: list[Expr], asked: Expr) -> None:
    check(facts, asked)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(formulas(2), min_size=2, max_size=3))
def test_de_morgan(parts: list[Expr]) -> None:
    start = Assumptions(choices=CHOICES)
    every = apply("and", *parts)
    some = apply("or", *(apply("not", part) for part in parts))
    assert start.decide(apply("==", apply("not", every), some)) is True
    assert start.decide(apply("and", every, some)) is False
    assert start.decide(apply("or", every, some)) is True


#: Requirements, a dividend and a divisor that they make exact.
IMPLIED: dict[str, tuple[list[Expr], Expr, Expr]] = {
    "a factor": ([apply("==", apply("%", A, B), Const(0))], apply("*", A, C), B),
    "a sum of a quotient and a number, times both": (
        [apply("==", apply("%", A, B), Const(0))],
        apply("*", apply("*", B, apply("+", apply("/", A, B), Const(2))), C),
        apply("*", B, C),
    ),
    "two quotients": (
        [apply("==", apply("%", A, B), Const(0)), apply("==", apply("%", C, D), Const(0))],
        apply("*", A, C),
        apply("*", B, D),
    ),
    "a chain": (
        [apply("==", apply("%", A, B), Const(0)), apply("==", apply("%", B, C), Const(0))],
        A,
        C,
    ),
    "an equality": ([apply("==", A, apply("*", B, C))], A, B),
    "a remainder": (
        [apply("==", apply("%", A, B), Const(1))],
        apply("-", apply("+", A, B), Const(1)),
        B,
    ),
    "a sum of exact parts": (
        [apply("==", apply("%", A, K), Const(0)), apply("==", apply("%", B, K), Const(0))],
        apply("+", A, apply("*", B, C)),
        K,
    ),
    "more than is needed": ([apply("==", apply("%", A, Const(8)), Const(0))], A, Const(2)),
    "a multiple of a product": (
        [apply("==", apply("%", A, apply("*", B, Const(2))), Const(0))],
        A,
        B,
    ),
    "under a condition": (
        [apply("or", F, apply("==", apply("%", A, B), Const(0))), apply("not", F)],
        A,
        B,
    ),
    "a conditional size": (
        [apply("==", apply("%", A, B), Const(0))],
        apply("cond", F, A, apply("*", B, C)),
        B,
    ),
    "a rounded size": ([], apply("*", apply("ceil", apply("/", A, B)), B), B),
    "a remainder taken away": ([], apply("*", B, apply("%", A, B)), B),
}


@pytest.mark.parametrize("name", IMPLIED)
def test_implied_divisibility(name: str) -> None:
    facts, whole, part = IMPLIED[name]
    known = Assumptions()
    for fact in facts:
        narrowed = known.assume(fact)
        assert narrowed is not None
        known = narrowed
    assert divides(part, whole, known, {})
    if facts:
        assert not divides(part, whole, Assumptions(), {})


def test_comparisons_of_multiples_of_one_size_speak_of_the_same() -> None:
    known = Assumptions().assume(Apply("<", (apply("*", Const(2), N), apply("*", Const(2), A))))
    assert known is not None
    assert known.decide(apply("<=", apply("+", N, Const(1)), A)) is True
    assert Assumptions().decide(apply("<", apply("%", N, Const(2)), Const(2))) is True
    odd = Assumptions().assume(apply("!=", apply("%", N, Const(2)), Const(0)))
    assert odd is not None
    assert odd.decide(apply("==", apply("%", N, Const(2)), Const(1))) is True
