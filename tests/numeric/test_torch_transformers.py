"""model.py against transformers itself, with small random models made here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from specgen.huggingface.reading import overrides_from_config  # noqa: E402
from tests.numeric.generated import form, imported, program  # noqa: E402

pytestmark = pytest.mark.slow

TOLERANCE = 2e-5

SMALL: Mapping[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}

LATENT: Mapping[str, Any] = {
    **SMALL,
    "moe_intermediate_size": 24,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
    "q_lora_rank": 20,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "routed_scaling_factor": 2.5,
    "num_nextn_predict_layers": 0,
}

YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 40.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "mscale": 0.707,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 64,
}

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}

#: Without a temperature of its own, cos and sin carry the one that the factor gives.
UNSCALED_YARN = {key: value for key, value in YARN.items() if not key.startswith("mscale")}

PLAIN = {"rope_type": "default", "rope_theta": 10000.0}

LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.1, 1.2],
    "long_factor": [1.0, 5.0, 20.0],
}

PHI3: Mapping[str, Any] = {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0}
LONG_PHI3 = {**PHI3, "partial_rotary_factor": 0.5, "rope_parameters": LONG}

EXPERTS: Mapping[str, Any] = {
    "moe_intermediate_size": 24,
    "num_key_value_heads": 2,
    "num_experts": 6,
    "num_local_experts": 6,
    "num_experts_per_tok": 3,
}

#: The table, the class of transformers, and its configuration.
MODELS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "deepseek_v3": ("deepseek_v3", "DeepseekV3", {**LATENT, "rope_parameters": YARN}),
    "deepseek_v3_full_query": (
        "deepseek_v3",
        "DeepseekV3",
        {**LATENT, "q_lora_rank": None, "n_group": 1, "topk_group": 1, "norm_topk_prob": False}
        | {"rope_parameters": PLAIN},
    ),
    "deepseek_v2": (
        "deepseek_v3",
        "DeepseekV2",
        {**LATENT, "topk_method": "group_limited_greedy", "rope_parameters": YARN},
    ),
    "llama": (
        "llama",
        "Llama",
        {**SMALL, "num_key_value_heads": 2, "head_dim": 16, "attention_bias": True}
        | {"mlp_bias": True, "rope_parameters": PLAIN},
    ),
    "llama3": (
        "llama",
        "Llama",
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True}
        | {"rope_parameters": LLAMA3},
    ),
    "mistral": (
        "mistral",
        "Mistral",
        {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 5},
    ),
    "mixtral": (
        "mixtral",
        "Mixtral",
        {**SMALL, **EXPERTS, "sliding_window": 7, "tie_word_embeddings": True},
    ),
    "qwen2": ("qwen2", "Qwen2", {**SMALL, "num_key_value_heads": 1}),
    "qwen2_moe": (
        "qwen2_moe",
        "Qwen2Moe",
        {**SMALL, **EXPERTS, "shared_expert_intermediate_size": 40, "mlp_only_layers": [1]},
    ),
    "qwen2_moe_shares": (
        "qwen2_moe",
        "Qwen2Moe",
        {**SMALL, **EXPERTS, "shared_expert_intermediate_size": 24, "norm_topk_prob": True}
        | {"qkv_bias": False},
    ),
    "qwen3": (
        "qwen3",
        "Qwen3",
        {**SMALL, "num_key_value_heads": 2, "head_dim": 16, "attention_bias": True},
    ),
    "qwen3_moe": (
        "qwen3_moe",
        "Qwen3Moe",
        {**SMALL, **EXPERTS, "head_dim": 8, "mlp_only_layers": [0, 2], "norm_topk_prob": True},
    ),
    "olmoe": ("olmoe", "Olmoe", {**SMALL, **EXPERTS, "norm_topk_prob": True}),
    "glm4_moe": (
        "glm4_moe",
        "Glm4Moe",
        {**LATENT, "num_key_value_heads": 2, "head_dim": 16, "attention_bias": True}
        | {"rope_parameters": {**PLAIN, "partial_rotary_factor": 0.5}},
    ),
    "glm4_moe_normed_heads": (
        "glm4_moe",
        "Glm4Moe",
        {**LATENT, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "use_qk_norm": True}
        | {"head_dim": 16, "rope_parameters": {**PLAIN, "partial_rotary_factor": 0.25}},
    ),
    "cohere2": (
        "cohere2",
        "Cohere2",
        {**SMALL, "num_hidden_layers": 4, "num_key_value_heads": 2, "sliding_window": 5}
        | {"logit_scale": 0.5, "attention_bias": True},
    ),
    "gemma2": (
        "gemma2",
        "Gemma2",
        {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 10}
        | {"sliding_window": 5, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 4.0},
    ),
    "gemma2_without_caps": (
        "gemma2",
        "Gemma2",
        {**SMALL, "num_key_value_heads": 1, "head_dim": 8, "attention_bias": True}
        | {"attn_logit_softcapping": None, "final_logit_softcapping": None},
    ),
    "gpt2": (
        "gpt2",
        "GPT2",
        {"vocab_size": 96, "n_embd": 48, "n_layer": 3, "n_head": 4, "n_positions": 32},
    ),
    "gpt_neox": ("gpt_neox", "GPTNeoX", {**SMALL, "rotary_pct": 0.5}),
    "gpt_neox_serial": (
        "gpt_neox",
        "GPTNeoX",
        {**SMALL, "rotary_pct": 1.0, "use_parallel_residual": False, "attention_bias": False},
    ),
    "gpt_oss": (
        "gpt_oss",
        "GptOss",
        {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 5}
        | {"num_local_experts": 6, "num_experts_per_tok": 3, "swiglu_limit": 0.5}
        | {"rope_parameters": {**UNSCALED_YARN, "truncate": False}},
    ),
    "phi3": ("phi3", "Phi3", {**PHI3, "sliding_window": 5, "tie_word_embeddings": True}),
    "phi3_short": ("phi3", "Phi3", {**LONG_PHI3, "original_max_position_embeddings": 64}),
    "phi3_long": ("phi3", "Phi3", {**LONG_PHI3, "original_max_position_embeddings": 4}),
}

#: A table that changes to other angles after its tenth token.
SWITCHING = ("phi3", "Phi3", {**LONG_PHI3, "original_max_position_embeddings": 10})


@dataclass(frozen=True)
class Pair:
    """One set of weights in both implementations."""

    module: ModuleType
    ours: Any
    theirs: Any


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return paired(*MODELS[request.param], tmp_path_factory.mktemp(request.param))


def paired(spec: str, kind: str, settings: Mapping[str, Any], folder: Path) -> Pair:
    config = getattr(transformers, f"{kind}Config")(**settings, attn_implementation="eager")
    torch.manual_seed(1)
    head = "LMHeadModel" if kind == "GPT2" else "ForCausalLM"
    theirs = getattr(transformers, f"{kind}{head}")(config).eval()
    with torch.no_grad():
        for name, tensor in theirs.state_dict().items():
            mean = 1.0 if tensor.dim() == 1 and name.endswith("weight") else 0.0
            tensor.normal_(mean, 0.15)
    theirs.save_pretrained(folder)
    overrides = overrides_from_config(
        program(spec), json.loads((folder / "config.json").read_text())
    )
    module = imported(program(spec, **overrides), folder)
    ours = module.Model(module.Config()).eval()
    ours.load_checkpoint(folder)
    return Pair(module, ours, theirs)


def prompt() -> torch.Tensor:
    return torch.randint(96, (2, 21), generator=torch.Generator().manual_seed(3))


def placed(mask: torch.Tensor) -> torch.Tensor:
    """The positions that transformers' own generation gives a padded batch."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


