"""Find the faults of tables: every variant, every reachable condition, all in one run."""

from __future__ import annotations

import argparse
import sys

from specgen.cli.arguments import add_spec, selected
from specgen.cli.output import show
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, SpecError
from specgen.frontend.selection import Selection


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, many=True)


def run(arguments: argparse.Namespace) -> int:
    from specgen.frontend.load import check_file

    found = Diagnostics()
    overrides = dict(arguments.defines)
    for spec in arguments.spec:
        try:
            selection = selected(spec, overrides, arguments)
        except SpecError as error:  # the other tables may have faults of their own
            diagnostics = error.diagnostics
        else:
            diagnostics = (*check_file(selection.path).all, *check_choice(selection))
        for diagnostic in diagnostics:
            found.add(diagnostic)
    show(found.all, arguments.diagnostics)
    if found.errors:
        return 1
    if not found.all and arguments.diagnostics == "text":
        print(f"{len(arguments.spec)} checked, no faults", file=sys.stderr)
    return 0


def check_choice(selection: Selection) -> tuple[Diagnostic, ...]:
    """The faults of the variant and overrides that were given, if any were."""
    if selection.variant is None and not selection.overrides:
        return ()
    try:
        selection.program()
    except SpecError as error:
        return error.diagnostics
    return ()
