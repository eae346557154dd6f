"""Print how a quantity moves with each parameter: elasticities, and one step up or down."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from typing import Final

from specgen.cli.arguments import add_format, add_spec, select_asked
from specgen.cli.output import emit

PERCENT: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?%?", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument("quantity", metavar="QUANTITY", help="such as parameters, flops_decode")
    parser.add_argument(
        "--step",
        metavar="PERCENT",
        type=read_percent,
        default=Fraction(1, 100),
        help="how far a step goes at least: the nearest value that the table allows (default: 1%%)",
    )
    add_format(parser, "text", "md", "csv", "json")


def read_percent(text: str) -> Fraction:
    """`1%` or `0.5%`, as a fraction of one."""
    found = Fraction(text.rstrip("%")) / 100 if PERCENT.fullmatch(text) else Fraction(0)
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"`{text}` is no step: write 1%, from above 0% to 100%")
    return found


def run(arguments: argparse.Namespace) -> int:
    from specgen.questions.ask import measure_sensitivity

    base, changes = select_asked(arguments.spec, arguments)
    answer = measure_sensitivity(base, arguments.quantity, changes, arguments.step)
    emit(answer.render(arguments.format))
    return 0
