"""Configurations as transformers' own classes write them, small, with switches drawn at random.

A draw is a family's sizes, which are always sayable, and switches, of which some are not.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

#: Every type of transformers that a shipped table is of.
TYPES = (
    "cohere2", "deepseek_v2", "deepseek_v3", "gemma2", "glm4_moe", "gpt2", "gpt_neox", "gpt_oss",
    "llama", "mistral", "mixtral", "olmoe", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe",
)  # fmt: skip

#: Names of dtypes as files have them.
DTYPES = ("float32", "float16", "bfloat16")

LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 32}  # fmt: skip
DEEP_YARN = {**YARN, "mscale": 1.0, "mscale_all_dim": 1.0}
OSS_YARN = {**YARN, "truncate": False}
PLAIN = {"rope_type": "default", "rope_theta": 1e6}
LINEAR = {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}

#: Switches of each type and the values that are drawn; `...` leaves a switch to its class.
SWITCHES: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "cohere2": {"attention_bias": (..., True), "tie_word_embeddings": (..., False),
                "sliding_window_pattern": (..., 2, 3), "logit_scale": (..., 0.5),
                "rope_parameters": (..., PLAIN, LINEAR)},
    "deepseek_v2": {"q_lora_rank": (None, 12), "norm_topk_prob": (..., True, False),
                    "topk_method": ("greedy", "group_limited_greedy"), "mlp_bias": (..., True),
                    "attention_bias": (..., True), "rope_parameters": (..., DEEP_YARN),
                    "routed_scaling_factor": (..., 2.5), "n_group": (1, 2, None)},
    "deepseek_v3": {"q_lora_rank": (None, 12), "norm_topk_prob": (..., False), "n_group": (1, 2),
                    "attention_bias": (..., True), "rope_parameters": (..., DEEP_YARN, LINEAR),
                    "rope_interleave": (..., False), "num_nextn_predict_layers": (0, 1)},
    "gemma2": {"attention_bias": (..., True), "attn_logit_softcapping": (..., None, 30.0),
               "final_logit_softcapping": (..., None), "use_bidirectional_attention": (..., True),
               "tie_word_embeddings": (..., False), "hidden_activation": (..., "gelu")},
    "glm4_moe": {"attention_bias": (..., True), "use_qk_norm": (..., True), "n_group": (1, 2),
                 "norm_topk_prob": (..., False), "tie_word_embeddings": (..., True),
                 "num_nextn_predict_layers": (0, 1), "rope_parameters": (..., LINEAR)},
    "gpt2": {"n_inner": (..., 48), "scale_attn_by_inverse_layer_idx": (..., True),
             "activation_function": (..., "gelu"), "tie_word_embeddings": (..., False),
             "add_cross_attention": (..., True), "scale_attn_weights": (..., False)},
    "gpt_neox": {"use_parallel_residual": (..., False), "attention_bias": (..., False),
                 "tie_word_embeddings": (..., True), "hidden_act": (..., "relu")},
    "gpt_oss": {"attention_bias": (..., False), "rope_parameters": (OSS_YARN, YARN, PLAIN),
                "swiglu_limit": (..., 5.0), "tie_word_embeddings": (..., True),
                "layer_types": (..., ["full_attention"])},
    "llama": {"attention_bias": (..., True), "mlp_bias": (..., True), "head_dim": (..., 4),
              "tie_word_embeddings": (..., True), "rope_parameters": (..., LLAMA3, PLAIN, YARN),
              "hidden_act": (..., "gelu"), "is_causal": (..., False)},
    "mistral": {"sliding_window": (..., None, 8), "head_dim": (..., 4), "attention_bias": (..., True),
                "tie_word_embeddings": (..., True), "rope_parameters": (..., PLAIN, LINEAR)},
    "mixtral": {"sliding_window": (..., 8), "tie_word_embeddings": (..., True),
                "head_dim": (..., 4), "is_causal": (..., False)},
    "olmoe": {"attention_bias": (..., True), "norm_topk_prob": (..., True), "clip_qkv": (..., 3.0),
              "tie_word_embeddings": (..., True)},
    "phi3": {"sliding_window": (..., 8), "tie_word_embeddings": (..., True),
             "rope_parameters": (..., {"rope_type": "longrope", "rope_theta": 1e4,
                                       "short_factor": [1.0] * 4, "long_factor": [2.0] * 4,
                                       "original_max_position_embeddings": 4096})},
    "qwen2": {"use_sliding_window": (..., True), "tie_word_embeddings": (..., True),
              "head_dim": (..., 4), "rope_parameters": (..., PLAIN, YARN), "is_causal": (..., False)},
    "qwen2_moe": {"qkv_bias": (..., False), "norm_topk_prob": (..., True),
                  "mlp_only_layers": (..., [1]), "decoder_sparse_step": (..., 2),
                  "tie_word_embeddings": (..., True)},
    "qwen3": {"attention_bias": (..., True), "use_sliding_window": (..., True), "head_dim": (..., 4),
              "tie_word_embeddings": (..., True), "rope_parameters": (..., PLAIN, YARN)},
    "qwen3_moe": {"attention_bias": (..., True), "norm_topk_prob": (..., True),
                  "mlp_only_layers": (..., [0]), "decoder_sparse_step": (..., 2),
                  "tie_word_embeddings": (..., True), "head_dim": (..., 4)},
}  # fmt: skip


def sizes(model_type: str, draw: random.Random) -> dict[str, Any]:
    """Small sizes that a family's class takes."""
    heads, width = draw.choice((2, 4)), 8
    dim, layers = heads * width, draw.randint(2, 5)
    if model_type == "gpt2":
        return {"vocab_size": 97, "n_embd": dim, "n_layer": layers, "n_head": heads,
                "n_positions": 64}  # fmt: skip
    found: dict[str, Any] = {
        "vocab_size": 97, "hidden_size": dim, "intermediate_size": draw.choice((24, 48)),
        "num_hidden_layers": layers, "num_attention_heads": heads, "max_position_embeddings": 64,
        "pad_token_id": None,
    }  # fmt: skip
    if model_type != "gpt_neox":
        found["num_key_value_heads"] = draw.choice((1, heads))
    if model_type in ("gemma2", "glm4_moe", "gpt_oss", "qwen3"):
        found["head_dim"] = width
    experts = {"num_experts_per_tok": 2}
    if model_type in ("mixtral", "gpt_oss"):
        found |= {"num_local_experts": 4, **experts}
    if model_type in ("olmoe", "qwen2_moe", "qwen3_moe"):
        found |= {"num_experts": 4, **experts}
    if model_type in ("qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3", "glm4_moe"):
        found["moe_intermediate_size"] = 12
    if model_type == "qwen2_moe":
        found["shared_expert_intermediate_size"] = 20
    if model_type in ("deepseek_v2", "deepseek_v3", "glm4_moe"):
        found |= {"n_routed_experts": 8, "n_shared_experts": draw.choice((1, 2)), **experts,
                  "first_k_dense_replace": draw.randint(0, layers), "n_group": 1,
                  "topk_group": 1}  # fmt: skip
    if model_type.startswith("deepseek"):
        found |= {"num_key_value_heads": heads, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
                  "qk_rope_head_dim": 4, "v_head_dim": 8}  # fmt: skip
    if model_type == "phi3":
        found["original_max_position_embeddings"] = 64
    return found


