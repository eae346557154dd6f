"""The checkpoint target: config.json and tensors.json, what a released folder is made of.

Needs no dataflow.  config.json is written where the table says how Hugging Face's looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.analysis.table.config import config
from specgen.huggingface.tensors import document
from specgen.ir.model import Program
from specgen.text.json_text import json_text

#: The naming scheme whose configuration is called config.json.
HUGGING_FACE: Final = "hf"


def emit(program: Program) -> Mapping[str, bytes]:
    """config.json and tensors.json, the same bytes for the same program.

    Raises:
        SpecError: the table cannot be counted, or its configuration contradicts itself.
    """
    files: dict[str, object] = {}
    if HUGGING_FACE in program.configs:
        files["config.json"] = config(program, HUGGING_FACE)
    files["tensors.json"] = document(program)
    return {name: json_text(content).encode() for name, content in files.items()}
