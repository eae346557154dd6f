"""Walks and prints syntax trees, for the tests of spans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from specgen.diagnostics.source import Source, Span

#: Fields that say where something stands and not what it is.
PLACES = {"span", "module_span", "target_span", "source", "comments", "damaged"}


def children(node: Any) -> Iterator[tuple[str, Any]]:
    """The nodes right below a node, with the names of their fields."""
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in PLACES or isinstance(value, (Source, Span)):
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if is_dataclass(item) and not isinstance(item, Span):
                yield field.name, item


def walk(node: Any) -> Iterator[Any]:
    yield node
    for _, child in children(node):
        yield from walk(child)


def meaning(node: Any) -> Any:
    """A node without its places, for comparison."""
    if isinstance(node, Span):
        return None
    if isinstance(node, tuple):
        return tuple(map(meaning, node))
    if not is_dataclass(node):
        return type(node).__name__, node
    kept = [f.name for f in fields(node) if f.name not in PLACES]
    return type(node).__name__, tuple((name, meaning(getattr(node, name))) for name in kept)


def dump(node: Any, label: str = "", depth: int = 0) -> Iterator[str]:
    """A line a node: its field, kind, plain values, and from where to where it stands."""
    plain = [
        f"{field.name}={getattr(node, field.name)!r}"
        for field in fields(node)
        if field.name not in PLACES and is_plain(getattr(node, field.name))
    ]
    span = getattr(node, "span", None)
    place = ""
    if span is not None:
        (line, column), (end_line, end_column) = map(span.source.position, (span.start, span.end))
        place = f"  @{line}:{column}-{end_line}:{end_column}"
    head = f"{label}: " if label else ""
    yield f"{'  ' * depth}{head}{type(node).__name__} {' '.join(plain)}".rstrip() + place
    for name, child in children(node):
        yield from dump(child, name, depth + 1)


def is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(isinstance(item, str) for item in value)
    return value is not None and isinstance(value, (str, int, float, bool))
