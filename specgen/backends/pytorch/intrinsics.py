"""Platform operations that stand for whole bodies: what a table marks `as NAME`.

Each lowering equals the body it stands for, in every dtype up to the last rounding; a test holds
it against the body.  A lowering that does not fit a body's arguments is not used.
"""

from __future__ import annotations

from typing import Final, Protocol

from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Binary,
    Keyword,
    Node,
    call,
    lines,
    method,
    number,
)
from specgen.ir.model import SCALAR, Function

HEADS_FIRST: Final = (number(1), number(2))


class Scope(Protocol):
    """What a lowering may ask of the body that it replaces."""

    definition: Function
    indent: int

    def variable(self, name: str) -> str: ...

    def has_row(self, row: str) -> bool: ...

    def weight(self, row: str) -> Node: ...

    def param(self, name: str) -> Node | None:
        """A param of the module, if it has one of that name."""


def lowered(scope: Scope) -> list[str] | None:
    """The lines that stand for the body, or None where the body itself is to be written."""
    match scope.definition.intrinsic:
        case "scaled_dot_product_attention":
            return attention(scope)
        case "rms_norm":
            return rms_norm(scope)
        case _:
            return None


def attention(scope: Scope) -> list[str] | None:
    """q [B, S, K × G, D], k [B, T, K, D], v [B, T, K, E], seen [B, S, T], scale: the function."""
    args = scope.definition.args
    if [arg.type.dtype for arg in args] != ["act", "act", "act", "bool", SCALAR]:
        return None
    q, k, v, seen, scale = (Atom(scope.variable(arg.name)) for arg in args)
    attended = call(
        "F.scaled_dot_product_attention",
        *(method(value, "transpose", *HEADS_FIRST) for value in (q, k, v)),
        Keyword("attn_mask", method(seen, "unsqueeze", number(1))),
        Keyword("scale", scale),
        Keyword("enable_gqa", Atom("True")),
    )
    result = scope.definition.result_names[0] if scope.definition.result_names else ""
    name = scope.variable(result or "mixed")
    return [
        *written(scope, f"{name} = ", attended),
        *written(scope, "return ", method(Atom(name), "transpose", *HEADS_FIRST)),
    ]


def rms_norm(scope: Scope) -> list[str] | None:
    """x / sqrt(mean(x²) + norm_eps) * weight, the mean in float32, the gain in x's own dtype.

    The gain is applied outside of `F.rms_norm`, which would round once instead of twice.
    """
    args = scope.definition.args
    eps = scope.param("norm_eps")
    if len(args) != 1 or eps is None or not scope.has_row("weight"):
        return None
    weight = scope.weight("weight")
    normed = call(
        "F.rms_norm",
        Atom(scope.variable(args[0].name)),
        Attribute(weight, "shape"),
        Keyword("eps", eps),
    )
    return written(scope, "return ", Binary("*", normed, weight))


def written(scope: Scope, prefix: str, node: Node) -> list[str]:
    return lines(prefix, node, scope.indent)
