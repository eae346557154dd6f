"""Functions of the model, as records: what one takes, what it gives, and its nodes.

No protobuf here, and no IR: a spec's words arrive only inside names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from specgen.backends.onnx.dims import DimExtent, Shape
from specgen.backends.onnx.lowering import Number
from specgen.backends.onnx.nodes import Edge, GraphNode
from specgen.records import dataclass

#: What equal instances have in common: module, compile-time names, types of the arguments.
Key = tuple[object, ...]


#: The dtype and dims of a result, in the extents of the instance that was walked.
ResultType = tuple[str, Shape]


@dataclass(frozen=True, slots=True)
class CacheUse:
    """A cache that a function reads and appends to: its path below the module, its layer.

    `past` is it before the new values, `present` its dims with them.
    """

    home: str
    layer: int
    past: Edge = field(compare=False)
    present: Shape = field(compare=False)


@dataclass(frozen=True, slots=True)
class FunctionDefinition:
    """A function, in names of its own; equal ones are one function, whoever calls it.

    It takes the arguments that are tensors, then `rows` by their path below the module, then
    `caches`, then `extents`: dims that it needs and that no argument has.  It gives the results
    (those that are tensors, of these types), then the caches with the new values.
    """

    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    rows: tuple[str, ...]
    caches: tuple[CacheUse, ...]
    extents: tuple[DimExtent, ...]
    results: tuple[Number | ResultType, ...] = field(compare=False)
    title: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class Definitions:
    """The functions so far, callees before callers, each under its name in the `domain`.

    `first` are those of instances that were walked.  They serve further ones with the same key,
    unless equal modules may read their rows in different ways: then none is `reusable`.
    """

    domain: str
    reusable: bool
    names: dict[FunctionDefinition, str] = field(default_factory=dict)
    first: dict[Key, FunctionDefinition] = field(default_factory=dict)

    def enter(self, definition: FunctionDefinition, variants: Sequence[str], part: str) -> str:
        """The operator that calls the function, which is added if there is none that is equal.

        It has the module's name, with the `variants` of parts that an index chose; where another
        function has that name already, with the name of the part that it is; else a number.
        """
        if definition not in self.names:
            name = "_".join((definition.module, *variants))
            taken = set(self.names.values())
            self.names[definition] = next(
                found for found in candidates(name, part) if found not in taken
            )
        return f"{self.domain}.{self.names[definition]}"

    def called(self, op: str) -> FunctionDefinition | None:
        """The function that an operator is, if it is one."""
        named = (d for d, name in self.names.items() if op == f"{self.domain}.{name}")
        return next(named, None)


def candidates(name: str, part: str) -> Iterator[str]:
    yield name
    yield f"{name}_{part}"
    number = 2
    while True:
        yield f"{name}_{part}_{number}"
        number += 1
