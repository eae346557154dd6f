"""Heads of functions and docstrings, laid out as ruff does."""

from __future__ import annotations

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


def docstring(text: str, indent: int) -> list[str]:
    """A docstring of one line, or wrapped at its commas and spaces."""
    margin = INDENT * indent
    if len(margin) + len(text) + 6 <= WIDTH:
        return [f'{margin}"""{text}"""']
    lines = wrapped(text, WIDTH - len(margin) - 3)
    return [f'{margin}"""{lines[0]}', *(f"{margin}{line}" for line in lines[1:]), f'{margin}"""']


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
