"""Write the artefacts of tables: DIR/<spec>/<variant>/, each folder completely or not at all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from specgen.backends.base import TARGETS, require_targets
from specgen.backends.onnx.options import (
    ALIASES,
    BESIDE,
    CHOICES,
    CHOSEN,
    EXPANDED,
    OPSETS,
    STATIC,
    Options,
)
from specgen.cli.arguments import UsageError, add_spec, select_tables
from specgen.cli.output import emit, remark
from specgen.diagnostics.diagnostic import no_such
from specgen.output.build import differences, produce, require_places, write

OUTPUT: Final = "generated"

#: The options of model.onnx with a closed list of values: field of `Options`, and what it is.
ONNX: Final = {
    "--onnx-form": ("onnx_form", "one flat graph, or a function for each module"),
    "--experts": (
        "experts",
        "one chosen expert after the other (`stacked` is its other name), all at once, the chosen"
        " ones at once, or one initializer for each released tensor",
    ),
    "--weights": ("weights", "inputs of the graph, bytes of a file beside it, or inside it"),
    "--ops": ("ops", "how new an operator may be; `ort`: those of onnxruntime too"),
    "--cache": (
        "cache",
        "of static graphs: rows written by position, or behind the others, or out",
    ),
    "--index": ("index", "dtype of ids, masks and positions that come in"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, many=True)
    parser.add_argument(
        "--target",
        metavar="T,...",
        action="append",
        help=f"only these: {', '.join(TARGETS)} (default: all that the table has content for)",
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path,
        help=f"default: {OUTPUT}",
    )  # fmt: skip
    onnx = parser.add_argument_group("model.onnx")
    for option, (name, help_) in ONNX.items():
        values = CHOICES[name]
        usual = f"{values[0]}, with --checkpoint {BESIDE}" if name == "weights" else values[0]
        onnx.add_argument(
            option, dest=name, metavar="|".join(values), help=f"{help_} (default: {usual})"
        )
    onnx.add_argument(
        "--form",
        metavar=f"{CHOSEN}|{EXPANDED}|NAME",
        help="of modules with several forwards the one with the fewest operations, in each call; the"
        f" main one; or the one of that name (default: {CHOSEN})",
    )
    onnx.add_argument(
        "--opset",
        metavar="N",
        type=int,
        help=f"version of the operators, {OPSETS[0]} to {OPSETS[-1]} (default: that of --ops)",
    )
    onnx.add_argument(
        "--static",
        metavar=f"{'=N,'.join(STATIC)}=N",
        help="prefill.onnx and decode.onnx, whose dims are all numbers, instead of model.onnx",
    )
    onnx.add_argument(
        "--checkpoint",
        metavar="FOLDER",
        type=Path,
        help="write model.onnx there, pointing into its safetensors files; or embed them",
    )
    onnx.add_argument(
        "--ignore",
        metavar="PATTERN",
        action="append",
        default=[],
        help="tensors that the checkpoint may have in excess (`lm_head.*`); repeatable",
    )
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument(
        "--force", action="store_true", help="replace files that were edited since they were built"
    )
    writing.add_argument(
        "--check",
        action="store_true",
        help="write nothing; print a unified diff and exit 1 where a file would change",
    )


def run(arguments: argparse.Namespace) -> int:
    targets = None
    if arguments.target is not None:
        targets = [name.strip() for text in arguments.target for name in text.split(",")]
        require_targets(targets)
    onnx = read_onnx_options(arguments)
    if onnx.checkpoint is not None and len(arguments.spec) > 1:
        raise UsageError("a checkpoint is that of one table")
    if onnx.beside_checkpoint and arguments.output is not None:
        raise UsageError(
            "model.onnx points into the checkpoint and goes into its folder: leave out `-o`"
        )
    output = arguments.output or Path(OUTPUT)
    artefacts = [produce(s, targets, onnx) for s in select_tables(arguments.spec, arguments)]
    require_places(artefacts)
    refused = [diagnostic for item in artefacts for diagnostic in item.refused]
    if refused:
        from specgen.cli.output import show

        show(refused, arguments.diagnostics)
    if arguments.check:
        lines = differences(artefacts, output)
        for line in lines:
            emit(f"{line}\n".encode(errors="backslashreplace"))
        return 1 if lines or refused else 0
    for folder, changed in write(artefacts, output, force=arguments.force):
        remark(f"{'wrote' if changed else 'unchanged'} {folder.as_posix()}")
    return 1 if refused else 0


def read_onnx_options(arguments: argparse.Namespace) -> Options:
    """The choices for model.onnx."""
    chosen = {name: v for name in CHOICES if (v := getattr(arguments, name)) is not None}
    for option, (name, _) in ONNX.items():
        if name in chosen and chosen[name] not in (*CHOICES[name], *ALIASES.get(name, ())):
            raise no_such(f"value of {option}", chosen[name], CHOICES[name])
    return Options(
        **chosen,
        form=CHOSEN if arguments.form is None else arguments.form,
        opset=arguments.opset,
        static=arguments.static,
        checkpoint=arguments.checkpoint,
        ignore=tuple(arguments.ignore),
    )
