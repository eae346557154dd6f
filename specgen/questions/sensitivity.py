"""How a quantity moves with each param: elasticities d ln Q / d ln p, exact where it is a polynomial,
and the effect of one step to the next value that the table allows.

Knows sessions and closed forms; nothing of output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.expr.evaluate import EvaluationError, Value, exact_fraction, holds
from specgen.expr.node import Expr, conjunction, symbols
from specgen.expr.simplify import Known, fold
from specgen.frontend.values import MAX_SIZE
from specgen.questions.equations.quotients import (
    NotPolynomial,
    Quotient,
    differentiate,
    drop_cancelled,
    read_quotient,
)
from specgen.questions.equations.zeros import evaluate_at
from specgen.questions.question import Exact, QuestionError, reduce_fraction
from specgen.questions.session import WHOLE, Session
from specgen.records import dataclass

#: Values that are looked at to find the next one that the table allows, and tables that are
#: elaborated in vain.
MAX_WALK: Final = 8192
MAX_REFUSED: Final = 4


@dataclass(frozen=True, slots=True)
class ParamStep:
    """The param at another value, and the quantity there."""

    to: int | float
    quantity: Exact


@dataclass(frozen=True, slots=True)
class Influence:
    """What a param, or a variable, does to the quantity around the table's own values.

    `elasticity` is that of the closed form where that is a polynomial (`exact`), else from the
    two ends of the step; None where there is neither, as at 0.  `follow` are the params that
    move with it.  `step` is None where the table allows no other value nearby.
    """

    name: str
    value: Value
    elasticity: Fraction | None
    exact: bool
    step: ParamStep | None
    follow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The influences on a quantity, the strongest first; `without` are numbers that have none, and
    `other` the params that are no numbers."""

    quantity: str
    value: Exact
    relative: Fraction
    influences: tuple[Influence, ...]
    without: tuple[str, ...]
    other: tuple[str, ...]


def find_elasticity(form: Quotient, at: Fraction) -> Fraction | None:
    """d ln Q / d ln p of a closed form Q at p, None where it has none."""
    slope = differentiate(form, at)
    return None if at == 0 or slope is None else at * slope


def find_influences(
    session: Session, quantity: str, variables: Mapping[str, Value], relative: Fraction
) -> Sensitivity:
    """The influence of every numeric param on a quantity, and of the variables that it leaves open.

    A step is to the nearest allowed value that is further than `relative` times the value, upwards
    if there is one.

    Raises:
        QuestionError: the table does not have the quantity, or it is 0.
        SpecError: the table cannot be counted.
    """
    return InfluenceSearch(session, quantity, variables, relative).find_all()


