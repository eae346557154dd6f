"""What `solve` found, as text for a terminal and as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from specgen.expr.evaluate import describe, plain
from specgen.expr.node import symbols
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known
from specgen.frontend.values import MAX_SIZE
from specgen.ir.model import Program
from specgen.questions.answers import in_json, known_text, unseen
from specgen.questions.lattice import Point, Search
from specgen.questions.points import Axis
from specgen.questions.question import Exact
from specgen.questions.solve import Answer, Solution
from specgen.records import dataclass
from specgen.text import markdown
from specgen.text.json_text import json_text


@dataclass(frozen=True, slots=True)
class Context:
    """The table that was asked, and the values of what the question leaves open."""

    program: Program
    variables: Mapping[str, Known]

    @property
    def title(self) -> str:
        return self.program.label

    def named(self, text: str) -> dict[str, Any]:
        return {
            "spec": self.program.name,
            "variant": self.program.variant,
            "question": text,
            "variables": {name: in_json(known) for name, known in self.variables.items()},
        }

    def heading(self, text: str, unknowns: Sequence[str]) -> str:
        at = ", ".join(f"{name} = {known_text(known)}" for name, known in self.variables.items())
        given = f", with {at}" if at else ""
        return f"{text} for {', '.join(unknowns)} of {self.title}{given}"


def number(value: Exact) -> str:
    """A number with its digits in groups; one that is not whole is rounded, JSON has it in full."""
    return f"{value:,}" if isinstance(value, int) else f"{float(value):,.9g}"


def json_number(value: Exact) -> int | str:
    return str(value) if isinstance(value, Fraction) else value


def printed(lines: Sequence[str]) -> str:
    return "".join(f"{markdown.visible(line).rstrip()}\n" for line in lines)


def stated(left: str, answer: Answer | Point) -> str:
    """The left side there, and by how much it misses the right one."""
    rest: Exact = answer.left_over
    shown = f"{left} = {number(answer.left)}"
    if rest == 0:
        return shown
    return f"{shown}; {number(rest if rest > 0 else -rest)} {'less' if rest > 0 else 'more'} than {number(answer.right)}"


# ---- one unknown -----------------------------------------------------------------------


def solution_text(found: Solution, context: Context) -> str:
    """The answers, or the nearest values on both sides, then what was left out."""
    name = found.unknown
    left = to_text(found.question.left, TABLE)
    lines = [context.heading(found.question.text, [name])]

    def add(label: str, answer: Answer) -> None:
        lines.extend([f"{label}{name} = {describe(answer.value)}", f"  {stated(left, answer)}"])

    for answer in found.answers:
        add("", answer)
    if not found.answers:
        lines.append(no_answer(found))
    for label, nearest in (("below: ", found.below), ("above: ", found.above)):
        if nearest is not None and nearest not in found.answers:
            add("next: " if found.answers else label, nearest)
    if found.base not in found.answers:
        add("the table: " if name in context.program.values else "for comparison: ", found.base)
    lines += [f"not {name} = {f.value}: {f.reason}" for f in found.forbidden]
    if not found.exact:
        lines += [f"not {name} {where}: {why}" for where, why in found.excluded]
    lines += [f"note: {note}" for note in found.notes]
    lines += unseen(context.program, sorted(symbols(found.question.left)))
    return printed(lines)


def no_answer(found: Solution) -> str:
    if found.low is None or found.high is None:
        return "no solution"
    if found.high == MAX_SIZE:
        return f"no integer solution from {found.low:,} on"
    return f"no integer solution from {found.low:,} to {found.high:,}"


def solution_json(found: Solution, context: Context) -> str:
    """One JSON document."""
    document: dict[str, Any] = {
        **context.named(found.question.text),
        "for": [found.unknown],
        "range": None if found.low is None else [found.low, found.high],
        "base": answer_document(found.base),
        "answers": [answer_document(answer) for answer in found.answers],
        "exact": bool(found.exact),
        "below": answer_document(found.below),
        "above": answer_document(found.above),
        "forbidden": [{"value": f.value, "reason": f.reason} for f in found.forbidden],
        "excluded": [{"where": where, "reason": why} for where, why in found.excluded],
        "methods": list(found.methods),
        "structures": found.structures,
        "notes": list(found.notes),
    }
    return json_text(document)


def answer_document(answer: Answer | None) -> dict[str, Any] | None:
    return None if answer is None else {"value": plain(answer.value), **sides(answer)}


def sides(answer: Answer | Point) -> dict[str, Any]:
    return {
        "left": json_number(answer.left),
        "right": json_number(answer.right),
        "left_over": json_number(answer.left_over),
    }


# ---- several unknowns ------------------------------------------------------------------


def search_text(found: Search, context: Context) -> str:
    """The points in columns, nearest to the table first; then what was searched."""
    names = list(found.base)
    lines = [context.heading(found.question.text, names)]
    if not found.points:
        lines.append("no solution among the points searched; the nearest on both sides:")
    cells = [(*names, to_text(found.question.left, TABLE), "left over", "")]
    cells += [row(point, names, "") for point in found.points]
    cells += [row(found.below, names, "below")] if found.below is not None else []
    cells += [row(found.above, names, "above")] if found.above is not None else []
    cells.append((*(describe(found.base[name]) for name in names), "", "", "the table"))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]) - 1)]
    for *columns, label in cells:
        aligned = (f"{cell:>{width}}" for cell, width in zip(columns, widths, strict=True))
        lines.append("  ".join([*aligned, label]))
    lines += [*searched(found), *(f"note: {note}" for note in found.notes)]
    return printed(lines)


def row(point: Point, names: Sequence[str], label: str) -> tuple[str, ...]:
    values = (describe(point.values[name]) for name in names)
    return (*values, number(point.left), number(point.left_over), label)


def searched(found: Search) -> Iterator[str]:
    solutions = f"{found.found:,} solution{'' if found.found == 1 else 's'}"
    yield f"{solutions} among {found.allowed:,} tables of {found.size:,} points; searched:"
    for one in found.axes:
        yield f"  {one.name} {extent(one)}"


def extent(one: Axis) -> str:
    """An axis in words: a range with its step, or its values."""
    values = [v for v in one.values if isinstance(v, int) and not isinstance(v, bool)]
    if len(values) == len(one.values) > 2:
        step = values[1] - values[0]
        if all(b - a == step for a, b in pairwise(values)):
            return f"{values[0]} to {values[-1]}" + ("" if step == 1 else f" by {step}")
    shown = [describe(v) for v in one.values[:8]]
    return ", ".join([*shown, "…"] if len(one.values) > 8 else shown)


def search_json(found: Search, context: Context) -> str:
    """One JSON document."""
    document: dict[str, Any] = {
        **context.named(found.question.text),
        "for": list(found.base),
        "base": {name: plain(value) for name, value in found.base.items()},
        "points": found.size,
        "tables": found.allowed,
        "solutions": found.found,
        "searched": {one.name: extent(one) for one in found.axes},
        "answers": [point_document(point) for point in found.points],
        "below": None if found.below is None else point_document(found.below),
        "above": None if found.above is None else point_document(found.above),
        "structures": found.structures,
        "notes": list(found.notes),
    }
    return json_text(document)


def point_document(point: Point) -> dict[str, Any]:
    values = {name: plain(value) for name, value in point.values.items()}
    return {"values": values, **sides(point)}
