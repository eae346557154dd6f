"""The class of the whole model: its forward takes tokens, and what follows from a mask.

The table's root forward has `tokens`, `positions` and `mask`; the class supplies the last two.
"""

from __future__ import annotations

from dataclasses import dataclass

from specgen.backends.pytorch import layout
from specgen.backends.pytorch.bodies import Body
from specgen.backends.pytorch.classes import ClassWriter
from specgen.backends.pytorch.definitions import definition
from specgen.backends.pytorch.faults import Inexpressible
from specgen.backends.pytorch.functions import returned
from specgen.backends.pytorch.layout import INDENT, Attribute
from specgen.backends.pytorch.quoting import attribute
from specgen.backends.pytorch.scope import CACHE
from specgen.backends.pytorch.walking import values
from specgen.ir.model import Function, Var

#: The arguments of the model's forward, behind the tokens, that the class supplies.
SUPPLIED = ("positions", "mask")

#: What the user's cache holds for the model.
HELD = Attribute(CACHE, "rows")


@dataclass
class RootWriter(ClassWriter):
    """Writes `Model`; the loader of checkpoints is a method that the template adds."""

    @property
    def is_cached(self) -> bool:
        return self.module.id in self.plan.cached

    def methods(self) -> list[list[str]]:
        """The forward, the table's own functions, and what makes a cache."""
        done = [self.entrance(self.module.forwards[0])]
        done += [self.method(f, attribute(f.name)) for f in self.module.functions]
        if self.is_cached:
            done.append(self.new_cache())
        return done

    def attributes(self) -> list[str]:
        return [f"{INDENT * 2}self.config = config", *super().attributes()]

    def entrance(self, function: Function) -> list[str]:
        """The forward of the model."""
        unknown = [a.name for a in function.args[1:] if a.name not in SUPPLIED]
        if unknown:
            raise Inexpressible(f"the model's forward takes `{unknown[0]}`, which nobody gives it")
        body = Body(self.plan, self.module, function, self.used, held=HELD)
        lines = body.write()
        tokens, *_ = (body.variable(arg.name) for arg in function.args)
        arguments = ["self", f"{tokens}: Tensor", "mask: Tensor | None = None"]
        arguments += ["cache: Cache | None = None"] if self.is_cached else []
        read = {value.name for value in values(function.body) if isinstance(value, Var)}
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
        text.append(f'{margin}"""')
        head = definition("forward", arguments, returned(function.results), 1)
        taken = "" if supplied == "_, _" else f"{supplied} = "
        return [*head, *text, f"{margin}{taken}placed({given})", *lines]

    def new_cache(self) -> list[str]:
        return [
            *definition("new_cache", ["self", "batch: int", "length: int"], "Cache", 1),
            f'{INDENT * 2}"""An empty cache for sequences of at most `length` tokens."""',
            f"{INDENT * 2}cache = Cache(batch, length, like=next(self.parameters()))",
            *layout.lines("cache.rows = ", self.combined(self.held()), 2),
            f"{INDENT * 2}return cache",
        ]
