"""The order in which a module's forward comes by its rows and parts, and which feeds which.

Follows one main forward and the module's own functions; knows no sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace
from itertools import chain, zip_longest

from specgen.expr.node import Expr
from specgen.ir import model as ir
from specgen.ir.visit import Joining
from specgen.records import dataclass

#: Names of rows and parts whose results a value is made of.
Sources = frozenset[str]

NONE: Sources = frozenset()


@dataclass
class Flow:
    """`order` are the rows and parts that the forward uses; `feeds` what each takes values from."""

    order: dict[str, None] = field(default_factory=dict)
    feeds: dict[str, Sources] = field(default_factory=dict)


def flow(module: ir.Module) -> Flow:
    """The flow of the main forward; without one, nothing is used."""
    found = Flow()
    if module.forward is not None:
        FlowInterpreter(module, found, {}).run(module.forward.body)
    return found


@dataclass(frozen=True)
class FlowInterpreter(Joining[tuple[Sources, ...]]):
    """What each result of a value is made of; one entry where they cannot be told apart."""

    module: ir.Module
    flow: Flow
    names: dict[str, Sources]

    def together(self, values: Iterable[tuple[Sources, ...]]) -> Sources:
        return NONE.union(*chain.from_iterable(values))

    def use(self, name: str, value: ir.Value) -> tuple[Sources, ...]:
        """The results of a row or part that is given the operands of a value."""
        sources = self.together(self.operands(value))
        self.flow.order.setdefault(name)
        self.flow.feeds[name] = self.flow.feeds.get(name, NONE) | sources
        return (frozenset((name,)),)

    def var(self, value: ir.Var) -> tuple[Sources, ...]:
        return (self.names.get(value.name, NONE),)

    def weight(self, value: ir.Weight) -> tuple[Sources, ...]:
        return self.use(value.row, value)

    def scalar(self, value: ir.Scalar) -> tuple[Sources, ...]:
        return (NONE,)

    def op(self, value: ir.Op | ir.Append) -> tuple[Sources, ...]:
        return (self.together(self.operands(value)),)

    def apply_map(self, value: ir.ApplyMap) -> tuple[Sources, ...]:
        return self.use(value.row, value)

    def call_part(self, value: ir.CallPart) -> tuple[Sources, ...]:
        return self.use(value.part, value)

    def call_function(self, value: ir.CallFunction) -> tuple[Sources, ...]:
        """A body of the module is followed; a free function mixes all that it is given."""
        args = [self.together((found,)) for found in self.operands(value)]
        if not value.method:
            return (NONE.union(*args),)
        function = next(f for f in self.module.functions if f.name == value.function)
        names = dict(zip((arg.name for arg in function.args), args, strict=True))
        return replace(self, names=names).run(function.body) or (NONE,)

    def mixture(self, value: ir.Mixture) -> tuple[Sources, ...]:
        return self.use(value.part, value)

    append = op

    def assign(self, statement: ir.Assign) -> None:
        found = self.value(statement.value)
        for position, name in enumerate(statement.names):
            self.names[name] = found[min(position, len(found) - 1)]

    def ret(self, statement: ir.Return) -> tuple[Sources, ...]:
        return tuple(self.together((found,)) for found in map(self.value, statement.values))

    def under(self, condition: Expr, holds: bool) -> FlowInterpreter:
        return replace(self, names=dict(self.names))

    def join(
        self,
        sides: tuple[FlowInterpreter, FlowInterpreter],
        returned: tuple[tuple[Sources, ...] | None, tuple[Sources, ...] | None],
    ) -> tuple[Sources, ...] | None:
        for side in sides:
            for name, sources in side.names.items():
                self.names[name] = self.names.get(name, NONE) | sources
        then, otherwise = returned
        if then is None or otherwise is None:
            return None
        return tuple(a | b for a, b in zip_longest(then, otherwise, fillvalue=NONE))
