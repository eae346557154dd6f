"""Padding anywhere, in any pieces: what the real tokens get is what they get without padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from specgen.elaborate.load import load_program
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
