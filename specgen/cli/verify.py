"""Hold a released checkpoint or configuration against a table; exit 1 where they differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from specgen.cli.arguments import add_format, add_spec, selections
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
    from dataclasses import asdict

    from specgen.huggingface.comparing import compare
    from specgen.text.json_text import json_text

    (selection,) = selections([arguments.spec], arguments)
    found = compare(selection, arguments.path, arguments.ignore)
    if arguments.format == "json":
        document = {
            "fits": not found.differences,
            "judged": found.judged,
            "differences": [asdict(one) for one in found.differences],
        }
        emit(json_text(document).encode())
    else:
        lines = [f"{arguments.spec}: {found.judged}"]
        for one in found.differences:
            several = f" ({one.count:,}, the first is {one.name})" if one.count > 1 else ""
            lines.append(f"{one.kind}: {one.pattern} {one.says}".rstrip() + several)
        lines.append("they differ" if found.differences else "it fits")
        emit("\n".join([*lines, ""]).encode())
    return 1 if found.differences else 0
