"""Platform operations that stand for whole bodies: what a table marks `as NAME`.

Each lowering equals the body it stands for, in every dtype up to the last rounding; a test holds
it against the body.  A lowering that does not fit a body's arguments is not used.
"""

from __future__ import annotations

from typing import Final, Protocol

from specgen.backends.pytorch.layout import (
    INDENT,
    Atom,
    Attribute,
    Binary,
    KeywordArgument,
    Node,
    call,
    lines,
)
from specgen.backends.pytorch.masks import is_attention, is_causal_mask
from specgen.backends.pytorch.sources import body
from specgen.expr.node import Expr
from specgen.ir.model import ACTIVATION, Function


class IntrinsicScope(Protocol):
    """What a lowering may ask of the body that it replaces."""

    definition: Function
    indent: int

    def variable(self, name: str) -> str: ...

    def has_row(self, row: str) -> bool | None:
        """Whether the module has a row in the activation dtype; None where only some have."""

    def weight(self, row: str) -> Node: ...

    def param(self, name: str) -> Node | None:
        """A param of the module, if it has one of that name."""

    def is_optional(self, name: str) -> bool:
        """Whether an argument is None where no mask is needed."""

    def differ(self, one: Expr, other: Expr) -> bool:
        """Whether two shape variables of the function stand for different sizes in some call."""


def lowered(scope: IntrinsicScope) -> list[str] | None:
    """The lines that stand for the body, or None where the body itself is to be written."""
    match scope.definition.intrinsic:
        case "scaled_dot_product_attention":
            return attention(scope)
        case "rms_norm":
            return rms_norm(scope)
        case "layer_norm":
            return layer_norm(scope)
        case "gelu":
            return gelu(scope)
        case "gelu_tanh":
            return gelu(scope, KeywordArgument("approximate", Atom('"tanh"')))
        case _:
            return None


#: The arguments of attention as the runtime calls them.
ATTENTION: Final = ("q", "k", "v", "visible", "scale")


def attention(scope: IntrinsicScope) -> list[str] | None:
    """q [B, S, K × G, D], k [B, T, K, D], v [B, T, K, E], visible [B, S, T], scale: the function.

    Values narrower than keys are padded, so that the kernels fit that never hold all scores.
    """
    function = scope.definition
    if not is_attention(function):
        return None
    names = [scope.variable(arg.name) for arg in function.args]
    is_padded = scope.differ(function.args[1].type.shape[-1], function.args[2].type.shape[-1])
    given = [] if tuple(names) == ATTENTION else [f"{', '.join(ATTENTION)} = {', '.join(names)}"]
    taken = body("attend", {"NARROW"} if is_padded else ())
    return [INDENT * scope.indent + line for line in (*given, *taken)]


def unmasked(scope: IntrinsicScope) -> list[str]:
    """What stands before the body of a causal mask that may be left out."""
    function = scope.definition
    if not is_causal_mask(function) or not scope.is_optional(function.args[1].name):
        return []
    margin = INDENT * scope.indent
    mask = scope.variable(function.args[1].name)
    return [
        f"{margin}if {mask} is None:  # nothing is padded, and attention itself is causal",
        f"{margin}{INDENT}return None",
    ]


def rms_norm(scope: IntrinsicScope) -> list[str] | None:
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
        KeywordArgument("eps", eps),
    )
    return written(scope, "return ", Binary("*", normed, weight))


def layer_norm(scope: IntrinsicScope) -> list[str] | None:
    """(x - mean(x)) / sqrt(var(x) + norm_eps) * weight + bias, all of it in float32.

    `F.layer_norm` rounds once, at its end, and so does the body.
    """
    args = scope.definition.args
    eps, has_bias = scope.param("norm_eps"), scope.has_row("bias")
    if len(args) != 1 or eps is None or not scope.has_row("weight") or has_bias is None:
        return None
    weight = scope.weight("weight")
    bias = [scope.weight("bias")] if has_bias else []
    normed = call(
        "F.layer_norm",
        Atom(scope.variable(args[0].name)),
        Attribute(weight, "shape"),
        weight,
        *bias,
        KeywordArgument("eps", eps),
    )
    return written(scope, "return ", normed)


def gelu(scope: IntrinsicScope, *approximate: KeywordArgument) -> list[str] | None:
    """x times the normal distribution's cumulative function at x: exact, or by a tanh."""
    args = scope.definition.args
    if [arg.type.dtype for arg in args] != [ACTIVATION]:
        return None
    return written(
        scope, "return ", call("F.gelu", Atom(scope.variable(args[0].name)), *approximate)
    )


def written(scope: IntrinsicScope, prefix: str, node: Node) -> list[str]:
    return lines(prefix, node, scope.indent)
