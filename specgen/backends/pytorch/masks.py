"""What attention may be spared: masks that hide nothing, and values that are parts of keys.

Without padding, each token of a whole prompt, and a single new token, sees itself and all before
it; the platform's attention knows that without a mask.  So `causal_mask` of no mask is no mask,
if nothing else looks at either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from specgen.expr.node import ZERO, Apply, Const, Expr, Sym
from specgen.ir.alternatives import meant
from specgen.ir.model import (
    SCALAR,
    Append,
    ApplyMap,
    Arg,
    Assign,
    CallFunction,
    CallPart,
    Function,
    Mixture,
    Module,
    Op,
    Program,
    Return,
    Scalar,
    Var,
    Weight,
)
from specgen.ir.roots import is_language_model
from specgen.ir.visit import Joining
from specgen.records import dataclass

#: The model's argument that marks real tokens.
MASK = "mask"

#: The arguments of the model's functions, behind the tokens, that the class supplies.
SUPPLIED = ("positions", MASK)

#: A function or forward: the id of its module ("" for a free function), and its name.
Place = tuple[str, str]


class Inspected(Exception):
    """Something other than attention looks at a mask."""


class Needed(Exception):
    """A body reads a size that only a mask has, so that no mask may be left out."""


def is_attention(function: Function) -> bool:
    """Whether a function's arguments are those of the platform's attention."""
    return function.intrinsic == "scaled_dot_product_attention" and [
        arg.type.dtype for arg in function.args
    ] == ["act", "act", "act", "bool", SCALAR]


def is_causal_mask(function: Function) -> bool:
    """Whether a function's arguments are those of a causal mask: positions, and the mask."""
    return function.intrinsic == "causal_mask" and [arg.type.dtype for arg in function.args] == [
        "i64",
        "bool",
    ]


def narrow_values(function: Function, value: CallFunction) -> Expr | None:
    """The width of the values, where they are the first features of the keys.

    Attention treats features of values apart: with keys for values, its first features are the
    same, and neither are values copied to be as wide as keys, nor are both read.
    """
    if not is_attention(function):
        return None
    match value.args[1:3]:
        case (Var() as keys, Op(name="slice", args=(source,), attrs=attrs)) if source == keys:
            stop = attrs["stop"]
            is_leading = attrs["axis"] == -1 and attrs["start"] == ZERO
            return stop if is_leading and isinstance(stop, Const | Sym | Apply) else None
        case _:
            return None


def placed_like(function: Function) -> Arg | None:
    """The argument whose dims say where the tokens of a function are, if its caller need not.

    It begins with the dims [B, S] of the positions, or [B, ...] of the mask, which stand at the end.
    """
    given = tuple(arg for arg in function.args if arg.name in SUPPLIED)
    if not given or function.args[-len(given) :] != given:
        return None
    for arg in function.args[: -len(given)]:
        dims = {other.name: 2 if other.name == SUPPLIED[0] else 1 for other in given}
        if len(arg.type.shape) >= 2 and all(
            arg.type.shape[: dims[other.name]] == other.type.shape[: dims[other.name]]
            for other in given
        ):
            return arg
    return None


def is_placed(program: Program, function: Function) -> bool:
    """Whether the class makes a mask for the tokens of a function where one is needed."""
    if function in program.model.forwards and is_language_model(function):
        return True
    return function in program.model.functions and placed_like(function) is not None


def optional_arguments(program: Program) -> frozenset[tuple[Place, str]]:
    """The arguments that are None where no mask is needed; none where a mask always is."""
    model, found = program.model, Followed(program)
    try:
        for function in (*model.forwards, *model.functions):
            if any(arg.name == MASK for arg in function.args):
                if not is_placed(program, function):
                    return frozenset()  # behind a cache, no mask would be another mask
                found.follow(model, function, MASK)
    except Inspected:
        return frozenset()
    return frozenset(found.arguments) if found.ends else frozenset()


@dataclass
class Followed:
    """The arguments that a mask was followed to, from body to body."""

    program: Program
    arguments: set[tuple[Place, str]] = field(default_factory=set)
    ends: bool = False  # whether some attention was reached

    def follow(self, module: Module | None, function: Function, name: str) -> None:
        """What becomes of one argument.

        Raises:
            Inspected: not only causal masks and attention look at it.
        """
        key = ((module.id if module else "", function.name), name)
        if key in self.arguments:
            return
        self.arguments.add(key)
        if module is None and is_attention(function) and name == function.args[3].name:
            self.ends = True
        elif module is None and is_causal_mask(function) and name == function.args[1].name:
            return
        else:
            MaskInterpreter(self, module, {name}).run(function.body)


@dataclass(frozen=True)
class MaskInterpreter(Joining[bool]):
    """Whether a value is a mask, or follows from one; `names` are those in a body that do.

    Raises:
        Inspected: something takes one that is no call.
    """

    followed: Followed
    module: Module | None
    names: set[str]

    def var(self, value: Var) -> bool:
        return value.name in self.names

    def weight(self, value: Weight) -> bool:
        return False

    def scalar(self, value: Scalar) -> bool:
        return False

    def op(self, value: Op | ApplyMap | Mixture | Append) -> bool:
        if any(self.operands(value)):
            raise Inspected
        return False

    apply_map = mixture = append = op

    def call_part(self, value: CallPart) -> bool:
        given = [*self.operands(value)]
        if any(given):
            assert self.module is not None
            program = self.followed.program
            for part in meant(program, self.module, value):
                owner = program.modules[part.module]
                for forward in owner.forwards:
                    self.follow(owner, forward, given)
        return False

    def call_function(self, value: CallFunction) -> bool:
        given = [*self.operands(value)]
        if not value.method:
            function = self.followed.program.functions[value.function]
            self.follow(None, function, given)
            return is_causal_mask(function) and given[1]
        assert self.module is not None
        function = next(f for f in self.module.functions if f.name == value.function)
        self.follow(self.module, function, given)
        return False

    def follow(self, module: Module | None, function: Function, given: Sequence[bool]) -> None:
        for arg, is_mask in zip(function.args, given, strict=True):
            if is_mask:
                self.followed.follow(module, function, arg.name)

    def assign(self, statement: Assign) -> None:
        if self.value(statement.value):
            self.names.update(statement.names)

    def ret(self, statement: Return) -> bool:
        if any(map(self.value, statement.values)):
            raise Inspected
        return False

    def under(self, condition: Expr, holds: bool) -> MaskInterpreter:
        return self

    def join(self, sides: object, returned: tuple[bool | None, bool | None]) -> bool | None:
        return returned[0]
