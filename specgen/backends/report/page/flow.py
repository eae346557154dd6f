"""The order in which a module's forward comes by its rows and parts, and which feeds which.

Follows one main forward and the module's own functions; knows no sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import assert_never

from specgen.ir.model import (
    Append,
    ApplyMap,
    Assign,
    Branch,
    CallFunction,
    CallPart,
    Choose,
    Function,
    Mixture,
    Module,
    Op,
    Return,
    Scalar,
    Statement,
    Value,
    Var,
    Weight,
)
from specgen.records import dataclass

#: Names of rows and parts whose results a value is made of.
Sources = frozenset[str]

NONE: Sources = frozenset()


@dataclass
class Flow:
    """`order` are the rows and parts that the forward uses; `feeds` what each takes values from."""

    module: Module
    order: dict[str, None] = field(default_factory=dict)
    feeds: dict[str, Sources] = field(default_factory=dict)

    def function(self, function: Function, args: Sequence[Sources]) -> tuple[Sources, ...]:
        """Follows a body; what each of its results is made of."""
        names = {arg.name: given for arg, given in zip(function.args, args, strict=False)}
        results: list[Sources] = [NONE] * len(function.results)
        self.statements(function.body, names, results)
        return tuple(results)

    def statements(
        self, body: Sequence[Statement], names: dict[str, Sources], results: list[Sources]
    ) -> None:
        for statement in body:
            match statement:
                case Assign(names=targets, value=value):
                    found = self.values(value, names)
                    for position, target in enumerate(targets):
                        names[target] = found[min(position, len(found) - 1)]
                case Branch(then=then, otherwise=otherwise):
                    other = dict(names)
                    self.statements(then, names, results)
                    self.statements(otherwise, other, results)
                    for name, sources in other.items():
                        names[name] = names.get(name, NONE) | sources
                case Return(values=values):
                    for position, value in enumerate(values):
                        results[position] |= self.value(value, names)
                case _:
                    assert_never(statement)

    def values(self, value: Value, names: Mapping[str, Sources]) -> tuple[Sources, ...]:
        """What each result of a value is made of; one entry where they cannot be told apart."""
        if isinstance(value, CallFunction) and value.method:
            args = [self.value(arg, names) for arg in value.args]
            for function in self.module.functions:
                if function.name == value.function:
                    return self.function(function, args) or (NONE,)
        return (self.value(value, names),)

    def value(self, value: Value, names: Mapping[str, Sources]) -> Sources:
        match value:
            case Var(name=name):
                return names.get(name, NONE)
            case Weight(row=row):
                return self.use(row, NONE)
            case Scalar():
                return NONE
            case Op(args=args):
                return self.all(args, names)
            case ApplyMap(row=row, value=given):
                return self.use(row, self.value(given, names))
            case CallPart(part=part, args=args):
                return self.use(part, self.all(args, names))
            case CallFunction(method=True):
                return frozenset().union(*self.values(value, names))
            case CallFunction(args=args):
                return self.all(args, names)
            case Mixture(part=part, value=given, weights=weights, index=index):
                return self.use(part, self.all((given, weights, index), names))
            case Append(value=given):
                return self.value(given, names)
            case Choose(then=then, otherwise=otherwise):
                return self.all((then, otherwise), names)
        assert_never(value)

    def all(self, values: Sequence[Value], names: Mapping[str, Sources]) -> Sources:
        return NONE.union(*(self.value(value, names) for value in values))

    def use(self, name: str, sources: Sources) -> Sources:
        self.order.setdefault(name)
        self.feeds[name] = self.feeds.get(name, NONE) | sources
        return frozenset((name,))


def flow(module: Module) -> Flow:
    """The flow of the main forward; without one, nothing is used."""
    found = Flow(module)
    if module.forward is not None:
        found.function(module.forward, ())
    return found
