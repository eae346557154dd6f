"""Tensor rows as the code of their modules reaches them."""

from __future__ import annotations

from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Node,
    number,
    subscript,
)
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.quoting import attribute
from specgen.expr.node import TRUE
from specgen.ir.model import (
    Module,
    Program,
    Tensor,
)

SELF = Atom("self")


def row_below(plan: FilePlan, module: Module, held: Node, dtypes: set[str] | None) -> Node | None:
    """A row of a part that is always there, or of one of its parts; `held` is the module."""
    for part in module.parts:
        if part.condition != TRUE:
            continue
        child = plan.program.modules[part.module]
        inside: Node = Attribute(held, attribute(part.name))
        if part.count is not None and not plan.is_stacked(part):
            inside = subscript(inside, number(0))
        for row in child.tensors:
            if row.condition != TRUE or row.target is not None:
                continue
            if dtypes is None or row.compute in dtypes:
                if plan.is_stacked(part):
                    return stack(row, inside)
                return place(row.name, row.kind, inside)
        found = row_below(plan, child, inside, dtypes)
        if found is not None:
            return found
    return None


def row_tensor(plan: FilePlan, row: Tensor, stacked: bool) -> Node:
    """A tensor row as the code of its module reaches it."""
    if stacked:
        vector = [Atom("None")] * (len(row.shape) == 1)  # beside the rows of x
        return subscript(stack(row), Atom("e"), *vector)
    return place(row.name, row.kind)


def place(path: str, kind: str, held: Node = SELF) -> Node:
    """The tensor of a row of the module that `held` is, or of a part of it."""
    node = held
    for name in path.split("."):
        node = Attribute(node, attribute(name))
    return Attribute(node, "weight") if kind == "map" else node


def stack(row: Tensor, held: Node = SELF) -> Node:
    """A row of all instances, stacked."""
    return Attribute(held, attribute(row.name.replace(".", "_")))


def path_kind(program: Program, module: Module, path: str) -> str:
    """What kind of row a path from a module leads to."""
    *parts, row = path.split(".")
    for name in parts:
        found = module.parts_named(name)
        if not found:
            row = f"{name}.{row}"
            break
        module = program.modules[found[0].module]
    return module.tensors_named(row)[0].kind
