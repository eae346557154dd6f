"""What the report's template lays out: tables of cells, all of them quoted for Markdown.

The template adds nothing but their order; no text of a table gets there unquoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from specgen.analysis.quantities.ledger import Ledger, Quantity, evaluated
from specgen.analysis.quantities.variables import defaults
from specgen.analysis.table.instances import definitions
from specgen.analysis.table.rows import Row
from specgen.backends.report.sections import Line, Section, filed
from specgen.backends.report.words import Words, words
from specgen.expr.evaluate import EvaluationError, describe, evaluate
from specgen.expr.node import Const, Expr, substitute
from specgen.expr.printing import TABLE, to_text
from specgen.ir.model import Report
from specgen.records import dataclass
from specgen.text.markdown import code, item, number, quote, table


@dataclass(frozen=True, slots=True)
class Chapter:
    """One report of the table: its title and its blocks of Markdown lines."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A heading of some level with paragraphs, each a list of lines."""

    level: int
    heading: str
    paragraphs: tuple[tuple[str, ...], ...]


def chapter(ledger: Ledger, report: Report) -> Chapter:
    """The whole of one report."""
    said = words(report.language)
    sections, rest = filed(ledger, report)
    blocks: list[Block] = []
    for section in sections:
        blocks += section_blocks(ledger, section, said, 3)
    if rest:
        blocks.append(
            Block(
                3,
                said.other_rows,
                ((said.other_rows_note,), row_table(rest_cells(rest, said), said)),
            )
        )
    blocks.append(summary(ledger, sections, rest, said))
    blocks += ledger_blocks(ledger, said)
    return Chapter(quote(report.title), tuple(blocks))


# ---- sections --------------------------------------------------------------------------


def section_blocks(ledger: Ledger, section: Section, said: Words, level: int) -> Iterator[Block]:
    """A section and those inside it."""
    tensors = [line for line in section.lines if line.value is None and line.output is None]
    facts = tuple(fact(ledger, line, said) for line in section.lines if line not in tensors)
    paragraphs: list[tuple[str, ...]] = []
    if tensors:
        cells = [row for line in tensors for row in line_cells(line, said)]
        paragraphs.append(row_table(cells, said))
    if facts:
        paragraphs.append(facts)
    if section.total and level == 3:
        paragraphs.append((f"{said.section_total}: **{number(section.total)}**",))
    yield Block(level, quote(section.heading), tuple(paragraphs))
    for inner in section.inner:
        yield from section_blocks(ledger, inner, said, min(level + 1, 6))


def row_table(cells: Iterable[tuple[str, ...]], said: Words) -> tuple[str, ...]:
    head = (
        said.name, said.row, said.shape, said.numbers, said.each, said.instances, said.total,
    )  # fmt: skip
    return tuple(table(head, cells, right=(4, 5, 6)))


def line_cells(line: Line, said: Words) -> Iterator[tuple[str, ...]]:
    """The lines of the table for one label: one a row, or one that says there is none."""
    if not line.rows:
        yield (quote(line.label or line.path), code(line.path), said.absent, "", "", "", "")
    for counted in line.rows:
        label = line.label
        if label is None:
            label = counted.row.description or counted.row.path
        elif len(line.rows) > 1:
            label = f"{label}: {counted.row.path.removeprefix(f'{line.path}.')}"
        yield cells_of(counted.row, label, said, counted.again)


def rest_cells(rows: Iterable[Row], said: Words) -> Iterator[tuple[str, ...]]:
    for row in rows:
        yield cells_of(row, row.description or row.path, said, False)


def cells_of(row: Row, label: str, said: Words, again: bool) -> tuple[str, ...]:
    """A row of the table: symbolic shape, numbers, elements of one, how many, all together."""
    if row.shared is not None:
        text = said.tied if row.shared == "tied" else said.copy
        total = text.format(target=code(row.target or ""))
    else:
        total = said.counted_above if again else number(row.elements)
    return (
        quote(label),
        code(row.name),
        code(shape(row.in_out)),
        product_text(row.in_out_dims),
        number(row.size),
        times(row),
        total,
    )


def times(row: Row) -> str:
    """How many there are, in names and in numbers."""
    text = to_text(row.multiplicity, TABLE)
    count = number(row.instances)
    return count if text == str(row.instances) else f"{code(text)} = {count}"


def shape(dims: Iterable[Expr]) -> str:
    return f"[{', '.join(to_text(dim, TABLE) for dim in dims)}]"


def product_text(dims: Iterable[int]) -> str:
    return " × ".join(map(str, dims)) or "1"


def fact(ledger: Ledger, line: Line, said: Words) -> str:
    """A line that is a value or the shape of an output, as an item of a list."""
    lead = f"{quote(line.label)}: " if line.label else ""
    if line.output is not None:
        return item(f"{lead}{code(shape(line.output))}")
    if line.value is None:
        return item(f"{lead}{said.absent}")
    return item(lead + stated(line.value, ledger))


