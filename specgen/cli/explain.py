"""Say what a diagnostic's code means, with a short wrong and right example."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import Usage
from specgen.cli.output import emit
from specgen.diagnostics.codes import CODES
from specgen.diagnostics.diagnostic import suggestion


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", help="such as E0401")


def run(arguments: argparse.Namespace) -> int:
    name = arguments.code.upper()
    code = CODES.get(name)
    if code is None:
        close = suggestion(name, CODES)
        raise Usage(f"there is no code `{arguments.code}`; did you mean `{close}`?" if close
                    else f"there is no code `{arguments.code}`")  # fmt: skip
    emit(f"{name} ({code.severity}): {code.title}\n\n{code.explanation}\n".encode())
    return 0
