"""A comparison of two tables as text for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterator

from specgen.analysis import markdown
from specgen.analysis.diff import CONVENTION, Difference, document
from specgen.analysis.json_text import json_text
from specgen.ir.model import Program


def title(program: Program) -> str:
    return program.name if program.variant is None else f"{program.name}@{program.variant}"


def to_json(found: Difference) -> str:
    """One JSON document."""
    return json_text(document(found))


def heads(found: Difference) -> tuple[str, str]:
    return title(found.a.program), title(found.b.program)


def totals(found: Difference) -> Iterator[tuple[str, str, str, str]]:
    """Quantities of both tables and their difference, parameters first."""
    names = list(found.quantities)
    if "parameters" not in names:
        names.insert(0, "parameters")
    for name in names:
        a, b = (side.quantities[name].value for side in (found.a, found.b))
        gap = "" if a is None or b is None else markdown.signed(a - b)
        yield name, count(a), count(b), gap


def count(value: int | None) -> str:
    return "-" if value is None else markdown.number(value)


def to_terminal(found: Difference) -> str:
    """Row by row with the reasons beneath, then the sum, then the quantities."""
    a, b = heads(found)
    lines = [f"A = {a}", f"B = {b}", f"in parameters; {CONVENTION}", ""]
    wide = max([len(markdown.signed(c.difference)) for c in found.changes], default=1)
    wide = max(wide, len(markdown.signed(found.total)))
    for change in found.changes:
        lines.append(f"{markdown.signed(change.difference):>{wide}}  {change.name}")
        lines += [f"{'':{wide}}    {reason}" for reason in change.reasons]
    same = f"{found.same} rows do not differ" if found.same else "no row is the same"
    lines += ["-" * wide, f"{markdown.signed(found.total):>{wide}}  in total; {same}", ""]
    cells = [("", "A", "B", "A - B"), *totals(found)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    for name, *values in cells:
        padded = "  ".join(f"{v:>{w}}" for v, w in zip(values, widths[1:], strict=True))
        lines.append(f"{name:<{widths[0]}}  {padded}")
    return "".join(f"{markdown.visible(line).rstrip()}\n" for line in lines)


def to_markdown(found: Difference) -> str:
    """The same as tables."""
    a, b = heads(found)
    rows = [
        (
            markdown.code(change.name),
            markdown.signed(change.difference),
            "; ".join(map(markdown.quote, change.reasons)),
        )
        for change in found.changes
    ]
    rows.append(("**total**", f"**{markdown.signed(found.total)}**", ""))
    quantities = [(markdown.code(name), *values) for name, *values in totals(found)]
    lines = [
        f"# {markdown.code(a)} against {markdown.code(b)}",
        "",
        f"A is {markdown.code(a)}, B is {markdown.code(b)}; {CONVENTION}.",
        f"Rows that do not differ: {found.same}.",
        "",
        *markdown.table(("row", "difference in parameters", "why"), rows, right=(1,)),
        "",
        *markdown.table(("quantity", "A", "B", "A - B"), quantities, right=(1, 2, 3)),
    ]
    return "\n".join(lines) + "\n"
