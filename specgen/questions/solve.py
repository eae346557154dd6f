"""One unknown of a table from a figure: which value of a param gives these parameters, this cache.

Exact over the integers, and every answer is confirmed by elaborating and counting the table that
it stands for.  Where no integer is a solution, the nearest on both sides say what is left over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from itertools import islice
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.expr.evaluate import EvaluationError, Value, holds
from specgen.expr.node import Apply, Const, Expr, Sym, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known
from specgen.frontend.values import MAX_SIZE
from specgen.questions.bound_question import BoundQuestion, Sides
from specgen.questions.equations.nearest import Near, find_nearest
from specgen.questions.equations.piecewise import RangeCutter, RangePiece, RangeStructure
from specgen.questions.equations.quotients import drop_cancelled
from specgen.questions.equations.zeros import Zeros, evaluate_at, find_zeros
from specgen.questions.question import (
    Exact,
    Question,
    QuestionError,
)
from specgen.questions.session import Session
from specgen.records import dataclass

#: Roots that are listed, and tables that are elaborated to confirm the answer of one side.
MAX_ROOTS: Final = 16
MAX_CONFIRMED: Final = 8

#: Values of a stretch of solutions that are looked at on each side for one that the table allows.
MAX_LOOKED_AT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Candidate(Sides):
    """A value of the unknown, and both sides of the question there."""

    value: Value


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A root of the formula for which there is no table, and why."""

    value: int
    reason: str


@dataclass(frozen=True, slots=True)
class Solution:
    """What was found for one unknown from `low` to `high`; both None where it is no number.

    `exact` are the values that make both sides equal.  `below` is the value whose left side is
    less than the right by the least, `above` the one whose left side is more by the least; None
    where there is none; both are only looked for where nothing is `exact`.  `excluded` are parts of
    the range without a table, and why; `notes` say what was not searched.
    """

    question: Question
    unknown: str
    base: Candidate
    low: int | None
    high: int | None
    exact: tuple[Candidate, ...]
    below: Candidate | None
    above: Candidate | None
    forbidden: tuple[Forbidden, ...] = ()
    methods: tuple[str, ...] = ()
    structures: int = 1
    excluded: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[Candidate, ...]:
        """The values that the question is true of and nearest to being an equation."""
        nearest = {"<": self.below, "<=": self.below, ">": self.above, ">=": self.above}
        if self.exact and self.question.op in ("==", "<=", ">="):
            return self.exact
        found = nearest.get(self.question.op)
        return () if found is None else (found,)


def solve_for(
    session: Session,
    question: Question,
    unknown: str,
    variables: Mapping[str, Known] | None = None,
    within: tuple[int, int] | None = None,
) -> Solution:
    """Solves a question for one param, or for one of the variables B, S, T.

    Raises:
        QuestionError: nothing depends on the unknown, or it is a real number or a list.
        EvaluationError: the question has no value, as where a variable is not given.
        SpecError: the table cannot be counted.
    """
    return Solver(BoundQuestion(session, question, (unknown,), dict(variables or {}))).solve(within)


