"""What the shape variables of a signature are, by the dims of the arguments that a call gives.

One answer for all who bind them: the checker, counts, the interpreter and the back ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from specgen.expr.node import ONE, Apply, Const, Expr, Sym, product, symbols, walk
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class DimStep:
    """A variable is an argument's dim, divided by what else is a factor of it.

    `axis` counts from the end, since `...` may stand for any number of leading dims.
    """

    name: str
    argument: int
    axis: int
    divisor: Expr


def variables(shapes: Iterable[Iterable[Expr]]) -> set[str]:
    """The shape variables in the shapes."""
    return {
        node.name
        for shape in shapes
        for dim in shape
        for node in walk(dim)
        if isinstance(node, Sym) and node.kind == "axis"
    }


def solve(shapes: Sequence[Sequence[Expr]], variables: Collection[str]) -> list[DimStep]:
    """The steps that find the variables, each after those that it needs.

    A variable that stands alone as a dim is that dim; then one that is the only unknown factor
    of a product is the quotient.  A variable that no dim determines has no step.
    """
    places = [
        (argument, position - len(shape), dim)
        for argument, shape in enumerate(shapes)
        for position, dim in enumerate(shape)
    ]
    steps: dict[str, DimStep] = {}
    for argument, axis, dim in places:
        if isinstance(dim, Sym) and dim.name in variables:
            steps.setdefault(dim.name, DimStep(dim.name, argument, axis, ONE))
    found = True
    while found:
        found = False
        for argument, axis, dim in places:
            open_ = {name for name in symbols(dim) if name in variables and name not in steps}
            isolated = unknown_factor(dim, open_)
            if isolated is not None:
                name, divisor = isolated
                steps[name] = DimStep(name, argument, axis, divisor)
                found = True
    return list(steps.values())


def unknown_factor(dim: Expr, unknown: Collection[str]) -> tuple[str, Expr] | None:
    """The one unknown of a product, where it is a factor once, and the product of the others."""
    names = [f.name for f in factors(dim) if isinstance(f, Sym) and f.name in unknown]
    others = [f for f in factors(dim) if not (isinstance(f, Sym) and f.name in unknown)]
    if len(names) != 1 or any(symbols(other) & set(unknown) for other in others):
        return None
    return names[0], product(*others)


def factors(expr: Expr) -> Iterator[Expr]:
    match expr:
        case Apply(op="*", args=args):
            for arg in args:
                yield from factors(arg)
        case _:
            yield expr


def quotient(whole: Expr, part: Expr) -> Expr:
    """whole / part, which is known to be a whole number: without a division where one cancels."""
    simple = without_factors(whole, list(factors(part)))
    if simple is not None:
        return simple
    try:
        ratio = normalize(whole) * normalize(part).inverse()
    except (TooComplex, ZeroDivisionError):
        return Apply("/", (whole, part))
    return ratio.to_expr() if ratio.integral else Apply("/", (whole, part))


def without_factors(whole: Expr, parts: Iterable[Expr]) -> Expr | None:
    found: Expr | None = whole
    for part in parts:
        if part != ONE and found is not None:
            found = without_factor(found, part)
    return found


def without_factor(whole: Expr, part: Expr) -> Expr | None:
    """The product without one of its factors, as the table wrote it; None if it is none."""
    if whole == part:
        return ONE
    match whole, part:
        case Const(value=int(a)), Const(value=int(b)) if b and a % b == 0:
            return Const(a // b)
        case Apply(op="*", args=(left, right)), _:
            rest = without_factor(left, part)
            if rest is not None:
                return product(rest, right)
            rest = without_factor(right, part)
            if rest is not None:
                return product(left, rest)
    return None
