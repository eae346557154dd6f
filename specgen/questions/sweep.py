"""A sweep: quantities at every point of a product of values, each point by its own structure.

Points that break a requirement, or that a filter does not let through, are left out and counted.
Knows forms, columns and axes; nothing of output.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from functools import cached_property
from typing import Final

import numpy as np

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.columns.exact import Array
from specgen.expr.columns.vector import decide_where, evaluate_all, find_where, join_arrays
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import TRUE, Expr, Sym, conjunction, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known, fold
from specgen.questions.forms import (
    MAX_STRUCTURES,
    Demand,
    Family,
    TooManyStructures,
    find_structure,
    list_demands,
    list_domain_demands,
)
from specgen.questions.points import MAX_POINTS, SweepAxis, make_columns
from specgen.questions.values import SweepError
from specgen.records import dataclass

#: Points that are looked at together.
STRIDE: Final = 131_072

#: Values of quantities that one sweep may hold: 8 bytes each, and more beyond int64.
MAX_CELLS: Final = 50_000_000

#: Points at which the table is elaborated in vain before the sweep is given up.
MAX_FAULTS: Final = 64

#: How long a sweep may take, in seconds.
MAX_SECONDS: Final = 120.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What came out: a column for each axis and quantity, a row for each point that is left.

    Values of quantities are int64, or Python ints (None where the quantity has no whole value)
    in object arrays.  `left_out` are reasons with the points that they left out, `filtered` the
    points that the filter did not let through, `undecided` reasons why it has no value with the
    points where it has none, `blank` quantities with the rows without a value.
    """

    axes: tuple[SweepAxis, ...]
    columns: Mapping[str, Array]
    points: int
    left_out: Mapping[str, int]
    filtered: int
    undecided: Mapping[str, int]
    blank: Mapping[str, tuple[int, str]]
    structures: int

    @property
    def rows(self) -> int:
        others = (*self.left_out.values(), *self.undecided.values(), self.filtered)
        return self.points - sum(others)


@dataclass(frozen=True, slots=True, eq=False)
class SweepStructure:
    """One structure of the table, everything in the swept names alone."""

    condition: Expr
    demands: tuple[Demand, ...]
    forms: Mapping[str, Expr]
    absent: Mapping[str, str]


