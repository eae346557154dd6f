"""Where rows stand on the way through the model: before its stack of layers, in it, or after it.

Pipeline parallelism gives each stage a stretch of the stack, the first stage what comes before,
the last one what comes after, and what the main forward does not reach.  The stack is the repeated
part that the main forward threads; a table without a forward declares it.  Knows no sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, assert_never

from specgen.analysis.dataflow.reach import Reach, method
from specgen.analysis.table.instances import Instance, Path
from specgen.expr.node import FALSE, Expr, Sym
from specgen.ir.model import (
    Append,
    ApplyMap,
    Assign,
    Branch,
    CallFunction,
    CallPart,
    Mixture,
    Program,
    Return,
    Statement,
    Value,
    Weight,
)
from specgen.ir.visit import children
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
    walk = Walk(stack)
    if model.module.forward is not None:
        walk.forward(model)
    else:
        walk.table(model)
    return Positions(stack, {path: frozenset(found) for path, found in walk.read.items()})


@dataclass(slots=True)
class Walk:
    """Notes what is read before the stack is called, and what after, in order of evaluation."""

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

    def forward(self, instance: Instance) -> None:
        if instance.module.forward is not None:
            self.statements(instance, instance.module.forward.body)

    def statements(self, instance: Instance, body: Sequence[Statement]) -> None:
        for statement in body:
            match statement:
                case Assign(value=value):
                    self.value(instance, value)
                case Return(values=values):
                    for value in values:
                        self.value(instance, value)
                case Branch(then=then, otherwise=otherwise):
                    self.statements(instance, then)
                    self.statements(instance, otherwise)
                case _:
                    assert_never(statement)

    def value(self, instance: Instance, value: Value) -> None:
        """A value: its arguments before itself."""
        for argument in children(value):
            self.value(instance, argument)
        match value:
            case Weight(row=row):
                self.note((*instance.path, row))
            case ApplyMap(row=row):
                self.note((*instance.path, row))
                self.note((*instance.path, f"{row}.bias"))
            case Append(cache=row):
                self.note((*instance.path, row))
            case CallPart(part=part) | Mixture(part=part):
                self.part(instance, part)
            case CallFunction(function=name, method=True):
                known = (instance.path, name, self.passed)
                if known not in self.walked:
                    self.walked.add(known)
                    self.statements(instance, method(instance.module, name).body)
            case _:
                return

    def part(self, instance: Instance, name: str) -> None:
        path = (*instance.path, name)
        if path == self.stack.path:
            self.passed = True
        elif self.around(path):
            for child in instance.children:
                if child.path == path:
                    self.forward(child)
        else:
            self.note(path)
