"""Several unknowns of a table from a figure: every point of a lattice that the table allows.

All points are evaluated at once and exactly; the best of them, nearest to the table's own values,
are confirmed by elaborating and counting the table that they stand for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from functools import cached_property
from math import prod
from typing import Any, Final

import numpy as np

from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.columns import vector
from specgen.expr.columns.exact import Array
from specgen.expr.evaluate import EvaluationError, Value
from specgen.expr.node import ZERO, Apply, Expr, Sym, symbols
from specgen.expr.simplify import Known
from specgen.questions.bound_question import BoundQuestion, Sides
from specgen.questions.forms import find_structure
from specgen.questions.points import SweepAxis, make_axis, make_columns
from specgen.questions.question import (
    Question,
    QuestionError,
)
from specgen.questions.session import Session
from specgen.records import dataclass

#: The difference of both sides, as a name.
GAP: Final = Sym("gap")

#: Points of one lattice.
MAX_POINTS: Final = 5_000_000

#: Points that are tried for a structure of the table before the rest is given up.
MAX_REFUSED: Final = 16

#: Values that an unknown takes from half to twice the table's own, at least.
FINEST: Final = 12


@dataclass(frozen=True, slots=True)
class LatticePoint(Sides):
    """Values of the unknowns, and both sides of the question there."""

    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Search:
    """What a lattice holds.

    `points` are the solutions nearest to the table's own values, confirmed, of `found` in all;
    `allowed` of the `size` points are tables.  Where there is no solution, `below` and `above` are
    the points with the least difference on either side.
    """

    question: Question
    base: Mapping[str, Value]
    axes: tuple[SweepAxis, ...]
    size: int
    allowed: int
    found: int
    points: tuple[LatticePoint, ...]
    below: LatticePoint | None
    above: LatticePoint | None
    structures: int
    notes: tuple[str, ...]


def choose_axis(name: str, base: int, least: int) -> SweepAxis:
    """From half to twice the table's value, in steps of a power of two that divides it."""
    step = 1
    while base and base % (2 * step) == 0 and base // (2 * step) * 3 >= 2 * FINEST:
        step *= 2
    low = max(least, base // 2 // step * step)
    return make_axis(name, range(max(low, least), max(2 * base, least + FINEST) + 1, step))


def search_lattice(
    session: Session,
    question: Question,
    axes: Sequence[SweepAxis],
    variables: Mapping[str, Known],
    limit: int,
) -> Search:
    """Searches the lattice of the axes.

    Raises:
        QuestionError: there are too many points, or nothing depends on an unknown.
        EvaluationError: the question has no value, as where a variable is not given.
        SpecError: the table cannot be counted.
        TooManyStructures: the points lead through too many structures of the table.
    """
    size = prod(len(one.values) for one in axes)
    if size > MAX_POINTS:
        lengths = " × ".join(f"{len(one.values):,}" for one in axes)
        raise QuestionError(
            f"{lengths} = {size:,} points are more than {MAX_POINTS:,}: give narrower ranges or"
            " larger steps, as in --within NAME=LOW:HIGH:STEP"
        )
    free = tuple(one.name for one in axes)
    bound = BoundQuestion(session, question, free, dict(variables))
    return Lattice(bound, tuple(axes), size).search(limit)


@dataclass
class Lattice:
    """One search; the arrays have an element for each point."""

    bound: BoundQuestion
    axes: tuple[SweepAxis, ...]
    size: int
    notes: dict[str, None] = field(default_factory=dict)
    structures: int = 0

    @property
    def session(self) -> Session:
        return self.bound.session

    @property
    def question(self) -> Question:
        return self.bound.question

    @cached_property
    def columns(self) -> Mapping[str, Array]:
        return make_columns(self.axes, 0, self.size)

    @cached_property
    def distance(self) -> Array:
        """How far each point is from the table's own values: the sum of the squared logarithms of
        the ratios."""
        found = np.zeros(self.size)
        for name, values in self.columns.items():
            own = self.bound.base[name]
            assert isinstance(own, int | float)
            ratio = np.log((values.astype(np.float64) + 1) / (float(own) + 1))
            found += ratio * ratio
        return found

    def search(self, limit: int) -> Search:
        self.refuse_strangers()
        allowed = self.find_allowed()
        gap = self.find_gaps(allowed)
        order = self.sort_points(np.flatnonzero(allowed))
        kept = gap[order]
        true = self.find_solutions(kept)
        solutions = order[true]
        points = tuple(
            point for at in solutions[:limit].tolist() if (point := self.confirm(at)) is not None
        )
        below = above = None
        if not len(solutions):
            below = self.find_nearest(order, kept, -1)
            above = self.find_nearest(order, kept, 1)
        return Search(
            self.question, self.bound.base, self.axes, self.size, len(order), len(solutions),
            points, below, above, self.structures, tuple(self.notes),
        )  # fmt: skip

    def refuse_strangers(self) -> None:
        """An unknown that nothing depends on would only multiply the solutions."""
        base = self.session.base
        decides = self.bound.isolate(find_structure(base, self.question.quantities))
        seen = {s for side in (*self.bound.write_sides(base), decides) for s in symbols(side)}
        for name in self.bound.params:
            if name not in seen:
                raise QuestionError(f"nothing in the question depends on `{name}`")

    def find_allowed(self) -> Array:
        """Where the table's rules hold."""
        left = np.arange(self.size)
        columns = self.columns
        for rule in self.session.rules(*self.bound.params) if self.bound.params else ():
            kept = vector.find_where(rule.condition, columns, len(left))
            if not kept.all():
                left = left[kept]
                columns = {name: values[kept] for name, values in columns.items()}
        found = np.zeros(self.size, dtype=np.bool_)
        found[left] = True
        return found

    def find_gaps(self, allowed: Array) -> Array:
        """left - right at every allowed point, each from the structure that is right there; points
        without a table are taken out of `allowed`."""
        result: Array = np.zeros(self.size, dtype=np.int64)
        waiting = np.flatnonzero(allowed)
        refused = 0
        while len(waiting):
            first = int(waiting[np.argmin(self.distance[waiting])])
            try:
                found = self.session.family.ledger_at(self.read_point(first))
            except SpecError as error:
                allowed[first] = False
                waiting = waiting[waiting != first]
                refused += 1
                if refused > MAX_REFUSED:
                    allowed[waiting] = False
                    self.notes[f"{len(waiting):,} points were not searched: for {MAX_REFUSED} of"
                               f" them there is no table: {error.diagnostics[0].message}"] = None  # fmt: skip
                    break
                continue
            self.structures += 1
            columns = {name: values[waiting] for name, values in self.columns.items()}
            condition = self.bound.isolate(find_structure(found, self.question.quantities))
            covered = np.array(vector.find_where(condition, columns, len(waiting)))
            covered[waiting == first] = True
            left, right = self.bound.write_sides(found)
            chosen = {name: values[covered] for name, values in columns.items()}
            values = self.evaluate(Apply("-", (left, right)), chosen, int(covered.sum()))
            if values.dtype == object and result.dtype != object:
                result = result.astype(object)
            result[waiting[covered]] = values
            waiting = waiting[~covered]
        return result

    def evaluate(self, difference: Expr, columns: Mapping[str, Array], size: int) -> Array:
        (found,) = vector.evaluate_all([self.bound.isolate(difference)], columns)
        if found.dtype.kind == "f":
            found = found.astype(object)
        return np.broadcast_to(found, (size,))

    def read_point(self, at: int) -> dict[str, Value]:
        """The values of the unknowns at a point."""
        found: dict[str, Value] = {}
        rest = at
        for one in reversed(self.axes):
            rest, place = divmod(rest, len(one.values))
            found[one.name] = one.values[place]
        return {one.name: found[one.name] for one in self.axes}

    def sort_points(self, points: Any) -> Any:
        """The points, nearest to the table first; equally near ones in the order of the lattice."""
        return points[np.argsort(self.distance[points], kind="stable")]

    def find_solutions(self, gap: Array) -> Any:
        compared = vector.find_where(Apply(self.question.op, (GAP, ZERO)), {"gap": gap}, len(gap))
        return np.asarray(compared)

    def find_nearest(self, order: Any, gap: Array, side: int) -> LatticePoint | None:
        """The point whose difference has the sign `side` and is least, the nearest such first."""
        places = np.flatnonzero((gap * side) > 0)
        if not len(places):
            return None
        best = places[np.argsort(np.abs(gap[places]), kind="stable")]
        for place in best[:MAX_REFUSED].tolist():
            point = self.confirm(int(order[place]))
            if point is not None:
                return point
        return None

    def confirm(self, at: int) -> LatticePoint | None:
        """The point with the sides that the table has when it is elaborated there."""
        changes = self.read_point(at)
        try:
            found = self.bound.confirm(changes)
        except EvaluationError as error:
            found = str(error)
        if isinstance(found, str):
            where = ", ".join(f"{name} = {value}" for name, value in changes.items())
            self.notes[f"{where}: {found}"] = None
            return None
        return LatticePoint(*found, changes)
