"""How often a forward appends to each cache row: once, or what it reads has what it wrote before.

Works on a variant's IR: parts that are called twice, and functions, are seen there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import field, replace

from specgen.expr.node import Expr
from specgen.ir import model as ir
from specgen.ir.alternatives import meant
from specgen.ir.visit import Noting, walk
from specgen.records import dataclass

#: How often each cache row, by its path from the module, grows in one evaluation.
Times = Counter[str]


@dataclass(frozen=True, slots=True)
class RepeatedAppend:
    """A forward of a module that appends to a cache row more than once, or for chosen tokens."""

    module: str
    forward: str
    cache: str
    reason: str


def repeated(program: ir.Program) -> Iterator[RepeatedAppend]:
    """The forwards in which a cache row grows more than once; inner modules first.

    Functions of the model are called from outside, as its forward is.
    """
    modules, seen = Modules(program), set[tuple[str, str, str]]()
    for module in program.modules.values():
        called = module.functions if module.id == program.root else ()
        for forward in (*module.forwards, *called):
            times = modules.body(module, forward)
            for path in sorted(path for path, count in times.items() if count > 1):
                if (module.name, forward.name, path) not in seen:
                    seen.add((module.name, forward.name, path))
                    yield RepeatedAppend(module.name, forward.name, path, "it is appended to twice")
        for part in sorted(modules.mixed(module)):
            yield RepeatedAppend(
                module.name, "", part, "a mixture evaluates it for some tokens only"
            )


@dataclass(slots=True)
class Modules:
    """Counts once for each module; a row that is at fault inside counts once around it."""

    program: ir.Program
    times: dict[str, Times] = field(default_factory=dict)

    def module(self, id_: str) -> Times:
        """What the main forward of a module appends to."""
        if id_ not in self.times:
            module = self.program.modules[id_]
            found = self.body(module, module.forward) if module.forward else Times()
            self.times[id_] = Times(dict.fromkeys(found, 1))
        return self.times[id_]

    def body(self, module: ir.Module, function: ir.Function) -> Times:
        run = AppendInterpreter(self, module, Times())
        run.run(function.body)
        return run.times

    def mixed(self, module: ir.Module) -> set[str]:
        """The cache rows of parts that a mixture of the module evaluates."""
        names = {
            value.part
            for function in (*module.forwards, *module.functions)
            for value in walk(function.body)
            if isinstance(value, ir.Mixture)
        }
        return {
            f"{part.name}.{cache}"
            for part in module.parts
            if part.name in names
            for cache in self.module(part.module)
        }


@dataclass(frozen=True)
class AppendInterpreter(Noting):
    """Counts in `times` what one evaluation of a body appends to."""

    modules: Modules
    module: ir.Module
    times: Times

    def call_part(self, value: ir.CallPart) -> None:
        self.over(value)
        below = Times()
        for part in meant(self.modules.program, self.module, value):  # one of them is there
            found = self.modules.module(part.module)
            below |= Times({f"{value.part}.{path}": n for path, n in found.items()})
        self.times.update(below)

    def call_function(self, value: ir.CallFunction) -> None:
        self.over(value)
        if value.method:
            self.run(next(f for f in self.module.functions if f.name == value.function).body)

    def append(self, value: ir.Append) -> None:
        self.over(value)
        self.times[value.cache] += 1

    def under(self, condition: Expr, holds: bool) -> AppendInterpreter:
        return replace(self, times=Times(self.times))

    def join(self, sides: tuple[AppendInterpreter, AppendInterpreter], returned: object) -> None:
        then, otherwise = sides
        self.times.update((then.times | otherwise.times) - self.times)
