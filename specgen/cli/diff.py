"""Print what differs between two tables: row by row, adding up to the total difference."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import add_format, add_spec, selections
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, "a", "b")
    add_format(parser, "text", "md", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.analysis import diff_listing
    from specgen.analysis.diff import difference

    a, b = selections([arguments.a, arguments.b], arguments)
    found = difference(a.program(), b.program())
    renderers = {
        "text": diff_listing.to_terminal,
        "md": diff_listing.to_markdown,
        "json": diff_listing.to_json,
    }
    emit(renderers[arguments.format](found).encode())
    return 0
