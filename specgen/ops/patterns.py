"""Patterns of `rearrange`, `repeat` and `einsum`: parsed, and their axes given sizes.

A pattern is text of the spec: it is split into axis names here, once, and every later stage sees
only those names, which are identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from specgen.diagnostics.source import Span
from specgen.expr.node import ONE, Expr, product
from specgen.expr.normal import tidy
from specgen.ir.model import REST, Value
from specgen.language import tree
from specgen.ops.context import OpCall, only, shape_text, size_text
from specgen.ops.record import REST_GROUP, Group, Groups

TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_][A-Za-z0-9_]*|1|\(|\))")

#: A tensor of more axes than this is a mistake.
MAX_AXES = 16


def pattern_text(call: OpCall, position: int) -> tuple[str, Span]:
    node = call.node.arguments[position]
    if not isinstance(node, tree.LiteralSyntax) or not isinstance(node.value, str):
        call.typing.fail("E0421", node.span, name=call.name)
    return node.value, node.span


def parse_side(call: OpCall, text: str, span: Span) -> Groups:
    """One side of a pattern: a group of axis names for each dim; `1` is an empty group."""
    groups: list[Group] = []
    inside: list[str] | None = None
    position = 0
    text = text.strip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            call.typing.fail("E0422", span, pattern=text, found=text[position:].strip()[:8])
        piece, position = match[1], match.end()
        if piece == "(" and inside is None:
            inside = []
        elif piece == ")" and inside is not None:
            groups.append(tuple(inside))
            inside = None
        elif piece in "()":
            call.typing.fail("E0422", span, pattern=text, found=piece)
        elif inside is not None:
            inside.append(piece)
        else:
            groups.append(() if piece == "1" else (piece,))
    if inside is not None or len(groups) > MAX_AXES:
        call.typing.fail("E0422", span, pattern=text, found="(")
    names = [name for group in groups for name in group]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        call.typing.fail("E0423", span, axis=repeated)
    if "..." in names and groups[0] != REST_GROUP:
        call.typing.fail("E0422", span, pattern=text, found="...")
    return tuple(groups)


def bind_axes(
    call: OpCall, groups: Sequence[Group], value: Value, sizes: dict[str, Expr], span: Span
) -> tuple[Expr, ...]:
    """Gives each axis of one input its size, from the tensor's dims and the sizes stated.

    Gives the leading dims that `...` stands for.
    """
    shape = only(value).shape
    rest: tuple[Expr, ...] = ()
    named = list(groups)
    if named and named[0] == REST_GROUP:
        named = named[1:]
        rest = shape[: max(len(shape) - len(named), 0)]
    dims = shape[len(rest) :]
    if len(named) != len(dims) or REST in dims:
        call.typing.fail("E0424", span, count=len(groups), shape=shape_text(shape))
    for group, dim in zip(named, dims, strict=True):
        open_axes = [axis for axis in group if axis not in sizes]
        known = product(*(sizes[axis] for axis in group if axis in sizes))
        if not open_axes:
            if not call.typing.equal(known, dim):
                call.typing.fail(
                    "E0425",
                    span,
                    axes=" ".join(group) or "1",
                    size=size_text(known),
                    dim=size_text(dim),
                )
        elif len(open_axes) == 1:
            axis = open_axes[0]
            sizes[axis] = dim if known == ONE else call.typing.quotient(dim, known, span)
        else:
            call.typing.fail("E0426", span, axes=" and ".join(open_axes), dim=size_text(dim))
    return rest


def output_shape(
    call: OpCall,
    groups: Sequence[Group],
    sizes: Mapping[str, Expr],
    rest: tuple[Expr, ...],
    span: Span,
) -> tuple[Expr, ...]:
    dims: list[Expr] = []
    for group in groups:
        if group == REST_GROUP:
            dims.extend(rest)
            continue
        for axis in group:
            if axis not in sizes:
                call.typing.fail("E0427", span, axis=axis)
        dims.append(tidy(product(*(sizes[axis] for axis in group))))
    return tuple(dims)


def split_arrow(call: OpCall, text: str, span: Span) -> tuple[str, str]:
    left, arrow, right = text.partition("->")
    if not arrow or "->" in right:
        call.typing.fail("E0422", span, pattern=text, found="->")
    return left, right
