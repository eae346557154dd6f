"""Which rows of the model the classes below it are handed when they are called.

Modules of one class, and alternatives of one part, are called alike: they are handed the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from specgen.ir.model import ApplyMap, CallPart, Mixture, Module, Program, Weight
from specgen.ir.visit import walk


def handed_rows(program: Program, classes: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """For each module, the paths from the model of the rows elsewhere that its forwards read.

    `classes` gives for each module the one whose class it shares.
    """
    modules = program.modules
    alike = [{id_ for id_, name in classes.items() if name == one} for one in modules]
    alike += [
        {part.module for part in module.parts_named(name)}
        for module in modules.values()
        for name in dict.fromkeys(part.name for part in module.parts)
    ]
    groups = [[id_ for id_ in modules if id_ in group] for group in alike if len(group) > 1]
    found: dict[str, tuple[str, ...]] = dict.fromkeys(modules, ())
    while True:
        known = dict(found)
        for module in modules.values():  # children before parents
            if module.id != program.root:
                more = targets(module, found)
                found[module.id] = tuple(dict.fromkeys((*found[module.id], *more)))
        for group in groups:
            together = tuple(dict.fromkeys(path for id_ in group for path in found[id_]))
            found.update(dict.fromkeys(group, together))
        if found == known:
            return found


def targets(module: Module, found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The rows elsewhere that a module reads itself, and those that its parts are handed."""
    for function in (*module.forwards, *module.functions):
        for value in walk(function.body):
            match value:
                case Weight(row=name) | ApplyMap(row=name):
                    paths = (row.target for row in module.tensors_named(name))
                    yield from (path for path in paths if path and not module.is_within(path))
                case CallPart(part=name) | Mixture(part=name):
                    for part in module.parts_named(name):
                        yield from found[part.module]  # paths from the model
