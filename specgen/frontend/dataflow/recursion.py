"""Functions that lead back to themselves: their expansion would have no end.

Modules that contain themselves are found where instances are built; functions are compiled once
each, so nothing else would notice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Span
from specgen.frontend.files import FreeFunction, Loaded, ModuleDefinition
from specgen.language import tree
from specgen.language.walk import calls
from specgen.records import dataclass

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Callee:
    """A call of a function by a function."""

    key: Key
    span: Span


def check_recursion(loaded: Loaded, diagnostics: Diagnostics) -> None:
    """Reports the call that closes each circle."""
    graph: dict[Key, list[Callee]] = {}
    for function in loaded.functions():
        graph[id(function.file), function.name] = list(callees(function.tree.body, function, None))
    for definition in loaded.definitions():
        for method in definition.tree.functions:
            graph[id(definition), method.name] = list(callees(method.body, definition, definition))
    for span, names in circles(graph):
        diagnostics.report("E0459", span, chain=" → ".join(names))


def callees(
    body: tuple[tree.Statement, ...],
    where: FreeFunction | ModuleDefinition,
    methods: ModuleDefinition | None,
) -> Iterator[Callee]:
    for call in calls(body):
        if len(call.function.names) != 1:
            continue
        name = call.function.text
        found = where.function(name)
        if methods is not None and methods.method(name) is not None:
            yield Callee((id(methods), name), call.function.span)
        elif found is not None:
            yield Callee((id(found.file), found.name), call.function.span)


def circles(graph: Mapping[Key, list[Callee]]) -> Iterator[tuple[Span, list[str]]]:
    """The closing call and the names of each circle that a depth-first walk meets."""
    done: set[Key] = set()
    for start in graph:
        if start in done:
            continue
        path = [start]
        waiting = [iter(graph[start])]
        while waiting:
            callee = next(waiting[-1], None)
            if callee is None:
                waiting.pop()
                done.add(path.pop())
            elif callee.key in path:
                circle = path[path.index(callee.key) :]
                yield callee.span, [name for _, name in (*circle, callee.key)]
            elif callee.key in graph and callee.key not in done:
                path.append(callee.key)
                waiting.append(iter(graph[callee.key]))
