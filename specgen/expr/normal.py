"""A normal form in which equal sizes are equal, and the questions it answers.

Sizes are rational functions of positive integers.  Here they become Laurent polynomials: sums
of a rational coefficient times powers, possibly negative, of atoms.  An atom is a symbol or an
opaque node (`ceil`, `floor`, a division by a sum) whose arguments are already normal.  What is
computed in floats is an atom as it is written, since rounding obeys no law.  Two sizes with the
same normal form are equal; sizes that divide by sums are compared by sympy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import isfinite
from typing import assert_never

from specgen.expr.evaluate import EvaluationError, evaluate
from specgen.expr.facts import Extent, exact, extent, is_int, whole
from specgen.expr.node import (
    COMPARISONS,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    disjunction,
    substitute,
    transform,
    walk,
)
from specgen.records import dataclass

Monomial = tuple[tuple[Expr, int], ...]

#: A size with more terms than this is no size; it bounds the work of multiplying out.
MAX_TERMS = 4096


class TooComplex(Exception):
    """The expression has no normal form within the limits."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Terms: monomial -> coefficient, in canonical order, none of them zero."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    @staticmethod
    def of(terms: Mapping[Monomial, Fraction]) -> Polynomial:
        kept = [(monomial, c) for monomial, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=lambda term: order(term[0]))
        return Polynomial(tuple(kept))

    @property
    def constant(self) -> Fraction | None:
        """The value, if the polynomial is a constant."""
        match self.terms:
            case ():
                return Fraction(0)
            case (((), value),):
                return value
            case _:
                return None

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for monomial, c in other.terms:
            terms[monomial] = terms.get(monomial, Fraction(0)) + c
        return Polynomial.of(terms)

    def __neg__(self) -> Polynomial:
        return Polynomial(tuple((monomial, -c) for monomial, c in self.terms))

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        if len(self.terms) * len(other.terms) > MAX_TERMS:
            raise TooComplex
        terms: dict[Monomial, Fraction] = {}
        for left, a in self.terms:
            for right, b in other.terms:
                monomial = multiply(left, right)
                terms[monomial] = terms.get(monomial, Fraction(0)) + a * b
        return Polynomial.of(terms)


def order(monomial: Monomial) -> tuple[int, str]:
    return (-sum(power for _, power in monomial), repr(monomial))


def multiply(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda ap: repr(ap[0])))


def constant(value: int | Fraction) -> Polynomial:
    return Polynomial.of({(): Fraction(value)})


def atom(expr: Expr, power: int = 1) -> Polynomial:
    return Polynomial((((((expr, power),)), Fraction(1)),))


def inverse(p: Polynomial) -> Polynomial:
    """1 / p; a polynomial of one term is inverted exactly, a sum becomes an atom."""
    if not p.terms:
        raise ZeroDivisionError
    if len(p.terms) == 1:
        ((monomial, c),) = p.terms
        return Polynomial((((tuple((a, -n) for a, n in monomial)), 1 / c),))
    return atom(to_expr(p), -1)


def normalize(expr: Expr) -> Polynomial:
    """The normal form of a number-valued expression; `let` names must be expanded before.

    Raises:
        TooComplex: beyond the limits on terms and exponents.
    """
    if not isinstance(expr, Apply):
        return normalized(expr)
    try:
        found = expr._normal
    except AttributeError:
        found = normalized(expr)
        object.__setattr__(expr, "_normal", found)
    assert isinstance(found, Polynomial)
    return found