def test_full_pass(pair: Pair) -> None:
    tokens = prompt()
    with torch.no_grad():
        wanted = pair.theirs(tokens).logits
        assert wanted.std() > 0.1
        assert distance(pair.ours(tokens), wanted) <= TOLERANCE


@pytest.mark.parametrize("way", [None, "main", "absorbed"])
def test_cached_decoding(pair: Pair, way: str | None) -> None:
    tokens = prompt()
    with torch.no_grad(), form(pair.module, way):
        wanted = pair.theirs(tokens).logits
        cache = pair.ours.new_cache(2, 21)
        pieces = tokens.split([14, 1, 1, 3, 1, 1], dim=1)
        found = torch.cat([pair.ours(piece, cache=cache) for piece in pieces], dim=1)
    assert distance(found, wanted) <= TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("dtype", [torch.bool, torch.int64])
def test_padding(pair: Pair, side: str, dtype: torch.dtype) -> None:
    """A padded batch gives what transformers gives, and what each sequence gives alone."""
    tokens, padding = prompt(), 6
    mask = torch.ones_like(tokens)
    real = slice(padding, None) if side == "left" else slice(None, -padding)
    mask[1] = 0
    mask[1, real] = 1
    with torch.no_grad():
        wanted = pair.theirs(tokens, attention_mask=mask, position_ids=placed(mask)).logits
        found = pair.ours(tokens, mask=mask.to(dtype))
        alone = pair.ours(tokens[1:, real])
    assert not found.isnan().any()
    assert distance(found[0], wanted[0]) <= TOLERANCE
    assert distance(found[1, real], wanted[1, real]) <= TOLERANCE
    assert distance(found[1, real], alone[0]) <= TOLERANCE


