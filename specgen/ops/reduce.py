"""Ops along one axis: what is left of it is one number, or as many as there were."""

from __future__ import annotations

from typing import Final

from specgen.expr.node import ONE, Expr
from specgen.ir.model import Type, Value
from specgen.ops.context import FLOATS, OpCall, only
from specgen.ops.record import AXIS, Attr, OpRecord, Trait


def softmax(call: OpCall) -> Value:
    call.count(1)
    value = call.floats(0)
    axis = call.axis(only(value).shape)
    return call.done(only(value), args=[value], axis=axis)


def reduction(call: OpCall) -> Value:
    call.count(1)
    value = call.tensor(0, ("bool",)) if call.name == "any" else call.tensor(0)
    if call.name == "mean" and only(value).dtype not in FLOATS:
        call.floats(0)
    if call.name in ("sum", "max") and only(value).dtype == "bool":
        call.typing.fail("E0413", call.span(0), name=call.name, expected="numbers", found="bool")
    shape = only(value).shape
    axis = call.axis(shape)
    keep = call.flag("keep", False)
    position = axis + len(shape)
    middle: tuple[Expr, ...] = (ONE,) if keep else ()
    result = (*shape[:position], *middle, *shape[position + 1 :])
    return call.done(Type(only(value).dtype, result), args=[value], axis=axis, keep=keep)


def cumulative(call: OpCall) -> Value:
    call.count(1)
    value = call.tensor(0)
    if only(value).dtype == "bool":
        call.typing.fail("E0413", call.span(0), name=call.name, expected="numbers", found="bool")
    return call.done(only(value), args=[value], axis=call.axis(only(value).shape))


def reduced(name: str, meaning: str, *traits: Trait) -> OpRecord[OpCall]:
    """With `keep`, an axis of 1 is left."""
    written = f"{name}(x, over = -1, keep = false)"
    return OpRecord(
        name, written, f"{meaning} along an axis", reduction, (AXIS, Attr("keep", bool)), {*traits}
    )


CALLED: Final = (
    OpRecord(
        "softmax", "softmax(x, over = -1)", "e ** x / sum(e ** x) along an axis", softmax, (AXIS,)
    ),
    reduced("sum", "the sum", Trait.SUMS),
    OpRecord(
        "cumsum",
        "cumsum(x, over = -1)",
        "along an axis, the sum of each number and those before it",
        cumulative,
        (AXIS,),
    ),
    reduced("mean", "the mean", Trait.SUMS),
    reduced("max", "the greatest"),
    reduced("any", "whether one is true"),
)
