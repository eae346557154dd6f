"""Hold a released checkpoint or configuration against a table; exit 1 where they differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from specgen.cli.arguments import add_format, add_spec, select_tables
from specgen.cli.output import emit


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument(
        "path",
        metavar="PATH",
        type=Path,
        help="a safetensors file, its index.json, a folder of them, or a config.json",
    )
    parser.add_argument(
        "--ignore",
        metavar="PATTERN",
        action="append",
        default=[],
        help="names that may be there in excess (`*.rotary_emb.inv_freq`); repeatable",
    )
    add_format(parser, "text", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.huggingface.comparing import compare

    (selection,) = select_tables([arguments.spec], arguments)
    found = compare(selection, arguments.path, arguments.ignore)
    emit(found.render(arguments.format, arguments.spec))
    return 1 if found.differences else 0
