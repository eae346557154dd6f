"""What lies where, as torch code, written as a person would.

A pattern becomes unflatten, transpose or permute, expand, flatten and unsqueeze, as few of them
as it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Binary,
    Bracketed,
    Node,
    Ternary,
    flat,
    grouping,
    listing,
    method,
    number,
    subscript,
)
from specgen.backends.pytorch.layout import call as function_call
from specgen.backends.pytorch.ops.call import Functions, TorchCall
from specgen.backends.pytorch.ops.contract import ELLIPSIS, lettering, spelled
from specgen.backends.pytorch.quoting import literal
from specgen.expr.node import ZERO, Apply, Expr, walk
from specgen.ir.model import REST, Op, Value
from specgen.ops.record import Group, Groups, Sizes

Written = Callable[[Expr], Node]


def iota(call: TorchCall, *, n: Expr) -> Node:
    return call.names.iota(n, call.dtype)


def constant(call: TorchCall, *, value: Expr) -> Node:
    return call.names.numbers(value, call.dtype)


def split(call: TorchCall, *, sizes: tuple[Expr, ...], axis: int) -> Node:
    source = call.operand()
    if all(size == sizes[0] for size in sizes):
        return method(source, "chunk", number(len(sizes)), call.dim(axis))
    return method(source, "split", listing(list(map(call.names.size, sizes))), call.dim(axis))


def concat(call: TorchCall, *, axis: int) -> Node:
    return function_call("torch.cat", listing(call.operands()), call.dim(axis))


def slice_(call: TorchCall, *, start: Expr, stop: Expr, axis: int) -> Node:
    """Slices of several axes, one inside the other, are one subscript."""
    ranges: dict[int, Node] = {}
    inner: Value = call.op
    while isinstance(inner, Op) and inner.name == "slice":
        axis = cast(int, inner.attrs["axis"])
        if axis in ranges:
            break
        start, stop = cast(Expr, inner.attrs["start"]), cast(Expr, inner.attrs["stop"])
        first = None if start == ZERO else call.names.size(start)
        ranges[axis] = written_range(first, call.names.size(stop))
        inner = inner.args[0]
    shape = call.op.types[0].shape
    if REST not in shape and min(ranges) <= -len(shape) // 2:
        axes = range(-len(shape), max(ranges) + 1)
        items: list[Node] = [ranges.get(axis, Atom(":")) for axis in axes]
    else:
        items = [Atom("..."), *(ranges.get(axis, Atom(":")) for axis in range(min(ranges), 0))]
    return subscript(call.write(inner), *items)


def written_range(start: Node | None, stop: Node) -> Node:
    """A slice; ruff sets its colon apart from operands that are not simple."""
    first = "" if start is None else flat(start)
    spaced = any(isinstance(end, Attribute | Binary | Bracketed | Ternary) for end in (start, stop))
    if not spaced:
        return Atom(f"{first}:{flat(stop)}")
    return Atom(f"{first} : {flat(stop)}" if first else f": {flat(stop)}")


# ---- rearrange and repeat --------------------------------------------------------------


def rearrange(call: TorchCall, *, inputs: Groups, outputs: Groups, sizes: Sizes) -> Node:
    return rearranged(call.operand(), inputs, outputs, sizes, call.names.size)


def axis_number(position: int, rank: int, open_front: bool) -> Node:
    """An axis counted from the front, but from the end where the front is open or it is last."""
    return number(position - rank if open_front or position == rank - 1 else position)


def rearranged(value: Node, inputs: Groups, outputs: Groups, sizes: Sizes, size: Written) -> Node:
    """The value with its axes split, ordered, repeated and merged.

    `sizes` gives every named axis; axes that stand only in `outputs` repeat the numbers.
    """
    value, axes = split_axes(value, inputs, sizes, size)
    wanted = [axis for group in outputs for axis in group]
    value = ordered(value, axes, [axis for axis in wanted if axis in axes])
    axes = [axis for axis in wanted if axis in axes]
    value, outputs = repeated_in_place(value, axes, outputs, sizes, size)
    value = repeated_anew(value, axes, outputs, sizes, size)
    return merged(value, outputs)


def split_axes(value: Node, inputs: Groups, sizes: Sizes, size: Written) -> tuple[Node, list[str]]:
    """The value with one axis for each name, and the names; axes of 1 are gone."""
    open_front = (ELLIPSIS,) in inputs
    rank = len(inputs)
    axes: list[str] = []
    position = 0
    for group in inputs:
        at = axis_number(position, rank, open_front)
        match group:
            case ():
                value = method(value, "squeeze", at)
                rank -= 1
            case (name,):
                axes.append(name)
                position += 1
            case names:
                value = method(value, "unflatten", at, factors(names, sizes, size))
                axes += names
                position += len(names)
                rank += len(names) - 1
    return value, axes


def factors(names: Group, sizes: Sizes, size: Written) -> Node:
    """The sizes of a split axis, but for one that is left to torch.

    That is the first, which counts heads or groups of which a rank may hold a part; unless another
    is a quotient, which is longer to write and follows.
    """
    shown = [size(sizes[name]) for name in names]
    if any(not isinstance(node, Atom) for node in shown):
        quotients = [i for i, name in enumerate(names) if i and has_quotient(sizes[name])]
        shown[quotients[0] if quotients else 0] = number(-1)
    return grouping(shown)


def has_quotient(expr: Expr) -> bool:
    return any(isinstance(part, Apply) and part.op == "/" for part in walk(expr))


def ordered(value: Node, axes: Sequence[str], wanted: Sequence[str]) -> Node:
    if list(axes) == list(wanted):
        return value
    moved = [i for i, (a, b) in enumerate(zip(axes, wanted, strict=True)) if a != b]
    rank, open_front = len(axes), ELLIPSIS in axes
    if len(moved) == 2:
        last_two = moved == [rank - 2, rank - 1]
        first, second = (number(i - rank if open_front or last_two else i) for i in moved)
        return method(value, "transpose", first, second)
    if not open_front:
        return method(value, "permute", *(number(axes.index(axis)) for axis in wanted))
    letters = lettering([axis for axis in axes if axis != ELLIPSIS])
    pattern = f"{spelled(axes, letters)}->{spelled(wanted, letters)}"
    return function_call("torch.einsum", Atom(literal(pattern)), value)


def repeated_in_place(
    value: Node, axes: Sequence[str], outputs: Groups, sizes: Sizes, size: Written
) -> tuple[Node, Groups]:
    """Groups (old new), in which each element is repeated in its place, and what is left."""
    left: list[Group] = []
    for group in outputs:
        if len(group) == 2 and group[0] in axes and group[1] not in axes:
            at = axis_number(axes.index(group[0]), len(axes), ELLIPSIS in axes)
            value = method(value, "repeat_interleave", size(sizes[group[1]]), at)
            left.append(group[:1])
        else:
            left.append(group)
    return value, tuple(left)


def repeated_anew(
    value: Node, axes: Sequence[str], outputs: Groups, sizes: Sizes, size: Written
) -> Node:
    """The value with each new axis in its place, expanded."""
    wanted = [axis for group in outputs for axis in group]
    done = list(axes)
    for position, axis in enumerate(wanted):
        if axis not in axes:
            done.insert(position, axis)
            at = axis_number(position, len(done), ELLIPSIS in axes)
            value = method(value, "unsqueeze", at)
    new = [axis for axis in wanted if axis not in axes]
    if not new:
        return value
    if ELLIPSIS not in axes:
        lengths = (size(sizes[axis]) if axis in new else number(-1) for axis in wanted)
        return method(value, "expand", *lengths)
    for axis in new:  # `expand` takes every axis, and `...` hides some
        at = number(wanted.index(axis) - len(wanted))
        value = method(value, "repeat_interleave", size(sizes[axis]), at)
    return value


def merged(value: Node, outputs: Groups) -> Node:
    """The axes merged into their groups; an empty group is an axis of 1."""
    open_front = (ELLIPSIS,) in outputs
    rank = sum(map(len, outputs))
    for position, group in enumerate(outputs):
        last = position + len(group) - 1
        if not group:
            rank += 1
            value = method(value, "unsqueeze", axis_number(position, rank, open_front))
        elif len(group) > 1:
            if last == rank - 1:
                ends = [number(position - rank if open_front else position)]
            else:
                ends = [number(i - rank if open_front else i) for i in (position, last)]
            value = method(value, "flatten", *ends)
            rank -= len(group) - 1
    return value


FUNCTIONS: Functions = {
    "iota": iota,
    "constant": constant,
    "split": split,
    "concat": concat,
    "slice": slice_,
    "rearrange": rearrange,
    "repeat": rearrange,
}
