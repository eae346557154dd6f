"""Named columns as text, Markdown, CSV, JSON and Parquet, every number exact.

What is in a column is data: texts go through the quoting of each format.  Knows no tables.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any, Final, Protocol

from specgen.diagnostics.diagnostic import RequestError
from specgen.expr.evaluate import Value, describe, plain
from specgen.records import dataclass
from specgen.text import markdown
from specgen.version import DISTRIBUTION

#: Rows of a text for people; the other formats have them all.
SHOWN: Final = 1000


class MissingPackage(RequestError):
    """A format needs a package that is not installed; the message says how to install it."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Columns of equal length, in order.  `labels` are columns whose numbers have no separators,
    such as params; `remarks` what has to be said of the rows, a line each."""

    columns: Mapping[str, Sequence[Value]]
    labels: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return min(map(len, self.columns.values()), default=0)

    def records(self) -> Iterator[tuple[Value, ...]]:
        return zip(*self.columns.values(), strict=True)


class Answer(Protocol):
    """An answer to a question: as data, as columns, and as what a command prints."""

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""

    @property
    def sheet(self) -> Sheet:
        """Its rows, with what has to be said of them."""

    def render(self, form: str) -> bytes:
        """The answer in a format."""


def write_cell(value: Value, grouped: bool) -> str:
    """A value for a reader: 671,026,419,200; `-` where there is none."""
    match value:
        case None:
            return "-"
        case bool():
            return describe(value)
        case int():
            return f"{value:,}" if grouped else str(value)
        case str():
            return markdown.line(value)
        case _:
            return describe(value)


def write_lines(sheet: Sheet) -> tuple[list[str], list[list[str]]]:
    """The head and the first rows, as cells."""
    grouped = [name not in sheet.labels for name in sheet.columns]
    body = [
        [write_cell(value, g) for value, g in zip(record, grouped, strict=True)]
        for record in islice(sheet.records(), SHOWN)
    ]
    return list(sheet.columns), body


def find_right_aligned(sheet: Sheet) -> list[bool]:
    return [
        all(
            value is None
            or (isinstance(value, int | float | Fraction) and not isinstance(value, bool))
            for value in islice(column, SHOWN)
        )
        for column in sheet.columns.values()
    ]


def count_more(sheet: Sheet) -> list[str]:
    rest = sheet.rows - SHOWN
    return [f"and {rest:,} rows more: --format csv has them all"] if rest > 0 else []


def to_text(sheet: Sheet) -> str:
    """A table for a terminal, as wide as its cells."""
    head, body = write_lines(sheet)
    right = find_right_aligned(sheet)
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    written = []
    for row in (head, *body):
        cells = [
            text.rjust(width) if r else text.ljust(width)
            for text, width, r in zip(row, widths, right, strict=True)
        ]
        written.append("  ".join(cells).rstrip())
    if not body:
        written = []
    return "".join(f"{line}\n" for line in (*written, *count_more(sheet), *sheet.remarks))


def to_markdown(sheet: Sheet) -> str:
    head, body = write_lines(sheet)
    right = [i for i, r in enumerate(find_right_aligned(sheet)) if r]
    quoted = [[markdown.quote(text) for text in row] for row in body]
    rows = markdown.table([markdown.code(name) for name in head], quoted, right) if body else []
    remarks = [f"\n{markdown.quote(remark)}" for remark in (*count_more(sheet), *sheet.remarks)]
    return "".join(f"{line}\n" for line in (*rows, *remarks))


def to_csv(sheet: Sheet) -> str:
    """The rows, with a head; no value is an empty cell."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(sheet.columns)
    for record in sheet.records():
        writer.writerow(
            ["" if v is None else v if type(v) is int else write_entry(v) for v in record]
        )
    return stream.getvalue()


def write_entry(value: Value) -> str:
    """A value as a cell of CSV.  A text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, str):
        return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
    return repr(value) if isinstance(value, float) else describe(value)


def to_records(sheet: Sheet) -> list[dict[str, Any]]:
    """The rows as JSON has them."""
    return [dict(zip(sheet.columns, map(plain, record), strict=True)) for record in sheet.records()]


def to_parquet(sheet: Sheet, metadata: Mapping[str, str]) -> bytes:
    """A Parquet file; whole numbers beyond int64 are decimals.

    Raises:
        MissingPackage: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingPackage(
            f"--format parquet needs pyarrow: pip install '{DISTRIBUTION}[parquet]'"
        ) from None
    arrays = {name: make_arrow_array(pyarrow, column) for name, column in sheet.columns.items()}
    notes = {key.encode(): value.encode() for key, value in metadata.items()}
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays).replace_schema_metadata(notes), stream)
    return stream.getvalue()


def make_arrow_array(pyarrow: Any, column: Sequence[Value]) -> Any:
    """A column as pyarrow has it; exact, or as texts."""
    values = list(column)
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int}:
        largest = max(abs(value) for value in values if isinstance(value, int))
        if largest < 2**63:
            return pyarrow.array(values, pyarrow.int64())
        if largest < 10**76:
            from decimal import Decimal

            decimals = [None if value is None else Decimal(value) for value in values]  # type: ignore[arg-type]  # ints
            return pyarrow.array(decimals, pyarrow.decimal256(76, 0))
    elif len(kinds) <= 1 and kinds <= {float, bool, str}:
        return pyarrow.array(values)
    return pyarrow.array([None if value is None else describe(value) for value in values])
