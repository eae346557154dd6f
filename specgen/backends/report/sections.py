"""The sections of a report: which rows stand under which heading, each counted once.

Works on rows and numbers; how they look in Markdown is `view`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.table.instances import Instance, descend, root
from specgen.analysis.table.rows import Row
from specgen.expr.node import Expr
from specgen.ir.model import Report, ReportRow, ReportSection
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of the table under a label; `again` if a line above has counted it."""

    row: Row
    again: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A labelled subject: rows of the table, a value, or the shape that a part gives.

    With none of them, the label's subject is not in this variant.
    """

    label: str | None
    path: str
    rows: tuple[Counted, ...] = ()
    value: Expr | None = None
    output: tuple[Expr, ...] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its lines and the sections inside it."""

    heading: str
    lines: tuple[Line, ...]
    inner: tuple[Section, ...]

    @property
    def all_rows(self) -> Iterator[Row]:
        """The rows that count here, in order."""
        for line in self.lines:
            yield from (counted.row for counted in line.rows if not counted.again)
        for section in self.inner:
            yield from section.all_rows

    @property
    def total(self) -> int:
        """The parameters of the section."""
        return sum(row.elements for row in self.all_rows if row.counted)


@dataclass
class Filing:
    """Files the rows of a table under the headings of one report."""

    ledger: Ledger
    seen: set[int] = field(default_factory=set)

    def sections(self, report: Report) -> tuple[Section, ...]:
        return tuple(self.section(section) for section in report.sections)

    def section(self, section: ReportSection) -> Section:
        lines: list[Line] = []
        inner: list[Section] = []
        for item in section.rows:
            if isinstance(item, ReportSection):
                inner.append(self.section(item))
            else:
                lines.append(self.line(item))
        return Section(section.heading, tuple(lines), tuple(inner))

    def line(self, item: ReportRow) -> Line:
        match item.kind:
            case "rows":
                return Line(item.label, item.path, self.rows(item.path))
            case "output":
                return Line(item.label, item.path, output=self.output(item.path))
            case _:
                return Line(item.label, item.path, value=item.expr)

    def rows(self, path: str) -> tuple[Counted, ...]:
        """The rows at a path or below it, without scales; each counts where it comes first."""
        found = []
        for number, row in enumerate(self.ledger.rows):
            below = row.path == path or row.path.startswith(f"{path}.")
            if below and row.kind != "scale":
                found.append(Counted(row, number in self.seen))
                self.seen.add(number)
        return tuple(found)

    def output(self, path: str) -> tuple[Expr, ...] | None:
        """The shape of what a part's forward gives, in the model's names."""
        for instance in descend(root(self.ledger.program)):
            if instance.path == tuple(path.split(".")) and instance.module.forward is not None:
                return result(instance)
        return None

    def rest(self) -> tuple[Row, ...]:
        """The rows that no section has named; counting ones and copies alike."""
        rows = enumerate(self.ledger.rows)
        return tuple(r for i, r in rows if i not in self.seen and r.kind != "scale")


def result(instance: Instance) -> tuple[Expr, ...] | None:
    """The first result of an instance's main forward."""
    forward = instance.module.forward
    if forward is None or not forward.results:
        return None
    return tuple(instance.resolve(dim) for dim in forward.results[0].shape)


def filed(ledger: Ledger, report: Report) -> tuple[Sequence[Section], tuple[Row, ...]]:
    """The sections of a report, and the rows that none of them names."""
    filing = Filing(ledger)
    sections = filing.sections(report)
    return sections, filing.rest()
