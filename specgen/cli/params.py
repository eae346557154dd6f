"""Print the table of a model: every row with its shape, its count, and the exact totals."""

from __future__ import annotations

import argparse

from specgen.cache.results import remembered
from specgen.cli.arguments import UsageError, add_format, add_spec, select_tables
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_format(parser, "text", "md", "json", "csv")
    parser.add_argument(
        "--expand", action="store_true", help="list every stored tensor, one by one"
    )
    parser.add_argument(
        "--names",
        metavar="SCHEME",
        help="naming scheme of --expand: own, or one that the table declares (default: own)",
    )
    parser.add_argument(
        "--all-variants", action="store_true", help="one document for each variant (JSON: a list)"
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.names is not None and not arguments.expand:
        raise UsageError("--names needs --expand")
    scheme = (arguments.names or "own") if arguments.expand else None
    (selection,) = select_tables([arguments.spec], arguments)
    every = arguments.all_variants
    if every and selection.variant is not None:
        raise UsageError(f"--all-variants and @{selection.variant} exclude each other")
    request = ("params", arguments.format, repr(scheme), str(every))

    def compute() -> bytes:
        from specgen.documents.params import render

        programs = selection.programs() if every else [selection.program()]
        return render(programs, arguments.format, scheme, is_list=every)

    emit(remembered(selection, request, compute))
    return 0
