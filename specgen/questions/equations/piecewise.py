"""The range of one unknown cut into pieces, each with the closed form that is right there.

A closed form belongs to a structure of the table: conditions on params such as `q_lora_rank > 0`
were decided for it.  Where an unknown crosses such a condition, the table is elaborated again at
a value on the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from itertools import islice, pairwise
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.expr.evaluate import EvaluationError, holds
from specgen.expr.node import COMPARISONS, Apply, Expr, symbols, walk
from specgen.questions.equations.quotients import NotPolynomial, read_quotient
from specgen.questions.equations.roots import find_crossings
from specgen.questions.equations.zeros import bisect_zeros, find_trend
from specgen.records import dataclass

#: Structures that the range of one unknown may lead through.
MAX_STRUCTURES: Final = 16

#: Pieces that a range may fall into, and values that are tried in one of them to find one for
#: which the table exists.
MAX_PIECES: Final = 256
MAX_TRIED: Final = 4096

#: Tables that are elaborated in vain in one region before it is given up.
MAX_REFUSED: Final = 8


@dataclass(frozen=True, slots=True)
class RangeStructure:
    """A ledger and the conditions, in the unknown alone, under which its forms are right."""

    found: Ledger
    conditions: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class RangePiece:
    """A part of the range; `reason` says why there is no table where there is none."""

    low: int
    high: int
    structure: RangeStructure | None
    reason: str | None = None


# ---- cuts ------------------------------------------------------------------------------


def list_comparisons(condition: Expr, unknown: str) -> Iterator[Apply]:
    """The comparisons that decide the condition where the unknown moves, the innermost ones."""
    for node in walk(condition):
        if isinstance(node, Apply) and node.op in COMPARISONS and unknown in symbols(node):
            inner = (n for arg in node.args for n in walk(arg))
            if not any(isinstance(n, Apply) and n.op in COMPARISONS for n in inner):
                yield node


def find_cuts(condition: Expr, unknown: str, low: int, high: int) -> set[int] | None:
    """Where the condition may change from one integer to the next: the first of each stretch.

    None where it changes too often for that, as `n % 2 == 0` does.
    """
    found: set[int] = set()
    for comparison in list_comparisons(condition, unknown):
        own = cut_comparison(comparison, unknown, low, high)
        if own is None:
            return None
        found |= own
    return {x for x in found if low < x <= high}


def cut_comparison(comparison: Apply, unknown: str, low: int, high: int) -> set[int] | None:
    difference = Apply("-", comparison.args)
    try:
        quotient = read_quotient(difference, unknown)
        if not quotient.is_of_powers:
            raise NotPolynomial
        p, below = quotient.cleared()
        if not below.is_ground and low < 1:
            return None
        if p.is_ground:
            return set()
        found = find_crossings(p, low, high)
        roots, gaps = found.roots, found.gaps
    except NotPolynomial:
        if find_trend(difference, unknown, low, high) is None:
            return None
        one_zero = bisect_zeros(difference, unknown, low, high)
        roots = tuple(range(one_zero.roots[0], one_zero.roots[-1] + 1)) if one_zero.roots else ()
        if len(roots) > 1:  # a stretch of zeros: only its ends matter
            return {roots[0], roots[-1] + 1}
        gaps = () if roots else tuple(x for x, _ in one_zero.near)
    except EvaluationError:
        return None
    return {*roots, *(x + 1 for x in roots), *(x + 1 for x in gaps)}


def cut_range(starts: Iterable[int], low: int, high: int) -> list[tuple[int, int]]:
    """The range cut at the starts."""
    points = sorted({low, *starts})
    return [(a, b - 1) for a, b in pairwise((*points, high + 1))]


# ---- pieces ----------------------------------------------------------------------------


@dataclass
class RangeCutter:
    """Cuts the range of an unknown.

    `elaborate` gives the structure of the table at a value, or the reason why there is no table;
    `fault` the reason, as far as a look at the values tells.
    """

    unknown: str
    fault: Callable[[int], str | None]
    elaborate: Callable[[int], RangeStructure | str]
    structures: list[RangeStructure] = field(default_factory=list)
    #: Conditions that change too often to be cut at; answers are tested against them.
    irregular: dict[Expr, None] = field(default_factory=dict)

    def cut(self, low: int, high: int, rules: Mapping[Expr, str], near: int) -> list[RangePiece]:
        """The pieces of a range in ascending order.

        `rules` are what the table asks of the unknown, each with what to say where it does not
        hold; `near` is a value from which to look for others that the table allows.
        """
        done: list[RangePiece] = []
        waiting: list[tuple[int, int]] = []
        for a, b in self.split(rules, low, high):
            failing = [
                why
                for rule, why in rules.items()
                if self.is_regular(rule) and not self.holds(rule, a)
            ]
            if failing:
                done.append(RangePiece(a, b, None, failing[0]))
            else:
                waiting.append((a, b))
        while waiting:
            if len(done) > MAX_PIECES:
                done += [
                    RangePiece(a, b, None, "the range falls into too many pieces")
                    for a, b in waiting
                ]
                break
            region = waiting.pop(0)
            for structure in self.structures:
                left = self.cover(structure, region, done)
                if left != [region]:
                    waiting = left + waiting
                    break
            else:
                waiting = self.explore(region, near, done) + waiting
        return sorted(done, key=lambda piece: piece.low)

    def is_regular(self, condition: Expr) -> bool:
        return condition not in self.irregular

    def holds(self, condition: Expr, x: int) -> bool:
        return holds(condition, {self.unknown: x})

    def split(self, conditions: Iterable[Expr], low: int, high: int) -> list[tuple[int, int]]:
        starts: set[int] = set()
        for condition in conditions:
            found = find_cuts(condition, self.unknown, low, high)
            if found is None:
                self.irregular[condition] = None
            else:
                starts |= found
        return cut_range(starts, low, high)

    def cover(
        self, structure: RangeStructure, region: tuple[int, int], done: list[RangePiece]
    ) -> list[tuple[int, int]]:
        """Takes what the structure covers of a region; what is left of it."""
        left: list[tuple[int, int]] = []
        for a, b in self.split(structure.conditions, *region):
            if all(self.holds(c, a) for c in structure.conditions if self.is_regular(c)):
                done.append(RangePiece(a, b, structure))
            else:
                left.append((a, b))
        return [region] if len(left) == 1 and left[0] == region else left

    def explore(
        self, region: tuple[int, int], near: int, done: list[RangePiece]
    ) -> list[tuple[int, int]]:
        """Elaborates the table at a value of the region; what is left of the region."""
        if len(self.structures) >= MAX_STRUCTURES:
            limit = f"more than {MAX_STRUCTURES} structures of the table: not searched"
            done.append(RangePiece(*region, None, limit))
            return []
        reason: str | None = None
        refused = 0
        for x in islice(list_representatives(*region, near), MAX_TRIED):
            why = self.fault(x)
            if why is None:
                structure = self.elaborate(x)
                if isinstance(structure, RangeStructure):
                    return self.begin(structure, x, region, done)
                why = structure
                refused += 1
            reason = reason or why
            if refused == MAX_REFUSED:
                break
        done.append(RangePiece(*region, None, reason or "no table was found there"))
        return []

    def begin(
        self, structure: RangeStructure, x: int, region: tuple[int, int], done: list[RangePiece]
    ) -> list[tuple[int, int]]:
        """Takes what a new structure covers of a region, its own value x at least."""
        self.structures.append(structure)
        left = self.cover(structure, region, done)
        if left != [region]:
            return left
        done.append(RangePiece(x, x, structure))
        low, high = region
        return [part for part in ((low, x - 1), (x + 1, high)) if part[0] <= part[1]]


def list_representatives(low: int, high: int, near: int) -> Iterator[int]:
    """Values of a range, first those for which a table most probably exists: near, and even."""
    closest = min(max(near, low), high)
    for step in (1024, 128, 64, 8, 2, 1):
        for x in (closest // step * step, (closest // step + 1) * step):
            if low <= x <= high:
                yield x
    for offset in range(MAX_TRIED):
        if low + offset > high:
            return
        yield low + offset
