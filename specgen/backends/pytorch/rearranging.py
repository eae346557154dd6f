"""`rearrange`, `repeat` and `einsum` as torch code, written as a person would.

A pattern becomes unflatten, transpose or permute, expand, flatten and unsqueeze, as few of them
as it needs.  Knows patterns and sizes; values reach it as finished Python expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from specgen.backends.pytorch.layout import (
    Atom,
    Binary,
    Node,
    call,
    grouping,
    method,
    number,
    subscript,
)
from specgen.backends.pytorch.quoting import literal
from specgen.expr.node import Expr

Group = tuple[str, ...]
Groups = tuple[Group, ...]
Sizes = Mapping[str, Expr]
Written = Callable[[Expr], Node]

ELLIPSIS = "..."


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
    """The sizes of a split axis; the longest expression among them is left to torch."""
    shown = [size(sizes[name]) for name in names]
    lengths = [0 if isinstance(node, Atom) else 1 for node in shown]
    if sum(not isinstance(node, Atom) for node in shown) >= 1:
        hardest = max(range(len(names)), key=lambda i: (weight(sizes[names[i]]), lengths[i], i))
        shown[hardest] = number(-1)
    return grouping(shown)


def weight(expr: Expr) -> int:
    args = getattr(expr, "args", ())
    return 1 + sum(map(weight, args)) if args else 0


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
    return call("torch.einsum", Atom(literal(pattern)), value)


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


# ---- einsum ----------------------------------------------------------------------------


def lettering(names: Sequence[str]) -> Mapping[str, str]:
    """A letter for each axis name: its first where it is free."""
    letters: dict[str, str] = {}
    for name in names:
        if name in letters:
            continue
        candidates = [*name.lower(), *"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
        letters[name] = next(
            c for c in candidates if c.isascii() and c.isalpha() and c not in letters.values()
        )
    return letters


def spelled(names: Sequence[str], letters: Mapping[str, str]) -> str:
    return "".join("..." if name == ELLIPSIS else letters[name] for name in names)


def contracted(values: Sequence[Node], inputs: Sequence[Group], output: Group) -> Node:
    """An einsum; where it plainly is one, a linear layer, a matrix product or an outer product."""
    if len(values) == 2:
        (left, right), (a, b) = values, inputs
        summed = [axis for axis in a if axis not in output]
        if len(b) == 2 and summed == [b[1]] and a[-1] == b[1] and output == (*a[:-1], b[0]):
            return call("F.linear", left, right)
        if len(b) == 2 and summed == [b[0]] and a[-1] == b[0] and output == (*a[:-1], b[1]):
            return Binary("@", left, right)
        if len(b) == 1 and not summed and output == (*a, *b):
            # an outer product of a vector with every element
            return Binary("*", subscript(left, Atom("..."), Atom("None")), right)
    letters = lettering([axis for group in inputs for axis in group if axis != ELLIPSIS])
    pattern = ",".join(spelled(group, letters) for group in inputs)
    return call("torch.einsum", Atom(literal(f"{pattern}->{spelled(output, letters)}")), *values)
