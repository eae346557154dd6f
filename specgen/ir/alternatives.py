"""Which of the parts of one name a call can mean.

Alternatives exclude each other by conditions on an index, and may take other arguments: a call
stands where its own is there, so it means none of those that could not take what it gives.
"""

from __future__ import annotations

from collections.abc import Sequence

from specgen.ir import model as ir


def meant(program: ir.Program, module: ir.Module, call: ir.CallPart | ir.Mixture) -> list[ir.Part]:
    """The parts of the call's name whose forward takes as many values, of their ranks and dtypes."""
    args = call.args if isinstance(call, ir.CallPart) else (call.value,)
    parts = module.parts_named(call.part)
    if len(parts) == 1:
        return list(parts)
    return [part for part in parts if takes(program.modules[part.module].forward, args)]


def takes(function: ir.Function | None, args: Sequence[ir.Value]) -> bool:
    """Whether a forward takes as many values, of these ranks and dtypes."""
    if function is None or len(function.args) != len(args):
        return False
    return all(
        fits(argument.type, value.types[0])
        for argument, value in zip(function.args, args, strict=True)
        if not isinstance(value, ir.Scalar)
    )


def fits(formal: ir.Type, actual: ir.Type) -> bool:
    """Whether the dtype is the same, and the rank one that the formal type has."""
    if formal.dtype != actual.dtype:
        return False
    if ir.REST in formal.shape:
        return len(actual.shape) >= len(formal.shape) - 1
    return len(actual.shape) == len(formal.shape) or ir.REST in actual.shape
