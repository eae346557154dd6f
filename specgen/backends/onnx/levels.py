"""Levels of operators: what a graph may consist of, and the versions that its file declares.

Says nothing of how an operator is written; the lowerings ask the graph for its level.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import field, replace
from typing import Final

from specgen.dtypes import DTYPES
from specgen.records import dataclass

#: The opset in which an operator that lowerings use came, where that is later than the oldest one
#: that a graph is written for; and that in which an attribute of an older one came.
SINCE: Final[Mapping[str, int]] = {
    "Attention": 23,
    "Gelu": 20,
    "LayerNormalization": 17,
    "RMSNormalization": 23,
    "RotaryEmbedding": 23,
    "TensorScatter": 24,
    "ScatterND.reduction": 16,
    "Shape.end": 15,
    "Shape.start": 15,
}


@dataclass(frozen=True, slots=True)
class Level:
    """The `opset` of standard operators, the `ir_version` of the file, and what else is used.

    With `intrinsics`, a body that equals an operator becomes that operator where the opset has
    it; without, it is written out.  `domains` are sets of operators beyond the standard, with
    their versions.
    """

    opset: int
    ir_version: int
    intrinsics: bool = True
    domains: Mapping[str, int] = field(default_factory=dict)

    def lacks(self, dtype: str) -> bool:
        return DTYPES[dtype].since > self.opset

    def offers(self, op: str) -> bool:
        """Whether an operator may stand for what could be written out."""
        return self.intrinsics and SINCE[op] <= self.opset

    def missing(self, op: str, attributes: Collection[str]) -> str | None:
        """What the opset has not of an operator with these attributes; None where it has all."""
        for name in (op, *(f"{op}.{attribute}" for attribute in attributes)):
            if SINCE.get(name, 0) > self.opset:
                _, _, attribute = name.partition(".")
                return f"the {attribute} of {op}" if attribute else op
        return None


STANDARD: Final = Level(24, 11)

#: Each level by the name that the command line gives it.
LEVELS: Final[Mapping[str, Level]] = {
    "standard": STANDARD,
    "primitive": Level(17, 8, intrinsics=False),
    "ort": Level(24, 11, domains={"com.microsoft": 1}),
}

#: The version of the file's own format that came with an opset, or the first one after it.
IR_VERSIONS: Final[Mapping[int, int]] = {14: 7, 18: 8, 20: 9, 22: 10, 24: 11, 27: 13}


#: The version in which a file may have functions of its own.
FUNCTIONS: Final = 8


def chosen_level(name: str, opset: int | None, *, functions: bool = False) -> Level:
    """A level by its name, with another opset than its own if one is given."""
    level = LEVELS[name]
    if opset is None or opset == level.opset:
        return level
    version = next(version for last, version in IR_VERSIONS.items() if opset <= last)
    return replace(level, opset=opset, ir_version=max(version, FUNCTIONS if functions else 0))
