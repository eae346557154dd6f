"""What nobody here wrote: released tensor lists, counts and configurations (data/README.md).

Knows where those files lie and how they are laid out; knows nothing of specgen.
"""

from __future__ import annotations

import csv
import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"

#: How the lists write dtypes, in specgen's words.
DTYPES = {
    "BF16": "bf16", "F8_E4M3": "f8e4m3", "F32": "f32", "bfloat16": "bf16", "float32": "f32",
}  # fmt: skip

#: Name, shape and dtype of each tensor; no dtype where the list does not have the released one.
Tensors = dict[str, tuple[tuple[int, ...], str | None]]


def deepseek_v3_release() -> Tensors:
    """Every tensor of the release, scales and the multi-token-prediction head included."""
    return checkpoint("deepseek-v3 release", dtypes=True)


def checkpoint(name: str, *, dtypes: bool) -> Tensors:
    """The tensors of a model as the checkpoint names them."""
    return {n: (tuple(shape), DTYPES[d] if dtypes else None) for n, shape, d in listed()[name]}


@cache
def listed() -> dict[str, list[Any]]:
    with lzma.open(DATA / "tensors.json.xz", "rt") as file:
        found: dict[str, list[Any]] = json.load(file)
    return found


def totals() -> dict[str, dict[str, str]]:
    """The rows of counts.csv by model."""
    with (DATA / "counts.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def config(name: str) -> dict[str, Any]:
    """The configuration of a release, for the caller to change."""
    found: dict[str, Any] = json.loads((DATA / "configurations.json").read_text())[name]
    return found
