"""A comparison of two tables as text for a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from specgen.documents.diff import CONVENTION, TableDifference, describe_difference
from specgen.expr.evaluate import describe
from specgen.expr.node import Expr
from specgen.expr.printing import TABLE, to_text
from specgen.text import markdown
from specgen.text.json_text import json_text

#: Characters of a formula that people are shown; JSON has all of it.
LONGEST: Final = 200


def to_json(found: TableDifference) -> str:
    """One JSON document."""
    return json_text(describe_difference(found))


def write_heads(found: TableDifference) -> tuple[str, str]:
    return found.a.program.label, found.b.program.label


def list_totals(found: TableDifference) -> Iterator[tuple[str, str, str, str]]:
    """Quantities of both tables and their difference, parameters first, those with variables last."""
    names = list(found.quantities)
    if "parameters" not in names:
        names.insert(0, "parameters")
    changes = found.functions
    open_names = {change.name for change in changes}
    for name in names:
        if name not in open_names:
            a, b = (side.quantities[name].value for side in (found.a, found.b))
            yield name, write_count(a), write_count(b), write_gap(a, b)
    for change in changes:
        if change.a.value is not None or change.b.value is not None:
            a, b = change.a.value, change.b.value
            yield change.name, write_count(a), write_count(b), write_gap(a, b)


def write_gap(a: int | None, b: int | None) -> str:
    return "" if a is None or b is None else markdown.signed(a - b)


def list_functions(found: TableDifference) -> Iterator[tuple[str, str, str]]:
    """Quantities with variables that both tables have, as formulas of these alone: quantity,
    table, formula."""
    for change in found.functions:
        if change.a.expr is not None and change.b.expr is not None:
            yield change.name, "A", write_formula(change.a.expr)
            yield change.name, "B", write_formula(change.b.expr)


def write_formula(expr: Expr) -> str:
    """A formula on one line; of a very long one its beginning."""
    text = to_text(expr, TABLE)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def state_variables(found: TableDifference) -> str:
    """The values of variables, of those that the differing quantities have."""
    used = {
        n for change in found.functions for side in (change.a, change.b) for n in side.variables
    }
    return ", ".join(f"{n} = {describe(v)}" for n, v in found.at.items() if n in used)


def list_missing(found: TableDifference) -> Iterator[str]:
    """Why a table has not all of the quantities that the other one has."""
    for letter, one, other in (("A", found.a, found.b), ("B", found.b, found.a)):
        reasons = {
            quantity.absent: None
            for name, quantity in one.quantities.items()
            if quantity.absent is not None and other.quantities[name].absent is None
        }
        for reason in reasons:
            yield f"no figure in {letter}: {reason}"


def write_count(value: int | None) -> str:
    return "-" if value is None else markdown.number(value)


def to_terminal(found: TableDifference) -> str:
    """Row by row with the reasons beneath, then the sum, then the quantities."""
    a, b = write_heads(found)
    lines = [f"A = {a}", f"B = {b}", f"in parameters; {CONVENTION}", ""]
    wide = max([len(markdown.signed(c.difference)) for c in found.changes], default=1)
    wide = max(wide, len(markdown.signed(found.total)))
    for change in found.changes:
        lines.append(f"{markdown.signed(change.difference):>{wide}}  {change.name}")
        lines += [f"{'':{wide}}    {reason}" for reason in change.reasons]
    same = f"{found.same} rows do not differ" if found.same else "no row is the same"
    lines += ["-" * wide, f"{markdown.signed(found.total):>{wide}}  in total; {same}", ""]
    cells = [("", "A", "B", "A - B"), *list_totals(found)]
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    for name, *values in cells:
        padded = "  ".join(f"{v:>{w}}" for v, w in zip(values, widths[1:], strict=True))
        lines.append(f"{name:<{widths[0]}}  {padded}")
    lines += list_missing(found)
    if state_variables(found):
        lines.append(f"with {state_variables(found)}")
    lines += list_remarks(found)
    written = list(list_functions(found))
    if written:
        lines += ["", "as formulas, params put in"]
        wide = max(len(name) for name, *_ in written)
        lines += [
            f"{name if table == 'A' else '':<{wide}}  {table}  {text}"
            for name, table, text in written
        ]
    return "".join(f"{markdown.visible(line).rstrip()}\n" for line in lines)


def list_remarks(found: TableDifference) -> list[str]:
    """What figures of either table say of tokens that a query may not see."""
    lines: dict[str, None] = {}
    for table, one in (("A", found.a), ("B", found.b)):
        about: dict[str, list[str]] = {}
        for quantity in one.quantities.values():
            if quantity.remark:
                about.setdefault(quantity.remark, []).append(quantity.name)
        for remark, names in about.items():
            lines[f"in {table}, {', '.join(names)}: {remark}"] = None
    return list(lines)


def to_markdown(found: TableDifference) -> str:
    """The same as tables."""
    a, b = write_heads(found)
    rows = [
        (
            markdown.code(change.name),
            markdown.signed(change.difference),
            "; ".join(map(markdown.quote, change.reasons)),
        )
        for change in found.changes
    ]
    rows.append(("**total**", f"**{markdown.signed(found.total)}**", ""))
    quantities = [(markdown.code(name), *values) for name, *values in list_totals(found)]
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
    lines += [f"\n{markdown.quote(why)}" for why in list_missing(found)]
    if state_variables(found):
        lines.append(f"\nWith {markdown.quote(state_variables(found))}.")
    lines += [f"\n{markdown.quote(line)}" for line in list_remarks(found)]
    written = [
        (markdown.code(n), table, markdown.code(text)) for n, table, text in list_functions(found)
    ]
    if written:
        lines += ["", "As formulas, params put in:", ""]
        lines += markdown.table(("quantity", "of", "formula"), written)
    return "\n".join(lines) + "\n"


FORMATS: Final[Mapping[str, Callable[[TableDifference], str]]] = {
    "text": to_terminal,
    "md": to_markdown,
    "json": to_json,
}
