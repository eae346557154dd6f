"""Rows that are `tied` to rows which are tied themselves: each names what it stands for in the end.

One answer for all who read rows: back ends then find a row of its own behind every target.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest

from specgen.expr.node import TRUE, Expr, conjunction
from specgen.ir.model import Module, Program, Tensor

#: The module in whose names a path is, the path, and where the row that it leads to is meant.
End = tuple[Module, str, Expr]


def settled(program: Program) -> Program:
    """The program in which no row is shared with a row that is shared itself.

    Where an index decides what a row in between is, the row has alternatives, as that one has.
    """
    changed = {}
    for id_, module in program.modules.items():
        rows = [found for row in module.tensors for found in ended(program, module, row)]
        if any(one is not other for one, other in zip_longest(rows, module.tensors)):
            changed[id_] = replace(module, tensors=tuple(rows))
    return replace(program, modules={**program.modules, **changed}) if changed else program


def ended(program: Program, module: Module, row: Tensor) -> list[Tensor]:
    """The row, or its alternatives, each with the target that is meant in the end."""
    if row.target is None:
        return [row]
    ends = follow(program, module, row.target)
    if ends is None or [path for _, path, _ in ends] == [row.target]:
        return [row]
    if any(home.id != module.id and module.is_within(path) for home, path, _ in ends):
        return [row]  # a row of the model, of whose name there is one here
    return [
        replace(row, target=path, condition=conjunction(row.condition, condition))
        for _, path, condition in ends
    ]


def follow(program: Program, module: Module, path: str) -> list[End] | None:
    """The rows that a path means in the end; None where names of another module would say when."""
    home = module if module.is_within(path) else program.model
    owner, prefix, name = home, "", path
    while not owner.tensors_named(name):
        first, _, name = name.partition(".")
        parts = owner.parts_named(first)
        if not parts or not name:
            return None
        owner, prefix = program.modules[parts[0].module], f"{prefix}{first}."
    rows = owner.tensors_named(name)
    if all(row.target is None for row in rows):
        return [(home, path, TRUE)]
    found: list[End] = []
    for row in rows:
        if row.condition != TRUE and (prefix or home.id != module.id):
            return None
        if row.target is None:
            ends: list[End] | None = [(home, path, TRUE)]
        elif owner.is_within(row.target):
            ends = follow(program, home, prefix + row.target)
        else:
            ends = follow(program, program.model, row.target)
        if ends is None:
            return None
        found += [(at, end, conjunction(row.condition, when)) for at, end, when in ends]
    return found
