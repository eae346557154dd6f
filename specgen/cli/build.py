"""Write the artefacts of tables: DIR/<spec>/<variant>/, each folder completely or not at all."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from specgen.artefacts.build import Artefacts, differences, produce, write
from specgen.artefacts.targets import TARGETS
from specgen.cli.arguments import Usage, add_spec, selections
from specgen.diagnostics.diagnostic import suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, many=True)
    parser.add_argument(
        "--target",
        metavar="T,...",
        action="append",
        help=f"only these: {', '.join(TARGETS)} (default: all that the table has content for)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, default=Path("generated"),
        help="default: generated",
    )  # fmt: skip
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; print a unified diff and exit 1 where a file would change",
    )


def run(arguments: argparse.Namespace) -> int:
    targets = target_names(arguments.target)
    artefacts = [produce(s, targets) for s in selections(arguments.spec, arguments)]
    refuse_twice(artefacts)
    if arguments.check:
        lines = differences(artefacts, arguments.output)
        for line in lines:
            print(line)
        return 1 if lines else 0
    for folder, changed in write(artefacts, arguments.output):
        print(f"{'wrote' if changed else 'unchanged'} {folder.as_posix()}", file=sys.stderr)
    return 0


def target_names(given: list[str] | None) -> list[str] | None:
    """The targets asked for; None where none was."""
    if given is None:
        return None
    names = [name.strip() for text in given for name in text.split(",")]
    for name in names:
        if name not in TARGETS:
            close = suggestion(name, TARGETS)
            hint = f"did you mean `{close}`?" if close else f"there are {', '.join(TARGETS)}"
            raise Usage(f"there is no target `{name}`; {hint}")
    return names


def refuse_twice(artefacts: list[Artefacts]) -> None:
    """Two tables for one folder would leave the second only."""
    places = [item.place for item in artefacts]
    for place in places:
        if places.count(place) > 1:
            raise Usage(f"two of the tables go to {place.as_posix()}")