@dataclass(eq=False)
class Sweeper:
    """A sweep under way."""

    family: Family
    axes: tuple[SweepAxis, ...]
    quantities: tuple[str, ...]
    where: Expr
    variables: Mapping[str, Known]
    left_out: dict[str, int] = field(default_factory=dict)
    blank: dict[str, tuple[int, str]] = field(default_factory=dict)
    filtered: int = 0
    undecided: dict[str, int] = field(default_factory=dict)
    faults: int = 0
    until: float = math.inf
    structures: list[SweepStructure] = field(default_factory=list)

    @cached_property
    def free(self) -> frozenset[str]:
        return frozenset(axis.name for axis in self.axes)

    @cached_property
    def names(self) -> Mapping[str, Known]:
        chosen = {n: v for n, v in self.variables.items() if n not in self.free}
        return {**chosen, **self.family.names(self.free)}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The quantities to compute: those to show and those that the filter speaks of."""
        named = symbols(self.where) - self.family.base.program.values.keys()
        return tuple(n for n in QUANTITIES if n in self.quantities or n in named)

    @cached_property
    def filter(self) -> Expr:
        return fold(self.where, self.names, (*self.free, *self.needed))

    def fold_structure(self, found: Ledger) -> SweepStructure:
        """A structure's conditions and forms in the swept names."""
        forms: dict[str, Expr] = {}
        absent: dict[str, str] = {}
        for name in self.needed:
            quantity = found.quantities[name]
            known = self.variables.keys() | self.free
            unset = [v for v in quantity.variables if v not in known]
            if quantity.expr is None:
                absent[name] = quantity.absent or "it is not counted"
            elif unset:
                absent[name] = f"`{unset[0]}` has no value here"
            else:
                forms[name] = self.fold(quantity.expr)
        return SweepStructure(
            self.fold(find_structure(found, self.needed)),
            tuple(self.list_conditions(list_demands(found))),
            forms,
            absent,
        )

    def fold(self, expr: Expr) -> Expr:
        return fold(expr, self.names, self.free)

    def list_conditions(self, every: Collection[Demand]) -> Iterator[Demand]:
        for demand in every:
            condition = self.fold(demand.condition)
            if condition != TRUE:
                text = to_text(demand.condition, TABLE)
                yield Demand(condition, f"{demand.reason} ({text})")

    @cached_property
    def always(self) -> tuple[Demand, ...]:
        """What is asked of every point: the model's own requirements, and that params which follow
        swept ones are what their types say."""
        model = self.family.base.program.model
        own = [Demand(r.condition, r.reason) for r in model.requires]
        known = {param.name for param in model.params} | {let.name for let in model.lets}
        following = [
            demand
            for param in model.params
            if isinstance(self.names.get(param.name), Expr)
            for demand in list_domain_demands(param, Sym(param.name))
        ]
        return tuple(
            self.list_conditions([d for d in (*following, *own) if symbols(d.condition) <= known])
        )

    def require_time(self) -> None:
        if time.monotonic() > self.until:
            raise SweepError(
                "the sweep takes longer than it may; take larger steps, or allow more by --seconds"
            )

    # ---- points

    def run(self, progress: Progress | None, seconds: float) -> Sweep:
        total = math.prod(len(axis.values) for axis in self.axes)
        cells = total * (len(self.quantities) + len(self.axes))
        if cells > MAX_CELLS:
            raise SweepError(
                f"{total:,} points of {len(self.quantities) + len(self.axes)} columns are more than"
                f" {MAX_CELLS:,} values; take larger steps or choose quantities"
            )
        if total > MAX_POINTS:
            raise SweepError(f"{total:,} points are more than {MAX_POINTS:,}; take larger steps")
        self.until = time.monotonic() + seconds
        self.structures.append(self.fold_structure(self.family.base))
        pieces: list[Mapping[str, Array]] = []
        for start in range(0, total, STRIDE):
            stop = min(start + STRIDE, total)
            pieces.append(self.run_stretch(make_columns(self.axes, start, stop), stop - start))
            if progress is not None:
                progress(stop, total)
            if stop < total:
                self.require_time()
        names = (*(axis.name for axis in self.axes), *self.quantities)
        return Sweep(
            self.axes,
            {name: join_arrays([piece[name] for piece in pieces]) for name in names},
            total,
            dict(sorted(self.left_out.items(), key=lambda item: (-item[1], item[0]))),
            self.filtered,
            self.undecided,
            self.blank,
            len(self.structures),
        )

    def run_stretch(self, columns: Mapping[str, Array], size: int) -> Mapping[str, Array]:
        """The rows of some points, in their order."""
        waiting = self.keep(self.always, columns, np.arange(size))
        found: list[tuple[Array, Mapping[str, Array]]] = []
        for known in self.structures:
            waiting = self.take(known, columns, waiting, found)
        while waiting.size:
            known_here = self.elaborate({n: c[waiting[0]] for n, c in columns.items()})
            if known_here is None:
                waiting = waiting[1:]
                continue
            self.structures.append(known_here)
            waiting = self.take(known_here, columns, waiting, found, first=True)
        order = (
            np.argsort(np.concatenate([at for at, _ in found]), kind="stable") if found else None
        )
        rows = {}
        for name in (*columns, *self.quantities):
            parts = [part[name] for _, part in found]
            if order is None:
                rows[name] = np.empty(0, dtype=columns[name].dtype if name in columns else np.int64)
            else:
                rows[name] = parts[0] if len(parts) == 1 else join_arrays(parts)[order]
        return rows

    def elaborate(self, point: Mapping[str, object]) -> SweepStructure | None:
        """The structure of the table at a point that no known one covers."""
        values: dict[str, Value] = {
            n: v.item() if isinstance(v, np.generic) else v  # type: ignore[misc]  # an axis's value
            for n, v in point.items()
        }
        self.require_time()
        if len(self.structures) >= MAX_STRUCTURES:
            raise TooManyStructures(
                f"the table has more than {MAX_STRUCTURES} structures there: conditions that decide"
                " which rows it has come out differently; ask for fewer values at once"
            )
        try:
            return self.fold_structure(self.family.ledger_at(values))
        except SpecError as error:
            self.leave_out(error.diagnostics[0].message, 1)
        self.faults += 1
        if self.faults >= MAX_FAULTS:
            at = ", ".join(f"{n} = {v}" for n, v in values.items())
            raise SweepError(
                f"at {self.faults} points there is no table, the last of them {at}:"
                f" {next(reversed(self.left_out))}"
            )
        return None

    def take(
        self,
        known: SweepStructure,
        columns: Mapping[str, Array],
        waiting: Array,
        found: list[tuple[Array, Mapping[str, Array]]],
        first: bool = False,
    ) -> Array:
        """Adds the rows of the points that have a structure; returns the other points.

        `first` says that the structure is the first point's own, whatever its condition says.
        """
        if not waiting.size:
            return waiting
        mask = np.array(find_where(known.condition, take_points(columns, waiting), waiting.size))
        mask[0] |= first
        mine = self.keep(known.demands, columns, waiting[mask])
        if mine.size:
            mine, values = self.evaluate(known, columns, mine)
            shown = {name: values[name] for name in self.quantities}
            found.append((mine, {**take_points(columns, mine), **shown}))
        rest: Array = waiting[~mask]
        return rest

    def keep(
        self, conditions: Sequence[Demand], columns: Mapping[str, Array], points: Array
    ) -> Array:
        """The points at which all that is asked holds; counts the others by the first reason."""
        if not conditions or not points.size:
            return points
        every = conjunction(*(demand.condition for demand in conditions))
        mask = find_where(every, take_points(columns, points), points.size)
        broken = points[~mask]
        for demand in conditions:
            if not broken.size:
                break
            here = find_where(demand.condition, take_points(columns, broken), broken.size)
            self.leave_out(demand.reason, broken.size - int(np.count_nonzero(here)))
            broken = broken[here]
        kept: Array = points[mask]
        return kept

    def leave_out(self, reason: str, points: int) -> None:
        if points:
            self.left_out[reason] = self.left_out.get(reason, 0) + points

    def evaluate(
        self, known: SweepStructure, columns: Mapping[str, Array], points: Array
    ) -> tuple[Array, Mapping[str, Array]]:
        """The points that the filter lets through, and their quantities."""
        here = take_points(columns, points)
        values = dict(
            zip(
                known.forms,
                evaluate_forms(tuple(known.forms.values()), here, points.size),
                strict=True,
            )
        )
        for name in known.absent:
            values[name] = np.full(points.size, None, dtype=object)
        if self.filter != TRUE:
            mask, reasons = decide_where(self.filter, {**here, **values}, points.size)
            lacking = sorted(symbols(self.filter) & known.absent.keys())
            for reason, number in reasons.items():
                named = (
                    f"`{lacking[0]}` has none: {known.absent[lacking[0]]}" if lacking else reason
                )
                self.undecided[named] = self.undecided.get(named, 0) + number
            kept = int(np.count_nonzero(mask))
            self.filtered += points.size - kept - sum(reasons.values())
            points = points[mask]
            values = {name: column[mask] for name, column in values.items()}
        for name, column in values.items():
            if name in self.quantities and column.dtype == object:
                values[name] = self.require_counts(name, column, known.absent.get(name))
        return points, values

    def require_counts(self, name: str, column: Array, absent: str | None) -> Array:
        """A quantity's column with None for what is no whole number."""
        whole = np.array([type(value) is int for value in column], dtype=np.bool_)
        if not whole.all():
            missing = int(np.count_nonzero(~whole))
            known, reason = self.blank.get(name, (0, absent or "it is not a whole number there"))
            self.blank[name] = (known + missing, reason)
            column = column.copy()
            column[~whole] = None
        return column


