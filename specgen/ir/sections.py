"""What a program says besides its modules: config rows, reports, and what ranks divide."""

from __future__ import annotations

from specgen.expr.node import Expr
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """`value` (a param, or a literal; lists are tuples) is written to the dotted `key`.

    A `role` other than "" makes it a row that is never written: a file may say it so ("read"), one
    without the key means it ("absent"), or whatever a file says there means nothing ("unread").
    With `index`, a name and its count, `value` is the items of a list at which `condition` holds.
    """

    value: Expr | tuple[Expr, ...]
    key: str
    condition: Expr
    role: str = ""
    index: tuple[str, Expr] | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A labelled subject: `kind` is "rows" (path prefix), "value" (expr) or "output" (part)."""

    label: str | None
    kind: str
    path: str
    expr: Expr | None = None


@dataclass(frozen=True, slots=True)
class ReportSection:
    heading: str
    rows: tuple[ReportRow | ReportSection, ...]


@dataclass(frozen=True, slots=True)
class Report:
    language: str
    title: str
    sections: tuple[ReportSection, ...]


@dataclass(frozen=True, slots=True)
class Divided:
    """A param or let of the model that an axis divides; with `along`, as pieces of another."""

    name: str
    along: str | None = None


#: The axes of parallelism that divide names of a table.
AXES = ("tensor", "expert", "pipeline")


@dataclass(frozen=True, slots=True)
class Axis:
    """What the ranks of an axis divide: factors of dims, or counts of repeated parts."""

    name: str
    divided: tuple[Divided, ...]
    description: str | None = None
