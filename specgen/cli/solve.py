"""Ask the other way round: which value of a parameter gives this figure, exactly."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from specgen.cli.arguments import Usage, add_format, add_spec
from specgen.cli.output import emit
from specgen.cli.whatif import chosen
from specgen.diagnostics.diagnostic import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from specgen.expr.evaluate import Value
    from specgen.expr.simplify import Known
    from specgen.questions.points import Axis
    from specgen.questions.question import Question
    from specgen.questions.session import Inquiry

#: Solutions of several unknowns that are listed unless --limit says otherwise, and at most.
LISTED: Final = 10
MAX_LISTED: Final = 200

#: Unknowns of one search.
MAX_UNKNOWNS: Final = 8


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument(
        "question",
        metavar="QUESTION",
        help="'QUANTITY == VALUE', such as 'parameters == 671_026_419_200'; also <=, <, >=, >;"
        " both sides may be expressions",
    )
    parser.add_argument(
        "--for",
        dest="unknowns",
        metavar="NAME[,NAME]",
        required=True,
        help="the unknown: a parameter, or B, S or T; several are searched as a lattice",
    )
    parser.add_argument(
        "--within",
        metavar="[NAME=]LOW:HIGH[:STEP]",
        action="append",
        default=[],
        help="the range of an unknown; NAME may be left out where there is one; repeatable",
    )
    parser.add_argument(
        "--limit",
        type=int,
        default=LISTED,
        help=f"solutions of several unknowns to list (default: {LISTED})",
    )
    add_format(parser, "text", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.expr.evaluate import EvaluationError
    from specgen.questions.forms import TooManyStructures
    from specgen.questions.points import SweepError
    from specgen.questions.question import QuestionError, asked
    from specgen.questions.session import Inquiry

    try:
        base, overrides, given = chosen(arguments)
        inquiry = Inquiry(base.changed(overrides))
        question = asked(arguments.question, inquiry)
        emit(answer(arguments, inquiry, question, given).encode())
    except (QuestionError, SweepError, TooManyStructures) as error:
        raise Usage(str(error)) from None
    except EvaluationError as error:
        raise Usage(f"the question has no value: {error}") from None
    return 0


def answer(
    arguments: argparse.Namespace,
    inquiry: Inquiry,
    question: Question,
    given: Mapping[str, Value],
) -> str:
    """The answer in the format that is asked for."""
    from specgen.questions import solved
    from specgen.questions.compare import complete
    from specgen.questions.lattice import search
    from specgen.questions.question import for_unknowns, open_names
    from specgen.questions.solve import solve

    if not 1 <= arguments.limit <= MAX_LISTED:
        raise Usage(f"--limit is a number from 1 to {MAX_LISTED}")
    unknowns = names(arguments.unknowns, inquiry)
    ranges = within(arguments.within, unknowns)
    left_open = open_names(question, inquiry)
    variables = for_unknowns(complete(given), given, unknowns)
    shown = {n: v for n, v in variables.items() if n in left_open and n not in unknowns}
    context = solved.Context(inquiry.base.program, shown)
    is_json = arguments.format == "json"
    if len(unknowns) == 1 and is_range(ranges):
        (unknown,) = unknowns
        bounds = ends(unknown, ranges[unknown], inquiry) if ranges else None
        found = solve(inquiry, question, unknown, variables, bounds)
        return (solved.solution_json if is_json else solved.solution_text)(found, context)
    axes = [axis_of(name, ranges.get(name), inquiry, variables) for name in unknowns]
    points = search(inquiry, question, axes, variables, arguments.limit)
    return (solved.search_json if is_json else solved.search_text)(points, context)


def is_range(ranges: Mapping[str, str]) -> bool:
    """Whether ranges are of all whole numbers; else they are values to choose among."""
    return all(text.count(":") == 1 and "," not in text for text in ranges.values())


def names(text: str, inquiry: Inquiry) -> list[str]:
    """The unknowns, each a param of the table or a variable."""
    from specgen.questions.variables import variables_of

    found = [name.strip() for name in text.split(",")]
    known = [*inquiry.params, *variables_of(inquiry.family.loaded[1])]
    for name in found:
        if name not in known:
            close = suggestion(name, known)
            hint = f"did you mean `{close}`?" if close else f"there are {', '.join(known)}"
            raise Usage(f"--for: there is no parameter or variable `{name}`; {hint}")
        if found.count(name) > 1:
            raise Usage(f"--for: `{name}` is given twice")
    if len(found) > MAX_UNKNOWNS:
        raise Usage(f"--for: more than {MAX_UNKNOWNS} unknowns")
    return found


def within(texts: list[str], unknowns: list[str]) -> dict[str, str]:
    """The text of each unknown's range."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            if len(unknowns) > 1:
                raise Usage(f"--within: which unknown? write {unknowns[0]}={text}")
            name, value = unknowns[0], text
        if name not in unknowns:
            raise Usage(f"--within: `{name}` is not among the unknowns, {', '.join(unknowns)}")
        if name in found:
            raise Usage(f"--within: `{name}` is given twice")
        found[name] = value
    return found


def ends(name: str, text: str, inquiry: Inquiry) -> tuple[int, int]:
    """The ends of one unknown's range."""
    from specgen.questions.points import values

    low, _, high = text.partition(":")
    found = [value for end in (low, high) for value in values(name, end, inquiry.family.loaded[1])]
    match found:
        case [int(a), int(b)] if a <= b:
            return a, b
        case _:
            raise Usage(f"--within: `{text}` is not of the form LOW:HIGH, LOW at most HIGH")


def axis_of(name: str, text: str | None, inquiry: Inquiry, variables: Mapping[str, Known]) -> Axis:
    """The values that one of several unknowns takes: those given, or a range around the table's."""
    from specgen.questions.lattice import default_axis
    from specgen.questions.points import axis, values
    from specgen.questions.session import WHOLE

    kind = inquiry.kinds.get(name, "size")
    if kind not in WHOLE:
        raise Usage(f"--for: `{name}` is a {kind}; several unknowns are whole numbers")
    if text is not None:
        return axis(name, values(name, text, inquiry.family.loaded[1]))
    base = inquiry.params.get(name, variables.get(name))
    if not isinstance(base, int):
        raise Usage(f"--for: give the range of `{name}`, as in --within {name}=1:4096")
    return default_axis(name, base, 1 if kind == "size" else 0)
