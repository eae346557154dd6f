"""From a written model.onnx to a session: where its weights are, and how to get one with them.

Words for the manifest; nothing of graphs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Final

from specgen.backends.onnx.options import DECODE, PREFILL, Options
from specgen.backends.onnx.weights import FOLDER, LOCATION
from specgen.expr.evaluate import Value, describe
from specgen.ir.model import Program

INPUTS: Final = "inputs of the graph, the last of all, under {names}: it opens as it is"
CHECKPOINT: Final = "in the checkpoint's files beside it: it opens as it is"
EMBEDDED: Final = f"in it, or over 2 GB in {LOCATION} beside it: it opens as it is"
#: How the two static graphs are called, by how they keep their cache.
CALLS: Final = {
    "position": "attention_mask is of all slots; new rows go into the slots from cache_position on"
    " (round the end), and each present is the past of the next call",
    "shift": "attention_mask is of all slots, the new tokens last; older rows move to the front, and"
    " each present is the past of the next call",
    "new": "past rows come first in attention_mask, then the new tokens; the caller writes each"
    " present, the new rows alone, into the slots from cache_position on",
}
ABSENT: Final = "in {file} beside it, which whoever has them writes: until then it does not open"


def opening(program: Program, options: Options, overrides: Mapping[str, Value]) -> dict[str, str]:
    """What the manifest says: the file, where its weights are, and the command that gives them.

    The command is that for a released checkpoint, where the graph was made without one.
    """
    found = {"file": "model.onnx", "weights": place(options)}
    if options.static is not None:
        found["file"] = f"{PREFILL}, {DECODE}"
        found["call"] = CALLS[options.cache]
    if options.checkpoint is None:
        chosen = (
            f"--{name.replace('_', '-')} {shlex.quote(str(value))}"
            for name, value in options.given().items()
            if name not in ("weights", "ignore")
        )
        words = (table(program, overrides), *chosen, "--checkpoint FOLDER")
        command = f"specgen build {' '.join(words)}"
        found["with_checkpoint"] = command
    return found


def place(options: Options) -> str:
    if options.weights == "none":
        ruled = options.onnx_form == "functions" and not options.apart
        return INPUTS.format(
            names="their places in the table" if ruled else "the checkpoint's names"
        )
    if options.checkpoint is not None:
        return CHECKPOINT if options.beside_checkpoint else EMBEDDED
    return ABSENT.format(file=f"{FOLDER}/0, ..." if options.apart else LOCATION)


def table(program: Program, overrides: Mapping[str, Value]) -> str:
    """The table as an argument of a command, with what is overridden."""
    name = f"{program.name}@{program.variant}" if program.variant else program.name
    texts = {key: v if isinstance(v, str) else describe(v) for key, v in overrides.items()}
    given = (f"-D {shlex.quote(f'{key}={text}')}" for key, text in texts.items())
    return " ".join((shlex.quote(name), *given))
