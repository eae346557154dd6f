"""What nobody here wrote: released tensor lists, counts and configurations, read in place.

Knows where those files lie and how they are laid out; knows nothing of specgen.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
TRUTH = REPOSITORY.parent / "shared" / "truth"

#: How the lists write dtypes, in specgen's words.
DTYPES = {
    "BF16": "bf16", "F8_E4M3": "f8e4m3", "F32": "f32", "bfloat16": "bf16", "float32": "f32",
}  # fmt: skip

#: Name, shape and dtype of each tensor; no dtype where the list does not have the released one.
Tensors = dict[str, tuple[tuple[int, ...], str | None]]

needs_truth = pytest.mark.skipif(
    not TRUTH.is_dir(), reason="released tensor lists (../shared/truth) are not on this machine"
)


def deepseek_v3_release() -> Tensors:
    """Every tensor of the release, scales and the multi-token-prediction head included."""
    with gzip.open(TRUTH / "deepseek_v3_tensors.json.gz", "rt") as file:
        listed = json.load(file)["stored_with_scales"]
    return {name: (tuple(shape), DTYPES[dtype]) for name, shape, dtype in listed}


def checkpoint(name: str, *, dtypes: bool) -> Tensors:
    """The tensors of `tensors/NAME.json.gz` as the checkpoint names them."""
    with gzip.open(TRUTH / "tensors" / f"{name}.json.gz", "rt") as file:
        listed = json.load(file)["checkpoint"]
    return {n: (tuple(shape), DTYPES[d] if dtypes else None) for n, shape, d in listed}


def totals() -> dict[str, dict[str, str]]:
    """The rows of truth.csv by model."""
    with (TRUTH / "truth.csv").open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def config(name: str) -> dict[str, Any]:
    """The config.json of a release."""
    found: dict[str, Any] = json.loads((TRUTH / "configs" / f"{name}.json").read_text())
    return found
