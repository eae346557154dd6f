"""Walks of the tree without recursion: a faulty file may hold more than the stack does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass

from specgen.diagnostics.source import Span
from specgen.language import tree


def calls(body: Sequence[tree.Statement]) -> Iterator[tree.CallSyntax]:
    """Every call in the statements, in the order of the text, outer before inner."""
    waiting: list[object] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, tuple):
            waiting.extend(reversed(node))
        elif is_dataclass(node) and not isinstance(node, Span):
            if isinstance(node, tree.CallSyntax):
                yield node
            waiting.extend(getattr(node, field.name) for field in reversed(fields(node)))
