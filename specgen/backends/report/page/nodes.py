"""What the page computes with: expressions and other values as numbered entries, equal ones once.

Structures of one table share nearly all of their rows and formulas, so that many are little
more than one.  Knows no JavaScript; `exact.js` reads what is written here.
"""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any, Final, assert_never

from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.records import dataclass

#: Whole numbers beyond this are no exact numbers of JavaScript's JSON.
SAFE: Final = 2**53 - 1


@dataclass
class Nodes:
    """Expressions by number: arguments come before what they are arguments of."""

    written: list[Any] = field(default_factory=list)
    _known: dict[Expr, int] = field(default_factory=dict)

    def number(self, expr: Expr) -> int:
        """The number of an expression, which is added where it is new."""
        if expr not in self._known:
            node = self._node(expr)
            self._known[expr] = len(self.written)
            self.written.append(node)
        return self._known[expr]

    def _node(self, expr: Expr) -> Any:
        match expr:
            case Sym(name=name):
                return name
            case Apply(op=op, args=args):
                return [op, *map(self.number, args)]
            case Const(value=value):
                return literal(value)
        assert_never(expr)


def literal(value: int | float | bool | str | None) -> Any:
    """A literal: whole numbers and floats are told apart, and neither is rounded."""
    match value:
        case bool() | None:
            return value
        case int():
            return value if abs(value) <= SAFE else {"i": str(value)}
        case float():
            return {"f": repr(value)}
        case str():
            return {"t": value}
    assert_never(value)


@dataclass
class Pool:
    """Values of JSON by number, equal ones once."""

    values: list[Any] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)

    def number(self, value: object) -> int:
        key = json.dumps(value, ensure_ascii=False, sort_keys=True)
        if key not in self._known:
            self._known[key] = len(self.values)
            self.values.append(value)
        return self._known[key]
