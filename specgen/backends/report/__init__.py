"""The report back end: report.md and report.html, from the same rows.

The former has every language of the table in one file, the latter computes.  Reads the IR and
its analysis; needs no dataflow.
"""

from __future__ import annotations

from collections.abc import Mapping

from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.backends.layout import template
from specgen.backends.report.outline import outline
from specgen.backends.report.page import write_page
from specgen.backends.report.view import Chapter, chapter
from specgen.backends.report.words import LANGUAGES
from specgen.frontend.opened import Opened
from specgen.ir.model import Program, as_given
from specgen.text.markdown import code, quote


def emit(
    program: Program, table: Opened | None = None, counts: Ledger | None = None
) -> Mapping[str, bytes]:
    """report.md and report.html, the same bytes for the same program.

    With the opened table, the latter holds the formulas of its nearest other structures too;
    `counts` is the program's ledger, where it is there already.

    Raises:
        SpecError: the table cannot be counted.
    """
    with countable(program):
        found = counts or ledger(program)
        reports = program.reports or [outline(found, language) for language in LANGUAGES]
        chapters = [chapter(found, report) for report in reports]
    return {
        "report.md": rendered(program, chapters).encode(),
        "report.html": write_page(found, table).encode(),
    }


def rendered(program: Program, chapters: list[Chapter]) -> str:
    """The template, filled; its values are quoted for Markdown already."""
    variant = code(program.variant) if program.variant else "default"
    given = (code(f"{name} = {as_given(program.values[name])}") for name in program.overridden)
    with_ = f" with {', '.join(given)}" if program.overridden else ""
    values = f"values of {code(program.origin)}" if program.origin else f"variant {variant}"
    origin = f"{code(program.name)}, {values}{with_}, compiled by specgen."
    return template("report.md.j2").render(
        title=quote(program.title or program.name), origin=origin, chapters=chapters
    )
