"""The invariants of the IR, checked after it is built and after every pass that changes it.

A broken invariant is a fault of specgen, never of a spec: it raises InternalFault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from specgen.ir import model as ir
from specgen.ir.visit import nested, walk

#: What is wrong with an op, if anything is; the registry of ops knows it.
OpFault = Callable[[ir.Op], str | None]


class InternalFault(Exception):
    """specgen contradicts itself; please report the spec that shows it."""


def verify(program: ir.Program, fault: OpFault) -> None:
    """Raises InternalFault unless the program is whole.

    Parts lead to modules that stand before them, packings to rows; calls lead to functions that
    exist; no op has a `fault`; every variable is bound before it is read; every body ends in a
    return, and so do both sides of a branch or neither.
    """
    seen: set[str] = set()
    for module in program.modules.values():
        for part in module.parts:
            need(part.module in seen, f"{module.id}.{part.name} leads to no module")
            child = program.modules[part.module]
            given, wanted = set(part.arguments), {param.name for param in child.params}
            need(given == wanted, f"{module.id}.{part.name} gives {sorted(given)}")
        seen.add(module.id)
        for row in module.tensors:
            stored = row.shared is not None or (row.dtype is None) != (row.format is None)
            need(stored, f"{module.id}.{row.name} has no storage")
            known = row.format is None or row.format.module in program.formats
            need(known, f"{module.id}.{row.name} has an unknown format")
        for packing in (packing for some in module.packings.values() for packing in some):
            for path in packing.rows:
                found = leads_to(path, module, program)
                need(found, f"{module.id} packs {'.'.join(path)}, which is not there")
        for function in (*module.forwards, *module.functions):
            verify_function(function, module, program, fault)
    for function in program.functions.values():
        verify_function(function, None, program, fault)
    need(program.root in program.modules, "the root is missing")


def leads_to(path: Sequence[str], module: ir.Module, program: ir.Program) -> bool:
    """Whether a path of parts leads to a tensor row."""
    if len(path) == 1:
        return bool(module.tensors_named(path[0]))
    children = (program.modules[part.module] for part in module.parts_named(path[0]))
    return any(leads_to(path[1:], child, program) for child in children)


def verify_function(
    function: ir.Function, module: ir.Module | None, program: ir.Program, fault: OpFault
) -> None:
    where = f"{module.id if module else 'function'}.{function.name or 'forward'}"
    bound = {arg.name for arg in function.args if arg.type.dtype != ir.SCALAR}
    need(verify_body(function.body, bound, where, module, program), f"{where} does not return")
    for value in walk(function.body):
        if isinstance(value, ir.Op) and (wrong := fault(value)) is not None:
            raise InternalFault(f"{where} has an op `{value.name}` that {wrong}")


def verify_body(
    body: Sequence[ir.Statement],
    bound: set[str],
    where: str,
    module: ir.Module | None,
    program: ir.Program,
) -> bool:
    """Whether the statements return; adds the names that they bind."""
    for statement in body:
        match statement:
            case ir.Assign(names=names, value=value):
                verify_value(value, bound, where, module, program)
                need(len(names) == len(value.types), f"{where} binds {names}")
                bound.update(names)
            case ir.Branch(then=then, otherwise=otherwise):
                left, right = set(bound), set(bound)
                returns = verify_body(then, left, where, module, program)
                both = verify_body(otherwise, right, where, module, program) == returns
                need(both, f"{where} returns on one side of a branch")
                bound |= left & right
                if returns:
                    return True
            case ir.Return(values=values):
                for value in values:
                    verify_value(value, bound, where, module, program)
                return True
            case _:
                assert_never(statement)
    return False


def verify_value(
    value: ir.Value,
    bound: set[str],
    where: str,
    module: ir.Module | None,
    program: ir.Program,
) -> None:
    for node in nested(value):
        match node:
            case ir.Var(name=name):
                need(name in bound, f"{where} reads {name} before it is bound")
            case ir.Weight(row=row) | ir.ApplyMap(row=row):
                found = module is not None and module.tensors_named(row)
                need(bool(found), f"{where} reads {row}, which is not there")
            case ir.CallPart(part=part) | ir.Mixture(part=part):
                found_part = module is not None and module.parts_named(part)
                need(bool(found_part), f"{where} calls {part}, which is not there")
            case ir.Append(cache=cache):
                rows = module.caches if module is not None else ()
                need(any(row.name == cache for row in rows), f"{where} appends to {cache}")
            case ir.CallFunction(function=name, method=True):
                methods = module.functions if module is not None else ()
                need(any(f.name == name for f in methods), f"{where} calls {name}")
            case ir.CallFunction(function=name):
                need(name in program.functions, f"{where} calls {name}")
            case ir.Scalar() | ir.Op() | ir.Choose():
                continue
            case _:
                assert_never(node)


def need(holds: bool, message: str) -> None:
    if not holds:
        raise InternalFault(message)
