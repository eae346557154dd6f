"""How often a forward appends to each cache row: once, or what it reads has what it wrote before.

Works on a variant's IR: parts that are called twice, and functions, are seen there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import assert_never

from specgen.ir import model as ir
from specgen.ir.alternatives import meant
from specgen.ir.visit import children, walk
from specgen.records import dataclass

#: How often each cache row, by its path from the module, grows in one evaluation.
Times = Counter[str]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A forward of a module that appends to a cache row more than once, or for chosen tokens."""

    module: str
    forward: str
    cache: str
    reason: str


def repeated(program: ir.Program) -> Iterator[Repeated]:
    """The forwards in which a cache row grows more than once; inner modules first.

    Functions of the model are called from outside, as its forward is.
    """
    walk, seen = Walk(program), set[tuple[str, str, str]]()
    for module in program.modules.values():
        called = module.functions if module.id == program.root else ()
        for forward in (*module.forwards, *called):
            times = walk.body(module, forward.body)
            for path in sorted(path for path, count in times.items() if count > 1):
                if (module.name, forward.name, path) not in seen:
                    seen.add((module.name, forward.name, path))
                    yield Repeated(module.name, forward.name, path, "it is appended to twice")
        for part in sorted(walk.mixed(module)):
            yield Repeated(module.name, "", part, "a mixture evaluates it for some tokens only")


@dataclass(slots=True)
class Walk:
    """Counts once for each module; a row that is at fault inside counts once around it."""

    program: ir.Program
    times: dict[str, Times] = field(default_factory=dict)

    def module(self, id_: str) -> Times:
        """What the main forward of a module appends to."""
        if id_ not in self.times:
            module = self.program.modules[id_]
            found = self.body(module, module.forward.body) if module.forward else Times()
            self.times[id_] = Times(dict.fromkeys(found, 1))
        return self.times[id_]

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

    def body(self, module: ir.Module, body: Sequence[ir.Statement]) -> Times:
        total = Times()
        for statement in body:
            match statement:
                case ir.Assign(value=value):
                    total += self.value(module, value)
                case ir.Return(values=several):
                    for value in several:
                        total += self.value(module, value)
                case ir.Branch(then=then, otherwise=otherwise):
                    total += self.body(module, then) | self.body(module, otherwise)
                case _:
                    assert_never(statement)
        return total

    def value(self, module: ir.Module, value: ir.Value) -> Times:
        if isinstance(value, ir.Choose):
            return self.value(module, value.then) | self.value(module, value.otherwise)
        total = Times()
        for inner in children(value):
            total += self.value(module, inner)
        match value:
            case ir.Append(cache=cache):
                total[cache] += 1
            case ir.CallPart(part=name):
                below = Times()
                for part in meant(
                    self.program, module, value
                ):  # alternatives: one of them is there
                    found = self.module(part.module)
                    below |= Times({f"{name}.{path}": n for path, n in found.items()})
                total += below
            case ir.CallFunction(function=name, method=True):
                function = next(f for f in module.functions if f.name == name)
                total += self.body(module, function.body)
        return total
