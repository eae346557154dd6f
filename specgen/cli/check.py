"""Find the faults of tables: every variant, every reachable condition, all in one run."""

from __future__ import annotations

import argparse
import sys

from specgen.cli.arguments import add_spec, select_table
from specgen.cli.output import show
from specgen.diagnostics.diagnostic import Diagnostics, SpecError


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, many=True)


def run(arguments: argparse.Namespace) -> int:
    from specgen.frontend.load import check_selection

    found = Diagnostics()
    overrides = dict(arguments.defines)
    for spec in arguments.spec:
        try:
            diagnostics = check_selection(select_table(spec, overrides, arguments))
        except SpecError as error:  # the other tables may have faults of their own
            diagnostics = error.diagnostics
        for diagnostic in diagnostics:
            found.add(diagnostic)
    show(found.all, arguments.diagnostics)
    if found.errors:
        return 1
    if not found.all and arguments.diagnostics == "text":
        print(f"{len(arguments.spec)} checked, no faults", file=sys.stderr)
    return 0
