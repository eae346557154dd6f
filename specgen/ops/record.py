"""The record of an op: how it is written and typed, its attributes, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final, Generic, TypeVar, get_args, get_origin

from specgen.expr.node import Expr
from specgen.ir.model import Op, Value
from specgen.records import dataclass

#: The axes of one dim of a tensor: none for a dim of 1, several where the dim is split.
Group = tuple[str, ...]
Groups = tuple[Group, ...]
Sizes = Mapping[str, Expr]

#: `...`: any number of leading dims.
REST_GROUP: Final[Group] = ("...",)


class Trait(Enum):
    """What analyses and back ends ask of an op without knowing its name."""

    COMPARES = "whether one operand is equal to the other, less or greater"
    CONTRACTS = "sums products of its operands over the axes that its result lacks"
    LOOKS_UP = "picks rows of its first operand, and reads no others"
    PICKS = "picks elements or rows of its first operand by an index"
    POLYNOMIAL = "whole numbers may be made floats before it as well as after it"
    REFORMS = "the result has an operand's numbers: moved, cut, converted, or with another sign"
    RENAMES = "the result has all of its operand's numbers, in another shape or dtype"
    SCALES = "multiplies or divides one operand by the other"
    SUMS = "sums over an axis"


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute: the key in `ir.Op.attrs`, and the type of its values as annotations write it."""

    name: str
    kind: Any


#: Counted from the end, from -1, so that any number of dims may stand in front.
AXIS: Final = Attr("axis", int)

Use = TypeVar("Use", contravariant=True)

#: Whether the results share their operand's memory; the function says what a dtype is stored as.
View = Callable[[Op, Callable[[str], str]], bool]


def never(op: Op, stored: Callable[[str], str]) -> bool:
    return False


def always(op: Op, stored: Callable[[str], str]) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class OpRecord(Generic[Use]):
    """One op: its name in the IR, how a table writes it, what it means, and its typing rule."""

    name: str
    written: str
    meaning: str
    rule: Callable[[Use], Value]
    attributes: tuple[Attr, ...] = ()
    traits: AbstractSet[Trait] = frozenset()
    view: View = never

    def fault(self, op: Op) -> str | None:
        """What is wrong with the attributes of such an op, if anything is."""
        if op.attrs.keys() != {attribute.name for attribute in self.attributes}:
            return f"has attributes {', '.join(op.attrs) or 'not'}"
        for attribute in self.attributes:
            value = op.attrs[attribute.name]
            if not fits(value, attribute.kind):
                return f"has {attribute.name} = {value!r}"
        return None


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of a type, which may be of tuples and mappings; no flag is a number."""
    parts = get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(fits(item, parts[0]) for item in value)
    if get_origin(kind) is Mapping:
        return isinstance(value, Mapping) and all(
            fits(key, parts[0]) and fits(item, parts[1]) for key, item in value.items()
        )
    return type(value) is int if kind is int else isinstance(value, kind)
