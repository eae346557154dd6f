"""The class of the whole model: its forward takes tokens, and what follows from a mask.

The table's root forward has `tokens`, `positions` and `mask`; the class supplies the last two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from specgen.backends.pytorch import layout
from specgen.backends.pytorch.bodies import Body
from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.functions import described, returned
from specgen.backends.pytorch.initial import reset_parameters
from specgen.backends.pytorch.layout import INDENT, Node
from specgen.backends.pytorch.quoting import attribute
from specgen.backends.pytorch.scope import CACHE, SELF, bound_names
from specgen.backends.pytorch.walking import values
from specgen.ir.model import (
    ApplyMap,
    Arg,
    Assign,
    CallFunction,
    Function,
    Return,
    Value,
    Var,
)
from specgen.ir.roots import is_language_model

#: The arguments of the model's forward, behind the tokens, that the class supplies.
SUPPLIED = ("positions", "mask")

#: What the user's cache holds for the model.
HELD = layout.method(CACHE, "rows_of", SELF)


@dataclass
class RootWriter(ClassWriter):
    """Writes `Model`; the loader of checkpoints is a method that the template adds."""

    @property
    def is_cached(self) -> bool:
        return self.module.id in self.plan.cached

    def methods(self) -> list[list[str]]:
        """The forward, the table's own functions, and what makes a cache and first values."""
        done = [self.entrance(self.module.forwards[0])]
        done += [self.method(f, attribute(f.name)) for f in self.module.functions]
        if self.is_cached:
            done.append(self.new_cache())
        return [*done, reset_parameters(self.plan)]

    def constructor(self) -> list[str]:
        margin = INDENT * 2
        return [
            *super().constructor(),
            f"{margin}if not any(row.is_meta for row in self.parameters()):",
            f"{margin}{INDENT}self.reset_parameters()",
        ]

    def body(self, function: Function) -> Body:
        return Body(self.plan, self.module, function, self.used, held=HELD)

    def method(self, function: Function, name: str, shapes: str | None = None) -> list[str]:
        """A function of the table; what it takes beside its own arguments may be left out."""
        body = self.body(function)
        lines = body.write()
        given = [arg for arg in function.args if arg.name in SUPPLIED]
        like = next((a for a in function.args if is_placed_like(a, given)), None)
        if like is None or function.args[-len(given) :] != tuple(given):
            return super().method(function, name, shapes)
        arguments, returns = self.signature(function, body)
        names = [body.variable(arg.name) for arg in given]
        arguments = [
            f"{argument.partition(':')[0]}: Tensor | None = None"
            if argument.partition(":")[0] in names
            else argument
            for argument in arguments
        ]
        return [
            *definition(name, ["self", *arguments], returns, 1),
            *docstring(described(function), 2, self.shapes(function)),
            *self.supplying(function, like, body),
            *lines,
        ]

    def supplying(self, function: Function, like: Arg, body: Body) -> list[str]:
        """The lines that place the tokens for a caller who did not; None is a mask that hides none.

        A cache says where they stand to what the forward itself calls; to others, which may be
        called when the forward has filled it, it does not.
        """
        first = body.variable(like.name) + "[..., 0]" * (len(like.type.shape) - 2)
        called = (v for v in values(self.module.forwards[0].body) if isinstance(v, CallFunction))
        is_inner = any(value.method and value.function == function.name for value in called)
        cached = is_inner and self.plan.uses_cache(self.module, function)
        cache = "cache" if cached else "None"
        margin = INDENT * 2
        names = {arg.name for arg in function.args}
        if not names >= set(SUPPLIED):
            (only,) = names & set(SUPPLIED)
            places = "_, mask" if only == "mask" else "positions, _"
            mask = "mask" if only == "mask" else "None"
            return [
                f"{margin}if {only} is None:",
                f"{margin}{INDENT}{places} = placed({first}, {mask}, {cache})",
            ]
        return [
            f"{margin}if positions is None or mask is None:",
            f"{margin}{INDENT}usual, mask = placed({first}, mask, {cache})",
            f"{margin}{INDENT}positions = usual if positions is None else positions",
        ]

    def attributes(self) -> list[str]:
        return [f"{INDENT * 2}self.config = config", *super().attributes()]

    def entrance(self, function: Function) -> list[str]:
        """The forward of the model; one that is no language model's takes what the table says."""
        if not is_language_model(function):
            return super().method(function, "forward")
        body = RootBody(self.plan, self.module, divided(function), self.used, held=HELD)
        lines = body.write()
        tokens, *_ = (body.variable(arg.name) for arg in function.args)
        arguments = ["self", f"{tokens}: Tensor", "mask: Tensor | None = None"]
        arguments += ["cache: Cache | None = None"] if self.is_cached else []
        arguments += ["last: bool = False"] if is_for_each_token(function) else []
        read = {value.name for value in values(function.body) if isinstance(value, Var)}
        read |= body.measured
        supplied = ", ".join(name if name in read else "_" for name in SUPPLIED)
        given = f"{tokens}, mask, {'cache' if self.is_cached else 'None'}"
        margin = INDENT * 2
        text = [
            f'{margin}"""{tokens}: int64 [B, S] -> {body.shape(function.results[0].shape)}: '
            "the logits of what follows each token.",
            "",
            f"{margin}mask: [B, T], false or 0 for padding, which may stand on either side.",
        ]
        if self.is_cached:
            text.append(f"{margin}cache: holds the tokens before these; T counts them, too.")
        if is_for_each_token(function):
            text.append(
                f"{margin}last: only the logits of what follows the last token, [B, 1, ...]."
            )
        text.append(f'{margin}"""')
        head = definition("forward", arguments, returned(function.results), 1)
        taken = "" if supplied == "_, _" else f"{supplied} = "
        return [*head, *text, f"{margin}{taken}placed({given})", *lines]

    def new_cache(self) -> list[str]:
        return [
            *definition("new_cache", ["self", "batch: int", "length: int = 0"], "Cache", 1),
            f'{INDENT * 2}"""An empty cache for sequences of at most `length` tokens; of any, if 0."""',
            f"{INDENT * 2}cache = Cache(self, batch, length)",
            *layout.lines("cache.rows = ", self.combined(self.held()), 2),
            f"{INDENT * 2}return cache",
        ]


