"""Calls of repeated parts that have no instance: a stack of nothing gives what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from specgen.diagnostics.source import Span
from specgen.ir import model as ir
from specgen.ir.verify import inside
from specgen.sizes.expr import TRUE, Expr, disjunction


@dataclass(frozen=True, slots=True)
class Emptied:
    """A part whose count is 0: the condition on an index under which it stands, and its count."""

    condition: Expr
    span: Span


#: By name; several where alternatives of one name are empty.
Empty = Mapping[str, Sequence[Emptied]]


def threaded(function: ir.Function, empty: Empty) -> ir.Function:
    """The function with its calls of empty parts replaced by their first arguments."""
    return replace(function, body=statements(function.body, empty)) if empty else function


def statements(body: Sequence[ir.Statement], empty: Empty) -> tuple[ir.Statement, ...]:
    done: list[ir.Statement] = []
    for statement in body:
        match statement:
            case ir.Assign(value=inner):
                done.append(replace(statement, value=value(inner, empty)))
            case ir.Return(values=values):
                done.append(ir.Return(tuple(value(inner, empty) for inner in values)))
            case ir.Branch(then=then, otherwise=otherwise):
                sides = statements(then, empty), statements(otherwise, empty)
                done.append(replace(statement, then=sides[0], otherwise=sides[1]))
            case _:
                assert_never(statement)
    return tuple(done)


def value(found: ir.Value, empty: Empty) -> ir.Value:
    def all_of(values: Sequence[ir.Value]) -> tuple[ir.Value, ...]:
        return tuple(value(inner, empty) for inner in values)

    match found:
        case ir.Var() | ir.Weight() | ir.Scalar():
            return found
        case ir.CallPart(part=part, args=args):
            called = replace(found, args=all_of(args))
            if part not in empty:
                return called
            condition = disjunction(*(one.condition for one in empty[part]))
            if condition == TRUE:
                return called.args[0]
            return ir.Choose(condition, called.args[0], called, called.types)
        case ir.Op(args=args) | ir.CallFunction(args=args):
            return replace(found, args=all_of(args))
        case ir.ApplyMap(value=inner) | ir.Append(value=inner):
            return replace(found, value=value(inner, empty))
        case ir.Mixture():
            x, weights, index = all_of((found.value, found.weights, found.index))
            return replace(found, value=x, weights=weights, index=index)
        case ir.Choose(then=then, otherwise=otherwise):
            then, otherwise = all_of((then, otherwise))
            return replace(found, then=then, otherwise=otherwise)
    assert_never(found)


def unchosen(function: ir.Function, empty: Empty) -> Iterator[tuple[str, Span]]:
    """The empty parts among whose instances a mixture would choose, and where their counts stand."""
    for found in inside(function.body):
        if isinstance(found, ir.Mixture):
            for one in empty.get(found.part, ()):
                yield found.part, one.span
