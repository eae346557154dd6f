"""Levels of operators: what a graph may consist of, and the versions that its file declares.

Says nothing of how an operator is written; the lowerings ask the graph for its level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final

from specgen.dtypes import DTYPES
from specgen.records import dataclass

#: The opset in which a dtype came, where that is later than the oldest level's.


@dataclass(frozen=True, slots=True)
class Level:
    """The `opset` of standard operators, the `ir_version` of the file, and what else is used.

    With `intrinsics`, a body that equals an operator becomes that operator; without, it is
    written out.  `domains` are sets of operators beyond the standard, with their versions.
    """

    opset: int
    ir_version: int
    intrinsics: bool = True
    domains: Mapping[str, int] = field(default_factory=dict)

    def lacks(self, dtype: str) -> bool:
        return DTYPES[dtype].since > self.opset


STANDARD: Final = Level(24, 11)

#: Each level by the name that the command line gives it.
LEVELS: Final[Mapping[str, Level]] = {
    "standard": STANDARD,
    "primitive": Level(17, 8, intrinsics=False),
    "ort": Level(24, 11, domains={"com.microsoft": 1}),
}
