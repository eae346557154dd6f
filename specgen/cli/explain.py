"""Say what a diagnostic's code means, with a short wrong and right example."""

from __future__ import annotations

import argparse

from specgen.cli.output import emit
from specgen.diagnostics.explain import explain


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", help="such as E0401")


def run(arguments: argparse.Namespace) -> int:
    emit(explain(arguments.code).encode())
    return 0
