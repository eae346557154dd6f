"""Arithmetic on sizes that keeps the table's own expressions: they are rewritten where something
cancels, and nowhere else.

Knows expressions and their normal form; nothing of indices or rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor

from specgen.expr.evaluate import evaluate
from specgen.expr.node import ONE, ZERO, Apply, Const, Expr, Operator, symbols, total
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex

#: Longer sums are halved, so that walking an expression stays far from the stack's end.
MAX_CHAIN = 64


def minus(left: Expr, right: Expr) -> Expr:
    """left - right; as written, unless something cancels."""
    match right:
        case Const(value=int(value)):
            return shifted(left, Const(-value))
    try:
        a, b = normalize(left), normalize(right)
        difference = a - b
    except TooComplex:
        return Apply("-", (left, right))
    if len(difference.terms) < len(a.terms) + len(b.terms):
        return difference.to_expr(positive_first=True)
    return (
        Apply("-", (left, right))
        if not isinstance(left, Const)
        else difference.to_expr(positive_first=True)
    )


def plus(left: Expr, right: Expr) -> Expr:
    """left + right; as written, unless something cancels."""
    return folded(total(left, right)) if not isinstance(right, Const) else shifted(left, right)


def shifted(expr: Expr, by: Const) -> Expr:
    """The expression plus a number; n - 1 + 1 is n."""
    if not isinstance(by.value, int) or by == ZERO:
        return total(expr, by)
    try:
        p = normalize(expr)
        moved = p + normalize(by)
    except TooComplex:
        return total(expr, by)
    if len(moved.terms) <= len(p.terms):
        return moved.to_expr(positive_first=True)
    return total(expr, by) if by.value > 0 else Apply("-", (expr, Const(-by.value)))


def summed(terms: Iterable[Expr]) -> Expr:
    """The sum of the terms, their numbers added up."""
    numbers = 0
    rest = []
    for term in terms:
        match term:
            case Const(value=int(value)):
                numbers += value
            case _:
                rest.append(term)
    return shifted(added(rest), Const(numbers)) if rest else Const(numbers)


def added(terms: Sequence[Expr]) -> Expr:
    """The sum as a tree that is not deep, however many terms there are."""
    if len(terms) <= MAX_CHAIN:
        return total(*terms)
    half = len(terms) // 2
    return total(added(terms[:half]), added(terms[half:]))


def rounded(op: Operator, expr: Expr) -> Expr:
    """ceil or floor of the expression, without the rounding where it is whole anyhow."""
    match expr:
        case Const(value=int()):
            return expr
        case Const(value=float(value)):
            return Const(ceil(value) if op == "ceil" else floor(value))
    try:
        if normalize(expr).integral:
            return expr
    except TooComplex:
        pass
    return folded(Apply(op, (expr,)))


def floor_of(dividend: Expr, divisor: Expr) -> Expr:
    if divisor == ONE:
        return dividend
    match dividend:
        case Const(value=0):
            return ZERO
        case Const(value=-1):
            return Const(-1)  # -1 / n rounds down to -1 for every positive n
    return folded(Apply("floor", (Apply("/", (dividend, divisor)),)))


def folded(expr: Expr) -> Expr:
    """A number, if the expression has no symbols."""
    if symbols(expr):
        return expr
    value = evaluate(expr, {})
    return Const(value) if isinstance(value, int) else expr


def evident(low: Expr, high: Expr) -> bool:
    """Whether low <= high whatever values the names have, on sight."""
    try:
        return (normalize(high) - normalize(low)).bounds().natural
    except TooComplex:
        return False


def at_most(low: Expr, high: Expr) -> Expr:
    """low <= high, each side with its own terms: `n <= m`, not `n - m <= 0`."""
    try:
        p = normalize(high) - normalize(low)
    except TooComplex:
        return Apply("<=", (low, high))
    left, right = -p.where(lambda _, c: c < 0), p.where(lambda _, c: c > 0)
    return Apply("<=", (left.to_expr(), right.to_expr()))
