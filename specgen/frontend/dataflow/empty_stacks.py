"""Calls of repeated parts that have no instance: a stack of nothing gives what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from specgen.diagnostics.source import Span
from specgen.expr.node import TRUE, Expr, disjunction
from specgen.ir import model as ir
from specgen.ir.visit import rewritten, walk
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Emptied:
    """A part whose count is 0: the condition on an index under which it stands, and its count."""

    condition: Expr
    span: Span


#: By name; several where alternatives of one name are empty.
Empty = Mapping[str, Sequence[Emptied]]


def threaded(function: ir.Function, empty: Empty) -> ir.Function:
    """The function with its calls of empty parts replaced by their first arguments."""

    def rule(value: ir.Value) -> ir.Value:
        if not isinstance(value, ir.CallPart) or value.part not in empty:
            return value
        condition = disjunction(*(one.condition for one in empty[value.part]))
        if condition == TRUE:
            return value.args[0]
        return ir.Choose(condition, value.args[0], value, value.types)

    return rewritten(function, rule) if empty else function


def unchosen(function: ir.Function, empty: Empty) -> Iterator[tuple[str, Span]]:
    """The empty parts among whose instances a mixture would choose, and where their counts stand."""
    for found in walk(function.body):
        if isinstance(found, ir.Mixture):
            for one in empty.get(found.part, ()):
                yield found.part, one.span
