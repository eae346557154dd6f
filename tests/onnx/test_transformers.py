"""The graph against transformers itself: long padded batches that reach every expert."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from tests.onnx.references import reference
from tests.onnx.session import Session, fill
from tests.references import REFERENCES, needs_references

pytestmark = [pytest.mark.slow, needs_references]

BATCH, LENGTH, PADDING = 2, 80, 17


@pytest.mark.parametrize("name", ["deepseek_v3", "deepseek_v2", "kimi_k2", "llama3_rope"])
def test_padded_batch_against_transformers(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")

    def opened(attention: str) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(
            REFERENCES / name, attn_implementation=attention
        )

    model = opened("eager")
    rng = np.random.default_rng(7)
    tokens = rng.integers(0, model.config.vocab_size, (BATCH, LENGTH))
    mask = np.ones_like(tokens)
    mask[1, :PADDING] = 0
    chosen: dict[str, set[int]] = {}

    def note(module: Any, args: tuple[Any, ...]) -> None:
        index = next(a for a in args if a.dtype == torch.int64)
        chosen.setdefault(module.place, set()).update(index.flatten().tolist())

    for place, module in model.named_modules():
        if place.endswith(".experts"):
            module.place = place
            module.register_forward_pre_hook(note)

    def logits(model: Any) -> np.ndarray:
        with torch.no_grad():
            result: np.ndarray = model(
                torch.from_numpy(tokens),
                attention_mask=torch.from_numpy(mask),
                position_ids=torch.from_numpy(np.maximum(mask.cumsum(1) - 1, 0)),
            ).logits.numpy()
        return result[mask == 1]

    expected = logits(model)
    ours = reference(name)
    session = Session.open(fill(build(ours.program()), ours.weights, tmp_path), BATCH)
    prefill = session(tokens[:, :-4], mask[:, :-4])
    steps = [session(tokens[:, i : i + 1]) for i in range(LENGTH - 4, LENGTH)]
    found = np.concatenate([prefill, *steps], axis=1)
    # Where transformers differs from itself by more than 1e-5, twice that is allowed.
    own = np.abs(logits(opened("sdpa")) - expected).max()
    tolerance = max(ours.tolerance, 2 * own if own > 1e-5 else 0)
    assert np.abs(found[mask == 1] - expected).max() <= tolerance
    count = getattr(model.config, "n_routed_experts", 0)
    assert all(experts == set(range(count)) for experts in chosen.values()), "not all were chosen"
    assert bool(chosen) == bool(count)