@dataclass(frozen=True)
class InfluenceSearch:
    """One question for the influences on a quantity."""

    session: Session
    quantity: str
    variables: Mapping[str, Value]
    relative: Fraction

    def find_all(self) -> Sensitivity:
        own = self.find_form(self.session.base)
        value = reduce_fraction(evaluate_at(fold(own, self.list_names("")), "", 0))
        if value == 0:
            raise QuestionError(f"{self.quantity} is 0: nothing changes it in proportion")
        names = [n for n, kind in self.session.kinds.items() if kind in WHOLE or kind == "real"]
        open_names = [n for n in self.variables if n in symbols(own)]
        found = [
            one for n in (*names, *open_names) if (one := self.find_influence(n, value)) is not None
        ]
        found.sort(key=lambda one: rank_influence(one, value), reverse=True)
        seen = {one.name for one in found}
        return Sensitivity(
            self.quantity,
            value,
            self.relative,
            tuple(found),
            tuple(name for name in names if name not in seen),
            tuple(name for name in self.session.kinds if name not in names),
        )

    # ---- closed forms

    def find_form(self, found: Ledger) -> Expr:
        """The quantity in params, lets and variables."""
        quantity = found.quantities[self.quantity]
        if quantity.expr is None:
            raise QuestionError(f"{self.quantity} has no value: {quantity.absent}")
        return quantity.expr

    def list_names(self, free: str) -> Mapping[str, Known]:
        """Every name but one, for `fold`."""
        moving = [free] if free in self.session.params else []
        return {**self.variables, **self.session.names(*moving)}

    def isolate(self, expr: Expr, name: str) -> Expr:
        return fold(expr, self.list_names(name), (name,))

    def find_conditions(self, name: str) -> Expr:
        """The conditions, in the name alone, under which the table's own form is right."""
        found = self.session.base
        every = (*found.decided, *found.quantities[self.quantity].assumptions)
        alone = (self.isolate(condition, name) for condition in every)
        return conjunction(*(c for c in dict.fromkeys(alone) if name in symbols(c)))

    # ---- one influence

    def find_influence(self, name: str, value: Exact) -> Influence | None:
        """What a name does to the quantity; None where it does nothing."""
        form = drop_cancelled(self.isolate(self.find_form(self.session.base), name), name)
        own = self.session.params.get(name, self.variables.get(name))
        conditions = self.find_conditions(name) if name in self.session.params else conjunction()
        moves = name in symbols(form)
        if not moves and not symbols(conditions):
            return None
        assert isinstance(own, int | float | Fraction)
        step = self.find_step(name, exact_fraction(own), form, conditions)
        if not moves and (step is None or step.quantity == value):
            return None
        follow = tuple(self.session.followers(name)) if name in self.session.params else ()
        try:
            quotient = read_quotient(form, name)
            if not quotient.is_of_powers:
                raise NotPolynomial
            found = find_elasticity(quotient, exact_fraction(own))
            return Influence(name, own, found if moves else None, moves, step, follow)
        except NotPolynomial:
            return Influence(
                name,
                own,
                estimate_elasticity(exact_fraction(own), value, step),
                False,
                step,
                follow,
            )

    def find_step(self, name: str, own: Fraction, form: Expr, conditions: Expr) -> ParamStep | None:
        """The nearest allowed value a step away, and the quantity there."""
        rules = self.session.rules(name) if name in self.session.params else ()
        refused = 0
        for x in self.list_candidates(name, own):
            at: dict[str, Value] = {name: x}
            if not all(holds(rule.condition, at) for rule in rules):
                continue
            if name not in self.session.params or holds(conditions, at):
                try:
                    return ParamStep(x, reduce_fraction(evaluate_at(form, name, x)))
                except EvaluationError:
                    continue
            built = self.session.build(at)
            if isinstance(built, Ledger):
                quantity = built.quantities[self.quantity]
                if quantity.expr is None:
                    return None
                there = self.isolate(quantity.expr, name)
                return ParamStep(x, reduce_fraction(evaluate_at(there, name, x)))
            refused += 1
            if refused == MAX_REFUSED:
                return None
        return None

    def list_candidates(self, name: str, own: Fraction) -> Iterator[int | float]:
        """Values at least a step away, upwards first, the nearest first."""
        kind = self.session.kinds.get(name, "count")
        if kind == "real":
            yield float(own * (1 + self.relative))
            return
        first = max(1, ceil(abs(own) * self.relative))
        for direction in (1, -1):
            for distance in range(first, first + MAX_WALK):
                x = int(own) + direction * distance
                if not (0 if kind == "count" else 1) <= x <= MAX_SIZE:
                    break
                yield x


def estimate_elasticity(own: Fraction, value: Exact, step: ParamStep | None) -> Fraction | None:
    """The elasticity between the two ends of a step."""
    if step is None or own == 0:
        return None
    return Fraction(step.quantity - value) / value / ((exact_fraction(step.to) - own) / own)


def rank_influence(one: Influence, value: Exact) -> tuple[bool, Fraction]:
    """What influences are sorted by; those without an elasticity come last."""
    if one.elasticity is not None:
        return True, abs(one.elasticity)
    change = Fraction(0) if one.step is None else abs(Fraction(one.step.quantity - value) / value)
    return False, change
