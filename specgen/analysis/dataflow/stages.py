"""Where rows stand on the way through the model: before its stack of layers, in it, or after it.

Pipeline parallelism gives each stage a stretch of the stack, the first stage what comes before,
the last one what comes after, and what the main forward does not reach.  The stack is the repeated
part that the main forward threads; a table without a forward declares it.  Knows no sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from specgen.analysis.dataflow.reach import Reach, method
from specgen.analysis.table.instances import Instance, Path
from specgen.expr.node import FALSE, Expr, Sym
from specgen.ir.model import (
    Append,
    ApplyMap,
    CallFunction,
    CallPart,
    Mixture,
    Program,
    Weight,
)
from specgen.ir.visit import Noting
from specgen.records import dataclass

Position = Literal["first", "stack", "last"]


@dataclass(frozen=True, slots=True)
class Stack:
    """The repeated part whose instances the stages share: its path, its index, how many."""

    path: Path
    index: str
    count: Expr


def declared(program: Program, axis: str) -> frozenset[Expr]:
    """The names that the table says an axis divides."""
    return frozenset(Sym(d.name) for a in program.sharding if a.name == axis for d in a.divided)


def stacks(places: Sequence[Reach]) -> tuple[Stack, ...]:
    """The parts that may be the stack, each once; the table's word decides where it has one."""
    names = declared(places[0].instance.program, "pipeline")
    found: dict[Path, Stack] = {}
    for place in places:
        instance = place.instance
        if len(instance.indices) != 1 or instance.caller is None or instance.caller.index is None:
            continue
        ((index, count),) = instance.indices
        threaded = place.condition != FALSE and index not in place.chosen
        if count in names if names else threaded:
            found.setdefault(instance.path, Stack(instance.path, index, count))
    return tuple(found.values())


def mixture_index(place: Reach) -> str | None:
    """The index that expert parallelism divides on the way to a module, the outermost."""
    names = declared(place.instance.program, "expert")
    for index, count in place.instance.indices:
        if count in names if names else index in place.chosen:
            return index
    return None


@dataclass(frozen=True, slots=True)
class Positions:
    """Where each row and module outside the stack is read; what is not there is not read."""

    stack: Stack | None
    read: Mapping[Path, frozenset[Position]]

    def of(self, instance: Instance, row: str) -> frozenset[Position]:
        """Where a row of a module stands."""
        if self.stack is None:
            return frozenset(("first",))
        path = instance.path
        if path[: len(self.stack.path)] == self.stack.path:
            return frozenset(("stack",))
        own = self.read.get((*path, row))
        if own is not None:
            return own
        ways = (self.read.get(path[:end]) for end in range(len(path), 0, -1))
        return next((way for way in ways if way is not None), frozenset(("last",)))


def positions(model: Instance, stack: Stack | None) -> Positions:
    """Follows the main forward; where there is none, the order of the table."""
    if stack is None:
        return Positions(None, {})
    order = Order(stack)
    if model.module.forward is not None:
        StageInterpreter(order, model).forward()
    else:
        order.table(model)
    return Positions(stack, {path: frozenset(found) for path, found in order.read.items()})


@dataclass(slots=True)
class Order:
    """What is read before the stack is called, and what after."""

    stack: Stack
    passed: bool = False
    read: dict[Path, set[Position]] = field(default_factory=dict)
    walked: set[tuple[Path, str, bool]] = field(default_factory=set)

    def note(self, path: Path) -> None:
        self.read.setdefault(path, set()).add("last" if self.passed else "first")

    def around(self, path: Path) -> bool:
        """Whether the stack is below a module."""
        return self.stack.path[: len(path)] == path

    def table(self, instance: Instance) -> None:
        """The parts in their order, the module's own rows behind them."""
        for child in instance.children:
            if child.path == self.stack.path:
                self.passed = True
            elif self.around(child.path):
                self.table(child)
            else:
                self.note(child.path)
        for row in instance.module.tensors:
            self.note((*instance.path, row.name))


@dataclass(frozen=True)
class StageInterpreter(Noting):
    """Notes what is read in order of evaluation: the operands of a value before itself."""

    order: Order
    instance: Instance

    def forward(self) -> None:
        if self.instance.module.forward is not None:
            self.run(self.instance.module.forward.body)

    def note(self, row: str) -> None:
        self.order.note((*self.instance.path, row))

    def weight(self, value: Weight) -> None:
        self.note(value.row)

    def apply_map(self, value: ApplyMap) -> None:
        self.over(value)
        self.note(value.row)
        self.note(f"{value.row}.bias")

    def call_part(self, value: CallPart | Mixture) -> None:
        self.over(value)
        path = (*self.instance.path, value.part)
        if path == self.order.stack.path:
            self.order.passed = True
        elif self.order.around(path):
            for child in self.instance.children:
                if child.path == path:
                    StageInterpreter(self.order, child).forward()
        else:
            self.note(value.part)

    def call_function(self, value: CallFunction) -> None:
        self.over(value)
        known = (self.instance.path, value.function, self.order.passed)
        if value.method and known not in self.order.walked:
            self.order.walked.add(known)
            self.run(method(self.instance.module, value.function).body)

    mixture = call_part

    def append(self, value: Append) -> None:
        self.over(value)
        self.note(value.cache)