def normalized(expr: Expr) -> Polynomial:
    """`normalize`, worked out anew."""
    if isinstance(expr, Apply) and not exact(expr):
        kept = [canonical(arg) for arg in expr.args]
        if expr.op in ("+", "*"):  # the one law that rounding obeys
            kept.sort(key=repr)
        return atom(Apply(expr.op, tuple(kept)))
    match expr:
        case Const(value=value):
            if value is None or isinstance(value, bool | str) or not isfinite(value):
                return atom(expr)
            return constant(Fraction(value))
        case Sym():
            return atom(expr)
        case Apply(op="+", args=(a, b)):
            return normalize(a) + normalize(b)
        case Apply(op="-", args=(a, b)):
            return normalize(a) - normalize(b)
        case Apply(op="neg", args=(a,)):
            return -normalize(a)
        case Apply(op="*", args=(a, b)):
            return normalize(a) * normalize(b)
        case Apply(op="/", args=(a, b)):
            try:
                return normalize(a) * inverse(normalize(b))
            except ZeroDivisionError:
                return atom(expr)
        case Apply(op="**", args=(a, Const(value=int(n)))) if not isinstance(n, bool):
            try:
                return raised(normalize(a), n)
            except ZeroDivisionError:
                return atom(expr)
        case Apply(op="ceil" | "floor" as op, args=(a,)):
            inner = normalize(a)
            if inner.constant is not None:
                rounded = -(-inner.constant // 1) if op == "ceil" else inner.constant // 1
                return constant(rounded)
            if integral(inner):
                return inner
            return atom(Apply(op, (to_expr(inner),)))
        case Apply(op="length", args=(Apply(op="list", args=items),)):
            return constant(len(items))
        case Apply(op=op, args=args):
            return atom(Apply(op, tuple(canonical(arg) for arg in args)))
    assert_never(expr)


def raised(p: Polynomial, n: int) -> Polynomial:
    if abs(n) > 64:
        raise TooComplex
    base = p if n >= 0 else inverse(p)
    result = constant(1)
    for _ in range(abs(n)):
        result = result * base
    return result


def integral(p: Polynomial) -> bool:
    """Whether the polynomial is visibly a whole number, whatever values its names have."""
    return all(integral_term(monomial, c) for monomial, c in p.terms)


def integral_term(monomial: Monomial, c: Fraction) -> bool:
    return c.denominator == 1 and all(power > 0 and whole(base) for base, power in monomial)


def bounds(p: Polynomial, known: Callable[[Expr], Extent] = extent) -> Extent:
    """Bounds on the value of the polynomial, from those of its atoms."""
    result = Extent(Fraction(0), Fraction(0))
    for monomial, c in p.terms:
        term = Extent(c, c)
        for base, power in monomial:
            term = term * known(base).power(power)
        result = result + term
    return result


def canonical(expr: Expr) -> Expr:
    """An expression that is the same for equal arguments of an opaque node."""
    match expr:
        case Const():  # a float stays one
            return expr
        case Apply(
            op="and" | "or" | "not" | "cond" | "==" | "!=" | "<" | "<=" | ">" | ">=" as op,
            args=args,
        ):
            return Apply(op, tuple(canonical(arg) for arg in args))
        case _:
            return to_expr(normalize(expr))


def to_expr(p: Polynomial) -> Expr:
    """The polynomial as an expression, its terms in canonical order."""
    result: Expr | None = None
    for monomial, c in p.terms:
        numerator: Expr | None = None
        denominator: Expr | None = None
        magnitude = abs(c)
        if magnitude.numerator != 1:
            numerator = Const(magnitude.numerator)
        if magnitude.denominator != 1:
            denominator = Const(magnitude.denominator)
        for base, power in monomial:
            factor: Expr = base if abs(power) == 1 else Apply("**", (base, Const(abs(power))))
            if power > 0:
                numerator = factor if numerator is None else Apply("*", (numerator, factor))
            else:
                denominator = factor if denominator is None else Apply("*", (denominator, factor))
        term = numerator if numerator is not None else Const(1)
        if denominator is not None:
            term = Apply("/", (term, denominator))
        if result is None:
            result = term if c > 0 else Apply("neg", (term,))
        else:
            result = Apply("+" if c > 0 else "-", (result, term))
    return result if result is not None else Const(0)


def tidy(expr: Expr) -> Expr:
    """The normal form where that is shorter; else the expression as it was written."""
    try:
        simple = to_expr(normalize(expr))
    except (TooComplex, ZeroDivisionError):
        return expr
    return simple if sum(1 for _ in walk(simple)) < sum(1 for _ in walk(expr)) else expr


def settled(condition: Expr) -> Expr:
    """The condition without the comparisons that come out the same for all values of its names."""

    def rule(node: Expr) -> Expr:
        match node:
            case Apply(op="and", args=args):
                return conjunction(*args)
            case Apply(op="or", args=args):
                return disjunction(*args)
            case Apply(op="not", args=(Const(value=bool(value)),)):
                return Const(not value)
            case Apply(op="cond", args=(Const(value=bool(value)), then, otherwise)):
                return then if value else otherwise
            case Apply(op=op, args=(left, right)) if op in COMPARISONS:
                return compared(node, left, right)
            case _:
                return node

    return transform(condition, rule)


def compared(comparison: Apply, left: Expr, right: Expr) -> Expr:
    """Whether a comparison holds, if it does not depend on a name; else the comparison."""
    if left == right:
        return Const(comparison.op in ("==", "<=", ">="))
    if not (isinstance(left, Const) and isinstance(right, Const)):
        try:
            difference = (normalize(left) - normalize(right)).constant
        except (TooComplex, ZeroDivisionError):
            return comparison
        if difference is None:
            return comparison
        left, right = Const(difference.numerator), Const(0)
    try:
        return Const(bool(evaluate(Apply(comparison.op, (left, right)), {})))
    except EvaluationError:
        return comparison


def equal(left: Expr, right: Expr, lets: Mapping[str, Expr] | None = None) -> bool:
    """Whether two sizes are the same rational function; decided, not guessed.

    A size that divides by a sum, or is beyond the limits of the normal form, goes to sympy.
    """
    if left == right:
        return True
    if lets:
        left, right = substitute(left, lets), substitute(right, lets)
    try:
        difference = normalize(left) - normalize(right)
        if not difference.terms:
            return True
        if not any(
            isinstance(base, Apply) and (power < 0 or base.op == "/")
            for monomial, _ in difference.terms
            for base, power in monomial
        ):
            return False
    except TooComplex:
        pass
    from specgen.expr.sympy_bridge import cancels  # sympy costs 0.4 s: only where it is needed

    atoms: dict[Expr, Sym] = {}
    return cancels(Apply("-", (skeleton(left, atoms), skeleton(right, atoms))))


def skeleton(expr: Expr, atoms: dict[Expr, Sym]) -> Expr:
    """The rational function with a symbol for each atom: algebra is all that is asked of sympy."""
    match expr:
        case Const(value=value) if is_int(value):
            return expr
        case Apply(op="+" | "-" | "*" | "/" | "neg" as op, args=args) if exact(expr):
            return Apply(op, tuple(skeleton(arg, atoms) for arg in args))
        case Apply(op="**", args=(base, Const(value=int()) as exponent)) if exact(expr):
            return Apply("**", (skeleton(base, atoms), exponent))
        case _:
            return atoms.setdefault(canonical(expr), Sym(f"#{len(atoms)}", "size"))
