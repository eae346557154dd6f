"""Dims of values: numbers, or polynomials of the graph's symbolic dims such as `batch`.

Compile-time expressions are evaluated to them; knows nothing of nodes and modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from specgen.expr.evaluate import EvaluationError, Value, apply, describe, truth
from specgen.expr.node import Apply, Const, Expr, Sym, symbols
from specgen.records import dataclass

Monomial = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DimExtent:
    """A dim that is known when the graph runs: a sum of coefficients times symbolic dims.

    Terms are in canonical order, so that equal extents compare equal.
    """

    terms: tuple[tuple[Monomial, int], ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DimExtent) and self.terms == other.terms

    def __hash__(self) -> int:
        return hash(self.terms)

    @property
    def name(self) -> str | None:
        """The symbolic dim that this is, if it is one."""
        match self.terms:
            case (((name,), 1),):
                return name
            case _:
                return None

    def __str__(self) -> str:
        """As ONNX writes a symbolic dim: `batch*sequence`, `total - sequence`."""
        text = ""
        for factors, coefficient in sorted(self.terms, key=lambda term: term[1] < 0):
            number = (str(abs(coefficient)),) if abs(coefficient) != 1 or not factors else ()
            sign = "-" if coefficient < 0 else "+"
            text += f" {sign} " if text else sign.removeprefix("+")
            text += "*".join((*number, *factors))
        return text


Dim = int | DimExtent
Shape = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class OpenDim:
    """What a name stands for that has another value in each instance of a mixture.

    They share their nodes; which of them is evaluated is known only when the graph runs.
    """


OPEN: Final = OpenDim()

#: What names stand for while a module is lowered: numbers, choices, and symbolic dims.
Environment = Mapping[str, Value | DimExtent | OpenDim]


#: A dim of which the file says nothing; two of them need not be equal.
UNKNOWN: Final = DimExtent(())


def symbol(name: str) -> DimExtent:
    return DimExtent((((name,), 1),))


def terms_of(dim: Dim) -> dict[Monomial, int]:
    return dict(dim.terms) if isinstance(dim, DimExtent) else {(): dim}


def dim_of(terms: Mapping[Monomial, int]) -> Dim:
    """The number or extent with these terms."""
    kept = tuple(sorted((factors, c) for factors, c in terms.items() if c))
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    return DimExtent(kept)


def add(left: Dim, right: Dim, sign: int = 1) -> Dim:
    terms = terms_of(left)
    for factors, c in terms_of(right).items():
        terms[factors] = terms.get(factors, 0) + sign * c
    return dim_of(terms)


def multiply(left: Dim, right: Dim) -> Dim:
    terms: dict[Monomial, int] = {}
    for a, m in terms_of(left).items():
        for b, n in terms_of(right).items():
            factors = tuple(sorted((*a, *b)))
            terms[factors] = terms.get(factors, 0) + m * n
    return dim_of(terms)


def settled(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    """The dim with numbers for those symbolic dims that have one."""
    if isinstance(dim, int) or not sizes or dim == UNKNOWN:
        return dim
    result: Dim = 0
    for factors, coefficient in dim.terms:
        result = add(result, product((coefficient, *(sizes.get(f, symbol(f)) for f in factors))))
    return result


def product(dims: Shape) -> Dim:
    result: Dim = 1
    for dim in dims:
        result = multiply(result, dim)
    return result


def divide(left: Dim, right: Dim) -> Dim:
    """left / right, which the checker has proved to be whole.

    Raises:
        EvaluationError: the divisor is a sum of symbolic dims, or does not divide.
    """
    divisor = terms_of(right)
    if len(divisor) == 1:
        ((by, number),) = divisor.items()
        terms = {}
        for factors, c in terms_of(left).items():
            rest = list(factors)
            if number == 0 or c % number or any(rest.count(f) < by.count(f) for f in by):
                break
            for factor in by:
                rest.remove(factor)
            terms[tuple(rest)] = c // number
        else:
            return dim_of(terms)
    raise EvaluationError(f"{left} / {right} is not a product of dims")


def resolve(expr: Expr, env: Environment) -> Value | DimExtent:
    """The value of an expression, an Extent where it depends on symbolic dims.

    Raises:
        EvaluationError: as `evaluate`, and for what is no polynomial of symbolic dims.
    """
    match expr:
        case Const(value=value):
            return value
        case Sym(name=name):
            if name not in env:
                raise EvaluationError(f"`{name}` has no value here")
            found = env[name]
            if isinstance(found, OpenDim):
                reason = (
                    "differs among the instances of a mixture, which are one piece of the graph"
                )
                raise EvaluationError(f"`{name}` {reason}")
            return found
        case Apply(op="cond", args=(condition, then, otherwise)):
            return resolve(then if holds(condition, env) else otherwise, env)
        case Apply(op="and", args=args):
            return all(holds(arg, env) for arg in args)
        case Apply(op="or", args=args):
            return any(holds(arg, env) for arg in args)
        case Apply(op=op, args=args):
            values = [resolve(arg, env) for arg in args]
            if any(isinstance(value, DimExtent) for value in values):
                return symbolic(op, values)
            return apply(op, [value for value in values if not isinstance(value, DimExtent)])
    assert_never(expr)


def resolve_if_closed(expr: Expr, env: Environment) -> Value | DimExtent | OpenDim:
    """As `resolve`, but OPEN where the value differs among the instances of a mixture."""
    try:
        return resolve(expr, env)
    except EvaluationError:
        if any(env.get(name) == OPEN for name in symbols(expr)):
            return OPEN
        raise


def symbolic(op: str, values: list[Value | DimExtent]) -> Dim:
    """An operator on dims of which one at least is symbolic."""
    dims = [value for value in values if isinstance(value, int | DimExtent)]
    match op, dims:
        case "+", [left, right]:
            return add(left, right)
        case "-", [left, right]:
            return add(left, right, -1)
        case "neg", [only]:
            return add(0, only, -1)
        case "*", [left, right]:
            return multiply(left, right)
        case "/", [left, right]:
            return divide(left, right)
    raise EvaluationError(f"`{op}` of a size that is known only when the graph runs")


def holds(condition: Expr, env: Environment) -> bool:
    """The truth of a condition.

    Raises:
        EvaluationError: it depends on symbolic dims, or is no condition.
    """
    value = resolve(condition, env)
    if isinstance(value, DimExtent):
        raise EvaluationError("a condition on a size that is known only when the graph runs")
    return truth(value)


def dim(expr: Expr, env: Environment) -> Dim:
    """A dim, which is a whole number or an extent."""
    value = resolve(expr, env)
    if isinstance(value, DimExtent):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise EvaluationError(f"a whole number is needed, not {describe(value)}")
    return value