@dataclass
class RootBody(Body):
    """The body of the model's forward: what is done for each token is done for the last alone."""

    def give(self, results: Sequence[Node]) -> None:
        if is_for_each_token(self.definition):
            last = self.definition.body[-2]
            assert isinstance(last, Assign)
            margin, name = INDENT * self.indent, self.variable(last.names[0])
            self.lines += [f"{margin}if last:", f"{margin}{INDENT}{name} = {name}[:, -1:]"]
        super().give(results)


def is_for_each_token(function: Function) -> bool:
    """Whether the model gives one result, [B, S, ...]."""
    leading = function.args[0].type.shape
    return len(function.results) == 1 and function.results[0].shape[: len(leading)] == leading


def divided(function: Function) -> Function:
    """The model's forward, what mixes tokens assigned to a variable before the return."""
    *before, last = function.body
    if not is_for_each_token(function) or not isinstance(last, Return):
        return function
    (result,) = last.values
    mixed = tokenwise_of(result)
    taken = bound_names(function)
    name = next(n for n in ("h", "hidden", *(f"h{i}" for i in range(len(taken)))) if n not in taken)
    final = replaced(result, mixed, Var(name, mixed.types))
    return replace(function, body=(*before, Assign((name,), mixed), Return((final,))))


def tokenwise_of(value: Value) -> Value:
    """What maps, and functions of `...` and a last axis, are applied to, which treat tokens alike."""
    match value:
        case ApplyMap(value=inner):
            return tokenwise_of(inner)
        case _:
            return value


def replaced(value: Value, old: Value, new: Value) -> Value:
    if value is old:
        return new
    assert isinstance(value, ApplyMap)
    return replace(value, value=replaced(value.value, old, new))


def is_placed_like(arg: Arg, given: Sequence[Arg]) -> bool:
    """Whether an argument begins with the dims [B, S] of the positions, or [B, ...] of the mask."""
    for other in given:
        dims = 2 if other.name == SUPPLIED[0] else 1
        if arg in given or len(arg.type.shape) < 2:
            return False
        if arg.type.shape[:dims] != other.type.shape[:dims]:
            return False
    return bool(given)
