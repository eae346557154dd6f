"""The ranks of a layout: what each holds, which holds most, and what several of them hold.

Evaluates the closed forms of `analysis.quantities.ranks` at every rank.  Knows no files and no output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from specgen.analysis.dataflow.stages import Position, Stack
from specgen.analysis.quantities.ledger import Ledger, evaluated
from specgen.analysis.quantities.memory import follows
from specgen.analysis.quantities.ranks import Shares, shares, taken
from specgen.analysis.quantities.sharding import Cut
from specgen.analysis.quantities.variables import no_bytes
from specgen.analysis.table.counting import runs
from specgen.dtypes import DTYPES, bytes_of
from specgen.expr.columns.exact import Array
from specgen.expr.columns.vector import evaluate_all
from specgen.expr.evaluate import Value, evaluate_int
from specgen.expr.node import Sym
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import fold
from specgen.ir.model import Program
from specgen.ir.verify import InternalFault
from specgen.questions.ranks.layout import Layout, LayoutError
from specgen.records import dataclass

#: The stretch of the stack that a stage has, where a layout chooses it.
STRETCH: Final = ("stage_layers", "stage_start", "stage_stop")
CHOSEN: Final = Cut(Sym(STRETCH[0]), (Sym(STRETCH[1]), Sym(STRETCH[2])))

#: Rows times ranks, all of which are computed: as many as fit in a third of a gigabyte.
MAX_FIGURES: Final = 2**25

#: The variables of a rank's quantities.
USED: Final = ("B", "T", "W")

FIGURES: Final = ("parameters", "stored_bytes", "weights_bytes", "cache_bytes")


@dataclass(frozen=True, slots=True)
class RankGroup:
    """Ranks that hold equally much, each of them `figures`."""

    ranks: tuple[range, ...]
    stages: tuple[range, ...]
    figures: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(map(len, self.ranks))

    @property
    def memory(self) -> int:
        """Bytes of weights and caches."""
        return self.figures["weights_bytes"] + self.figures["cache_bytes"]


@dataclass(frozen=True, slots=True)
class RowReplica:
    """What is held more often than once of a row: by data, tensor and pipeline ranks.

    In elements of the parameters; for a row that is none, of the checkpoint; of a cache in bytes.
    """

    name: str
    figure: str
    whole: int
    data: int
    tensor: int
    pipeline: int

    @property
    def total(self) -> int:
        return self.data + self.tensor + self.pipeline


@dataclass(frozen=True, slots=True)
class Balance:
    """What all ranks hold, what of it is held again, and the whole: the one less the other."""

    figure: str
    ranks: int
    replicas: int
    whole: int


@dataclass(frozen=True, slots=True)
class Ranks:
    """The answer: groups by memory, the largest first; rows that are held more than once.

    `variables` are those of caches and weights (B, T, W), `layers` those of each stage.
    """

    program: Program
    layout: Layout
    variables: Mapping[str, int]
    layers: tuple[int, ...]
    groups: tuple[RankGroup, ...]
    replicas: tuple[RowReplica, ...]
    balances: tuple[Balance, ...]


def evaluate_ranks(found: Ledger, layout: Layout, variables: Mapping[str, Value]) -> Ranks:
    """What each rank of a layout holds of the ledger's table; `variables` are B, T and W.

    Raises:
        LayoutError: the layout does not fit the table.
        EvaluationError: a variable has no value, or one that is no number.
        SpecError: a size has no value, or a pattern over layers is beyond the limits.
    """
    clash = taken(found.program, STRETCH)
    if clash is not None:
        raise LayoutError(f"the table has a name `{clash}`, which ranks use; rename it")
    if "W" in no_bytes(found.program):
        raise LayoutError("the forward has a length `W`, which ranks use; rename it")
    chosen = shares(found.program, CHOSEN)
    layers = divide_layers(chosen, layout, found.values)
    check_limits(chosen, layout, found.values)
    rows = 2 * len(chosen.rows) + len(chosen.caches)
    if rows * layout.ranks > MAX_FIGURES:
        raise LayoutError(
            f"{layout.ranks:,} ranks of {len(chosen.rows):,} rows are too many to list; at most"
            f" {MAX_FIGURES // rows:,} ranks of this table can be asked for at once"
        )
    given = {name: evaluate_int(Sym(name), variables) for name in USED}
    answer = hold_rows(found, chosen, Grid(layout, layers), given)
    figures = answer.sum_figures()
    return Ranks(
        found.program,
        layout,
        given,
        layers,
        tuple(answer.make_groups(figures)),
        tuple(answer.find_replicas()),
        tuple(answer.balance_figures(figures)),
    )


def divide_layers(chosen: Shares, layout: Layout, values: Mapping[str, Value]) -> tuple[int, ...]:
    """How many layers each stage has."""
    if chosen.stack is None:
        if layout.pipeline == 1:
            return (0,)
        raise LayoutError(say_no_stack(chosen.candidates))
    count = evaluate_int(chosen.stack.count, values)
    name = ".".join(chosen.stack.path)
    if layout.stages is not None:
        if sum(layout.stages) != count:
            raise LayoutError(
                f"the stages have {sum(layout.stages)} layers in all, but `{name}` has {count}"
            )
        return layout.stages
    if layout.pipeline > count:
        raise LayoutError(f"pipeline={layout.pipeline} is more than the {count} of `{name}`")
    each, more = divmod(count, layout.pipeline)
    return tuple(each + (stage < more) for stage in range(layout.pipeline))


def say_no_stack(candidates: Sequence[Stack]) -> str:
    if not candidates:
        return (
            "the table has no repeated part that its forward threads, so nothing is known that"
            " stages could divide; say it: sharding { pipeline over n_layers }"
        )
    parts = " and ".join(f"`{'.'.join(stack.path)}`" for stack in candidates)
    return f"stages could divide {parts}; say which: sharding {{ pipeline over n_layers }}"


def check_limits(chosen: Shares, layout: Layout, values: Mapping[str, Value]) -> None:
    """No rank goes without its piece.

    Raises:
        LayoutError: a degree is above the number of things that it divides.
    """
    if layout.expert > 1 and not chosen.experts:
        raise LayoutError("the table has no mixture of experts that expert ranks could divide")
    for axis, limits in (
        ("tensor", chosen.limits),
        ("expert", chosen.experts),
        ("expert_tensor", chosen.expert_limits),
    ):
        degree: int = getattr(layout, axis)
        for limit in limits:
            value = evaluate_int(limit, values)
            if degree > value:
                raise LayoutError(f"{axis}={degree} is more than {to_text(limit, TABLE)} = {value}")


# ---- every rank ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grid:
    """The ranks of a layout in their order: tensor ranks next to each other, then data, stages."""

    layout: Layout
    layers: tuple[int, ...]

    @property
    def columns(self) -> dict[str, Array]:
        """The coordinates of every rank."""
        layout = self.layout
        number = np.arange(layout.ranks)
        place = number % layout.per_stage
        stage = number // layout.per_stage
        layers = np.array(self.layers, dtype=np.int64)
        stop = np.cumsum(layers)
        return {
            "tensor_rank": place % layout.tensor,
            "data_rank": place // layout.tensor,
            "expert_tensor_rank": place % layout.expert_tensor,
            "expert_rank": place // layout.expert_tensor % layout.expert,
            "pipeline_rank": stage,
            "stage_layers": layers[stage],
            "stage_start": (stop - layers)[stage],
            "stage_stop": stop[stage],
        }

    def find_once(self, width: int) -> Array:
        """The ranks among the first `width` of their stages."""
        found: Array = np.arange(self.layout.ranks) % self.layout.per_stage < width
        return found

    def count_stages(self, at: frozenset[Position]) -> int:
        """How many stages hold a row, of which each holds all that it has of it."""
        if at == {"stack"}:
            return 1
        return self.layout.pipeline if "stack" in at else min(len(at), self.layout.pipeline)


@dataclass(frozen=True, slots=True, eq=False)
class RankFigures:
    """What every rank holds of every row: elements as parameters and as loaded, bytes of caches."""

    found: Ledger
    chosen: Shares
    grid: Grid
    variables: Mapping[str, int]
    parameters: Sequence[Array]
    loaded: Sequence[Array]
    caches: Sequence[Array]

    def sum_figures(self) -> Mapping[str, Array]:
        """The figures of every rank."""
        rows = self.chosen.rows
        zero = np.zeros(self.grid.layout.ranks, dtype=np.int64)
        sized = [DTYPES[share.row.dtype].bits for share in rows]
        weights = [
            8 * self.variables["W"] if follows(s.row) else DTYPES[s.row.dtype].bits for s in rows
        ]
        stored = sum_bytes(self.loaded, sized, zero)
        return {
            "parameters": sum(self.parameters, start=zero),
            **({} if self.is_stored_otherwise else {"stored_bytes": stored}),
            "weights_bytes": sum_bytes(self.parameters, weights, zero),
            "cache_bytes": sum(self.caches, start=zero),
        }

    @property
    def is_stored_otherwise(self) -> bool:
        """Whether what the table stores is not what the release does."""
        return bool(self.found.program.stored_otherwise)

    def make_groups(self, figures: Mapping[str, Array]) -> list[RankGroup]:
        """Ranks whose figures are the same, those that hold most first."""
        members: dict[tuple[int, ...], list[int]] = {}
        for number, figured in enumerate(zip(*(f.tolist() for f in figures.values()), strict=True)):
            members.setdefault(figured, []).append(number)
        per_stage = self.grid.layout.per_stage
        found = [
            RankGroup(
                tuple(runs(numbers)),
                tuple(runs(list(dict.fromkeys(number // per_stage for number in numbers)))),
                dict(zip(figures, figured, strict=True)),
            )
            for figured, numbers in members.items()
        ]
        return sorted(found, key=lambda group: (-group.memory, group.ranks[0].start))

    def find_replicas(self) -> Iterator[RowReplica]:
        """Rows that are held more often than once, in the order of the table."""
        layout = self.grid.layout
        for share, parameters, loaded in zip(
            self.chosen.rows, self.parameters, self.loaded, strict=True
        ):
            width = layout.expert * layout.expert_tensor if share.expert else layout.tensor
            counted = share.row.counted
            amounts, at = (parameters, share.readers) if counted else (loaded, share.loaders)
            if counted or (share.row.stored and not self.is_stored_otherwise):
                figure = "parameters" if counted else "stored_elements"
                yield from self.compare_row(
                    share.row.name,
                    figure,
                    share.row.elements,
                    amounts,
                    at,
                    self.grid.find_once(width),
                )
        # data ranks keep caches of other sequences
        everywhere = self.grid.find_once(layout.per_stage)
        for cache, amounts in zip(self.chosen.caches, self.caches, strict=True):
            whole = bytes_of(cache.row.dtype, cache.row.elements * self.tokens)
            yield from self.compare_row(
                cache.row.name, "cache_bytes", whole, amounts, cache.readers, everywhere
            )

    @property
    def tokens(self) -> int:
        return self.variables["B"] * self.variables["T"]

    def compare_row(
        self,
        name: str,
        figure: str,
        whole: int,
        amounts: Array,
        at: frozenset[Position],
        once: Array,
    ) -> Iterator[RowReplica]:
        """A row that is held again; `once` are ranks that hold it once but for tensor replicas."""
        stages = self.grid.count_stages(at)
        every, first = sum_exactly(amounts), sum_exactly(amounts[once])
        found = RowReplica(
            name, figure, whole, every - first, first - stages * whole, (stages - 1) * whole
        )
        if min(found.data, found.tensor, found.pipeline) < 0:
            raise InternalFault(f"ranks hold less than all of {name}")
        if found.total:
            yield found

    def balance_figures(self, figures: Mapping[str, Array]) -> Iterator[Balance]:
        """That ranks hold the whole, and what they hold again: for every figure."""
        wholes = {
            "parameters": self.found.value("parameters"),
            "stored_bytes": self.found.quantities["stored_bytes"].value or 0,
            "weights_bytes": evaluated(
                self.found.quantities["weights_bytes"], {**self.found.values, **self.variables}
            ),
            "cache_bytes": sum(
                bytes_of(c.row.dtype, c.row.elements * self.tokens) for c in self.chosen.caches
            ),
        }
        again = self.count_again()
        for figure, amounts in figures.items():
            every, whole = sum_exactly(amounts), wholes[figure]
            if every - again[figure] != whole:
                raise InternalFault(f"{figure} of all ranks do not sum to the whole")
            yield Balance(figure, every, again[figure], whole)

    def count_again(self) -> Mapping[str, int]:
        """What is held more often than once, row by row."""
        found = dict.fromkeys(FIGURES, 0)
        for share, parameters, loaded in zip(
            self.chosen.rows, self.parameters, self.loaded, strict=True
        ):
            row = share.row
            if row.counted:
                extra = sum_exactly(parameters) - row.elements
                found["parameters"] += extra
                found["weights_bytes"] += (
                    extra * self.variables["W"] if follows(row) else bytes_of(row.dtype, extra)
                )
            if row.stored:
                found["stored_bytes"] += bytes_of(row.dtype, sum_exactly(loaded) - row.elements)
        for cache, amounts in zip(self.chosen.caches, self.caches, strict=True):
            whole = bytes_of(cache.row.dtype, cache.row.elements * self.tokens)
            found["cache_bytes"] += sum_exactly(amounts) - whole
        return found


def hold_rows(
    found: Ledger, chosen: Shares, grid: Grid, variables: Mapping[str, int]
) -> RankFigures:
    """The closed forms at every rank."""
    columns = grid.columns
    known = {**found.values, **variables, **grid.layout.degrees}
    exprs = [
        *(share.parameters for share in chosen.rows),
        *(share.stored for share in chosen.rows),
        *(cache.bytes for cache in chosen.caches),
    ]
    values = evaluate_all([fold(expr, known, columns) for expr in exprs], columns)
    rows = len(chosen.rows)
    return RankFigures(
        found, chosen, grid, variables, values[:rows], values[rows : 2 * rows], values[2 * rows :]
    )


def sum_bytes(rows: Sequence[Array], bits: Sequence[int], zero: Array) -> Array:
    """The bytes of rows, whose elements have so many bits each, exactly."""
    found = zero.astype(object)
    for row, width in zip(rows, bits, strict=True):
        found = found + -(-row.astype(object) * width // 8)
    return found


def sum_exactly(amounts: Array) -> int:
    return int(amounts.astype(object).sum()) if amounts.size else 0
