"""Products that are summed, as torch code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from specgen.backends.pytorch.layout import Atom, Binary, Node, subscript
from specgen.backends.pytorch.layout import call as function_call
from specgen.backends.pytorch.ops.call import Functions, TorchCall
from specgen.backends.pytorch.quoting import literal
from specgen.ops.record import Group, Groups, Sizes

ELLIPSIS: Final = "..."


def einsum(call: TorchCall, *, inputs: Groups, output: Group, sizes: Sizes) -> Node:
    return contracted(call.operands(), inputs, output)


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
            return function_call("F.linear", left, right)
        if len(b) == 2 and summed == [b[0]] and a[-1] == b[0] and output == (*a[:-1], b[1]):
            return Binary("@", left, right)
        if len(b) == 1 and not summed and output == (*a, *b):
            # an outer product of a vector with every element
            return Binary("*", subscript(left, Atom("..."), Atom("None")), right)
    letters = lettering([axis for group in inputs for axis in group if axis != ELLIPSIS])
    pattern = ",".join(spelled(group, letters) for group in inputs)
    return function_call(
        "torch.einsum", Atom(literal(f"{pattern}->{spelled(output, letters)}")), *values
    )


FUNCTIONS: Functions = {"einsum": einsum}
