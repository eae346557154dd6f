"""Cache rows in which nothing is ever kept, taken out of a program.

A forward whose mask is [B, S] is given all tokens at once: with it, T is S in every module below,
whose rows would never hold a token before the new ones.  A block of a library may have such rows
for other models; here `append` gives what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import field, replace

from specgen.analysis.dataflow.growth import Path, entries, growths
from specgen.ir import model as ir
from specgen.ir.visit import rewritten
from specgen.records import dataclass


def without_idle(program: ir.Program) -> ir.Program:
    """The program without rows that hold no token in any forward or function of the model."""
    idle: dict[Path, bool] = {}
    for entry in entries(program):
        for growth in growths(program, entry):
            idle[growth.path] = idle.get(growth.path, True) and growth.is_idle
    paths = frozenset(path for path, is_idle in idle.items() if is_idle)
    if not paths:
        return program
    rewriting = Rewriting(program.modules)
    root = rewriting.module(program.root, paths)
    return replace(program, root=root, modules=rewriting.done)


@dataclass(slots=True)
class Rewriting:
    """Modules anew, children before parents; one with idle rows in some places becomes several."""

    modules: Mapping[str, ir.Module]
    done: dict[str, ir.Module] = field(default_factory=dict)
    known: dict[tuple[str, frozenset[Path]], str] = field(default_factory=dict)

    def module(self, id_: str, idle: frozenset[Path]) -> str:
        """The id of a module without the idle rows here and below, each by its path from here."""
        key = (id_, idle)
        if key not in self.known:
            module = self.modules[id_]
            parts = tuple(
                replace(part, module=self.module(part.module, below(idle, part.name)))
                for part in module.parts
            )
            rows = {path[0] for path in idle if len(path) == 1}
            made = replace(
                module,
                parts=parts,
                caches=tuple(row for row in module.caches if row.name not in rows),
                forwards=tuple(without(forward, rows) for forward in module.forwards),
                functions=tuple(without(function, rows) for function in module.functions),
            )
            self.known[key] = self.register(made)
        return self.known[key]

    def register(self, module: ir.Module) -> str:
        """Adds a module under its id, or the next that is free."""
        id_, number = module.id, 1
        while id_ in self.done:
            number += 1
            id_ = f"{module.id}_whole{number}"
        self.done[id_] = replace(module, id=id_)
        return id_


def below(idle: frozenset[Path], part: str) -> frozenset[Path]:
    return frozenset(path[1:] for path in idle if len(path) > 1 and path[0] == part)


def without(function: ir.Function, rows: Set[str]) -> ir.Function:
    """The function with what it would append to the rows in their place."""

    def rule(value: ir.Value) -> ir.Value:
        return value.value if isinstance(value, ir.Append) and value.cache in rows else value

    return rewritten(function, rule) if rows else function
