"""Print the typed program that back ends read: as text for eyes, or all of it as JSON."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import add_format, add_spec, select_tables
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    add_format(parser, "text", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.ir.document import write_document
    from specgen.ir.text import program_text
    from specgen.text.json_text import json_text
    from specgen.text.printable import safe_lines

    (selection,) = select_tables([arguments.spec], arguments)
    program = selection.program()
    if arguments.format == "json":
        emit(json_text(write_document(program)).encode())
    else:
        emit(safe_lines(program_text(program)).encode())
    return 0
