"""Expressions with names put in: constants computed exactly, sums of products collected.

What is left is in the free names alone and is the same function of them.  Knows expressions only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

from specgen.expr.evaluate import EvaluationError, Value, evaluate, expression
from specgen.expr.facts import exact, is_int, whole
from specgen.expr.node import (
    ONE,
    ZERO,
    Apply,
    Const,
    Expr,
    Sym,
    product,
    substitute,
    symbols,
    total,
    transform,
)
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex

#: A value, or a definition in other names.
Known = Value | Expr


def fold(expr: Expr, values: Mapping[str, Known], free: Collection[str] = ()) -> Expr:
    """The expression in the `free` names only.

    `values` gives every other name a value, or a definition in other names (a let, a default
    that follows another param); names that it lacks stay.  Where the expression has a value the
    result has the same one; a part that never has one stays as it is.
    """
    done: dict[str, Expr | None] = {}

    def known(name: str) -> Expr | None:
        if name not in done:
            done[name] = None  # a name that is defined by itself stays
            if name not in free and name in values:
                match values[name]:
                    case Const() | Sym() | Apply() as definition:
                        done[name] = put(definition)
                    case value:
                        done[name] = expression(value)
        return done[name]

    def put(inside: Expr) -> Expr:
        found = {name: known(name) for name in sorted(symbols(inside))}
        return reduced(substitute(inside, {n: e for n, e in found.items() if e is not None}))

    return put(expr)


def reduced(expr: Expr) -> Expr:
    """The expression with its constant parts computed, and sums of products collected."""
    match expr:
        case Apply(op="cond", args=(test, then, otherwise)):
            match reduced(test):
                case Const(value=bool(value)):
                    return reduced(then if value else otherwise)
                case condition:
                    return Apply("cond", (condition, reduced(then), reduced(otherwise)))
        case Apply(op="and" | "or" as op, args=args):
            return connected(op == "and", args)
        case Apply(op="+" | "-" | "*" | "neg") if exact(expr):
            return collected(expr)
        case Apply(op="**", args=(base, exponent)) if is_exponent(exponent) and exact(base):
            return collected(expr)
        case Apply(op="/", args=(above, below)):
            return quotient(reduced(above), reduced(below))
        case Apply(op="ceil" | "floor" as op, args=(arg,)):
            inner = reduced(arg)
            return inner if whole(inner) else computed(Apply(op, (inner,)))
        case Apply(op="==", args=(Apply(op="%", args=(value, Const(value=1))), Const(value=0))):
            return computed(divides(reduced(value)))
        case Apply(op=op, args=args):
            return computed(Apply(op, tuple(map(reduced, args))))
        case _:
            return expr


def divides(value: Expr) -> Apply:
    """Whether a value is whole; of a quotient without dividing, which columns do much faster."""
    above, below = value.args if isinstance(value, Apply) and value.op == "/" else (value, ONE)
    return Apply("==", (computed(Apply("%", (above, below))), ZERO))


def quotient(above: Expr, below: Expr) -> Expr:
    """above / below; without the division where a number divides every term of a sum."""
    match below:
        case Const(value=int(divisor)) if is_int(divisor) and divisor and exact(above):
            try:
                p = normalize(above).scaled(Fraction(1, divisor))
            except TooComplex:
                return computed(Apply("/", (above, below)))
            if all(
                c.denominator == 1
                and all(isinstance(b, Sym) and power > 0 for b, power in monomial)
                for monomial, c in p.terms
            ):
                return p.to_expr()
    return computed(Apply("/", (above, below)))


def connected(every: bool, args: tuple[Expr, ...]) -> Expr:
    """A conjunction, or a disjunction, up to the first argument that decides it."""
    kept: list[Expr] = []
    for arg in map(reduced, args):
        if arg == Const(every):
            continue
        kept.append(arg)
        if arg == Const(not every):
            break
    match kept:
        case []:
            return Const(every)
        case [only]:
            return only
        case _:
            return Apply("and" if every else "or", tuple(kept))


def computed(expr: Apply) -> Expr:
    """The value, where all arguments are values and it has one."""
    if not all(map(is_value, expr.args)):
        return expr
    try:
        return expression(evaluate(expr, {}))
    except EvaluationError:
        return expr


def is_value(expr: Expr) -> bool:
    """A value as `evaluate.expression` writes one: a fraction is a quotient of literals."""
    match expr:
        case Const():
            return True
        case Apply(op="list" | "/", args=args):
            return all(isinstance(arg, Const) for arg in args)
        case _:
            return False


def collected(expr: Expr) -> Expr:
    """A polynomial of whole numbers, multiplied out where that leaves less to compute.

    What is no sum, difference, product or power is one of its atoms, and reduced by itself: a
    division stays where it is, so that it comes out even where it did.
    """
    atoms: dict[Expr, Sym] = {}

    def skeleton(node: Expr) -> Expr:
        match node:
            case Apply(op="**", args=(base, exponent)) if is_exponent(exponent):
                return Apply("**", (skeleton(base), exponent))
            case Apply(op="+" | "-" | "*" | "neg" as op, args=args):
                return Apply(op, tuple(map(skeleton, args)))
        node = reduced(node)
        if isinstance(node, Const):
            return node
        return atoms.setdefault(node, Sym(f"#{len(atoms)}", "size"))

    plain = numbered(skeleton(expr))
    try:
        short = normalize(plain).to_expr()
    except TooComplex:
        short = plain
    chosen = short if weight(short) <= weight(plain) else plain
    return substitute(chosen, {symbol.name: node for node, symbol in atoms.items()})


def is_exponent(node: Expr) -> bool:
    return isinstance(node, Const) and is_int(node.value) and node.value in range(65)


def numbered(expr: Expr) -> Expr:
    """The polynomial as it is written, with its constant parts computed."""

    def rule(node: Expr) -> Expr:
        match node:
            case Apply(op="*", args=args) if ZERO in args:
                return ZERO
            case Apply(op="*", args=args) if ONE in args:
                return product(*args)
            case Apply(op="+", args=args) if ZERO in args:
                return total(*args)
            case Apply():
                return computed(node)
            case _:
                return node

    return transform(expr, rule)


def weight(expr: Expr) -> int:
    """The operations of one evaluation."""
    found, waiting = 0, [expr]
    while waiting:  # sums of many terms are deeper than Python's stack
        node = waiting.pop()
        if isinstance(node, Apply):
            found += 1
            waiting += node.args
    return found
