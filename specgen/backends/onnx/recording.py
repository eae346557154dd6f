"""What the walk of one instance of a module read and added, kept so that it can be repeated."""

from __future__ import annotations

from dataclasses import field

from specgen.backends.onnx.dims import Shape
from specgen.backends.onnx.lowering import Operand
from specgen.backends.onnx.nodes import GraphNode
from specgen.records import dataclass

#: What equal instances have in common: module, compile-time names, types of the arguments.
Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """One walk; `rows` are paths of initializers, `caches` places of caches in it.

    `anywhere` are shapes of which a repetition found that they name nothing of the instance.
    """

    path: str
    arguments: tuple[Operand, ...]
    rows: tuple[str, ...]
    caches: tuple[str, ...]
    nodes: tuple[GraphNode, ...]
    results: tuple[Operand, ...]
    anywhere: set[Shape] = field(default_factory=set, compare=False)


@dataclass(slots=True)
class Recordings:
    """The first walk of each kind of instance, and what must be the same to repeat it.

    A node of a recording may read a value that was there before, because an equal node computed
    it elsewhere.  `fixed` are the arguments and rows which such values depend on.
    """

    first: dict[Key, Recording] = field(default_factory=dict)
    fixed: dict[Key, frozenset[str]] = field(default_factory=dict)
