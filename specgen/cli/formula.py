"""Print the closed form of a quantity: parameters, active parameters, cache, FLOPs, and others."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import add_format, add_spec, select_asked
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument("quantity", metavar="QUANTITY", help="such as parameters, flops_decode")
    add_format(parser, "text", "latex", "python", "js", "json")
    parser.add_argument(
        "--by-op",
        action="store_true",
        help="list the matrix products that a quantity of operations counts, with their numbers for"
        " the variables that -D sets, such as -D S=2048 (text, json)",
    )


def run(arguments: argparse.Namespace) -> int:
    from specgen.questions.ask import find_formula, list_products

    base, changes = select_asked(arguments.spec, arguments)
    ask = list_products if arguments.by_op else find_formula
    emit(ask(base, arguments.quantity, changes).render(arguments.format))
    return 0
