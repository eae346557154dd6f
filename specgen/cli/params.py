"""Print the table of a model: every row with its shape, its count, and the exact totals."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from specgen.cache.results import remembered
from specgen.cli.arguments import Usage, add_format, add_spec, selections
from specgen.cli.output import emit
from specgen.diagnostics.diagnostic import suggestion

if TYPE_CHECKING:
    from specgen.ir.model import Program


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
        raise Usage("--names needs --expand")
    scheme = (arguments.names or "own") if arguments.expand else None
    (selection,) = selections([arguments.spec], arguments)
    if arguments.all_variants and selection.variant is not None:
        raise Usage(f"--all-variants and @{selection.variant} exclude each other")
    request = ("params", arguments.format, repr(scheme), str(arguments.all_variants))

    def compute() -> bytes:
        programs = selection.programs() if arguments.all_variants else [selection.program()]
        return render(programs, scheme, arguments.format, arguments.all_variants)

    emit(remembered(selection, request, compute))
    return 0


def render(programs: list[Program], scheme: str | None, form: str, listed: bool) -> bytes:
    """The documents of the programs in a format; `listed` asks for a list even of one."""
    from specgen.documents.params import document, schemes, to_json

    for program in programs:
        if scheme is not None and scheme not in schemes(program):
            close = suggestion(scheme, schemes(program)) or ", ".join(schemes(program))
            raise Usage(f"`{program.name}` has no naming scheme `{scheme}`; it has {close}")
    documents = [document(program, scheme) for program in programs]
    if form == "json":
        return to_json(documents if listed else documents[0]).encode()
    from specgen.documents import params_listing as listing

    renderers = {
        "text": listing.to_terminal, "md": listing.to_markdown, "csv": listing.to_csv,
    }  # fmt: skip
    return renderers[form](documents).encode()
