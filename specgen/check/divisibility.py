"""Whether a division of sizes is exact: by algebra, or because the table requires it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from specgen.sizes.expr import Apply, Const, Expr, substitute, walk
from specgen.sizes.normal import Polynomial, TooComplex, integral, inverse, normalize


def divides(part: Expr, whole: Expr, requires: Sequence[Expr], lets: Mapping[str, Expr]) -> bool:
    """Whether whole / part is a whole number wherever the requirements hold."""
    try:
        top, bottom = normalize(substitute(whole, lets)), normalize(substitute(part, lets))
        ratio = top * inverse(bottom)
    except (TooComplex, ZeroDivisionError):
        return False
    if integral(ratio):
        return True
    for dividend, divisor in required(requires, lets):
        try:
            # whole/part = (whole/dividend) * (dividend/divisor) * (divisor/part)
            rest = ratio * inverse(dividend) * divisor
        except (TooComplex, ZeroDivisionError):
            continue
        if integral(rest):
            return True
    return False


def required(
    requires: Sequence[Expr], lets: Mapping[str, Expr]
) -> Iterator[tuple[Polynomial, Polynomial]]:
    """The pairs (a, b) of every `a % b == 0` among the requirements."""
    for condition in requires:
        for node in conjuncts(substitute(condition, lets)):
            match node:
                case Apply(op="==", args=(Apply(op="%", args=(a, b)), Const(value=0))):
                    try:
                        yield normalize(a), normalize(b)
                    except TooComplex:
                        continue
                case _:
                    continue


def conjuncts(condition: Expr) -> Iterator[Expr]:
    if isinstance(condition, Apply) and condition.op == "and":
        for arg in condition.args:
            yield from conjuncts(arg)
    else:
        yield condition


def divisions(expr: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Every exact division (whole, part) in a size; those inside ceil and floor may round."""
    match expr:
        case Apply(op="ceil" | "floor"):
            return
        case Apply(op="/", args=(whole, part)):
            yield whole, part
        case _:
            pass
    if isinstance(expr, Apply):
        for arg in expr.args:
            yield from divisions(arg)


def is_size(expr: Expr) -> bool:
    """Whether an expression has no real number in it."""
    return not any(
        (isinstance(n, Const) and isinstance(n.value, float))
        or (isinstance(n, Apply) and n.op in ("ln", "exp", "sqrt", "cos", "sin", "tanh"))
        for n in walk(expr)
    )