@dataclass
class Solver:
    """Solves a question for one unknown."""

    bound: BoundQuestion
    refused: dict[int, str] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        return self.bound.session

    @property
    def question(self) -> Question:
        return self.bound.question

    @property
    def unknown(self) -> str:
        return self.bound.free[0]

    @cached_property
    def kind(self) -> str:
        """The kind of the unknown; `variable` for one that is no param."""
        return self.session.kinds.get(self.unknown, "variable")

    def depends(self, expr: Expr) -> bool:
        return self.unknown in symbols(expr)

    # ---- tables at other values

    def find_structure(self, found: Ledger, at: int) -> RangeStructure:
        """A ledger with the conditions, in the unknown alone, under which its forms are right."""
        quantities = [found.quantities[name] for name in self.question.quantities]
        conditions: list[Expr] = [*found.decided, *(a for q in quantities for a in q.assumptions)]
        own = dict.fromkeys(map(self.bound.isolate, conditions))
        if self.kind != "variable" and not all(q.closed for q in quantities):
            own[Apply("==", (Sym(self.unknown), Const(at)))] = None
        return RangeStructure(found, tuple(c for c in own if symbols(c) == {self.unknown}))

    @cached_property
    def rules(self) -> Mapping[Expr, str]:
        """What the table asks of the unknown, and what to say where that does not hold."""
        if self.kind == "variable":
            return {}
        return {rule.condition: rule.reason for rule in self.session.rules(self.unknown)}

    def find_fault(self, x: int) -> str | None:
        """Why there is no table at a value, as far as a look at the values tells."""
        if x in self.refused:
            return self.refused[x]
        at = {self.unknown: x}
        return next((why for rule, why in self.rules.items() if not holds(rule, at)), None)

    def elaborate(self, x: int) -> RangeStructure | str:
        found = self.session.build({self.unknown: x})
        return found if isinstance(found, str) else self.find_structure(found, x)

    def confirm(self, value: Value) -> Candidate | str:
        """The answer at a value, from the table elaborated there; or why there is no table."""
        found = self.bound.confirm({self.unknown: value})
        return found if isinstance(found, str) else Candidate(*found, value)

    # ---- solving

    def solve(self, within: tuple[int, int] | None) -> Solution:
        match self.kind:
            case "size" | "count" | "variable":
                return self.over_integers(within)
            case "flag":
                return self.over_choices((False, True))
            case "choice":
                param = next(
                    p for p in self.session.base.program.model.params if p.name == self.unknown
                )
                return self.over_choices(param.choices)
            case kind:
                raise QuestionError(
                    f"`{self.unknown}` is a {kind}: unknowns are whole numbers, flags and choices"
                )

    def answer_base(self) -> Candidate:
        """The question at the table's own values."""
        sides = self.bound.evaluate_at(self.session.base, self.bound.base)
        return Candidate(*sides, self.bound.base[self.unknown])

    def over_choices(self, choices: tuple[str | bool, ...]) -> Solution:
        """A flag or a choice: each of its values is a table."""
        base = self.answer_base()
        found: list[Candidate] = []
        for choice in choices:
            answer = self.confirm(choice)
            if isinstance(answer, str):
                self.notes[f"{self.unknown} = {choice}: {answer}"] = None
            else:
                found.append(answer)
        if len(found) > 1 and len({(answer.left, answer.right) for answer in found}) == 1:
            raise self.refuse_independent()
        return Solution(
            self.question, self.unknown, base, None, None,
            tuple(a for a in found if a.left == a.right),
            max((a for a in found if a.left < a.right), key=measure_gap, default=None),
            min((a for a in found if a.left > a.right), key=measure_gap, default=None),
            methods=("every value",), structures=len(found), notes=tuple(self.notes),
        )  # fmt: skip

    def refuse_independent(self) -> QuestionError:
        return QuestionError(f"nothing in the question depends on `{self.unknown}`")

    def over_integers(self, within: tuple[int, int] | None) -> Solution:
        low, high = within or (0 if self.kind == "count" else 1, MAX_SIZE)
        base = self.answer_base()
        pieces = self.cut_range(low, high, base)
        pieces = [self.require_sides(piece) for piece in pieces]
        exprs = {
            id(p.structure): drop_cancelled(
                self.bound.write_difference(p.structure.found), self.unknown
            )
            for p in pieces
            if p.structure
        }
        if len({*exprs.values()}) <= 1 and not any(map(self.depends, exprs.values())):
            raise self.refuse_independent()
        methods: dict[str, None] = {}
        roots: list[int] = []
        near: list[Near] = []
        for piece in pieces:
            if piece.structure is None:
                continue
            expr = exprs[id(piece.structure)]
            found = self.find_zeros(expr, piece, require_int(base.value))
            methods[found.method] = None
            if not found.complete:
                self.notes[f"of {write_ends(piece)}: {found.method} was tried"] = None
            roots += found.roots
            for same in found.stretches:
                if len(same) > 2:
                    self.notes[say_every(same)] = None
                    if allowed := list(self.list_allowed(same, require_int(base.value))):
                        roots = [x for x in roots if x not in (same[0], same[-1])] + allowed
            near += [Near(x, step, piece.low, piece.high, expr) for x, step in found.near]
        exact_ones, forbidden = self.confirm_roots(sorted(roots, key=measure_from(base.value)))
        forbidden += self.find_forbidden(pieces)
        settled = exact_ones and self.question.op not in ("<", ">")
        return Solution(
            self.question, self.unknown, base, low, high, tuple(exact_ones),
            None if settled else self.find_nearest(near, -1),
            None if settled else self.find_nearest(near, 1),
            tuple(sorted(forbidden, key=lambda f: f.value)),
            tuple(methods), len(exprs),
            tuple((write_ends(p), p.reason or "") for p in pieces if p.structure is None),
            tuple(self.notes),
        )  # fmt: skip

    def list_allowed(self, same: range, base: int) -> Iterator[int]:
        """The solutions of a stretch that the table allows nearest to its own value: one below or
        there, and one above."""
        middle = min(max((base - same[0]) // same.step, 0), len(same) - 1)
        down = range(middle, max(middle - MAX_LOOKED_AT, -1), -1)
        up = range(middle + 1, min(middle + 1 + MAX_LOOKED_AT, len(same)))
        for steps in (down, up):
            yield from islice((same[k] for k in steps if self.find_fault(same[k]) is None), 1)

    def cut_range(self, low: int, high: int, base: Candidate) -> list[RangePiece]:
        if self.kind == "variable":
            return [RangePiece(low, high, RangeStructure(self.session.base, ()))]
        assert isinstance(base.value, int)
        cutter = RangeCutter(
            self.unknown,
            self.find_fault,
            self.elaborate,
            [self.find_structure(self.session.base, base.value)],
        )
        found = cutter.cut(low, high, self.rules, base.value)
        for condition in cutter.irregular:
            if condition not in self.rules:
                shown = to_text(condition, TABLE)
                self.notes[f"`{shown}` decides the table's rows and changes from value to value:"
                           " answers are confirmed, but there may be others"] = None  # fmt: skip
        return found

    def require_sides(self, piece: RangePiece) -> RangePiece:
        """The piece, without a table where its table lacks a quantity that is asked for."""
        if piece.structure is None:
            return piece
        try:
            self.bound.write_sides(piece.structure.found)
        except QuestionError as error:
            return RangePiece(piece.low, piece.high, None, str(error))
        return piece

    def find_zeros(self, expr: Expr, piece: RangePiece, base: int) -> Zeros:
        """Where the difference is zero on a piece; one of its values where it is everywhere."""
        closest = min(max(base, piece.low), piece.high)
        if self.unknown in symbols(expr):
            try:
                return find_zeros(expr, self.unknown, piece.low, piece.high, closest)
            except ValueError:
                pass
        everywhere = self.unknown in symbols(expr) or evaluate_at(expr, self.unknown, closest) == 0
        if everywhere and piece.low < piece.high:
            self.notes[say_every(range(piece.low, piece.high + 1))] = None
        method = "the same for all values"
        return Zeros((closest,) if everywhere else (), ((closest, 1),), method)

    def confirm_roots(self, roots: list[int]) -> tuple[list[Candidate], list[Forbidden]]:
        """The roots for which there is a table, and those for which there is none."""
        answers: list[Candidate] = []
        forbidden: list[Forbidden] = []
        for x in roots:
            if len(answers) + len(forbidden) >= MAX_ROOTS:
                self.notes[f"more than {MAX_ROOTS} roots: those nearest to the table's value"] = (
                    None
                )
                break
            found = self.find_fault(x) or self.confirm(x)
            if isinstance(found, str):
                forbidden.append(Forbidden(x, found))
            elif found.left == found.right:
                answers.append(found)
        return answers, forbidden

    def find_forbidden(self, pieces: list[RangePiece]) -> list[Forbidden]:
        """Roots of the table's own formula where its rules leave no table."""
        expr = self.bound.write_difference(self.session.base)
        found: list[Forbidden] = []
        for piece in pieces:
            if piece.structure is None and self.unknown in symbols(expr):
                try:
                    roots = find_zeros(expr, self.unknown, piece.low, piece.high).roots
                except (ValueError, EvaluationError):
                    continue
                found += [Forbidden(x, self.find_fault(x) or piece.reason or "") for x in roots[:2]]
        return found

    def find_nearest(self, near: list[Near], side: int) -> Candidate | None:
        """The value whose difference has the sign `side` and is nearest to zero."""
        for _ in range(MAX_CONFIRMED):
            x = find_nearest(near, self.unknown, side, lambda x: self.find_fault(x) is None)
            if x is None:
                return None
            found = self.confirm(x)
            if isinstance(found, Candidate):
                if measure_gap(found) * side > 0:
                    return found
                found = "the table has another structure there"
            self.refused[x] = found
        self.notes["the nearest values are those of tables that do not exist"] = None
        return None


def measure_gap(answer: Candidate) -> Exact:
    return answer.left - answer.right


def write_ends(piece: RangePiece) -> str:
    return str(piece.low) if piece.low == piece.high else f"{piece.low:,} to {piece.high:,}"


def say_every(values: range) -> str:
    """What to say of a stretch of solutions of which only some are listed."""
    which = "every value" if values.step == 1 else f"every value by {values.step}"
    return f"{which} from {values[0]:,} to {values[-1]:,} that the table allows is a solution"


def measure_from(base: Value) -> Callable[[Value], int]:
    """The distance of a value from the table's own."""
    return lambda value: abs(require_int(value) - require_int(base))


def require_int(value: Value) -> int:
    assert isinstance(value, int)
    return value
