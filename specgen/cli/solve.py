"""Ask the other way round: which value of a parameter gives this figure, exactly."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import UsageError, add_format, add_spec, select_asked
from specgen.cli.output import emit


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
        default=10,
        help="solutions of several unknowns to list (default: 10)",
    )
    add_format(parser, "text", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.questions.ask import solve

    base, changes = select_asked(arguments.spec, arguments)
    unknowns = [name.strip() for name in arguments.unknowns.split(",")]
    within = read_ranges(arguments.within, unknowns)
    answer = solve(base, arguments.question, unknowns, within, changes, arguments.limit)
    emit(answer.render(arguments.format))
    return 0


def read_ranges(texts: list[str], unknowns: list[str]) -> dict[str, str]:
    """The text of each range by the name of its unknown, which may be left out where there is one."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals:
            if len(unknowns) > 1:
                raise UsageError(f"--within: which unknown? write {unknowns[0]}={text}")
            name, value = unknowns[0], text
        if name in found:
            raise UsageError(f"--within: `{name}` is given twice")
        found[name] = value
    return found
