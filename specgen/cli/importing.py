"""Read a released config.json: which table it is of, its variant, and its exact counts."""

from __future__ import annotations

import argparse
from pathlib import Path

from specgen.cli.arguments import Usage, add_define, add_format
from specgen.cli.output import emit
from specgen.huggingface.select import select


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
    from specgen.huggingface.binding import bind, load_table
    from specgen.huggingface.choosing import choose, read_as
    from specgen.huggingface.configuration import read

    found = read(Path(arguments.config))
    if arguments.spec is None:
        table, found = choose(found)
    else:
        selection = select(arguments.spec)
        if selection.variant is not None:
            raise Usage("--spec takes a table without a variant: the file says the values")
        table = load_table(selection.path)
        found = read_as(table, found)
    bound = bind(table, found, arguments.ignore, dict(arguments.defines))
    document = imported.document(bound, arguments.config)
    render = imported.to_json if arguments.format == "json" else imported.to_text
    emit(render(document))
    return 0
