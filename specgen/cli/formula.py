"""Print the closed form of a quantity: parameters, active parameters, cache, FLOPs, and others."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import Usage, add_format, add_spec, selections
from specgen.cli.output import emit
from specgen.diagnostics.diagnostic import suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument("quantity", metavar="QUANTITY", help="such as parameters, flops_decode")
    add_format(parser, "text", "latex", "python", "js", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.analysis.formula import FORMATS
    from specgen.analysis.quantities import CONVENTIONS, ledger

    if arguments.quantity not in CONVENTIONS:
        close = suggestion(arguments.quantity, CONVENTIONS)
        hint = f"did you mean `{close}`?" if close else f"there are {', '.join(CONVENTIONS)}"
        raise Usage(f"there is no quantity `{arguments.quantity}`; {hint}")
    (selection,) = selections([arguments.spec], arguments)
    found = ledger(selection.program())
    emit(FORMATS[arguments.format](found, found.quantities[arguments.quantity]).encode())
    return 0
