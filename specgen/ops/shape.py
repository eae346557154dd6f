"""Ops that say what lies where: tensors cut, joined, their axes split, merged, moved and repeated.

So do those that make a tensor of compile-time numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Final, Literal, cast

from specgen.expr.node import Apply, Const, Expr, total
from specgen.expr.normal import tidy
from specgen.ir.model import Op, Type, Value
from specgen.language import tree
from specgen.ops.context import (
    ListRead,
    OpCall,
    dtypes_text,
    is_scalar,
    only,
    shape_text,
    size_text,
)
from specgen.ops.patterns import bind_axes, output_shape, parse_side, pattern_text, split_arrow
from specgen.ops.record import AXIS, Attr, Group, Groups, OpRecord, Sizes, Trait, always

#: Pieces of a `split` or `concat`: sums of their sizes are nested pair by pair.
MAX_PIECES = 100


def iota(call: OpCall) -> Value:
    call.count(1)
    n = call.typing.size(call.node.arguments[0])
    return call.done(Type("i64", (n,)), args=[], n=n)


def constant(read: ListRead) -> Value:
    """A list as a tensor; its dim is the size that its length is required to be, if one is."""
    length = Apply("length", (read.members,))
    sizes = [
        right if left == length else left
        for required in read.requires
        if isinstance(required, Apply) and required.op == "==" and length in required.args
        for left, right in [required.args]
    ]
    type_ = Type(read.dtype, (*sizes, length)[:1])
    return Op("constant", (), {"value": read.members}, (type_,))


def split(call: OpCall) -> Value:
    call.count(2)
    value = call.tensor(0)
    node = call.node.arguments[1]
    if not isinstance(node, tree.ListOfSyntax) or len(node.items) < 2:
        call.typing.fail("E0418", node.span)
    check_pieces(call, node)
    sizes = tuple(call.typing.size(item) for item in node.items)
    shape = only(value).shape
    axis = call.axis(shape)
    if not call.typing.equal(total(*sizes), shape[axis]):
        call.typing.fail(
            "E0431", node.span, total=size_text(total(*sizes)), dim=size_text(shape[axis])
        )
    position = axis + len(shape)
    types = [
        Type(only(value).dtype, (*shape[:position], size, *shape[position + 1 :])) for size in sizes
    ]
    return call.done(*types, args=[value], sizes=sizes, axis=axis)


def concat(call: OpCall) -> Value:
    call.count(1)
    node = call.node.arguments[0]
    if not isinstance(node, tree.ListOfSyntax) or len(node.items) < 2:
        call.typing.fail("E0419", node.span)
    check_pieces(call, node)
    values = [call.typing.value(item) for item in node.items]
    if any(is_scalar(v) for v in values):
        call.typing.fail("E0412", node.span, name="concat")
    shape = only(values[0]).shape
    axis = call.axis(shape)
    position = axis + len(shape)
    for value, item in zip(values[1:], node.items[1:], strict=True):
        other = only(value).shape
        if only(value).dtype != only(values[0]).dtype:
            found = dtypes_text(only(v).dtype for v in values)
            call.typing.fail("E0402", item.span, dtypes=found)
        if len(other) != len(shape) or any(
            i != position and not call.typing.equal(a, b)
            for i, (a, b) in enumerate(zip(shape, other, strict=True))
        ):
            call.typing.fail("E0432", item.span, left=shape_text(shape), right=shape_text(other))
    joined = total(*(only(value).shape[position] for value in values))
    result = (*shape[:position], joined, *shape[position + 1 :])
    return call.done(Type(only(values[0]).dtype, result), args=values, axis=axis)


def check_pieces(call: OpCall, node: tree.ListOfSyntax) -> None:
    if len(node.items) > MAX_PIECES:
        span = node.items[MAX_PIECES].span
        call.typing.fail("E0114", span, limit=MAX_PIECES, what=f"pieces of a `{call.name}`")


def slice_(call: OpCall) -> Value:
    """`slice(x, start, stop, over = axis)`."""
    call.count(3)
    value = call.tensor(0)
    start, stop = (call.typing.size(call.node.arguments[i]) for i in (1, 2))
    shape = only(value).shape
    axis = call.axis(shape)
    position = axis + len(shape)
    length = stop if start == Const(0) else tidy(Apply("-", (stop, start)))
    result = (*shape[:position], length, *shape[position + 1 :])
    return call.done(
        Type(only(value).dtype, result), args=[value], start=start, stop=stop, axis=axis
    )


def rearrange(call: OpCall) -> Value:
    """`rearrange(x, "b s (h d) -> b s h d", h = n_heads)`: the same numbers, other dims."""
    call.count(2)
    value = call.tensor(0)
    text, span = pattern_text(call, 1)
    left, right = split_arrow(call, text, span)
    inputs, outputs = parse_side(call, left, span), parse_side(call, right, span)
    sizes = call.sizes()
    new = {axis for group in outputs for axis in group} - {a for group in inputs for a in group}
    lost = {axis for group in inputs for axis in group} - {a for group in outputs for a in group}
    if call.name == "rearrange" and new:
        call.typing.fail("E0427", span, axis=min(new))
    if lost:
        call.typing.fail("E0428", span, axis=min(lost))
    given = dict(sizes)
    rest = bind_axes(call, inputs, value, sizes, span)
    shape = output_shape(call, outputs, sizes, rest, span)
    used = {axis for group in (*inputs, *outputs) for axis in group}
    for axis in given:
        if axis not in used:
            call.typing.fail("E0416", span, name=call.name, keyword=axis)
    return call.done(
        Type(only(value).dtype, shape), args=[value], inputs=inputs, outputs=outputs, sizes=sizes
    )


def groups(op: Op, side: Literal["inputs", "outputs"]) -> Groups:
    """One side of the pattern of a `rearrange` or `repeat`."""
    return cast("Groups", op.attrs[side])


def in_order(op: Op, stored: Callable[[str], str]) -> bool:
    """Whether axes that are merged lie next to each other: the numbers stay where they are."""
    order = list(chain.from_iterable(groups(op, "inputs")))
    merged = (group for group in groups(op, "outputs") if len(group) > 1)
    return all(group in runs(order, len(group)) for group in merged)


def runs(order: list[str], length: int) -> set[Group]:
    """The names that stand next to each other, so many at a time."""
    return {tuple(order[i : i + length]) for i in range(len(order) - length + 1)}


#: A group of axes for each dim, before and after, and the sizes of all axes.
PATTERN: Final = (Attr("inputs", Groups), Attr("outputs", Groups), Attr("sizes", Sizes))

CALLED: Final = (
    OpRecord("iota", "iota(n)", "0, 1, ..., n - 1 as i64 [n]", iota, (Attr("n", Expr),)),
    OpRecord(
        "split",
        "a, b = split(x, [m, n], over = -1)",
        "pieces of the given sizes",
        split,
        (Attr("sizes", tuple[Expr, ...]), AXIS),
        {Trait.REFORMS},
        always,
    ),
    OpRecord("concat", "concat([a, b], over = -1)", "pieces joined along an axis", concat, (AXIS,)),
    OpRecord(
        "slice",
        "slice(x, start, stop, over = -1)",
        "elements start to stop - 1 of an axis",
        slice_,
        (Attr("start", Expr), Attr("stop", Expr), AXIS),
        {Trait.REFORMS},
        always,
    ),
    OpRecord(
        "rearrange",
        'rearrange(x, "b s (h d) -> b h s d", h = n)',
        "the same numbers with axes split, merged, permuted, or added as 1",
        rearrange,
        PATTERN,
        {Trait.REFORMS, Trait.RENAMES},
        in_order,
    ),
    OpRecord(
        "repeat",
        'repeat(x, "b s d -> b s h d", h = n)',
        "as rearrange, and axes that stand only on the right repeat the numbers",
        rearrange,
        PATTERN,
        {Trait.REFORMS},
        in_order,
    ),
)

#: The op of a list's name in dataflow, which nobody calls.
CONSTANT: Final = OpRecord(
    "constant",
    "name_of_a_list",
    "the numbers of a list, as i64 or f32 [length]",
    constant,
    (Attr("value", Expr),),
)
