"""The initializers that hold the instances of a mixture's row: one stack, several, or one each.

Plans them from where released tensors lie; adds no node.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from specgen.dtypes import UNGATHERED
from specgen.huggingface.safetensors import ByteRange
from specgen.records import dataclass

#: How much of a file one initializer may span, as a multiple of what it is there for: an expert's
#: three matrices usually lie side by side.
MAX_SPAN: Final = 8


@dataclass(frozen=True, slots=True)
class ExpertShard:
    """An initializer with instances of a row: all in order, those of `at`, or `only` one.

    `at` is the place along its first dim of each instance that it holds.  One instance alone is
    as the table has it, without such a dim.
    """

    path: str
    at: Mapping[int, int] | None = None
    only: int | None = None

    def holds(self, instance: int) -> bool:
        if self.only is not None:
            return instance == self.only
        return self.at is None or instance in self.at

    def place(self, instance: int) -> int:
        """Where an instance is along the first dim; 0 for one alone, or that it does not hold."""
        if self.only is not None:
            return 0
        return instance if self.at is None else self.at.get(instance, 0)

    @property
    def order(self) -> tuple[int, ...] | None:
        """The instances from the first place to the last; None where that is their own order."""
        found = tuple(sorted(self.at or (), key=(self.at or {}).__getitem__))
        return None if found == tuple(range(len(found))) else found

    @property
    def way(self) -> Hashable:
        """What is the same for rows that are read by equal operators."""
        return self.only, None if self.at is None else tuple(sorted(self.at.items()))


def overlays(
    found: Sequence[ByteRange], *, as_bytes: bool = False
) -> Iterator[Mapping[int, int] | int]:
    """The instances that one initializer can hold over what lies in a file, with their places.

    It starts with the first of them, and each lies at a multiple of its own length from there;
    what is between them belongs to others.  An instance for which there is no such is alone.
    With `as_bytes` those of narrow floats can be gathered like others.
    """
    together: dict[tuple[str, str], list[int]] = {}
    for instance, stretch in enumerate(found):
        together.setdefault((stretch.file, stretch.dtype), []).append(instance)
    for (_, dtype), instances in together.items():
        places = multiples({instance: found[instance] for instance in instances})
        whole = len(instances) == len(found) and max(places.values(), default=0) < len(found)
        if len(instances) > 1 and places and (whole or as_bytes or dtype not in UNGATHERED):
            yield places
        else:
            yield from instances


def multiples(found: Mapping[int, ByteRange]) -> dict[int, int]:
    """The place of each instance in units of its length; nothing where there is none."""
    start = min(stretch.start for stretch in found.values())
    places = {}
    for instance, stretch in found.items():
        if not stretch.length or (stretch.start - start) % stretch.length:
            return {}
        places[instance] = (stretch.start - start) // stretch.length
    return places if max(places.values()) < MAX_SPAN * len(found) else {}


def divided(
    pieces: Iterable[Sequence[ExpertShard]], count: int
) -> dict[tuple[int, ...], list[int]]:
    """The instances by which piece of each row holds them."""
    rows = [
        [next(n for n, piece in enumerate(row) if piece.holds(i)) for i in range(count)]
        for row in pieces
    ]
    found: dict[tuple[int, ...], list[int]] = {}
    for instance, key in enumerate(zip(*rows, strict=True)):
        found.setdefault(key, []).append(instance)
    return found
