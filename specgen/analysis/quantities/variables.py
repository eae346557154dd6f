"""What a user may choose of a quantity besides params: what each is, and its value where nobody says.

A name means one thing in a table: W, G and O are bytes, but lengths where the forward has such
lengths of its own; quantities of the bytes are absent there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.expr.node import symbols
from specgen.ir.model import Program

#: What a user may choose.
VARIABLES: Final[Mapping[str, str]] = {
    "B": "sequences of a batch",
    "S": "new tokens of each sequence",
    "T": "all tokens of each sequence, those in the cache included",
    "W": "bytes of an element of a weight",
    "G": "bytes of an element of a gradient",
    "O": "bytes of the optimizer's states for an element of a weight",
}

#: Those of them that no dim of a forward can mean.
BYTES: Final = ("W", "G", "O")

#: What any other variable is: a forward may have shape variables of its own.
LENGTH: Final = "a dim of the forward's arguments"

#: What a variable is where nobody says; stated with every figure that rests on it.
DEFAULTS: Final[Mapping[str, int]] = {"B": 1, "S": 2048, "T": 2048, "W": 2, "G": 2, "O": 12}

#: Why a quantity of bytes is absent.
IS_LENGTH: Final = "the forward has a length `{name}`, which is a variable of this quantity"


def lengths(program: Program) -> Mapping[str, tuple[str, ...]]:
    """Every shape variable of the forward, with the arguments that it is a length of."""
    model = program.model
    if model.forward is None:
        return {}
    own = {param.name for param in model.params} | {let.name for let in model.lets}
    found: dict[str, list[str]] = {}
    for arg in model.forward.args:
        names = {name for dim in arg.type.shape for name in symbols(dim)}
        for name in sorted(names - own):
            found.setdefault(name, []).append(arg.name)
    return {name: tuple(args) for name, args in found.items()}


def no_bytes(program: Program) -> tuple[str, ...]:
    """Those of W, G and O that are lengths of this table's forward."""
    own = lengths(program)
    return tuple(name for name in BYTES if name in own)


def meaning(name: str, program: Program) -> str:
    """What a variable of the table's quantities is."""
    return LENGTH if name in no_bytes(program) else VARIABLES.get(name, LENGTH)


def defaults(*programs: Program) -> dict[str, int]:
    """The values of variables where nobody says; a length of a forward's own has none."""
    own = {name for program in programs for name in no_bytes(program)}
    return {name: value for name, value in DEFAULTS.items() if name not in own}
