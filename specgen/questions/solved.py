"""What `solve` found, as text for a terminal and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeVar

from specgen.expr.evaluate import Value, describe, plain
from specgen.expr.node import symbols
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known
from specgen.frontend.values import MAX_SIZE
from specgen.ir.model import Program
from specgen.questions.answers import known_in_json, list_unseen, write_known
from specgen.questions.bound_question import Sides
from specgen.questions.lattice import LatticePoint, Search
from specgen.questions.points import SweepAxis
from specgen.questions.question import Exact
from specgen.questions.sheet import Sheet
from specgen.questions.solve import Candidate, Solution
from specgen.records import dataclass
from specgen.text import markdown
from specgen.text.json_text import json_text

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AskedTable:
    """The table that was asked, and the values of what the question leaves open."""

    program: Program
    variables: Mapping[str, Known]

    def named(self, text: str) -> dict[str, Any]:
        return {
            "spec": self.program.name,
            "variant": self.program.variant,
            "question": text,
            "variables": {name: known_in_json(known) for name, known in self.variables.items()},
        }

    def heading(self, text: str, unknowns: Sequence[str]) -> str:
        at = ", ".join(f"{name} = {write_known(known)}" for name, known in self.variables.items())
        given = f", with {at}" if at else ""
        return f"{text} for {', '.join(unknowns)} of {self.program.label}{given}"


def write_number(value: Exact) -> str:
    """A number with its digits in groups; one that is not whole is rounded, JSON has it in full."""
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.9g}"


def number_in_json(value: Exact) -> int | str:
    return str(value) if isinstance(value, Fraction) else value


def print_lines(lines: Sequence[str]) -> str:
    return "".join(f"{markdown.visible(line).rstrip()}\n" for line in lines)


def state_side(left: str, answer: Sides) -> str:
    """The left side there, and by how much it misses the right one."""
    rest: Exact = answer.left_over
    shown = f"{left} = {write_number(answer.left)}"
    if rest == 0:
        return shown
    return f"{shown}; {write_number(rest if rest > 0 else -rest)} {'less' if rest > 0 else 'more'} than {write_number(answer.right)}"


# ---- one unknown -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SolutionAnswer:
    """What was found for one unknown, and what was asked."""

    found: Solution
    context: AskedTable

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        found = self.found
        return {
            **self.context.named(found.question.text),
            "for": [found.unknown],
            "range": None if found.low is None else [found.low, found.high],
            "base": describe_answer(found.base),
            "answers": [describe_answer(answer) for answer in found.answers],
            "exact": bool(found.exact),
            "below": describe_answer(found.below),
            "above": describe_answer(found.above),
            "forbidden": [{"value": f.value, "reason": f.reason} for f in found.forbidden],
            "excluded": [{"where": where, "reason": why} for where, why in found.excluded],
            "methods": list(found.methods),
            "structures": found.structures,
            "notes": list(found.notes),
        }

    @property
    def sheet(self) -> Sheet:
        """A row for each value, and how near it comes."""
        name = self.found.unknown
        rows = [(answer, "exact") for answer in self.found.exact]
        rows += list_nearest(self.found.below, self.found.above)
        columns: dict[str, Sequence[Value]] = {name: [answer.value for answer, _ in rows]}
        forbidden = [f"{name} = {f.value} is no table: {f.reason}" for f in self.found.forbidden]
        return Sheet(
            {**columns, **make_side_columns(rows)},
            frozenset({name}),
            (*forbidden, *self.found.notes),
        )

    def render(self, form: str) -> bytes:
        """The answer as text or as JSON."""
        if form == "json":
            return json_text(self.document).encode()
        return self.write().encode()

    def write(self) -> str:
        """The answers, or the nearest values on both sides, then what was left out."""
        found = self.found
        name = found.unknown
        left = to_text(found.question.left, TABLE)
        lines = [self.context.heading(found.question.text, [name])]

        def add(label: str, answer: Candidate) -> None:
            lines.extend(
                [f"{label}{name} = {describe(answer.value)}", f"  {state_side(left, answer)}"]
            )

        for answer in found.answers:
            add("", answer)
        if not found.answers:
            lines.append(state_range(found))
        for label, nearest in (("below: ", found.below), ("above: ", found.above)):
            if nearest is not None and nearest not in found.answers:
                add("next: " if found.answers else label, nearest)
        if found.base not in found.answers:
            add(
                "the table: " if name in self.context.program.values else "for comparison: ",
                found.base,
            )
        lines += [f"not {name} = {f.value}: {f.reason}" for f in found.forbidden]
        if not found.exact:
            lines += [f"not {name} {where}: {why}" for where, why in found.excluded]
        lines += [f"note: {note}" for note in found.notes]
        lines += list_unseen(self.context.program, sorted(symbols(found.question.left)))
        return print_lines(lines)


def list_nearest(below: T | None, above: T | None) -> list[tuple[T, str]]:
    sides = ((below, "below"), (above, "above"))
    return [(found, word) for found, word in sides if found is not None]


def make_side_columns(rows: Sequence[tuple[Sides, str]]) -> dict[str, Sequence[Value]]:
    """Both sides of the question, and how near they come."""
    return {
        "is": [word for _, word in rows],
        "left": [found.left for found, _ in rows],
        "right": [found.right for found, _ in rows],
        "left over": [found.left_over for found, _ in rows],
    }


def state_range(found: Solution) -> str:
    if found.low is None or found.high is None:
        return "no solution"
    if found.high == MAX_SIZE:
        return f"no integer solution from {found.low:,} on"
    return f"no integer solution from {found.low:,} to {found.high:,}"


def describe_answer(answer: Candidate | None) -> dict[str, Any] | None:
    return None if answer is None else {"value": plain(answer.value), **describe_sides(answer)}


def describe_sides(answer: Sides) -> dict[str, Any]:
    return {
        "left": number_in_json(answer.left),
        "right": number_in_json(answer.right),
        "left_over": number_in_json(answer.left_over),
    }


# ---- several unknowns ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a lattice holds, and what was asked."""

    found: Search
    context: AskedTable

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        found = self.found
        return {
            **self.context.named(found.question.text),
            "for": list(found.base),
            "base": {name: plain(value) for name, value in found.base.items()},
            "points": found.size,
            "tables": found.allowed,
            "solutions": found.found,
            "searched": {one.name: write_axis(one) for one in found.axes},
            "answers": [describe_point(point) for point in found.points],
            "below": None if found.below is None else describe_point(found.below),
            "above": None if found.above is None else describe_point(found.above),
            "structures": found.structures,
            "notes": list(found.notes),
        }

    @property
    def sheet(self) -> Sheet:
        """A row for each point, and how near it comes."""
        found = self.found
        rows = [(point, "exact") for point in found.points]
        rows += list_nearest(found.below, found.above)
        columns: dict[str, Sequence[Value]] = {
            name: [point.values[name] for point, _ in rows] for name in found.base
        }
        counts = f"{found.found:,} of {found.allowed:,} tables, {found.size:,} points"
        return Sheet(
            {**columns, **make_side_columns(rows)}, frozenset(found.base), (counts, *found.notes)
        )

    def render(self, form: str) -> bytes:
        """The answer as text or as JSON."""
        if form == "json":
            return json_text(self.document).encode()
        return self.write().encode()

    def write(self) -> str:
        """The points in columns, nearest to the table first; then what was searched."""
        found = self.found
        names = list(found.base)
        lines = [self.context.heading(found.question.text, names)]
        if not found.points:
            lines.append("no solution among the points searched; the nearest on both sides:")
        cells = [(*names, to_text(found.question.left, TABLE), "left over", "")]
        cells += [write_row(point, names, "") for point in found.points]
        cells += [write_row(found.below, names, "below")] if found.below is not None else []
        cells += [write_row(found.above, names, "above")] if found.above is not None else []
        cells.append((*(describe(found.base[name]) for name in names), "", "", "the table"))
        widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]) - 1)]
        for *columns, label in cells:
            aligned = (f"{cell:>{width}}" for cell, width in zip(columns, widths, strict=True))
            lines.append("  ".join([*aligned, label]))
        lines += [*list_searched(found), *(f"note: {note}" for note in found.notes)]
        return print_lines(lines)


def write_row(point: LatticePoint, names: Sequence[str], label: str) -> tuple[str, ...]:
    values = (describe(point.values[name]) for name in names)
    return (*values, write_number(point.left), write_number(point.left_over), label)


def list_searched(found: Search) -> Iterator[str]:
    solutions = f"{found.found:,} solution{'' if found.found == 1 else 's'}"
    yield f"{solutions} among {found.allowed:,} tables of {found.size:,} points; searched:"
    for one in found.axes:
        yield f"  {one.name} {write_axis(one)}"


def write_axis(one: SweepAxis) -> str:
    """An axis in words: a range with its step, or its values."""
    values = [v for v in one.values if isinstance(v, int) and not isinstance(v, bool)]
    if len(values) == len(one.values) > 2:
        step = values[1] - values[0]
        if all(b - a == step for a, b in pairwise(values)):
            return f"{values[0]} to {values[-1]}" + ("" if step == 1 else f" by {step}")
    shown = [describe(v) for v in one.values[:8]]
    return ", ".join([*shown, "…"] if len(one.values) > 8 else shown)


def describe_point(point: LatticePoint) -> dict[str, Any]:
    values = {name: plain(value) for name, value in point.values.items()}
    return {"values": values, **describe_sides(point)}
