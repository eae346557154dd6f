"""Heads of functions and docstrings, laid out as ruff does."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from specgen.backends.pytorch.layout import INDENT, WIDTH


def definition(name: str, arguments: Sequence[str], returns: str, indent: int) -> list[str]:
    """`def name(arguments) -> returns:` on as many lines as it needs."""
    margin = INDENT * indent
    line = f"{margin}def {name}({', '.join(arguments)}) -> {returns}:"
    if len(line) <= WIDTH:
        return [line]
    inner = f"{margin}{INDENT}{', '.join(arguments)}"
    head, tail = f"{margin}def {name}(", f"{margin}) -> {returns}:"
    if len(inner) <= WIDTH:
        return [head, inner, tail]
    return [head, *(f"{margin}{INDENT}{argument}," for argument in arguments), tail]


def docstring(prose: str | None, indent: int, shapes: str = "") -> list[str]:
    """A docstring: quoted prose, then the shapes of what goes in and comes out.

    Prose is broken at spaces alone: a break inside of an escape would change what it says.
    """
    margin = INDENT * indent
    width = WIDTH - len(margin)
    lines = textwrap.wrap(prose or "", width - 3, break_long_words=False, break_on_hyphens=False)
    if shapes:
        lines += [*([""] if lines else []), *wrapped(shapes, width - 3)]
    if len(lines) == 1 and len(lines[0]) + 6 <= width:
        return [f'{margin}"""{lines[0]}"""']
    lines = [f'"""{lines[0]}', *lines[1:], '"""']
    return [f"{margin}{line}" if line else "" for line in lines]


def wrapped(text: str, width: int) -> list[str]:
    """The text on lines of a width, broken before an arrow or between its items."""
    pieces = [""]
    depth = 0
    for word in text.split(" "):
        before = pieces[-1]
        if before and depth == 0 and (before.endswith(",") or word == "->"):
            pieces.append(word)
        else:
            pieces[-1] = f"{before} {word}".lstrip()
        depth += word.count("[") - word.count("]")
    lines = [pieces[0]]
    for piece in pieces[1:]:
        if len(lines[-1]) + 1 + len(piece) <= width:
            lines[-1] += f" {piece}"
        else:
            lines.append(piece)
    return lines
