"""Expressions as sympy expressions, for users of the library.

sympy objects are built node by node; no text is ever handed to sympy's parsers, whose names
(`S`, `E`, `beta`) would capture a table's own and which evaluate what they read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from operator import add, mul, truediv
from typing import Any, assert_never

import sympy

from specgen.expr.node import Apply, Const, Expr, Kind, Sym, membership


def symbol(name: str, kind: Kind = "unknown") -> sympy.Symbol:
    """The sympy symbol of a name: sizes and counts are non-negative integers, a real is real."""
    if kind == "real":
        return sympy.Symbol(name, real=True)
    return sympy.Symbol(name, integer=True, nonnegative=True)


def to_sympy(expr: Expr) -> sympy.Expr:
    """The expression in sympy.

    Raises:
        ValueError: a text, null or condition where a number is needed.
    """
    match expr:
        case Const(value=value):
            if value is None or isinstance(value, bool | str):
                raise ValueError(f"{value!r} is not a number")
            return sympy.Integer(value) if isinstance(value, int) else sympy.Float(value)
        case Sym(name=name, kind=kind):
            return symbol(name, kind)
        case Apply(op="cond", args=(condition, then, otherwise)):
            return sympy.Piecewise(
                (to_sympy(then), to_condition(condition)), (to_sympy(otherwise), True)
            )
        case Apply(op="min" | "max" as op):
            # Between many, sympy looks for one that is always greater, for seconds.
            parts = tuple(map(to_sympy, flattened(expr, op)))
            return FUNCTIONS[op](*parts, evaluate=len(parts) < 3)
        case Apply(op="length", args=(Sym(name=name),)):
            return sympy.Function("length", integer=True, nonnegative=True)(symbol(name))
        case Apply(op=op, args=args) if op in FUNCTIONS:
            return FUNCTIONS[op](*map(to_sympy, args))
        case Apply(op=op):
            raise ValueError(f"`{op}` does not give a number")
    assert_never(expr)


def flattened(expr: Expr, op: str) -> Iterator[Expr]:
    """The arguments of an operator of which nested ones are one."""
    match expr:
        case Apply(op=own, args=args) if own == op:
            for arg in args:
                yield from flattened(arg, op)
        case _:
            yield expr


class Contains(sympy.logic.boolalg.BooleanFunction):  # type: ignore[misc]  # sympy has no types
    """Whether a list has a number; both are what they are, sympy computes nothing."""

    nargs = 2

    def _latex(self, printer: Any) -> str:
        members, element = self.args
        return f"{printer._print(element)} \\in {printer._print(members)}"


def to_condition(expr: Expr) -> Any:
    """A condition in sympy's logic.

    Raises:
        ValueError: it is none.
    """
    match expr:
        case Const(value=bool(value)):
            return sympy.true if value else sympy.false
        case Sym(name=name):
            return symbol(name)
        case Apply(op="contains", args=(Apply(op="list", args=items), element)):
            return to_condition(membership(items, element))
        case Apply(op="contains", args=(members, element)):
            return Contains(to_sympy(members), to_sympy(element))
        case Apply(op="==" | "!=" as op, args=(left, Const(value=bool(value)))):
            flag = to_condition(left)
            return flag if value == (op == "==") else sympy.Not(flag)
        case Apply(op="==" | "!=" as op, args=(Sym(name=name), Const(value=str() | None as value))):
            return RELATIONS[op](symbol(name), sympy.Symbol(json.dumps(value, ensure_ascii=False)))
        case Apply(op="and", args=args):
            return sympy.And(*map(to_condition, args))
        case Apply(op="or", args=args):
            return sympy.Or(*map(to_condition, args))
        case Apply(op="not", args=(arg,)):
            return sympy.Not(to_condition(arg))
        case Apply(op=op, args=(left, right)) if op in RELATIONS:
            return RELATIONS[op](to_sympy(left), to_sympy(right))
        case _:
            raise ValueError("not a condition on numbers")


FUNCTIONS: dict[str, Any] = {
    "+": lambda *args: reduce(add, args),
    "-": lambda a, b: a - b,
    "*": lambda *args: reduce(mul, args),
    "/": truediv,
    "%": sympy.Mod,
    "**": sympy.Pow,
    "neg": lambda a: -a,
    "ceil": sympy.ceiling,
    "floor": sympy.floor,
    "ln": sympy.log,
    "exp": sympy.exp,
    "sqrt": sympy.sqrt,
    "cos": sympy.cos,
    "sin": sympy.sin,
    "tanh": sympy.tanh,
    "abs": sympy.Abs,
    "min": sympy.Min,
    "max": sympy.Max,
}

RELATIONS: dict[str, Any] = {
    "==": sympy.Eq,
    "!=": sympy.Ne,
    "<": sympy.Lt,
    "<=": sympy.Le,
    ">": sympy.Gt,
    ">=": sympy.Ge,
}
