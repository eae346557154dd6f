"""Weights stored in few bits: the graph computes what the float model of the same values does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.ir.model import Program
from tests.onnx.checkpoints import quantised, random_weights
from tests.onnx.references import Override, in_f32, load_spec
from tests.onnx.session import Session, fill, onnx, parsed, weights_of

#: Widths that are no multiples of the tile, and more than one tile wide.
SIZES: dict[str, Override] = {
    "vocab_size": 96, "dim": 160, "inter_dim": 288, "moe_inter_dim": 136, "n_layers": 3,
    "n_dense_layers": 1, "n_heads": 2, "q_lora_rank": 24, "kv_lora_rank": 16,
    "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16, "n_routed_experts": 8,
    "n_activated_experts": 3, "n_expert_groups": 4, "n_limited_groups": 2, "gate_bias": True,
}  # fmt: skip


@pytest.mark.slow
def test_fp8_blocks_compute_as_the_matrices_that_they_stand_for(tmp_path: Path) -> None:
    eight_bits = in_f32(load_spec("deepseek_v3", **SIZES))
    floats = in_f32(load_spec("deepseek_v3", **SIZES, weight_format="f32"))
    checkpoint = random_weights(build(floats), 1)
    packed = dict(checkpoint)
    for scale in random_weights(build(eight_bits), 1).keys() - checkpoint.keys():
        name = scale.removesuffix("_scale_inv")
        packed[name], packed[scale], checkpoint[name] = quantised(checkpoint[name])
    stacks = {t.name: t.data_type for t in weights_of(parsed(build(eight_bits)))}
    assert stacks["model.layers.1.mlp.experts.{e}.up_proj.weight"] == onnx.TensorProto.FLOAT8E4M3FN
    expected = run(floats, checkpoint, tmp_path)
    assert np.abs(run(eight_bits, packed, tmp_path) - expected).max() <= 2e-5
    assert np.abs(expected).max() > 1


def run(program: Program, weights: dict[str, np.ndarray], folder: Path) -> np.ndarray:
    tokens = np.random.default_rng(2).integers(0, 96, (2, 17))
    session = Session.open(fill(build(program), weights, folder), batch=2)
    return np.concatenate([session(tokens[:, :13]), session(tokens[:, 13:])], axis=1)


@pytest.mark.parametrize("spec", ["deepseek_v3", "llama"])
def test_bf16_weights_compute_as_their_f32_values(spec: str, tmp_path: Path) -> None:
    sizes: dict[str, Override] = {**SIZES, "weight_format": "bf16"}
    if spec == "llama":
        sizes = {
            "vocab_size": 96, "dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2,
            "head_dim": 16, "inter_dim": 96, "tie_embeddings": True, "mlp_bias": True,
            "attention_bias": True,
        }  # fmt: skip
    stored = load_spec(spec, **sizes)
    floats = in_f32(stored)
    rounded = {
        name: ((v.view(np.uint32) >> 16) << 16).view(np.float32)
        for name, v in random_weights(build(floats), 3).items()
    }
    expected = run(floats, rounded, tmp_path)
    assert np.abs(run(stored, rounded, tmp_path) - expected).max() <= 2e-5
