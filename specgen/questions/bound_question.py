"""A question in the names that are free: both its sides, and the tables at values of those names.

Knows questions and sessions; not how answers are found.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from specgen.analysis.quantities.ledger import Ledger
from specgen.expr.evaluate import Value, evaluate
from specgen.expr.node import Apply, Expr
from specgen.expr.simplify import Known, fold
from specgen.questions.question import (
    Exact,
    Question,
    QuestionError,
    reduce_fraction,
    require_number,
    require_value,
    write_in_params,
)
from specgen.questions.session import Session
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a question somewhere."""

    left: Exact
    right: Exact

    @property
    def left_over(self) -> Exact:
        """right - left."""
        return reduce_fraction(self.right - self.left)


@dataclass(frozen=True)
class BoundQuestion:
    """A question of an session; `free` are its unknowns, `variables` what B, S, T are."""

    session: Session
    question: Question
    free: tuple[str, ...]
    variables: Mapping[str, Known]

    @cached_property
    def params(self) -> tuple[str, ...]:
        """The unknowns that are params; the others are variables."""
        return tuple(name for name in self.free if name in self.session.params)

    @cached_property
    def names(self) -> Mapping[str, Known]:
        """Every other name: its value, or what it follows."""
        given = {name: known for name, known in self.variables.items() if name not in self.free}
        return {**given, **self.session.names(*self.params)}

    @cached_property
    def base(self) -> Mapping[str, Value]:
        """The values of the unknowns in the table; of a variable, the one given or 1."""
        return {
            name: self.session.params.get(name, require_value(self.variables.get(name, 1)))
            for name in self.free
        }

    def isolate(self, expr: Expr) -> Expr:
        """An expression in params, lets and variables, in the unknowns alone."""
        return fold(expr, self.names, self.free)

    def write_sides(self, found: Ledger) -> tuple[Expr, Expr]:
        """Both sides of the question as a ledger has them, in the unknowns alone.

        Raises:
            QuestionError: the table does not have a quantity that is asked for.
        """
        left = write_in_params(self.question.left, found, self.session)
        right = write_in_params(self.question.right, found, self.session)
        return self.isolate(left), self.isolate(right)

    def write_difference(self, found: Ledger) -> Expr:
        """left - right."""
        return self.isolate(Apply("-", self.write_sides(found)))

    def evaluate_at(self, found: Ledger, values: Mapping[str, Value]) -> tuple[Exact, Exact]:
        """Both sides at values of the unknowns.

        Raises:
            EvaluationError: one of them has no value there.
            QuestionError: one of them is no number.
        """
        left, right = (
            reduce_fraction(require_number(evaluate(s, values))) for s in self.write_sides(found)
        )
        return left, right

    def confirm(self, values: Mapping[str, Value]) -> tuple[Exact, Exact] | str:
        """Both sides from the table elaborated and counted for these values; or why there is none.

        Raises:
            EvaluationError: as `at`.
        """
        changes = {name: value for name, value in values.items() if name in self.params}
        found = self.session.build(changes)
        if isinstance(found, str):
            return found
        try:
            return self.evaluate_at(found, values)
        except QuestionError as error:
            return str(error)
