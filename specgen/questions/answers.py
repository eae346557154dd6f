"""Comparisons and sweeps as documents: what was asked, what was left out and why, and the figures.

Knows what a reader has to be told; the formats are `sheet`'s and `plot`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from specgen.analysis.dataflow.products import limits_of_sight
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.terms import UNSEEN
from specgen.analysis.quantities.variables import meaning
from specgen.expr.columns.exact import Array
from specgen.expr.evaluate import Value, describe, plain
from specgen.expr.node import Expr
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known
from specgen.ir.model import Program
from specgen.questions import sheet as writing
from specgen.questions.compare import LedgerComparison, QuantityFigure
from specgen.questions.pareto import find_front
from specgen.questions.plot import Picture, draw_picture
from specgen.questions.sheet import Sheet, to_csv, to_markdown, to_parquet, to_records
from specgen.questions.sweep import Sweep
from specgen.records import dataclass
from specgen.text.json_text import json_text

Objective = tuple[str, bool]


def state_variables(
    program: Program, variables: Mapping[str, Known], used: Sequence[str]
) -> list[str]:
    """The variables that quantities rest on, a line each: `B = 1: sequences of a batch`."""
    lines = [
        f"  {name} = {write_known(known)}: {meaning(name, program)}"
        for name, known in variables.items()
        if name in used
    ]
    return ["with", *lines] if lines else []


def write_known(value: Known) -> str:
    if isinstance(value, Expr):
        return to_text(value, TABLE)
    return f"{value:,}" if type(value) is int else describe(value)


def known_in_json(value: Known) -> Any:
    return to_text(value) if isinstance(value, Expr) else plain(value)


# ---- one configuration -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ComparisonAnswer:
    """A changed table beside the base; `used` are the variables that the quantities rest on."""

    program: Program
    found: LedgerComparison
    quantities: tuple[str, ...]
    used: tuple[str, ...]

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        document: dict[str, Any] = {
            "spec": self.program.name,
            "variant": self.program.variant,
            "variables": {name: plain(value) for name, value in self.found.variables.items()},
        }
        if self.found.base is not None:
            document["changes"] = {
                change.name: {
                    "base": plain(change.before),
                    "changed": plain(change.after),
                    "follows": not change.chosen,
                }
                for change in self.found.changes
            }
        document["quantities"] = {
            name: describe_figure(self.found, name) for name in self.quantities
        }
        if remarks := list_unseen(self.program, self.quantities):
            document["remarks"] = remarks
        return document

    @property
    def sheet(self) -> Sheet:
        """A row for each quantity."""
        columns = make_comparison_columns(self.found, self.quantities)
        return Sheet(columns, remarks=tuple(list_unseen(self.program, self.quantities)))

    @property
    def notices(self) -> tuple[str, ...]:
        """What a format without remarks does not say."""
        return ()

    def render(self, form: str) -> bytes:
        """The answer in a format; see `sheet` for the errors."""
        if form == "json":
            return json_text(self.document).encode()
        columns = make_comparison_columns(self.found, self.quantities)
        if form == "csv":
            return to_csv(Sheet(columns)).encode()
        if form == "parquet":
            return to_parquet(Sheet(columns), {"spec": self.program.label})
        changed = self.found.changed
        absent = [f"{n}: {changed[n].absent}" for n in self.quantities if changed[n].value is None]
        known = [
            *state_variables(self.program, self.found.variables, self.used),
            *list_unseen(self.program, self.quantities),
        ]
        remarks = (
            *(["", *known] if known else []),
            *(["", "no value:", *(f"  {line}" for line in absent)] if absent else []),
        )
        table = Sheet(columns, remarks=tuple(remarks))
        head = [self.program.label, *(f"  {line}" for line in list_changes(self.found))]
        if form == "md":
            return write_markdown(head, table).encode()
        return ("\n".join(head) + "\n\n" + writing.to_text(table)).encode()


def list_unseen(program: Program, quantities: Sequence[str]) -> list[str]:
    """What is said of quantities that count tokens which a query may not see."""
    names = [name for name in quantities if QUANTITIES[name].of_tokens]
    found = limits_of_sight(program) if names and program.has_dataflow else ()
    if not found:
        return []
    said = " and ".join(f"`{to_text(limit, TABLE)}`" for limit in found)
    return [f"{', '.join(names)}: {UNSEEN.format(limits=said)}"]


def write_markdown(head: Sequence[str], table: Sheet) -> str:
    from specgen.text import markdown

    first, *rest = head
    items = "".join(f"{markdown.item(markdown.quote(line.strip()))}\n" for line in rest)
    return f"# {markdown.quote(first)}\n\n{items}\n{to_markdown(table)}"


def list_changes(found: LedgerComparison) -> list[str]:
    """The params that differ: those chosen, then those that follow them."""
    if found.base is None:
        return []
    lines = []
    for change in sorted(found.changes, key=lambda change: not change.chosen):
        follows = "" if change.chosen else ", follows"
        lines.append(
            f"{change.name} = {describe(change.after)} (base {describe(change.before)}{follows})"
        )
    return lines or ["the same params as the base"]


def make_comparison_columns(
    found: LedgerComparison, quantities: Sequence[str]
) -> dict[str, Sequence[Value]]:
    columns: dict[str, Sequence[Value]] = {
        "quantity": list(quantities),
        "unit": [QUANTITIES[name].unit for name in quantities],
    }
    after = [found.changed[name].value for name in quantities]
    if found.base is None:
        return {**columns, "value": after}
    before = [found.base[name].value for name in quantities]
    columns |= {"base": before, "changed": after}
    columns["difference"] = [subtract(a, b) for a, b in zip(after, before, strict=True)]
    columns["ratio"] = [divide(a, b) for a, b in zip(after, before, strict=True)]
    return columns


def subtract(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def divide(after: int | None, before: int | None) -> str | None:
    """To four decimals, rounded in integers: the figures may be beyond floats."""
    if after is None or not before:
        return None
    scaled = (20_000 * after + before) // (2 * before)
    return f"{scaled // 10_000}.{scaled % 10_000:04}"


def describe_figure(found: LedgerComparison, name: str) -> dict[str, Any]:
    unit = QUANTITIES[name].unit
    after = found.changed[name]
    if found.base is None:
        return {"unit": unit, **describe_value("value", after)}
    before = found.base[name]
    result = {"unit": unit, **describe_value("base", before), **describe_value("changed", after)}
    change = subtract(after.value, before.value)
    return result if change is None else {**result, "difference": change}


def describe_value(key: str, found: QuantityFigure) -> dict[str, Any]:
    return (
        {key: found.value} if found.absent is None else {key: None, f"{key}_absent": found.absent}
    )


# ---- many configurations ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SweepAnswer:
    """A sweep with what was asked; `front` are the objectives and the positions of a Pareto front."""

    program: Program
    sweep: Sweep
    quantities: tuple[str, ...]
    variables: Mapping[str, Known]
    used: tuple[str, ...]
    where: tuple[str, ...]
    objectives: tuple[Objective, ...] = ()
    front: Array | None = None

    def on_front(self, objectives: tuple[Objective, ...]) -> SweepAnswer:
        """The answer with the rows of a Pareto front only."""
        (first, first_most), (second, second_most) = objectives
        columns = self.sweep.columns
        at = find_front(columns[first], columns[second], (first_most, second_most))
        return replace(self, objectives=objectives, front=at)

    @property
    def axes(self) -> frozenset[str]:
        return frozenset(axis.name for axis in self.sweep.axes)

    @property
    def columns(self) -> dict[str, Sequence[Value]]:
        """The rows to show, as Python's own values."""
        at = self.front
        return {
            name: (column if at is None else column[at]).tolist()
            for name, column in self.sweep.columns.items()
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said of the rows: how many there are, and where the others went."""
        found = self.sweep
        lines = [count_rows(found, self.front)]
        lines += [f"left out {n:,}: {reason}" for reason, n in found.left_out.items()]
        if self.where:
            text = " and ".join(f"({w})" if len(self.where) > 1 else w for w in self.where)
            lines.append(f"filtered out {found.filtered:,}: --where {text}")
            lines += [
                f"left out {n:,}: --where has no value there: {reason}"
                for reason, n in found.undecided.items()
            ]
        lines += [
            f"`{name}` has no value in {n:,} rows: {reason}"
            for name, (n, reason) in found.blank.items()
        ]
        return tuple(lines)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a format without remarks does not say."""
        return self.remarks

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        found = self.sweep
        document: dict[str, Any] = {
            "spec": self.program.name,
            "variant": self.program.variant,
            "variables": {name: known_in_json(value) for name, value in self.variables.items()},
            "sweep": {axis.name: list(map(plain, axis.values)) for axis in found.axes},
            "where": list(self.where),
            "points": found.points,
            "left_out": [{"reason": r, "points": n} for r, n in found.left_out.items()],
            "filtered_out": found.filtered,
            "undecided": [{"reason": r, "points": n} for r, n in found.undecided.items()],
            "blank": {name: {"rows": n, "reason": r} for name, (n, r) in found.blank.items()},
            "units": {name: QUANTITIES[name].unit for name in self.quantities},
        }
        if self.front is not None:
            document["pareto"] = [
                {"column": name, "best": "most" if most else "least"}
                for name, most in self.objectives
            ]
        if remarks := list_unseen(self.program, self.quantities):
            document["remarks"] = remarks
        document["rows"] = to_records(Sheet(self.columns))
        return document

    @property
    def sheet(self) -> Sheet:
        """A row for each configuration."""
        remarks = (*self.remarks, *list_unseen(self.program, self.quantities))
        return Sheet(self.columns, self.axes, remarks)

    def render(self, form: str) -> bytes:
        """The answer in a format; see `sheet` for the errors."""
        if form == "json":
            return json_text(self.document).encode()
        table = Sheet(self.columns, self.axes)
        if form == "csv":
            return to_csv(table).encode()
        if form == "parquet":
            return to_parquet(table, {"spec": self.program.label})
        known = [
            *state_variables(self.program, self.variables, self.used),
            *list_unseen(self.program, self.quantities),
        ]
        remarks = (*([""] if table.rows else []), *self.remarks, *known)
        table = Sheet(table.columns, self.axes, remarks)
        if form == "md":
            return write_markdown([self.program.label], table).encode()
        return writing.to_text(table).encode()

    def picture(self, form: str) -> bytes:
        """The sweep as a picture; see `plot.draw_picture` for the errors."""
        columns = {name: column.tolist() for name, column in self.sweep.columns.items()}
        axes = tuple(axis.name for axis in self.sweep.axes)
        units = {name: QUANTITIES[name].unit for name in self.quantities}
        chosen = None
        if self.front is not None:
            (first, _), (second, _) = self.objectives
            chosen = (first, second, tuple(self.front.tolist()))
        return draw_picture(Picture(self.program.label, columns, axes, units, chosen), form)


def count_rows(found: Sweep, chosen: Array | None) -> str:
    if not found.rows:
        return f"no configuration is left of {found.points:,}"
    rows = f"{found.rows:,} of {found.points:,} configurations"
    return rows if chosen is None else f"{len(chosen):,} on the Pareto front of {rows}"
