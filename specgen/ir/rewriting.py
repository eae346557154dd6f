"""Bodies anew: every value passed through a rule, operands first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from specgen.ir import model as ir

Rule = Callable[[ir.Value], ir.Value]


def rewritten(function: ir.Function, rule: Rule) -> ir.Function:
    return replace(function, body=statements(function.body, rule))


def statements(body: Sequence[ir.Statement], rule: Rule) -> tuple[ir.Statement, ...]:
    done: list[ir.Statement] = []
    for statement in body:
        match statement:
            case ir.Assign(value=inner):
                done.append(replace(statement, value=value(inner, rule)))
            case ir.Return(values=values):
                done.append(ir.Return(tuple(value(inner, rule) for inner in values)))
            case ir.Branch(then=then, otherwise=otherwise):
                sides = statements(then, rule), statements(otherwise, rule)
                done.append(replace(statement, then=sides[0], otherwise=sides[1]))
            case _:
                assert_never(statement)
    return tuple(done)


def value(found: ir.Value, rule: Rule) -> ir.Value:
    def all_of(values: Sequence[ir.Value]) -> tuple[ir.Value, ...]:
        return tuple(value(inner, rule) for inner in values)

    match found:
        case ir.Var() | ir.Weight() | ir.Scalar():
            return rule(found)
        case ir.Op(args=args) | ir.CallPart(args=args) | ir.CallFunction(args=args):
            return rule(replace(found, args=all_of(args)))
        case ir.ApplyMap(value=inner) | ir.Append(value=inner):
            return rule(replace(found, value=value(inner, rule)))
        case ir.Mixture():
            x, weights, index = all_of((found.value, found.weights, found.index))
            return rule(replace(found, value=x, weights=weights, index=index))
        case ir.Choose(then=then, otherwise=otherwise):
            then, otherwise = all_of((then, otherwise))
            return rule(replace(found, then=then, otherwise=otherwise))
    assert_never(found)
