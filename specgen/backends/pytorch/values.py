"""Values of the dataflow as Python expressions: one case for each kind of value.

Knows how the names of one body are written (`Names`); statements and classes are others'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, assert_never

from specgen.backends.pytorch import sizes
from specgen.backends.pytorch.layout import (
    Atom,
    Node,
    flat,
)
from specgen.backends.pytorch.ops import written
from specgen.backends.pytorch.ops.call import CompileTimeNames, TorchCall
from specgen.expr.node import Expr
from specgen.ir.model import (
    Append,
    ApplyMap,
    CallFunction,
    CallPart,
    Choose,
    Mixture,
    Op,
    Scalar,
    Type,
    Value,
    Var,
    Weight,
)
from specgen.records import dataclass


class BodyNames(CompileTimeNames, Protocol):
    """How the names of one body are written."""

    def variable(self, name: str) -> str: ...

    def condition(self, expr: Expr) -> Node: ...

    def weight(self, row: str) -> Node:
        """A row as a tensor."""

    def apply_map(self, row: str, value: Node) -> Node: ...

    def call_part(self, value: CallPart, arguments: Sequence[Node]) -> Node: ...

    def call_function(self, value: CallFunction) -> Node: ...

    def mixture(self, value: Mixture, arguments: Sequence[Node]) -> Node: ...

    def append(self, value: Append, new: Node) -> Node: ...

    def choose(self, value: Choose) -> Node:
        """One of two values, by a condition on an index."""


@dataclass(frozen=True, slots=True)
class ValueWriter:
    """Writes values of one body."""

    names: BodyNames

    def write(self, value: Value) -> Node:
        match value:
            case Var(name=name):
                return Atom(self.names.variable(name))
            case Weight(row=row):
                return self.names.weight(row)
            case Scalar(expr=expr):
                return self.names.real(expr)
            case Op():
                return written(TorchCall(value, self.names, self.write))
            case ApplyMap(row=row, value=inner):
                return self.names.apply_map(row, self.write(inner))
            case CallPart(args=args):
                return self.names.call_part(value, self.all(args))
            case CallFunction():
                return self.names.call_function(value)
            case Mixture(value=inner, weights=weights, index=index):
                return self.names.mixture(value, self.all((inner, weights, index)))
            case Append(value=inner):
                return self.names.append(value, self.write(inner))
            case Choose():
                return self.names.choose(value)
        assert_never(value)

    def all(self, values: Sequence[Value]) -> list[Node]:
        return [self.write(value) for value in values]


#: Names for expressions that shapes show by name: the table's lets.
Abbreviations = Mapping[Expr, str]


def type_text(type_: Type, abbreviations: Abbreviations) -> str:
    """A type as docstrings and comments show it: `f32 [B, S, dim]`, without `act`."""
    shape = shape_text(type_.shape, abbreviations)
    match type_.dtype:
        case "act":
            return shape
        case "scalar":
            return "number"
        case dtype:
            return f"{dtype} {shape}"


def shape_text(shape: Sequence[Expr], abbreviations: Abbreviations) -> str:
    """A shape in the table's names: `[B, S, n_heads * qk_head_dim]`."""

    def dim(expr: Expr) -> str:
        short = abbreviations.get(expr)
        return short or flat(sizes.size(expr, lambda sym: Atom(sym.name)))

    return f"[{', '.join(map(dim, shape))}]"
