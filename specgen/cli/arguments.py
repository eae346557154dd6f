"""Arguments that several commands share, and how they are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Final

from specgen.diagnostics.diagnostic import RequestError
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select, select_base

DEFINITION: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


class UsageError(RequestError):
    """Options are at fault, or exclude each other; the message says how."""


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
            help="a table: FILE, FILE@VARIANT, NAME or NAME@VARIANT; or a released config.json",
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
        type=read_definition,
        help="override a parameter, after the variant; repeatable",
    )


def add_format(parser: argparse.ArgumentParser, *formats: str) -> None:
    """`--format`; the first one is the default."""
    parser.add_argument(
        "--format", choices=formats, default=formats[0], help=f"default: {formats[0]}"
    )


def read_definition(text: str) -> tuple[str, str]:
    """NAME=VALUE, read."""
    found = DEFINITION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form NAME=VALUE")
    return found["name"], found["value"]


def select_tables(specs: Sequence[str], arguments: argparse.Namespace) -> list[Selection]:
    """The tables given, each with the overrides given."""
    overrides = dict(arguments.defines)
    return [select_table(spec, overrides, arguments) for spec in specs]


def select_table(
    spec: str, overrides: Mapping[str, str], arguments: argparse.Namespace
) -> Selection:
    """The table given; what is not counted of it is said on stderr.

    Raises:
        SpecError: a released configuration is of no table, or says what its table cannot say.
    """
    return remarked(select(spec, overrides), spec, arguments)


def select_asked(spec: str, arguments: argparse.Namespace) -> tuple[Selection, dict[str, str]]:
    """The table that a question is about, and the params and variables that `-D` gives it then.

    Raises:
        SpecError: as `select_table`.
    """
    changes = dict(arguments.defines)
    return remarked(select_base(spec, changes), spec, arguments), changes


def remarked(found: Selection, spec: str, arguments: argparse.Namespace) -> Selection:
    """The table; what is not counted of it is said on stderr."""
    if found.stored:
        from specgen.cli.output import show
        from specgen.diagnostics.diagnostic import Diagnostics

        remarks = Diagnostics()
        remarks.report("W1005", None, path=spec, stored=found.stored)
        show(remarks.all, arguments.diagnostics)
    return found
