"""Print what differs between two tables: row by row, adding up to the total, and each quantity."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import add_format, add_spec, select_asked
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, "a", "b")
    add_format(parser, "text", "md", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.documents.diff_listing import FORMATS
    from specgen.questions.ask import compare_tables

    (a, changes), (b, _) = (select_asked(spec, arguments) for spec in (arguments.a, arguments.b))
    found = compare_tables(a, b, changes)
    emit(FORMATS[arguments.format](found).encode())
    return 0
