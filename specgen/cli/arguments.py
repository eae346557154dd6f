"""Arguments that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Final

from specgen.selection import Selection, select

DEFINITION: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


class Usage(Exception):
    """The command line is at fault; the message says how."""


def add_diagnostics_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--diagnostics",
        choices=("text", "json"),
        default="text",
        help="how faults are printed on stderr: for people, or as JSON lines",
    )


def add_spec(parser: argparse.ArgumentParser, *names: str, many: bool = False) -> None:
    """One positional table for each name, or any number of them, and `-D`."""
    for name in names or ("spec",):
        parser.add_argument(
            name,
            metavar=name.upper(),
            nargs="+" if many else None,
            help="a table: FILE or FILE@VARIANT",
        )
    add_define(parser)


def add_define(parser: argparse.ArgumentParser) -> None:
    """`-D`: values that are set after all others."""
    parser.add_argument(
        "-D",
        dest="defines",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=definition,
        help="override a parameter, after the variant; repeatable",
    )


def add_format(parser: argparse.ArgumentParser, *formats: str) -> None:
    """`--format`; the first one is the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


def definition(text: str) -> tuple[str, str]:
    """NAME=VALUE, read."""
    found = DEFINITION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form NAME=VALUE")
    return found["name"], found["value"]


def selections(specs: Sequence[str], arguments: argparse.Namespace) -> list[Selection]:
    """The tables given, each with the overrides given."""
    overrides = dict(arguments.defines)
    return [select(spec, overrides) for spec in specs]
