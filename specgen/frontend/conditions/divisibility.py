"""Whether a division of sizes is exact: by algebra, or by what is known on a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from fractions import Fraction
from typing import Final

from specgen.expr.assumptions import Assumptions, said, split
from specgen.expr.facts import exact
from specgen.expr.node import ZERO, Apply, Expr, substitute, symbols
from specgen.expr.normal import normalize
from specgen.expr.polynomial import Monomial, Polynomial, TooComplex, is_integral
from specgen.frontend.scope import Scope
from specgen.ops.context import size_text

Term = tuple[Monomial, Fraction]

#: Steps of one proof: more are not needed, and a search has to end.
MAX_STEPS: Final = 200


def divides(part: Expr, whole: Expr, known: Assumptions, lets: Mapping[str, Expr]) -> bool:
    """Whether whole / part is a whole number, where it has a value and the assumptions hold."""
    whole, part = substitute(whole, lets), substitute(part, lets)
    if is_whole(Apply("/", (whole, part)), known, [MAX_STEPS]):
        return True
    # A remainder may be known to be 0 where the quotient has no form that says so.
    remainder = Apply("%", (whole, part))
    return exact(remainder) and known.decide(Apply("==", (remainder, ZERO))) is True


def is_whole(expr: Expr, known: Assumptions, budget: list[int]) -> bool:
    if split(expr):
        with suppress(TooComplex, ZeroDivisionError):  # as it is said, it may be required
            if follows(normalize(expr), Facts(known), [MAX_STEPS], ()):
                return True
    # Those under few conditions first: they are soon weighed, and one that is not whole will do.
    for case, conditions in sorted(doubtful(expr, (), budget), key=lambda found: len(found[1])):
        assumed = known.assume(Apply("and", conditions)) if conditions else known
        if assumed is None:  # the case never is
            continue
        if case is None or not follows(case, Facts(assumed), budget, ()):
            return False
    return True


def doubtful(
    expr: Expr, under: tuple[Expr, ...], budget: list[int]
) -> Iterator[tuple[Polynomial | None, tuple[Expr, ...]]]:
    """The cases of an expression that are not whole by their form, and when each of them is.

    None stands for one that nothing can be said of.  Conditions are weighed by the caller, for
    these cases only: it costs far more than to normalize all of them.
    """
    try:
        p = normalize(expr)
    except (TooComplex, ZeroDivisionError):
        p = None
    if p is not None and p.integral:
        return
    cases = split(expr) if p is not None else []
    if not cases:
        yield p, under
        return
    budget[0] -= 1
    if budget[0] <= 0:
        yield None, under
        return
    for condition, case in cases:
        yield from doubtful(case, (*under, condition), budget)


class Facts:
    """Polynomials that are known to be whole, and those that are known to be zero."""

    def __init__(self, known: Assumptions) -> None:
        self.quotients, self.zeros = tuple(known.quotients()), tuple(known.zeros())


def multiple(target: Term, term: Term) -> Polynomial | None:
    """The target divided by a term; None where that divides by more than the target does, which
    might be zero."""
    found = Polynomial((target,)) * Polynomial((term,)).inverse()
    divisors = {base for base, power in target[0] if power < 0}
    ((monomial, _),) = found.terms
    return found if all(power > 0 or base in divisors for base, power in monomial) else None


def follows(p: Polynomial, facts: Facts, budget: list[int], done: tuple[Polynomial, ...]) -> bool:
    """Whether a polynomial is whole by the facts: their multiples take away what is not.

    `done` are the polynomials on the way here, to which a step must not lead back.
    """
    rest = p.where(lambda monomial, c: not is_integral(monomial, c))
    if not rest.terms:
        return True
    if rest in done or len(done) > 8:
        return False
    done = (*done, rest)
    for fact, any_multiple in (
        *((fact, False) for fact in facts.quotients),
        *((fact, True) for fact in facts.zeros),
    ):
        for term in fact.terms:
            budget[0] -= 1
            if budget[0] < 0:
                return False
            times = multiple(rest.terms[0], term)
            if times is None:
                continue
            try:
                left = rest - times * fact
            except TooComplex:
                continue
            # The multiple of a whole number is whole only if it is by a whole number.
            if (any_multiple or follows(times, facts, budget, done)) and follows(
                left, facts, budget, done
            ):
                return True
    return False


def divisions(
    expr: Expr, under: tuple[Expr, ...] = ()
) -> Iterator[tuple[Expr, Expr, tuple[Expr, ...]]]:
    """Every exact division (whole, part) in a size, with the conditions under which it is there;
    those inside ceil and floor may round."""
    match expr:
        case Apply(op="ceil" | "floor"):
            return
        case Apply(op="cond", args=(test, then, otherwise)):
            yield from divisions(then, (*under, test))
            yield from divisions(otherwise, (*under, said(test, False)))
            return
        case Apply(op="/", args=(whole, part)):
            yield whole, part, under
        case _:
            pass
    if isinstance(expr, Apply):
        for arg in expr.args:
            yield from divisions(arg, under)


def advice(whole: Expr, part: Expr, scope: Scope) -> str | None:
    """What a table may say to make a division exact; None where it has no words for it."""
    names = symbols(whole) | symbols(part)
    definition = scope.definition
    if definition is None:
        return "a function has no requirements: give it the quotient as an argument's dim"
    variables = sorted(n for n in names if n in scope.symbols and scope.symbols[n].kind == "axis")
    if variables:
        shown = " and ".join(f"`{name}`" for name in variables)
        return f"nothing can be required of {shown}: let an argument's dim be a product, `2 × {variables[0]}`"
    condition = Apply("==", (Apply("%", (whole, part)), ZERO))
    return f'require {{ {size_text(condition)} "..." }}'
