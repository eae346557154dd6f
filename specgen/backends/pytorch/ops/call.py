"""An op to be written as torch code: its operands, its dtype, and the names of the body around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from specgen.backends.pytorch.layout import KeywordArgument, Node, number
from specgen.expr.node import Expr
from specgen.ir.model import REST, Op, Value
from specgen.records import dataclass


class CompileTimeNames(Protocol):
    """How the compile-time names of a body are written, and where dtypes and devices come from."""

    def size(self, expr: Expr) -> Node:
        """A size or a count; what it names becomes available."""

    def real(self, expr: Expr) -> Node:
        """Any compile-time number."""

    def working_dtype(self) -> Node:
        """The dtype of activations, taken from a tensor at hand."""

    def iota(self, n: Expr, dtype: str) -> Node:
        """0, 1, ..., n - 1."""

    def numbers(self, members: Expr, dtype: str) -> Node:
        """A list of numbers as a tensor."""

    def filled(self, number: Expr, dtype: str) -> Node:
        """A number as a tensor without dims."""


@dataclass(frozen=True, slots=True)
class TorchCall:
    """An op, and how values of the same body are written."""

    op: Op
    names: CompileTimeNames
    write: Callable[[Value], Node]

    @property
    def dtype(self) -> str:
        return self.op.types[0].dtype

    def operand(self, position: int = 0) -> Node:
        return self.write(self.op.args[position])

    def operands(self) -> list[Node]:
        return [self.write(value) for value in self.op.args]

    def place(self, axis: int) -> Node:
        """The axis of an op: from the front, but for the last one and behind `...`."""
        shape = self.op.args[0].types[0].shape
        return number(axis if axis == -1 or REST in shape else axis + len(shape))

    def dim(self, axis: int) -> KeywordArgument:
        return KeywordArgument("dim", self.place(axis))


#: The op as an expression; attributes come by their names.
Function = Callable[..., Node]
Functions = Mapping[str, Function]
