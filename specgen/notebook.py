"""What a notebook shows: tables as HTML, quantities as formulas; and the same as plain data.

Every text goes through the one function that quotes for HTML.  Needs no notebook to be installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from specgen.expr.evaluate import Value
from specgen.records import dataclass

if TYPE_CHECKING:
    from sympy import Expr as SympyExpr

    from specgen.analysis.quantities.ledger import Ledger
    from specgen.analysis.quantities.terms import Quantity
    from specgen.questions.sheet import Answer

#: Rows that a notebook shows of a table; `records()` has them all.
SHOWN: Final = 200

RIGHT: Final = ' style="text-align:right"'


@dataclass(frozen=True, eq=False)
class AnswerTable:
    """Rows of an answer: `table["dim"]` is a column, iterating gives a dict for each row.

    `notes` are what has to be said of the rows.
    """

    columns: Mapping[str, Sequence[Value]]
    notes: tuple[str, ...] = ()
    labels: frozenset[str] = field(default=frozenset(), repr=False)
    answer: Answer | None = field(default=None, repr=False)

    @classmethod
    def of(cls, answer: Answer) -> AnswerTable:
        sheet = answer.sheet
        return cls(dict(sheet.columns), sheet.remarks, sheet.labels, answer)

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as the command has it with `--format json`."""
        return {} if self.answer is None else self.answer.document

    def render(self, form: str) -> bytes:
        """What the command prints in a format: text, md, csv, json, parquet as far as it has them."""
        return repr(self).encode() if self.answer is None else self.answer.render(form)

    def records(self) -> list[dict[str, Value]]:
        """A dict for each row."""
        rows = zip(*self.columns.values(), strict=True)
        return [dict(zip(self.columns, row, strict=True)) for row in rows]

    def __iter__(self) -> Iterator[dict[str, Value]]:
        return iter(self.records())

    def __len__(self) -> int:
        return min(map(len, self.columns.values()), default=0)

    def __getitem__(self, column: str) -> Sequence[Value]:
        return self.columns[column]

    def __repr__(self) -> str:
        from specgen.questions.sheet import Sheet, to_text

        return to_text(Sheet(self.columns, self.labels, self.notes)).rstrip("\n")

    def _repr_html_(self) -> str:
        from specgen.questions.sheet import write_cell

        head = list(self.columns)
        rows = [
            [write_cell(value, name not in self.labels) for name, value in row.items()]
            for row in self.records()[:SHOWN]
        ]
        right = [all(map(is_number, values)) for values in self.columns.values()]
        more = len(self) - SHOWN
        notes = [*([f"and {more:,} rows more"] if more > 0 else []), *self.notes]
        return html_table(head, rows, right) + "".join(paragraph(note) for note in notes)


@dataclass(frozen=True, eq=False)
class HtmlFigure:
    """A quantity of a table: its `value` (None while B, S or T are open), unit and closed form."""

    quantity: Quantity
    ledger: Ledger = field(repr=False)

    @property
    def name(self) -> str:
        return self.quantity.name

    @property
    def value(self) -> int | None:
        return self.quantity.value

    @property
    def unit(self) -> str:
        return self.quantity.unit

    @property
    def convention(self) -> str:
        """What is counted, and which tokens among it a query may not see."""
        return "; ".join(filter(None, (self.quantity.convention, self.quantity.remark)))

    @property
    def variables(self) -> tuple[str, ...]:
        """What the closed form leaves open: batch B, new tokens S, all tokens T, ..."""
        return self.quantity.variables

    @property
    def sympy(self) -> SympyExpr | None:
        """The closed form as a sympy expression, in the table's params and the variables."""
        from specgen.analysis.table.instances import definitions
        from specgen.expr.node import substitute
        from specgen.expr.sympy_bridge import to_sympy

        expr = self.quantity.expr
        if expr is None:
            return None
        return to_sympy(substitute(expr, definitions(self.ledger.program)))

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as `specgen formula` has it in JSON."""
        from specgen.documents.formula import describe_formula

        return describe_formula(self.ledger, self.quantity)

    def render(self, form: str) -> str:
        """What `specgen formula` prints: text, latex, python, js, json."""
        from specgen.documents.formula import FORMATS

        return FORMATS[form](self.ledger, self.quantity)

    def text(self) -> str:
        """The closed form in the table's own names."""
        return self.render("text")

    def latex(self) -> str:
        """The closed form as LaTeX, names upright and products marked."""
        from specgen.documents.formula import write_latex

        return write_latex(self.ledger, self.quantity).strip().rpartition("\n")[2]

    def __repr__(self) -> str:
        said = "" if self.value is None else f" = {self.value:,} {self.unit}"
        return f"{self.name}{said}\n{self.text()}".rstrip("\n")

    def _repr_latex_(self) -> str:
        from specgen.documents.formula import write_latex_name

        if self.quantity.expr is None:
            return f"$\\displaystyle {write_latex_name(self.name)}$"
        number = "" if self.value is None else f" = {f'{self.value:,}'.replace(',', '{,}')}"
        return f"$\\displaystyle {write_latex_name(self.name)} = {self.latex()}{number}$"


def is_number(value: Value) -> bool:
    numeric = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
    return value is None or numeric


def model_html(document: dict[str, Any], title: str | None) -> str:
    """The table of a model: every row with its multiplicity, and the totals."""
    from specgen.documents.params_listing import write_heading, write_shape

    rows = []
    for row in (*document["rows"], *document["shared"]):
        names, numbers = write_shape(row)
        kind = row.get("shared") or ("scale" if row["kind"] == "scale" else "")
        rows.append(
            [
                f"{row['name']} ({kind})" if kind else row["name"],
                row["dtype"],
                names,
                numbers,
                f"{row['multiplicity']:,}",
                f"{row['elements']:,}",
                row["describes"] or "",
            ]
        )
    head = ["row", "dtype", "shape", "numbers", "instances", "elements", ""]
    right = [False, False, False, True, True, True, False]
    totals = [[name, f"{value:,}"] for name, value in document["quantities"].items()]
    caption = write_heading(document) + (f": {title}" if title else "")
    return (
        paragraph(caption)
        + html_table(head, rows, right)
        + html_table(["quantity", "value"], totals, [False, True])
    )


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """A table of texts, each quoted."""
    from specgen.backends.report.page.quoting import html

    styles = [RIGHT if r else ' style="text-align:left"' for r in right]
    lines = ["<table>", "<thead><tr>"]
    lines += [f"<th{s}>{html(text)}</th>" for s, text in zip(styles, head, strict=True)]
    lines.append("</tr></thead>")
    lines.append("<tbody>")
    for row in rows:
        cells = (f"<td{s}>{html(text)}</td>" for s, text in zip(styles, row, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody>", "</table>"]) + "\n"


def paragraph(text: str) -> str:
    from specgen.backends.report.page.quoting import html

    return f"<p>{html(text)}</p>\n"