def stated(expr: Expr, ledger: Ledger) -> str:
    """A value in names and in numbers; a text of the table as it is."""
    text = to_text(expr, TABLE)
    try:
        value = evaluate(expr, ledger.values)
    except EvaluationError:
        return code(text)
    match expr, value:
        case Const(), str():
            return quote(value)
        case _, str():  # the name of a dtype, or a choice
            return f"{code(text)} = {code(value)}"
        case _:
            result = describe(value)
            return result if text == result else f"{code(text)} = {result}"


def summary(
    ledger: Ledger, sections: Iterable[Section], rest: tuple[Row, ...], said: Words
) -> Block:
    """One line a section; they add up to the parameters."""
    total = ledger.value("parameters")
    cells = []
    for section in sections:
        rows = tuple(row for row in section.all_rows if row.counted)
        if rows:
            cells.append(summary_cells(quote(section.heading), rows, total))
    others = tuple(row for row in rest if row.counted)
    if others:
        cells.append(summary_cells(said.other_rows, others, total))
    cells.append((f"**{said.all_rows}**", "", f"**{number(total)}**", "100.00%"))
    head = (said.module, said.shape, said.total, said.share)
    return Block(3, said.summary, ((said.summary_note,), tuple(table(head, cells, right=(2, 3)))))


def summary_cells(heading: str, rows: tuple[Row, ...], total: int) -> tuple[str, ...]:
    shapes: dict[str, int] = {}
    for row in rows:
        text = product_text(row.in_out_dims)
        shapes[text] = shapes.get(text, 0) + row.instances
    shown = ", ".join(f"{number(n)} × ({text})" if n > 1 else text for text, n in shapes.items())
    elements = sum(row.elements for row in rows)
    return heading, shown, number(elements), percent(elements, total)


def percent(part: int, whole: int) -> str:
    """Two decimals, rounded half up, in integers: the same on every machine."""
    if not whole:
        return ""
    hundredths = (part * 20_000 + whole) // (2 * whole)
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


# ---- ledger ----------------------------------------------------------------------------


def ledger_blocks(ledger: Ledger, said: Words) -> Iterator[Block]:
    """Quantities, storage, caches, and the conditions under which the formulas hold."""
    cells = [quantity_cells(ledger, q, said) for q in ledger.quantities.values()]
    columns: tuple[str, ...] = (said.quantity, said.value, said.convention)
    yield Block(3, said.ledger, (tuple(table(columns, cells, right=(1,))),))
    stored = [
        (code(s.dtype), number(s.tensors), number(s.elements), number(s.bytes))
        for s in ledger.storage
    ]
    columns = (said.dtype, said.tensors, said.elements, said.bytes)
    rows = tuple(table(columns, stored, right=(1, 2, 3)))
    if way := ledger.program.stored_otherwise:
        yield Block(4, said.storage, ((quote(said.stored_otherwise.format(way=way)),),))
    else:
        yield Block(4, said.storage, ((said.storage_note,), rows))
    if ledger.caches:
        cached = [
            (
                code(cache.name),
                code(shape(cache.shape)),
                code(cache.dtype),
                number(cache.instances),
                number(cache.elements),
            )
            for cache in ledger.caches
        ]
        columns = (said.row, said.shape, said.dtype, said.instances, said.grown)
        yield Block(4, said.caches, (tuple(table(columns, cached, right=(3, 4))),))
    yield from assumption_blocks(ledger, said)


def quantity_cells(ledger: Ledger, quantity: Quantity, said: Words) -> tuple[str, ...]:
    name = code(quantity.name)
    convention = said.counted(quantity)
    if quantity.absent is not None:
        reason = said.reason(quantity.absent, ledger.program)
        return name, quote(reason), convention
    value = quantity.value
    known = defaults(ledger.program)
    if open_ := [variable for variable in quantity.variables if variable not in known]:
        return name, said.depends.format(variables=", ".join(map(code, open_))), convention
    if quantity.variables:
        at = {variable: known[variable] for variable in quantity.variables}
        value = evaluated(quantity, {**ledger.values, **at})
        values = ", ".join(f"{variable} = {n}" for variable, n in at.items())
        name = said.at.format(quantity=name, values=values)
    unit = said.units.get(quantity.unit, quantity.unit)
    return name, f"{number(value or 0)} {unit}", convention


def assumption_blocks(ledger: Ledger, said: Words) -> Iterator[Block]:
    lets = definitions(ledger.program)
    assumed: dict[str, None] = {}
    for quantity in ledger.quantities.values():
        for assumption in quantity.assumptions:
            assumed.setdefault(to_text(substitute(assumption, lets), TABLE))
    counted = [code(row.name) for row in ledger.rows if not row.closed and row.counted]
    items = [item(code(text)) for text in assumed]
    items += [item(said.counted_one_by_one.format(row=name)) for name in dict.fromkeys(counted)]
    if items:
        yield Block(4, said.assumptions, ((said.assumptions_note,), tuple(items)))
    decided = tuple(item(code(to_text(condition, TABLE))) for condition in ledger.decided)
    if decided:
        yield Block(4, said.decided, ((said.decided_note,), decided))
    required = tuple(
        item(f"{code(to_text(demand.condition, TABLE))}: {quote(demand.reason)}")
        for demand in ledger.program.model.requires
    )
    if required:
        yield Block(4, said.requirements, (required,))