@pytest.mark.parametrize("way", ["main", "absorbed"])
def test_padded_decoding(pair: Pair, way: str) -> None:
    """Left padding, a prefill in two chunks, then single tokens, all with the mask so far."""
    tokens = prompt()
    mask = torch.ones_like(tokens)
    mask[1, :7] = 0
    with torch.no_grad(), form(pair.module, way):
        wanted = pair.theirs(tokens, attention_mask=mask, position_ids=placed(mask)).logits
        cache = pair.ours.new_cache(2, 21)
        found, stop = [], 0
        for count in (5, 13, 1, 1, 1):
            start, stop = stop, stop + count
            found.append(pair.ours(tokens[:, start:stop], mask=mask[:, :stop], cache=cache))
    logits = torch.cat(found, dim=1)
    assert distance(logits[0], wanted[0]) <= TOLERANCE
    assert distance(logits[1, 7:], wanted[1, 7:]) <= TOLERANCE


def test_a_table_that_depends_on_the_longest_sequence(tmp_path: Path) -> None:
    """One token more than the original context, in any sequence, and all of the batch turns."""
    pair = paired(*SWITCHING, tmp_path)
    tokens = prompt()
    with torch.no_grad():
        found = {n: pair.ours(tokens[:, :n]) for n in (10, 11)}
        for n, logits in found.items():
            assert distance(logits, pair.theirs(tokens[:, :n]).logits) <= TOLERANCE
        assert distance(found[10], found[11][:, :10]) > 1000 * TOLERANCE
        mask = torch.ones_like(tokens[:, :11])
        mask[1, :5] = 0
        padded = pair.ours(tokens[:, :11], mask=mask)
        alone = pair.ours(tokens[1:, 5:11])
        wanted = pair.theirs(tokens[:, :11], attention_mask=mask, position_ids=placed(mask)).logits
    assert distance(padded[1, 5:], wanted[1, 5:]) <= TOLERANCE
    assert distance(padded[1, 5:], alone[0]) > 1000 * TOLERANCE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(pair: Pair, dtype: torch.dtype) -> None:
    """About as far from float32 as transformers is in the same dtype."""
    tokens = prompt()
    with torch.no_grad():
        exact = pair.theirs(tokens).logits
        ours, theirs = (deepcopy(model).to(dtype) for model in (pair.ours, pair.theirs))
        found, wanted = ours(tokens), theirs(tokens).logits
    assert found.dtype == dtype
    off, allowed = ((x.float() - exact).pow(2).mean().sqrt() for x in (found, wanted))
    assert off <= 2 * allowed
