"""The closed set of ops: one record each, which files named after what they do hold.

An op is admitted only if it cannot be expressed by the others, two architectures need it, and
its meaning is an equation; docs/language.md is checked against this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from specgen.ir.model import Op
from specgen.ir.verify import InternalFault
from specgen.ops import contract, elementwise, reduce, select, shape
from specgen.ops.context import ListRead, OpCall, OperatorUse
from specgen.ops.record import OpRecord, Trait

FILES: Final = (elementwise, shape, reduce, select, contract)

#: Ops that a table calls.
CALLED: Final[Mapping[str, OpRecord[OpCall]]] = {
    record.name: record for file in FILES for record in file.CALLED
}

#: The op of each operator of the language, by its sign in the syntax tree.
OPERATORS: Final[Mapping[str, OpRecord[OperatorUse]]] = elementwise.OPERATORS

#: The op of a list that is read as a tensor.
CONSTANT: Final[OpRecord[ListRead]] = shape.CONSTANT

#: All ops of the IR, by name.
OPS: Final[Mapping[str, OpRecord[Any]]] = {
    **CALLED,
    **{record.name: record for record in OPERATORS.values()},
    CONSTANT.name: CONSTANT,
}

#: Forms that the checker types itself, since they refer to rows of the module.
FORMS: Final[Mapping[str, tuple[str, str]]] = {
    "append": (
        "append(cache_row, x)",
        "the cache row with x appended along its growing axis; all of it is read",
    ),
    "mixture": (
        "mixture(part, x, weights, index)",
        "sum over k of weights[..., k] * part[index[..., k]](x); only the chosen are evaluated",
    ),
    "has": ("has(row)", "whether a row exists; known at compile time"),
}

Function = TypeVar("Function")


def has(op: Op, trait: Trait) -> bool:
    return trait in OPS[op.name].traits


def fault(op: Op) -> str | None:
    """What is wrong with an op of the IR, if anything is: its name, or an attribute."""
    record = OPS.get(op.name)
    return "is no op" if record is None else record.fault(op)


def complete(layer: str, *tables: Mapping[str, Function]) -> Mapping[str, Function]:
    """The tables of a layer as one, with a function for each op.

    Raises:
        InternalFault: an op has none, or two, or a name is of no op.
    """
    names = [name for table in tables for name in table]
    wrong = {name for name in names if names.count(name) > 1} | (OPS.keys() ^ set(names))
    if wrong:
        raise InternalFault(f"{layer} has not one function each for {', '.join(sorted(wrong))}")
    return {name: function for table in tables for name, function in table.items()}
