"""A normal form in which equal sizes are equal, and the questions it answers.

Sizes are rational functions of positive integers.  Here they become polynomials whose atoms are
symbols and opaque nodes (`ceil`, `floor`, a division by a sum) with arguments that are already
normal.  What is computed in floats is an atom as it is written, since rounding obeys no law.  Two
sizes with the same normal form are equal; sizes that divide by sums are compared as quotients.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from typing import Final, assert_never

from specgen.expr.evaluate import EvaluationError, evaluate
from specgen.expr.facts import exact, is_int
from specgen.expr.node import (
    COMPARISONS,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    disjunction,
    remembered,
    substitute,
    transform,
    walk,
)
from specgen.expr.polynomial import Polynomial, TooComplex

ONE: Final = Polynomial.of_number(1)


def normalize(expr: Expr) -> Polynomial:
    """The normal form of a number-valued expression; `let` names must be expanded before.

    Raises:
        TooComplex: beyond the limits on terms and exponents.
    """
    found = remembered(expr, "_normal", attempted)
    if found is None:
        raise TooComplex
    return found


def attempted(expr: Expr) -> Polynomial | None:
    """The normal form, worked out anew; None where it has too many terms."""
    try:
        return normalized(expr)
    except TooComplex:
        return None


def normalized(expr: Expr) -> Polynomial:
    """`normalize`, worked out anew."""
    if isinstance(expr, Apply) and not exact(expr):
        kept = [canonical(arg) for arg in expr.args]
        if expr.op in ("+", "*"):  # the one law that rounding obeys
            kept.sort(key=repr)
        return Polynomial.of_atom(Apply(expr.op, tuple(kept)))
    match expr:
        case Const(value=value):
            if is_int(value) or (isinstance(value, float) and isfinite(value)):
                return Polynomial.of_number(Fraction(value))
            return Polynomial.of_atom(expr)
        case Sym():
            return Polynomial.of_atom(expr)
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
                return normalize(a) * normalize(b).inverse()
            except ZeroDivisionError:
                return Polynomial.of_atom(expr)
        case Apply(op="**", args=(a, Const(value=int(n)))) if not isinstance(n, bool):
            try:
                return normalize(a) ** n
            except ZeroDivisionError:
                return Polynomial.of_atom(expr)
        case Apply(op="ceil" | "floor" as op, args=(a,)):
            inner = normalize(a)
            if inner.constant is not None:
                rounded = -(-inner.constant // 1) if op == "ceil" else inner.constant // 1
                return Polynomial.of_number(rounded)
            if inner.integral:
                return inner
            return Polynomial.of_atom(Apply(op, (inner.to_expr(),)))
        case Apply(op="length", args=(Apply(op="list", args=items),)):
            return Polynomial.of_number(len(items))
        case Apply(op=op, args=args):
            return Polynomial.of_atom(Apply(op, tuple(canonical(arg) for arg in args)))
    assert_never(expr)


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
            return normalize(expr).to_expr()


def tidy(expr: Expr) -> Expr:
    """The normal form where that is shorter; else the expression as it was written."""
    try:
        simple = normalize(expr).to_expr()
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

    Sizes beyond the limits on terms and exponents are not known to be.
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
            isinstance(base, Apply) and (power < 0 or base.op in ("+", "-", "neg", "*", "/"))
            for monomial, _ in difference.terms
            for base, power in monomial
        ):
            return False
    except TooComplex:
        pass
    try:
        return not quotient(Apply("-", (left, right)), {})[0].terms
    except (TooComplex, ZeroDivisionError):
        return False


def quotient(expr: Expr, atoms: dict[Expr, Sym]) -> tuple[Polynomial, Polynomial]:
    """A size as one polynomial over another, with a symbol for each atom: it is zero where the
    first one is.

    Raises:
        TooComplex: beyond the limits on terms and exponents.
        ZeroDivisionError: it divides by zero, whatever values its names have.
    """
    match expr:
        case Const(value=value) if is_int(value):
            return Polynomial.of_number(value), ONE
        case Apply(op="neg", args=(arg,)) if exact(expr):
            above, below = quotient(arg, atoms)
            return -above, below
        case Apply(op="+" | "-" | "*" | "/" as op, args=(left, right)) if exact(expr):
            (a, b), (c, d) = quotient(left, atoms), quotient(right, atoms)
            if op == "*":
                return a * c, b * d
            if op == "/":
                if not c.terms:
                    raise ZeroDivisionError
                return a * d, b * c
            c = c if op == "+" else -c
            return (a + c, b) if b == d else (a * d + c * b, b * d)
        case Apply(op="**", args=(base, Const(value=int(n)))) if exact(expr):
            above, below = quotient(base, atoms)
            if n < 0 and not above.terms:
                raise ZeroDivisionError
            return (above**n, below**n) if n >= 0 else (below**-n, above**-n)
        case _:
            atom = atoms.setdefault(canonical(expr), Sym(f"#{len(atoms)}", "size"))
            return Polynomial.of_atom(atom), ONE