def drawn(model_type: str, draw: random.Random, changes: int) -> dict[str, Any]:
    """Keyword arguments of a family's class, with at most so many switches off their default."""
    found = sizes(model_type, draw)
    if model_type == "gpt_oss":
        found["rope_parameters"] = OSS_YARN
    if model_type == "deepseek_v2":
        found["q_lora_rank"] = 12
    switches = SWITCHES[model_type]
    for name in draw.sample(sorted(switches), min(changes, len(switches))):
        value = draw.choice(switches[name])
        if value is not ...:
            found[name] = value
    dtype = draw.choice((*DTYPES, None))
    if dtype is not None:
        found["dtype"] = dtype
    layers = found.get("num_hidden_layers", 0)
    if "layer_types" in found:
        found["layer_types"] = found["layer_types"] * layers
    return found


def saved(config: Any) -> dict[str, Any]:
    """What `save_pretrained` writes of a configuration."""
    found: dict[str, Any] = json.loads(config.to_json_string(use_diff=True))
    return found


def older(content: Mapping[str, Any], draw: random.Random) -> dict[str, Any]:
    """The same as files before transformers 5 spell it."""
    found = dict(content)
    rotary = dict(found.pop("rope_parameters", None) or {})
    if "rope_theta" in rotary:
        found["rope_theta"] = rotary.pop("rope_theta")
    if "partial_rotary_factor" in rotary:
        found.setdefault("partial_rotary_factor", rotary.pop("partial_rotary_factor"))
    kind = rotary.pop("rope_type", "default")
    rotary.pop("type", None)
    if rotary or kind != "default":
        found["rope_scaling"] = {draw.choice(("type", "rope_type")): kind, **rotary}
    elif content["model_type"] not in ("gpt2",):
        found["rope_scaling"] = None
    if "dtype" in found:
        found["torch_dtype"] = found.pop("dtype")
    if found["model_type"] == "gpt_neox":
        found["rotary_emb_base"] = found.pop("rope_theta", 10000)
        found["rotary_pct"] = found.pop("partial_rotary_factor", 0.25)
    return found


def counted(model: Any) -> int:
    """Every number of a model of transformers once: parameters, and buffers that are saved."""
    kept = set(model.state_dict(keep_vars=True))
    numbers = {id(p): p.numel() for p in model.parameters()}
    numbers |= {id(b): b.numel() for name, b in model.named_buffers() if name in kept}
    return sum(numbers.values())
