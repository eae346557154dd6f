"""Counts of repeated parts: none of them, and mixtures over what is no token."""

from __future__ import annotations

from pathlib import Path

import pytest

import specgen
from specgen.diagnostics.diagnostic import SpecError

MIXTURE = """language 1
use std.norm { layernorm }
model t "T" {
  params { vocab_size : size = 10  dim : size = 8  heads : size = 4  n : size = 6 }
  parts {
    all[h]  : layernorm(width = dim, norm_eps = 0.01, bias = false) × heads
    some[h] : layernorm(width = dim, norm_eps = 0.01, bias = false) × n
    two[h]  : layernorm(width = dim, norm_eps = 0.01, bias = false) × n
  }
  tensors { embed : [vocab_size, heads × dim] }
  forward(tokens: i64 [B, S]) -> [B, S, heads, dim] {
    x    = rearrange(take(embed, tokens), "b s (h d) -> b s h d", h = heads)
    i    = repeat(iota(heads), "h -> b s h 1", b = B, s = S)
    ones = cast(i >= 0, like = x)
    j    = repeat(iota(2), "k -> b s k", b = B, s = S)
    y    = mixture(some, mixture(all, x, ones, i), ones, i)
    last = sum(y, over = -2) * 0 + mixture(two, sum(y, over = -2), cast(j >= 0, like = x), j)
    return y + rearrange(last, "b s d -> b s 1 d")
  }
}
"""

NOTHING = """language 1
model t "T" {
  params { vocab_size : size = 9  dim : size = 4  n : count = 2 }
  parts { layers[i] : block × n }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return BODY }
  module block {
    tensors { w : dim -> dim }
    forward(x: [..., dim]) -> [..., dim] { return x + w(x) }
  }
}
"""


def test_each_element_of_an_axis_that_is_no_token_chooses_for_itself(tmp_path: Path) -> None:
    (tmp_path / "t.dsv3").write_text(MIXTURE)
    counted = specgen.load(tmp_path / "t.dsv3").quantities
    touched = 4 * 8 + 4 * 8 + 2 * 8  # all of the heads', as many of the six, two of six
    assert counted["parameters_active_no_embedding"] == touched
    wide = specgen.load(tmp_path / "t.dsv3", heads=8).quantities
    assert wide["parameters_active_no_embedding"] == 8 * 8 + 6 * 8 + 2 * 8


@pytest.mark.parametrize("target", ["pytorch", "onnx", "report", "formulas", "checkpoint"])
def test_a_stack_of_nothing_is_its_argument(target: str, tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(NOTHING.replace("BODY", "layers(take(embed, tokens))"))
    model = specgen.load(path, n=0)
    assert model.quantities["parameters"] == 36
    assert model.formula("flops_prefill") == 0
    assert specgen.load(path).quantities["parameters"] == 36 + 2 * 16
    model.build(tmp_path, [target])


def test_a_mixture_of_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    body = "mixture(layers, take(embed, tokens), cast(i >= 0, like = embed), i)"
    text = NOTHING.replace(
        "return BODY", f'i = rearrange(tokens % 2, "b s -> b s 1")  return {body}'
    )
    path.write_text(text)
    assert specgen.load(path).quantities["parameters"] == 68
    with pytest.raises(SpecError, match="E0605"):
        specgen.load(path, n=0)
