"""Free functions of the generated file: the table's own, and the ways back from storage formats.

A storage format is a function from the tensors that the checkpoint holds to the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from specgen.backends.pytorch.bodies import BodyWriter, signature
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.masks import is_causal_mask
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.quoting import function_name, quote
from specgen.backends.pytorch.scope import Used, is_size
from specgen.expr.node import Sym
from specgen.ir.model import SCALAR, Arg, Function, Module, Type

#: What a function without tensors is told beside the table's arguments.
DEVICE_ARGUMENT: Final = "device: torch.device"


def function(plan: FilePlan, name: str, used: Used) -> list[str]:
    """A free function of the table."""
    called = plan.program.functions[name]
    shapes = signature(called.args, called.results, called.result_names)
    text = docstring(described(called), 1, shapes)
    return written(plan, function_name(name), called, used, text, {})


def storage_format(
    plan: FilePlan, name: str, module: Module, values: Mapping[str, int | float], used: Used
) -> list[str]:
    """The function that gives back the matrix of a format whose params have these values.

    R and C are read from the tensors' shapes where they stand there; other params are arguments
    with their values as defaults.
    """
    assert module.forward is not None
    args = [Arg(row.name, Type(row.dtype or "f32", row.shape)) for row in module.tensors]
    read = {dim.name for row in module.tensors for dim in row.shape if isinstance(dim, Sym)}
    defaults = {param: value for param, value in values.items() if param not in read}
    args += [Arg(param, Type(SCALAR, ())) for param in defaults]
    text = docstring(f"{quote(module.title or module.name)}.", 1, outcome(module.forward))
    return written(plan, name, replace(module.forward, args=tuple(args)), used, text, defaults)


def outcome(function: Function) -> str:
    return signature((), function.results, function.result_names).lstrip()


def described(function: Function) -> str | None:
    """What a function says of itself, quoted."""
    return None if function.description is None else quote(function.description)


def written(
    plan: FilePlan,
    name: str,
    function: Function,
    used: Used,
    text: Sequence[str],
    defaults: Mapping[str, int | float],
) -> list[str]:
    body = BodyWriter(plan, None, function, used, indent=1)
    lines = body.write()
    arguments = []
    for arg in function.args:
        kind = annotation(function, arg)
        if plan.is_optional(None, function, arg.name):
            kind += " | None"
        if arg.name in defaults:
            value = defaults[arg.name]
            kind = f"{type(value).__name__} = {value!r}"
        arguments.append(f"{body.variable(arg.name)}: {kind}")
    if plan.needs_device(None, function):
        arguments.append(DEVICE_ARGUMENT)
    returns = returned(function.results)
    if is_causal_mask(function) and plan.is_mask_optional:
        returns += " | None"
    head = definition(name, arguments, returns, 0)
    return [*head, *text, *lines]


def annotation(function: Function, arg: Arg) -> str:
    """The annotation of an argument."""
    if arg.type.dtype != SCALAR:
        return "Tensor"
    return "int" if is_size(function, arg.name) else "float"


def returned(results: Sequence[Type]) -> str:
    """The annotation of what a function returns."""
    return "Tensor" if len(results) == 1 else f"tuple[{', '.join(['Tensor'] * len(results))}]"
