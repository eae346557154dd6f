"""Padding anywhere, in any pieces: what the real tokens get is what they get without padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.frontend.load import load_program
from tests.agreement import TOLERANCE, Layers, Step

SPECS = Path(__file__).parents[2] / "specs"

SMALL = {
    "vocab_size": 31,
    "dim": 16,
    "inter_dim": 8,
    "n_layers": 2,
    "n_heads": 4,
    "n_kv_heads": 2,
    "head_dim": 4,
    "window": 3,
}


def masks(length: int, seed: int) -> np.ndarray:
    """[4, length]: padding on the right of the prompt, on the left, on both sides, anywhere."""
    rng = np.random.default_rng(seed)
    mask = np.ones((4, length), np.bool_)
    mask[0, 4 : 4 + rng.integers(1, 4)] = False
    mask[1, : rng.integers(1, 6)] = False
    mask[2, :2], mask[2, 5:7] = False, False
    mask[3] = rng.random(length) < 0.6
    mask[3, -1] = True
    return mask


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("pieces", [(12,), (7, 1, 1, 1, 1, 1), (3, 4, 1, 4)])
def test_padding_takes_no_room_in_a_window(
    tmp_path: Path, pieces: tuple[int, ...], window: int
) -> None:
    program = load_program(SPECS / "mistral.dsv3", None, {**SMALL, "window": window})
    layers, mask = Layers(program, tmp_path), masks(sum(pieces), seed=len(pieces))
    tokens = np.random.default_rng(1).integers(0, SMALL["vocab_size"], mask.shape)
    positions = np.maximum(mask.cumsum(1) - 1, 0)
    ends = np.cumsum(pieces)
    taken = [
        Step(tokens[:, end - n : end], positions[:, end - n : end], mask[:, :end])
        for n, end in zip(pieces, ends, strict=True)
    ]
    found = {
        "interpreter": np.concatenate(layers.interpreted(taken), 1),
        "model.py": np.concatenate(layers.torch(taken), 1),
        "model.onnx": np.concatenate(layers.onnx(taken), 1),
    }
    for row, real in enumerate(mask):
        alone, n = tokens[row : row + 1, real], int(real.sum())
        unpadded = Step(alone, np.arange(n)[None], np.ones((1, n), np.bool_))
        (expected,) = layers.interpreted([unpadded])
        for who, logits in found.items():
            error = np.abs(logits[row, real] - expected[0]).max() / np.abs(expected).max()
            assert error < TOLERANCE, (who, row)


# ---- every family, and any pattern of padding

DENSE: Mapping[str, Any] = {
    "vocab_size": 31,
    "dim": 16,
    "inter_dim": 8,
    "n_layers": 2,
    "n_heads": 4,
}
SHARED: Mapping[str, Any] = {**DENSE, "n_kv_heads": 2, "head_dim": 4}
CHOSEN: Mapping[str, Any] = {"n_experts": 4, "n_activated_experts": 2}
LATENT: Mapping[str, Any] = {
    **DENSE,
    "moe_inter_dim": 8,
    "n_dense_layers": 1,
    "q_lora_rank": 6,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "n_routed_experts": 8,
    "n_activated_experts": 3,
    "n_expert_groups": 4,
    "n_limited_groups": 2,
    "gate_bias": True,
    "weight_format": "bf16",
}

#: Windows that are narrower than what is drawn, in some layers or in all; and tables without.
FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "cohere2": ("cohere2", {**SHARED, "n_layers": 4, "window": 3}),
    "gemma2": ("gemma2", {**SHARED, "window": 2}),
    "gpt_oss": ("gpt_oss", {**SHARED, **CHOSEN, "window": 3}),
    "mistral": ("mistral", {**SHARED, "window": 3}),
    "mixtral": ("mixtral", {**SHARED, **CHOSEN, "window": 4}),
    "phi3": ("phi3", {**DENSE, "n_kv_heads": 2, "window": 3, "rope_scaling": "none"}),
    "deepseek_v3": ("deepseek_v3", LATENT),
    "gpt2": ("gpt2", {**DENSE, "max_seq_len": 32}),
    "gpt_neox": ("gpt_neox", {**DENSE, "rotary_share": 0.5, "dtype": "f32"}),
    "llama": ("llama", SHARED),
    "qwen2_moe": (
        "qwen2_moe",
        {**SHARED, **CHOSEN, "moe_inter_dim": 8, "shared_inter_dim": 8},
    ),
}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layers:
    spec, sizes = FAMILIES[request.param]
    program = load_program(SPECS / f"{spec}.dsv3", None, sizes)
    return Layers(program, tmp_path_factory.mktemp(request.param))


@st.composite
def padded(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    """Which of the slots [B, T] hold a token, and the lengths of the steps that bring them."""
    pieces = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    length, rows = sum(pieces), draw(st.integers(1, 3))
    mask = np.ones((rows, length), np.bool_)
    for row in mask:
        match draw(st.sampled_from(["none", "left", "right of the prompt", "holes"])):
            case "left":
                row[: draw(st.integers(0, length - 1))] = False
            case "right of the prompt":
                row[draw(st.integers(1, pieces[0])) : pieces[0]] = False
            case "holes":
                row[:] = draw(st.lists(st.booleans(), min_size=length, max_size=length))
    return mask, pieces


def taken(mask: np.ndarray, pieces: Sequence[int], seed: int) -> list[Step]:
    tokens = np.random.default_rng(seed).integers(0, DENSE["vocab_size"], mask.shape)
    positions = np.maximum(mask.cumsum(1) - 1, 0)
    return [
        Step(tokens[:, end - n : end], positions[:, end - n : end], mask[:, :end])
        for n, end in zip(pieces, np.cumsum(pieces), strict=True)
    ]


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=padded(), seed=st.integers(0, 99))
def test_real_tokens_get_what_they_get_alone(
    family: Layers, drawn: tuple[np.ndarray, tuple[int, ...]], seed: int
) -> None:
    mask, pieces = drawn
    steps = taken(mask, pieces, seed)
    tokens = np.concatenate([step.tokens for step in steps], 1)
    for run in (family.torch, family.onnx):
        logits = np.concatenate(run(steps), 1)
        assert np.isfinite(logits).all()
        for row, real in enumerate(mask):
            n = int(real.sum())
            if not n:
                continue
            alone = Step(tokens[row : row + 1, real], np.arange(n)[None], np.ones((1, n), np.bool_))
            (expected,) = run([alone])
            error = np.abs(logits[row, real] - expected[0]).max() / np.abs(expected).max()
            assert error < TOLERANCE, (run.__name__, row)
