"""What a part's params are: given, by name, or their default; nothing by a name that happens to fit."""

from __future__ import annotations

from pathlib import Path

import pytest

import specgen
from specgen.frontend.load import check_file

TABLE = """language 1
use std.norm {{ layernorm }}
model small "Small" {{
  params {{ dim : size = 64   {params} }}
  {let}
  parts {{ norm : {part} }}
  tensors {{ up : dim -> dim }}
}}
module other {{
  params {{ width : size   {own} }}
  tensors {{ a : [width]   b : [width] when flagged }}
}}
"""


def written(folder: Path, part: str, params: str = "", own: str = "", let: str = "") -> Path:
    path = folder / "small.dsv3"
    path.write_text(TABLE.format(part=part, params=params, own=own or "flagged : flag", let=let))
    return path


def codes(path: Path) -> list[str]:
    return [diagnostic.code for diagnostic in check_file(path).all]


def parameters(path: Path) -> int:
    found = specgen.load(path).quantities["parameters"]
    assert isinstance(found, int)
    return found - 64 * 64


@pytest.mark.parametrize(
    ("part", "params", "norm"),
    [
        ("layernorm(width = dim)", "bias : flag = false", 128),
        ("layernorm(width = dim, bias = bias)", "bias : flag = false", 64),
        ("layernorm(width = dim, bias = true)", "bias : flag = false", 128),
        ("layernorm(width = dim)", "", 128),
    ],
)
def test_a_param_with_a_default_is_not_filled_by_name(
    part: str, params: str, norm: int, tmp_path: Path
) -> None:
    path = written(tmp_path, part, params)
    assert parameters(path) == norm
    by_default = "(width = dim)" in part and params
    assert codes(path) == (["W0612"] if by_default else [])


def test_nor_by_the_name_of_a_let(tmp_path: Path) -> None:
    path = written(tmp_path, "layernorm(width = dim)", let="let { bias = dim < 4 }")
    assert parameters(path) == 128
    assert codes(path) == ["W0612"]


@pytest.mark.parametrize("asked", ["flagged", "bold"])
@pytest.mark.parametrize("value", [True, False])
def test_a_default_may_ask_for_a_name(asked: str, value: bool, tmp_path: Path) -> None:
    own = f"flagged : flag = {asked} when given else {str(not value).lower()}"
    given = written(tmp_path, "other(width = dim)", f"{asked} : flag = {str(value).lower()}", own)
    assert parameters(given) == (128 if value else 64)
    assert codes(given) == []
    absent = written(tmp_path, "other(width = dim)", "", own)
    assert parameters(absent) == (64 if value else 128)


def test_a_param_without_a_default_is_filled_by_name(tmp_path: Path) -> None:
    assert parameters(written(tmp_path, "other(width = dim)", "flagged : flag = true")) == 128
    assert codes(written(tmp_path, "other(width = dim)")) == ["E0603"]
