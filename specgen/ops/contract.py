"""Ops that multiply and sum: products of matrices in every order of their axes."""

from __future__ import annotations

from typing import Final, cast

from specgen.expr.node import Expr
from specgen.ir.model import Op, Type, Value
from specgen.ops.context import OpCall, dtypes_text, only, shape_text
from specgen.ops.patterns import bind_axes, output_shape, parse_side, pattern_text, split_arrow
from specgen.ops.record import Attr, Group, Groups, OpRecord, Sizes, Trait


def einsum(call: OpCall) -> Value:
    """`einsum("b s h d, b t h d -> b h s t", q, k)`: products summed over the axes not kept."""
    call.count(2, 8)
    text, span = pattern_text(call, 0)
    left, right = split_arrow(call, text, span)
    values = [call.floats(i) for i in range(1, len(call.node.arguments))]
    sides = [parse_side(call, side, span) for side in left.split(",")]
    output = parse_side(call, right, span)
    if len(sides) != len(values):
        call.typing.fail("E0411", span, name="einsum", expected=len(sides), found=len(values))
    for group in (*(g for side in sides for g in side), *output):
        if len(group) != 1:
            call.typing.fail("E0422", span, pattern=text, found="(" if group else "1")
    dtypes = {only(value).dtype for value in values}
    if len(dtypes) > 1:
        call.typing.fail("E0402", call.node.span, dtypes=dtypes_text(dtypes))
    sizes: dict[str, Expr] = {}
    rest: tuple[Expr, ...] = ()
    for side, value in zip(sides, values, strict=True):
        found = bind_axes(call, side, value, sizes, span)
        if found and rest and found != rest:
            call.typing.fail("E0432", span, left=shape_text(rest), right=shape_text(found))
        rest = found or rest
    shape = output_shape(call, output, sizes, rest, span)
    return call.done(
        Type(only(values[0]).dtype, shape),
        args=values,
        inputs=tuple(tuple(g[0] for g in side) for side in sides),
        output=tuple(g[0] for g in output),
        sizes=sizes,
    )


def sides(op: Op) -> tuple[Groups, Group]:
    """The axes of each operand, and those of the result."""
    return cast("Groups", op.attrs["inputs"]), cast("Group", op.attrs["output"])


CALLED: Final = (
    OpRecord(
        "einsum",
        'einsum("s d, t d -> s t", a, b)',
        "products summed over the axes that the result lacks",
        einsum,
        (Attr("inputs", Groups), Attr("output", Group), Attr("sizes", Sizes)),
        {Trait.CONTRACTS},
    ),
)
