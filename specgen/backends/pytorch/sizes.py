"""Compile-time expressions as Python: whole numbers stay whole, exact division is `//`.

Knows expressions and the names they stand for; no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from specgen.backends.pytorch.layout import (
    Atom,
    Binary,
    Node,
    Ternary,
    Unary,
    call,
    grouping,
    number,
)
from specgen.backends.pytorch.quoting import literal
from specgen.expr.facts import whole
from specgen.expr.node import COMPARISONS, Apply, Const, Expr, Sym
from specgen.ir.model import ParamValue

#: How a name of the table is written where the expression stands.
Naming = Callable[[Sym], Node]

FUNCTIONS: Final[Mapping[str, str]] = {
    "ln": "math.log",
    "exp": "math.exp",
    "sqrt": "math.sqrt",
    "cos": "math.cos",
    "sin": "math.sin",
    "tanh": "math.tanh",
    "floor": "math.floor",
    "ceil": "math.ceil",
    "abs": "abs",
    "min": "min",
    "max": "max",
    "length": "len",
}


def size(expr: Expr, naming: Naming) -> Node:
    """An expression that stands for a size: its divisions are exact."""
    return written(expr, naming, exact=whole(expr, divided=True))


def real(expr: Expr, naming: Naming) -> Node:
    """An expression that stands for a number: `/` of whole numbers may leave a rest."""
    return written(expr, naming, exact=False)


def condition(expr: Expr, naming: Naming) -> Node:
    """A condition; what it compares may be fractions."""
    return written(expr, naming, exact=False)


def written(expr: Expr, naming: Naming, exact: bool) -> Node:
    def inner(arg: Expr) -> Node:
        return written(arg, naming, exact)

    match expr:
        case Const(value=value):
            return constant(value)
        case Sym():
            return naming(expr)
        case Apply(op="cond", args=(test, then, otherwise)):
            return Ternary(inner(then), condition(test, naming), inner(otherwise))
        case Apply(op="neg", args=(arg,)):
            return Unary("-", inner(arg))
        case Apply(op="not", args=(arg,)):
            return Unary("not", inner(arg))
        case Apply(op="floor", args=(Apply(op="/", args=(left, right)),)) if whole(left) and whole(
            right
        ):
            return Binary("//", size(left, naming), size(right, naming))
        case Apply(op="ceil", args=(Apply(op="/", args=(left, right)),)) if whole(left) and whole(
            right
        ):
            floor = Binary("//", Unary("-", size(left, naming)), size(right, naming))
            return Unary("-", floor)
        case Apply(op="floor" | "ceil" as op, args=(arg,)):
            return call(FUNCTIONS[op], real(arg, naming))
        case Apply(op="/", args=(left, right)):
            return Binary("//" if exact else "/", inner(left), inner(right))
        case Apply(op="+" | "-" | "*" | "%" | "**" | "and" | "or" as op, args=args):
            result = inner(args[0])
            for arg in args[1:]:
                result = Binary(op, result, inner(arg))
            return result
        case Apply(op="list", args=items):
            return grouping([inner(item) for item in items])
        case Apply(op="contains", args=(members, element)):
            return Binary("in", inner(element), inner(members))
        case Apply(op=op, args=(left, right)) if op in COMPARISONS:
            return Binary(op, inner(left), inner(right))
        case Apply(op=op, args=args):
            return call(FUNCTIONS[op], *map(inner, args))
    assert_never(expr)


def constant(value: ParamValue) -> Node:
    match value:
        case None | bool():
            return Atom(repr(value))
        case int():
            return number(value)
        case float():
            return real_constant(value)
        case str():
            return Atom(literal(value))
        case tuple():
            return grouping([constant(item) for item in value])
    assert_never(value)


def real_constant(value: float) -> Node:
    if value == math.pi:
        return Atom("math.pi")
    if math.isinf(value):
        return Atom("math.inf") if value > 0 else Unary("-", Atom("math.inf"))
    return Atom(repr(value)) if value >= 0 else Unary("-", Atom(repr(-value)))
