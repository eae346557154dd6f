"""Equal instances are repeated, not walked: the bytes must be those of walking every one."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.backends.onnx import replay
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import OnnxForm, Ops, Options
from specgen.frontend.load import load_program
from specgen.ir.model import Program
from tests.onnx.references import load_spec

#: Parts that share a value which comes from their argument, and a part that is called twice: a
#: repetition must not take the shared value, nor the rows, of another layer.
SHARING = """
language 1

model sharing "Parts that share" {
  params {
    vocab_size : size = 32
    dim        : size = 16
    n_layers   : size = 3
  }
  dtypes {
    maps        = bf16
    arrays      = bf16
    activations = bf16
  }
  tensors {
    table : [vocab_size, dim]
    head  : dim -> vocab_size
  }
  parts {
    layers[layer] : block × n_layers
  }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    return head(layers(take(table, tokens)))
  }
  module block "Layer: its index, in its scope, makes each of them walked" {
    params {
      layer : count
    }
    parts {
      first  : mapper(features = dim)
      second : mapper(features = 2 × dim)
      twice  : mapper(features = dim)
      sum    : adder
    }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      a, b = split(second(x), [dim, dim])
      c    = rearrange(twice(rearrange(x, "b s d -> b 1 s d")), "b 1 s d -> b s d")
      d    = sum(x, x when layer == 0 else a)
      return softmax(x + (first(x) + a * b + twice(x) - c) + d)
    }
  }
  module adder "A sum, whose arguments may be one and the same" {
    forward(x: [..., dim], y: [..., dim]) -> [..., dim] {
      return silu(x) + silu(y)
    }
  }
  module mapper "A map" {
    params {
      features : size
    }
    tensors {
      w : dim -> features
    }
    forward(x: [..., dim]) -> [..., features] {
      return w(x)
    }
  }
}
"""


@pytest.fixture
def sharing(tmp_path: Path) -> Program:
    path = tmp_path / "sharing.dsv3"
    path.write_text(SHARING)
    return load_program(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "variant", "ops"),
    [
        ("deepseek_v3", "v3_671b", "standard"),
        ("deepseek_v3", "v2_lite_16b", "standard"),
        ("deepseek_v3", "v2_lite_16b", "primitive"),
        ("deepseek_v3", "v2_lite_16b", "ort"),
        ("llama", "llama32_1b", "standard"),
        ("llama", "llama32_1b", "primitive"),
        ("gpt_neox", "pythia_70m", "standard"),
        ("gpt_neox", "pythia_70m", "primitive"),
        ("gpt_oss", "gpt_oss_20b", "standard"),
    ],
)
@pytest.mark.parametrize("form", ["flat", "functions"])
def test_released_models(spec: str, variant: str, ops: Ops, form: OnnxForm) -> None:
    program, options = load_spec(spec, variant), Options(onnx_form=form, ops=ops)
    assert build(program, options) == build(program, options, repeat=False)


def test_two_caches_of_one_name() -> None:
    program = load_program(Path(__file__).with_name("unusual.dsv3"))
    assert build(program) == build(program, repeat=False)


def test_values_shared_between_parts(sharing: Program) -> None:
    assert build(sharing) == build(sharing, repeat=False)


def test_the_guard_is_what_keeps_them_apart(
    sharing: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "inherited", lambda frame, recording: iter(()))
    assert build(sharing) != build(sharing, repeat=False)
