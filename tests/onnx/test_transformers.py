"""The graph against transformers itself: long padded batches that reach every expert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.huggingface.reading import overrides_from_config
from tests.onnx.references import in_f32, load_spec, reference
from tests.onnx.session import Session, fill
from tests.references import needs_references, saved

pytestmark = [pytest.mark.slow, needs_references]

BATCH, LENGTH, PADDING = 2, 80, 17

NAMES = [
    *("deepseek_v3", "deepseek_v2", "kimi_k2", "llama3_rope"),
    *("gemma2", "gpt2", "gpt_neox", "gpt_oss", "phi3"),
    *("cohere2", "glm4_moe", "mistral", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"),
]


@pytest.mark.parametrize("name", NAMES)
def test_padded_batch_against_transformers(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")

    def opened(attention: str) -> Any:
        return transformers.AutoModelForCausalLM.from_pretrained(
            saved(name), attn_implementation=attention
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
    own = np.abs(logits(opened("sdpa")) - expected).max() if model._supports_sdpa else 0
    tolerance = max(ours.tolerance, 2 * own if own > 1e-5 else 0)
    assert np.abs(found[mask == 1] - expected).max() <= tolerance
    settings = model.config.to_dict()
    keys = ("n_routed_experts", "num_local_experts", "num_experts")
    count = next((settings[key] for key in keys if key in settings), 0)
    assert all(experts == set(range(count)) for experts in chosen.values()), "not all were chosen"
    assert bool(chosen) == bool(count)


def test_a_table_that_depends_on_the_longest_sequence(tmp_path: Path) -> None:
    """On either side of the original context, 10 tokens: in one graph, chosen by the positions."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from safetensors.numpy import load_file

    config = transformers.Phi3Config(
        vocab_size=96,
        hidden_size=48,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
        max_position_embeddings=256,
        original_max_position_embeddings=10,
        partial_rotary_factor=0.5,
        rope_parameters={
            "rope_type": "longrope",
            "short_factor": [1.0, 1.1, 1.2],
            "long_factor": [1.0, 5.0, 20.0],
        },
    )
    torch.manual_seed(5)
    model = transformers.Phi3ForCausalLM(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.normal_(1.0 if tensor.dim() == 1 else 0.0, 0.15)
    model.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    given = overrides_from_config(load_spec("phi3"), settings)
    data = build(in_f32(load_spec("phi3", **given)))
    weights = load_file(tmp_path / "model.safetensors")
    tokens = np.random.default_rng(3).integers(0, 96, (2, 11))
    found = {}
    for length in (10, 11):
        found[length] = Session.open(fill(data, weights, tmp_path), BATCH)(tokens[:, :length])
        with torch.no_grad():
            wanted = model(torch.from_numpy(tokens[:, :length])).logits.numpy()
        assert np.abs(found[length] - wanted).max() <= 2e-5
    assert np.abs(found[10] - found[11][:, :10]).max() > 0.02
