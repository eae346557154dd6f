"""Expressions as text: in the table's own notation, in Python, in JavaScript, in LaTeX.

One printer walks; a `Notation` says how each thing is written.  Texts inside expressions are
quoted by the notation, never pasted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import Final, assert_never

from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.records import dataclass

PRECEDENCE: Final[Mapping[str, int]] = {
    "cond": 0, "or": 1, "and": 2, "not": 3,
    "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6, "neg": 7, "**": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Notation:
    """How expressions are written; the defaults are Python with exact division as `/`."""

    symbol: Callable[[Sym], str] = lambda sym: sym.name
    operators: Mapping[str, str] = field(
        default_factory=lambda: {
            "+": " + ", "-": " - ", "*": "*", "/": "/", "%": " % ", "**": "**",
            "==": " == ", "!=": " != ", "<": " < ", "<=": " <= ", ">": " > ", ">=": " >= ",
            "and": " and ", "or": " or ", "not": "not ", "neg": "-",
        }
    )  # fmt: skip
    functions: Mapping[str, str] = field(default_factory=dict)
    #: Templates for functions that the notation writes in another form: `{0}.length`.
    forms: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[bool | None, str] = field(
        default_factory=lambda: {True: "True", False: "False", None: "None"}
    )
    condition: str = "{then} if {test} else {otherwise}"


PYTHON: Final = Notation()

TABLE: Final = replace(
    PYTHON,
    operators={**PYTHON.operators, "*": " × ", "/": " / ", "**": " ** "},
    constants={True: "true", False: "false", None: "null"},
    condition="{then} when {test} else {otherwise}",
)


def to_text(expr: Expr, notation: Notation = PYTHON) -> str:
    """The expression in a notation, with the parentheses that its precedences need."""
    return write(expr, notation)[0]


def write(expr: Expr, notation: Notation) -> tuple[str, int]:
    """The text and the precedence of its outermost operator."""
    match expr:
        case Const(value=value):
            if value is None or isinstance(value, bool):
                return notation.constants[value], 9
            if isinstance(value, str):
                return json.dumps(value, ensure_ascii=False), 9
            return repr(value), 9 if value >= 0 else 7
        case Sym():
            return notation.symbol(expr), 9
        case Apply(op="cond", args=(test, then, otherwise)):
            parts = {
                "test": inside(test, notation, 1),
                "then": inside(then, notation, 1),
                "otherwise": inside(otherwise, notation, 0),
            }
            return notation.condition.format(**parts), 0
        case Apply(op="neg" | "not" as op, args=(arg,)):
            level = PRECEDENCE[op]
            return notation.operators[op] + inside(arg, notation, level), level
        case Apply(op="**", args=(base, exponent)):
            text = inside(base, notation, 9) + notation.operators["**"]
            return text + inside(exponent, notation, 7), 8
        case Apply(op=op, args=args) if op in PRECEDENCE:
            level = PRECEDENCE[op]
            # Left operands may be of the same level; right ones may not, except in a chain
            # of one associative operator.
            texts = [
                inside(arg, notation, level if i == 0 or (op in ("+", "*") and same(arg, op))
                       or op in ("and", "or") else level + 1)
                for i, arg in enumerate(args)
            ]  # fmt: skip
            return notation.operators[op].join(texts), level
        case Apply(op="list", args=args):
            return f"[{', '.join(inside(arg, notation, 0) for arg in args)}]", 9
        case Apply(op=op, args=args) if op in notation.forms:
            return notation.forms[op].format(*(inside(arg, notation, 9) for arg in args)), 9
        case Apply(op=op, args=args):
            name = notation.functions.get(op, op)
            return f"{name}({', '.join(inside(arg, notation, 0) for arg in args)})", 9
    assert_never(expr)


def same(expr: Expr, op: str) -> bool:
    return isinstance(expr, Apply) and expr.op == op


def inside(expr: Expr, notation: Notation, level: int) -> str:
    text, own = write(expr, notation)
    return f"({text})" if own < level else text
