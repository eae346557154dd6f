"""Documents of `params` as text for a terminal, as Markdown and as CSV.

Reads documents only; what is in a table has no markup of ours, terminal codes included.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

from specgen.documents.params import Document
from specgen.text import markdown

WIDTH: Final = 120

ROW_COLUMNS: Final = (
    "name", "kind", "dtype", "shape", "shape_expr", "multiplicity", "multiplicity_expr",
    "elements", "formula", "describes",
)  # fmt: skip


def write_heading(document: Document) -> str:
    variant = document["variant"]
    if "origin" in document:
        return f"{document['origin']} ({document['spec']})"
    return document["spec"] if variant is None else f"{document['spec']}@{variant}"


def write_shape(row: Document) -> tuple[str, str]:
    """The shape in the order of the table, in names and in numbers."""
    names = row["shape_expr"][::-1] if row["kind"] == "map" else row["shape_expr"]
    return f"[{', '.join(names)}]", " × ".join(map(str, row["in_out"]))


# ---- text ------------------------------------------------------------------------------


def to_terminal(documents: Sequence[Document], width: int = WIDTH) -> str:
    """Tables for a terminal of that many columns; the same bytes whatever it is."""
    from rich.console import Console  # 50 ms, and only where text is asked for
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width, color_system=None, legacy_windows=False, force_terminal=False
    )
    for document in documents:
        if "tensors" in document:
            for tensor in document["tensors"]:
                stream.write(f"{tensor['dtype']:8} {tensor['shape']!s:20} {tensor['name']}\n")
        else:
            console.print(make_row_table(document))
            console.print(make_quantity_table(document))
            for line in list_remarks(document):
                console.print(Text(markdown.line(line)))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def list_remarks(document: Mapping[str, Any]) -> list[str]:
    """A line for each remark, with the quantities that it is about."""
    about: dict[str, list[str]] = {}
    for name, remark in document["remarks"].items():
        about.setdefault(remark, []).append(name)
    return [f"{', '.join(names)}: {remark}" for remark, names in about.items()]


def make_row_table(document: Document) -> object:
    from rich.table import Table
    from rich.text import Text

    title = Text(markdown.line(write_heading(document)))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("row", "dtype", "shape"):
        table.add_column(name, overflow="fold")
    for name in ("numbers", "instances", "elements"):
        table.add_column(name, justify="right", overflow="fold")
    scales = [row for row in document["rows"] if row["kind"] == "scale"]
    for row in (*document["rows"], *document["shared"]):
        if row["kind"] == "scale":
            continue
        names, numbers = write_shape(row)
        name = f"{row['name']} ({row['shared']})" if "shared" in row else row["name"]
        cells = (name, row["dtype"], names, numbers)
        counts = (f"{row['multiplicity']:,}", f"{row['elements']:,}")
        table.add_row(*(Text(markdown.line(cell)) for cell in (*cells, *counts)))
    if scales:
        count, size = (sum(row[key] for row in scales) for key in ("multiplicity", "elements"))
        table.add_row(f"scales of {len(scales)} rows", "", "", "", f"{count:,}", f"{size:,}")
    return table


def make_quantity_table(document: Document) -> object:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("quantity")
    table.add_column("value", justify="right")
    for name, value in document["quantities"].items():
        table.add_row(Text(name), Text(f"{value:,}"))
    for name, reason in document["absent"].items():
        table.add_row(Text(name), Text(f"- ({reason})"))
    return table


# ---- Markdown --------------------------------------------------------------------------


def to_markdown(documents: Sequence[Document]) -> str:
    """A section for each document."""
    lines: list[str] = []
    for document in documents:
        lines += [f"# {markdown.quote(write_heading(document))}", ""]
        lines += write_tensors(document) if "tensors" in document else write_rows(document)
    return "\n".join(lines)


def write_tensors(document: Document) -> list[str]:
    cells = [
        (markdown.code(t["name"]), " × ".join(map(str, t["shape"])), markdown.code(t["dtype"]))
        for t in document["tensors"]
    ]
    return [*markdown.table(("tensor", "shape", "dtype"), cells), ""]


def write_rows(document: Document) -> list[str]:
    head = ("row", "shape", "numbers", "dtype", "instances", "elements", "formula")
    cells = []
    for row in (*document["rows"], *document["shared"]):
        names, numbers = write_shape(row)
        kind = row.get("shared") or ("scale" if row["kind"] == "scale" else "")
        cells.append(
            (
                markdown.code(row["name"]) + (f" ({kind})" if kind else ""),
                markdown.code(names),
                numbers,
                markdown.code(row["dtype"]),
                markdown.number(row["multiplicity"]),
                markdown.number(row["elements"]),
                markdown.code(row["formula"]),
            )
        )
    values = [
        (markdown.code(name), markdown.number(value))
        for name, value in document["quantities"].items()
    ]
    values += [(markdown.code(n), markdown.quote(why)) for n, why in document["absent"].items()]
    return [
        *markdown.table(head, cells, right=(4, 5)),
        "",
        *markdown.table(("quantity", "value"), values, right=(1,)),
        "",
        *(line for remark in list_remarks(document) for line in (markdown.quote(remark), "")),
    ]


# ---- CSV -------------------------------------------------------------------------------


def to_csv(documents: Sequence[Document]) -> str:
    """One line a row, or a tensor where the documents list them; spec and variant first."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    expanded = any("tensors" in document for document in documents)
    columns = ("name", "shape", "dtype") if expanded else (*ROW_COLUMNS, "shared")
    writer.writerow(("spec", "variant", *columns))
    for document in documents:
        place = (write_cell(document["spec"]), write_cell(document["variant"]))
        rows = document["tensors"] if expanded else (*document["rows"], *document["shared"])
        for row in rows:
            writer.writerow((*place, *(write_cell(row.get(column)) for column in columns)))
    return stream.getvalue()


def write_cell(value: object) -> str | int:
    """A cell; texts that a spreadsheet would compute get an apostrophe in front."""
    match value:
        case None:
            return ""
        case int():
            return value
        case list():
            return " x ".join(map(str, value))
        case _:
            text = markdown.line(str(value))
            return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
