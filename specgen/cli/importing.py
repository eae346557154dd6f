"""Read a released config.json: which table it is of, its variant, and its exact counts."""

from __future__ import annotations

import argparse

from specgen.cli.arguments import add_define, add_format
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a config.json, or a folder with one")
    parser.add_argument(
        "--spec", metavar="SPEC", help="the table to read it as (default: the one that fits)"
    )
    parser.add_argument(
        "--ignore",
        metavar="KEY",
        action="append",
        default=[],
        help="read the file as if it had no such key (`rope_scaling.factor`); repeatable",
    )
    add_define(parser)
    add_format(parser, "text", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.huggingface import imported

    document = imported.import_configuration(
        arguments.config, arguments.spec, arguments.ignore, dict(arguments.defines)
    )
    render = imported.to_json if arguments.format == "json" else imported.to_text
    emit(render(document))
    return 0