def evaluate_forms(forms: Sequence[Expr], columns: Mapping[str, Array], size: int) -> list[Array]:
    """The values of closed forms at some points; None where one has no value."""
    try:
        found = evaluate_all(forms, columns)
    except EvaluationError:
        return [evaluate_one_by_one(form, columns, size) for form in forms]
    # A form without free names is the same everywhere.
    return [c if c.shape else np.full(size, c[()], dtype=c.dtype) for c in found]


def evaluate_one_by_one(form: Expr, columns: Mapping[str, Array], size: int) -> Array:
    listed = {name: column.tolist() for name, column in columns.items()}
    found = np.full(size, None, dtype=object)
    for i in range(size):
        with suppress(EvaluationError):
            found[i] = evaluate(form, {name: values[i] for name, values in listed.items()})
    return found


def take_points(columns: Mapping[str, Array], points: Array) -> Mapping[str, Array]:
    """The columns at some of their points, in order."""
    if all(len(column) == points.size for column in columns.values()):
        return columns
    return {name: column[points] for name, column in columns.items()}


def sweep_family(
    family: Family,
    axes: Sequence[SweepAxis],
    quantities: Sequence[str],
    where: Expr = TRUE,
    variables: Mapping[str, Known] | None = None,
    progress: Progress | None = None,
    seconds: float = MAX_SECONDS,
) -> Sweep:
    """The quantities at every point of the axes' product that the table and the filter allow.

    `where` is a condition on params, lets, variables and quantities.  `variables` are those of
    the quantities that are no axes.  `progress` is told how many of all points are done.

    Raises:
        SweepError: beyond a limit: points, values, time, faults.
        TooManyStructures: the points take the table through too many structures.
        SpecError: the table itself is at fault.
    """
    found = Sweeper(family, tuple(axes), tuple(quantities), where, variables or {})
    return found.run(progress, seconds)
