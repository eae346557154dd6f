"""Who decides the conditions that a check meets: a variant's values, or every possibility.

Note [Deciding]: a check runs once for a variant, where all conditions on params are decided and
those on indices stay open, or once for each reachable combination, where a fork explores both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from specgen.check.assumptions import Assumptions
from specgen.sizes.evaluate import EvaluationError, Value, evaluate, expression
from specgen.sizes.expr import LISTS, Apply, Expr, Sym, substitute, transform, walk


class Oracle(Protocol):
    def decide(self, condition: Expr) -> bool | None:
        """Whether the condition holds; None where it depends on an index."""

    def known(self) -> Assumptions:
        """What holds by the requirements and the conditions decided so far."""


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
    on an index that came out the same for all its values.
    """

    def __init__(
        self,
        values: Mapping[str, Value],
        lets: Mapping[str, Expr],
        assumptions: Assumptions,
    ) -> None:
        self.values = values
        self.constants = literals(values)
        self.lets = lets
        self.assumptions = assumptions
        self.taken: dict[Expr, bool] = {}
        self.bounded: dict[Expr, bool] = {}
        #: What was asked since this was last emptied, and the answers.
        self.asked: dict[Expr, bool | None] = {}
        #: The assumptions, and the first `counted` conditions that the values decided.
        self.facts = assumptions
        self.counted = 0

    def decide(self, condition: Expr) -> bool | None:
        self.asked[condition] = answer = self.answer(condition)
        return answer

    def answer(self, condition: Expr) -> bool | None:
        expanded = substitute(condition, self.lets)
        try:
            found = bool(evaluate(expanded, self.values))
        except EvaluationError:
            known = self.assumptions.decide(substitute(expanded, self.constants))
            if known is not None:
                self.bounded.setdefault(condition, known)
                for node in walk(expanded):
                    if isinstance(node, Sym) and node.kind in LISTS:
                        self.taken.setdefault(Apply("==", (node, self.constants[node.name])), True)
            return known
        self.taken.setdefault(condition, found)
        return found

    def known(self) -> Assumptions:
        new = list(self.taken.items())[self.counted :]
        for condition, value in new:
            self.facts = self.facts.assume(substitute(condition, self.lets), value) or self.facts
        self.counted += len(new)
        return self.facts


def literals(values: Mapping[str, Value]) -> dict[str, Expr]:
    """Known values as literals, to be put in the place of their names."""
    return {name: expression(value) for name, value in values.items()}


class ByForks:
    """Decides by assumptions; where they leave a choice, takes the path it is told to."""

    def __init__(self, assumptions: Assumptions, path: tuple[bool, ...]) -> None:
        self.assumptions = assumptions
        self.path = path
        self.made: list[bool] = []
        self.choices: list[Expr] = []

    def decide(self, condition: Expr) -> bool | None:
        known = self.assumptions.decide(condition)
        if known is not None:
            return known
        position = len(self.made)
        value = self.path[position] if position < len(self.path) else True
        assumed = self.assumptions.assume(condition, value)
        assert assumed is not None  # decide() found both values possible
        self.assumptions = assumed
        self.made.append(value)
        self.choices.append(condition)
        return value

    def known(self) -> Assumptions:
        return self.assumptions


#: More combinations than this are not explored; the check says so.
MAX_PATHS = 512


def explore(start: Assumptions, visit: Callable[[ByForks], None]) -> Iterator[ByForks]:
    """Calls `visit` with an oracle for each reachable combination of the conditions it meets."""
    pending: list[tuple[bool, ...]] = [()]
    visited = 0
    while pending and visited < MAX_PATHS:
        path = pending.pop()
        oracle = ByForks(start, path)
        visit(oracle)
        visited += 1
        pending.extend(
            (*oracle.made[:position], not oracle.made[position])
            for position in range(len(path), len(oracle.made))
        )
        yield oracle
