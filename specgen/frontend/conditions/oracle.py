"""Who decides the conditions that a check meets: a variant's values, or every possibility.

Note [Deciding]: a check runs once for a variant, where all conditions on params are decided and
those on indices stay open, or once for each reachable combination, where a fork explores both.
Each side of a branch on an open condition is typed where that condition is known: rows that exist
only under it are there.  Where the two sides do not fit what surrounds them, the whole body is typed
once for each (`specgen.frontend.dataflow.bodies`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from specgen.expr.assumptions import Assumptions, Literal, said
from specgen.expr.evaluate import EvaluationError, Value, evaluate, expression
from specgen.expr.node import (
    LISTS,
    Apply,
    Expr,
    Sym,
    disjunction,
    negation,
    substitute,
    transform,
    walk,
)

#: What is asked: on which side of the open conditions of a body, and which condition.
Asked = tuple[tuple[Literal, ...], Expr]


class Oracle(Protocol):
    def decide(self, condition: Expr) -> bool | None:
        """Whether the condition holds; None where it depends on an index."""

    def known(self) -> Assumptions:
        """What holds by the requirements and the conditions decided so far."""

    def under(self, condition: Expr, value: bool) -> Oracle:
        """Who decides where a condition that is open here holds, or does not."""


def simplified(expr: Expr, oracle: Oracle) -> Expr:
    """The expression without the choices that the oracle can make."""

    def rule(node: Expr) -> Expr:
        if isinstance(node, Apply) and node.op == "cond":
            known = oracle.decide(node.args[0])
            if known is not None:
                return node.args[1 if known else 2]
        return node

    return transform(expr, rule)


class ByValues:
    """Decides by a variant's values, and by what is assumed of indices.

    `taken` are the conditions that the values decided, and what they took lists to be: which
    values of an index a list has is not a condition on params alone.  `bounded` are conditions
    on an index that came out the same for all its values.  On one side of a branch (`under`)
    both, and what was asked, are those of the body: `path` says which side it is.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        lets: Mapping[str, Expr],
        assumptions: Assumptions,
        outer: ByValues | None = None,
        path: tuple[Literal, ...] = (),
    ) -> None:
        self.values = values
        self.constants: Mapping[str, Expr] = literals(values) if outer is None else outer.constants
        self.lets = lets
        self.assumptions = assumptions
        self.outer = outer
        self.path = path
        self.sides: dict[Literal, ByValues] = {}
        self.taken: dict[Expr, bool] = {} if outer is None else outer.taken
        self.bounded: dict[Expr, bool] = {} if outer is None else outer.bounded
        #: What was asked since this was last emptied, on which side, and the answers.
        self.asked: dict[Asked, bool | None] = {} if outer is None else outer.asked
        #: The assumptions, and the first `counted` conditions that the values decided.
        self.facts = assumptions
        self.counted = 0

    def decide(self, condition: Expr) -> bool | None:
        self.asked[self.path, condition] = answer = self.answer(condition)
        return answer

    def forget(self) -> None:
        """Begins to remember anew what is asked."""
        self.asked = {}
        self.sides.clear()

    def left_open(self) -> Iterator[Expr]:
        """The conditions that were asked here and are open."""
        for (path, condition), answer in self.asked.items():
            if path == self.path and answer is None:
                yield condition

    def answer(self, condition: Expr) -> bool | None:
        expanded = substitute(condition, self.lets)
        try:
            found = bool(evaluate(expanded, self.values))
        except EvaluationError:
            known = self.implied(expanded)
            if known is not None:
                self.hold_for_all(condition, known)
            return known
        self.taken.setdefault(condition, found)
        return found

    def implied(self, expanded: Expr) -> bool | None:
        """Whether a condition on an index holds by what is assumed of it."""
        return self.assumptions.decide(substitute(expanded, self.constants))

    def hold_for_all(self, condition: Expr, known: bool) -> None:
        """Remembers that a condition came out the same for all values of an index here."""
        if self.outer is not None:
            expanded = substitute(condition, self.lets)
            if self.outer.implied(expanded) is not None:
                self.outer.hold_for_all(condition, known)
                return
            side = (said(*literal) for literal in self.path)
            condition, known = disjunction(*map(negation, side), said(condition, known)), True
        self.bounded.setdefault(condition, known)
        for node in walk(substitute(condition, self.lets)):
            if isinstance(node, Sym) and node.kind in LISTS:
                self.taken.setdefault(Apply("==", (node, self.constants[node.name])), True)

    def known(self) -> Assumptions:
        new = list(self.taken.items())[self.counted :]
        for condition, value in new:
            self.facts = self.facts.assume(substitute(condition, self.lets), value) or self.facts
        self.counted += len(new)
        return self.facts

    def under(self, condition: Expr, value: bool) -> ByValues:
        side = (condition, value)
        if side not in self.sides:
            # As the table says it, which is what sizes are compared by, and with the values put in.
            expanded = substitute(condition, self.lets)
            facts = self.assumptions
            for fact in (expanded, substitute(expanded, self.constants)):
                facts = facts.assume(fact, value) or facts
            self.sides[side] = ByValues(self.values, self.lets, facts, self, (*self.path, side))
        return self.sides[side]

    def at(self, path: tuple[Literal, ...]) -> ByValues:
        """The side of a body that a path of open conditions leads to."""
        found = self
        for condition, value in path:
            found = found.under(condition, value)
        return found


