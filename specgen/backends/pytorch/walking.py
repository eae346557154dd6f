"""Walks over dataflow: the values and compile-time expressions of a body, in two orders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.ir.model import (
    Append,
    ApplyMap,
    Assign,
    Branch,
    CallFunction,
    CallPart,
    Choose,
    Mixture,
    Op,
    Return,
    Scalar,
    Statement,
    Value,
    Var,
    Weight,
)


def values(statements: Iterable[Statement]) -> Iterator[Value]:
    """Every value in the statements, outer ones before those inside them."""
    for statement in statements:
        match statement:
            case Assign(value=value):
                yield from nested(value)
            case Return(values=results):
                for value in results:
                    yield from nested(value)
            case Branch(then=then, otherwise=otherwise):
                yield from values(then)
                yield from values(otherwise)


def nested(value: Value) -> Iterator[Value]:
    yield value
    for inner in operands(value):
        yield from nested(inner)


def evaluated(statements: Iterable[Statement]) -> Iterator[Value]:
    """Every value in the statements in the order of evaluation: inner ones first."""

    def inner_first(value: Value) -> Iterator[Value]:
        for inner in operands(value):
            yield from inner_first(inner)
        yield value

    for statement in statements:
        match statement:
            case Assign(value=value):
                yield from inner_first(value)
            case Return(values=results):
                for value in results:
                    yield from inner_first(value)
            case Branch(then=then, otherwise=otherwise):
                yield from evaluated(then)
                yield from evaluated(otherwise)


def operands(value: Value) -> tuple[Value, ...]:
    match value:
        case Var() | Weight() | Scalar():
            return ()
        case Op(args=args) | CallPart(args=args) | CallFunction(args=args):
            return args
        case ApplyMap(value=inner) | Append(value=inner):
            return (inner,)
        case Mixture(value=inner, weights=weights, index=index):
            return (inner, weights, index)
        case Choose(then=then, otherwise=otherwise):
            return (then, otherwise)


def expressions(statements: Iterable[Statement]) -> Iterator[Expr]:
    """Every compile-time expression in the statements, those of types among them."""
    yield from conditions(statements)
    for value in values(statements):
        if isinstance(value, Scalar):
            yield value.expr
        for type_ in value.types:
            yield from type_.shape
        if isinstance(value, Op):
            for attr in value.attrs.values():
                yield from (item for item in listed(attr) if isinstance(item, Const | Sym | Apply))


def listed(attr: object) -> Iterable[object]:
    match attr:
        case tuple():
            return attr
        case Mapping():
            return attr.values()
        case _:
            return (attr,)


def conditions(statements: Iterable[Statement]) -> Iterator[Expr]:
    """The conditions of the branches and choices in the statements."""
    for statement in statements:
        if isinstance(statement, Branch):
            yield statement.condition
            yield from conditions((*statement.then, *statement.otherwise))
    for value in values(statements):
        if isinstance(value, Choose):
            yield value.condition
