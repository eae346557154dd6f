"""Print how a quantity moves with each parameter: elasticities, and one step up or down."""

from __future__ import annotations

import argparse
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from specgen.cli.arguments import Usage, add_format, add_spec
from specgen.cli.output import emit
from specgen.cli.whatif import chosen, known_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specgen.expr.evaluate import Value
    from specgen.questions.session import Inquiry

PERCENT: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?%?", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument("quantity", metavar="QUANTITY", help="such as parameters, flops_decode")
    parser.add_argument(
        "--step",
        metavar="PERCENT",
        type=percent,
        default=Fraction(1, 100),
        help="how far a step goes at least: the nearest value that the table allows (default: 1%%)",
    )
    add_format(parser, "text", "md", "csv", "json")


def percent(text: str) -> Fraction:
    """`1%` or `0.5%`, as a fraction of one."""
    found = Fraction(text.rstrip("%")) / 100 if PERCENT.fullmatch(text) else Fraction(0)
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"`{text}` is no step: write 1%, from above 0% to 100%")
    return found


def run(arguments: argparse.Namespace) -> int:
    from specgen.expr.evaluate import EvaluationError
    from specgen.questions.compare import complete
    from specgen.questions.points import SweepError
    from specgen.questions.question import QuestionError
    from specgen.questions.session import Inquiry

    quantity = known_quantity(arguments.quantity)
    try:
        base, overrides, given = chosen(arguments)
        inquiry = Inquiry(base.changed(overrides))
        emit(answer(arguments, quantity, inquiry, complete(given)).encode())
    except (QuestionError, SweepError) as error:
        raise Usage(str(error)) from None
    except EvaluationError as error:
        raise Usage(f"no value: {error}") from None
    return 0


def answer(
    arguments: argparse.Namespace, quantity: str, inquiry: Inquiry, variables: Mapping[str, Value]
) -> str:
    from specgen.questions import influences
    from specgen.questions.sensitivity import sensitivity

    found = sensitivity(inquiry, quantity, variables, arguments.step)
    return influences.FORMATS[arguments.format](found, inquiry.base.program, variables)