def literals(values: Mapping[str, Value]) -> dict[str, Expr]:
    """Known values as literals, to be put in the place of their names."""
    return {name: expression(value) for name, value in values.items()}


class Fork:
    """What is known where a path through a body has come to, and what was decided there.

    Paths have beginnings in common, and what one of them asked, the others ask again: of a chain
    of `else if`, each path all conditions before its own.  They are decided once.
    """

    def __init__(self, assumptions: Assumptions) -> None:
        self.assumptions = assumptions
        #: Conditions that the assumptions decide.
        self.known: dict[Expr, bool] = {}
        #: Both sides of conditions that they leave open.
        self.sides: dict[Expr, tuple[Fork, Fork]] = {}

    def decide(self, condition: Expr) -> bool | None:
        if condition in self.sides:
            return None
        if condition not in self.known:
            without, within = self.assumptions.sides(condition)
            if without is not None and within is not None:
                self.sides[condition] = Fork(without), Fork(within)
                return None
            self.known[condition] = without is None
        return self.known[condition]


class ByForks:
    """Decides by assumptions; where they leave a choice, takes the path it is told to."""

    def __init__(self, start: Fork, path: tuple[bool, ...]) -> None:
        self.at = start
        self.path = path
        self.made: list[bool] = []

    def decide(self, condition: Expr) -> bool | None:
        known = self.at.decide(condition)
        if known is not None:
            return known
        position = len(self.made)
        value = self.path[position] if position < len(self.path) else True
        self.at = self.at.sides[condition][value]
        self.made.append(value)
        return value

    def known(self) -> Assumptions:
        return self.at.assumptions

    def under(self, condition: Expr, value: bool) -> ByForks:
        """This one: it leaves nothing open."""
        return self


#: More combinations than this are not explored; the check says so.
MAX_PATHS = 512


def explore(start: Assumptions, visit: Callable[[ByForks], None]) -> Iterator[ByForks]:
    """Calls `visit` with an oracle for each reachable combination of the conditions it meets."""
    pending: list[tuple[bool, ...]] = [()]
    beginning = Fork(start)
    visited = 0
    while pending and visited < MAX_PATHS:
        path = pending.pop()
        oracle = ByForks(beginning, path)
        visit(oracle)
        visited += 1
        pending.extend(
            (*oracle.made[:position], not oracle.made[position])
            for position in range(len(path), len(oracle.made))
        )
        yield oracle
