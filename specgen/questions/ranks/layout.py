"""A layout: how many ranks each axis of parallelism has, and how many layers each stage.

Reads `tensor=8,expert=8,pipeline=4,data=2` and `16,15,15,15`.  Knows no table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.diagnostic import RequestError, no_such
from specgen.records import dataclass
from specgen.text.printable import shorten

#: Ranks of one layout: each is computed by itself.
MAX_RANKS: Final = 65_536

AXES: Final = ("tensor", "expert", "expert_tensor", "pipeline", "data")
DEGREE: Final = re.compile(r"\s*(?P<axis>[A-Za-z_]\w*)\s*=\s*(?P<degree>[0-9]{1,9})\s*", re.ASCII)
NUMBER: Final = re.compile(r"\s*[0-9]{1,9}\s*", re.ASCII)


class LayoutError(RequestError):
    """The layout is at fault; the message says how, and what would do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Degrees of parallelism; `stages` are the layers of each stage where they are chosen.

    A stage has tensor × data ranks.  Rows outside mixtures are divided by tensor ranks, and every
    data rank has them.  The same ranks, in the same order, hold the experts: expert_tensor ranks
    divide each expert, expert times as many divide the experts, and what is left over holds them
    again.
    """

    tensor: int
    expert: int
    expert_tensor: int
    pipeline: int
    data: int
    stages: tuple[int, ...] | None = None

    @property
    def ranks(self) -> int:
        return self.pipeline * self.per_stage

    @property
    def per_stage(self) -> int:
        return self.tensor * self.data

    @property
    def degrees(self) -> Mapping[str, int]:
        """The degrees by the names that formulas have for them."""
        return {f"{axis}_parallel": getattr(self, axis) for axis in AXES}


def read_layout(degrees: str, stages: str | None = None) -> Layout:
    """The layout that the texts describe; axes that are not given have one rank.

    Without expert parallelism an expert is divided as every other row; with it, experts are whole
    unless `expert_tensor` says otherwise.

    Raises:
        LayoutError: an unknown axis, a degree that is none, or numbers that do not fit together.
    """
    found: dict[str, int] = {}
    for piece in degrees.split(","):
        axis, degree = read_degree(piece)
        if axis in found:
            raise LayoutError(f"`{axis}` is given twice")
        found[axis] = degree
    split = None if stages is None else read_stages(stages)
    if split is not None and found.setdefault("pipeline", len(split)) != len(split):
        raise LayoutError(
            f"{len(split)} stages are given, but pipeline={found['pipeline']}; give as many numbers"
            " of layers as there are stages"
        )
    given = {axis: found.get(axis, 1) for axis in AXES}
    if "expert_tensor" not in found:
        given["expert_tensor"] = given["tensor"] if given["expert"] == 1 else 1
    layout = Layout(**given, stages=split)
    if layout.ranks > MAX_RANKS:
        raise LayoutError(f"{layout.ranks:,} ranks are more than {MAX_RANKS:,}")
    of_experts = layout.expert * layout.expert_tensor
    if layout.per_stage % of_experts:
        raise LayoutError(
            f"expert × expert_tensor = {layout.expert} × {layout.expert_tensor} = {of_experts} does"
            f" not divide tensor × data = {layout.tensor} × {layout.data} = {layout.per_stage}, the"
            " ranks of a stage that hold its experts"
        )
    return layout


def read_degree(text: str) -> tuple[str, int]:
    found = DEGREE.fullmatch(text)
    if found is None:
        raise LayoutError(
            f"`{shorten(text, 40)}` is no degree: write AXIS=RANKS, as in tensor=8,pipeline=4"
        )
    axis, degree = found["axis"], int(found["degree"])
    if axis not in AXES:
        raise no_such("axis of parallelism", shorten(axis, 40), AXES)
    if not 1 <= degree <= MAX_RANKS:
        raise LayoutError(f"{axis}={degree}: an axis has from 1 to {MAX_RANKS:,} ranks")
    return axis, degree


def read_stages(text: str) -> tuple[int, ...]:
    pieces = text.split(",")
    if not all(NUMBER.fullmatch(piece) for piece in pieces):
        raise LayoutError(
            f"`{shorten(text, 40)}` are no stages: write the layers of each, as in 16,15,15,15"
        )
    if len(pieces) > MAX_RANKS:
        raise LayoutError(f"{len(pieces):,} stages are more than {MAX_RANKS:,}")
    return tuple(map(int, pieces))
