"""Small random models of transformers, and what the tables compute with their weights.

A reference exercises what its name says; all weights are random, norms and biases too, so that
nothing is hidden by a one or a zero.  The model is in eval mode, float32, eager attention.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch

from specgen.frontend.load import load_program
from specgen.huggingface.reading import overrides_from_config

SPECS = Path(__file__).parents[2] / "specs"

#: Rows of tokens; the second is padded on the left by this many.
ROWS, LENGTH, PADDING = 2, 14, 3

DEEPSEEK: Final[Mapping[str, Any]] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "moe_intermediate_size": 24,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 20,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "rms_norm_eps": 1e-3,
    "max_position_embeddings": 256,
    "rope_parameters": {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": 40.0,
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
        "original_max_position_embeddings": 64,
    },
}

LLAMA: Final[Mapping[str, Any]] = {
    "vocab_size": 96,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 16,
    "rms_norm_eps": 1e-3,
    "max_position_embeddings": 256,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}


def yarn(**changed: float) -> dict[str, Any]:
    return {"rope_parameters": {**DEEPSEEK["rope_parameters"], **changed}}


EXPERTS: Final[Mapping[str, Any]] = {
    "head_dim": 8,
    "moe_intermediate_size": 24,
    "num_experts": 6,
    "num_local_experts": 6,
    "num_experts_per_tok": 3,
    "norm_topk_prob": True,
}

#: The class of transformers and what differs from the settings above.
CONFIGS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "deepseek_v3": ("DeepseekV3", {}),
    "deepseek_v3_mscale": ("DeepseekV3", yarn(mscale=0.707)),
    "deepseek_v3_plain": (
        "DeepseekV3",
        {
            "q_lora_rank": None,
            "n_shared_experts": 2,
            "norm_topk_prob": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    "deepseek_v3_mtp": ("DeepseekV3", {"num_nextn_predict_layers": 1}),
    "deepseek_v2": (
        "DeepseekV2",
        {
            "n_shared_experts": 2,
            "norm_topk_prob": False,
            "routed_scaling_factor": 16.0,
            "topk_method": "group_limited_greedy",
        },
    ),
    "llama": ("Llama", {}),
    "llama3_rope": (
        "Llama",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        },
    ),
    "cohere2": ("Cohere2", {"num_hidden_layers": 4, "sliding_window": 4}),
    "gemma2": ("Gemma2", {"attn_logit_softcapping": 2.0, "final_logit_softcapping": None}),
    "glm4_moe": (
        "Glm4Moe",
        {
            **EXPERTS,
            "head_dim": 16,
            "first_k_dense_replace": 1,
            "n_routed_experts": 6,
            "num_nextn_predict_layers": 0,  # transformers has no class for those layers
            "rope_parameters": {**LLAMA["rope_parameters"], "partial_rotary_factor": 0.5},
        },
    ),
    "gpt_oss": (
        "GptOss",
        {
            **EXPERTS,
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 32.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 64,
            },
        },
    ),
    "mistral": ("Mistral", {"sliding_window": 4}),
    "mixtral": ("Mixtral", EXPERTS),
    "qwen2_moe": ("Qwen2Moe", {**EXPERTS, "shared_expert_intermediate_size": 40}),
    "qwen3": ("Qwen3", {}),
}


def spec_of(name: str) -> str:
    """The spec that a reference is of."""
    family = name.partition("_")[0]
    return {"deepseek": "deepseek_v3", "llama": "llama", "llama3": "llama"}.get(family, name)


@dataclass(frozen=True)
class Reference:
    """Weights in released layout, tokens [ROWS, LENGTH] and logits; NaN where padded.

    `following` are the tokens that a multi-token-prediction head sees, `next_logits` what it
    says; both are None where the reference has no such head.
    """

    params: Mapping[str, Any]
    checkpoint: Path
    tokens: torch.Tensor
    mask: torch.Tensor
    logits: torch.Tensor
    following: torch.Tensor | None = None
    next_logits: torch.Tensor | None = None


def params(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The params of the shipped table that a configuration of transformers means."""
    rope = config["rope_parameters"]
    found: dict[str, Any] = {
        "vocab_size": config["vocab_size"],
        "dim": config["hidden_size"],
        "inter_dim": config["intermediate_size"],
        "n_layers": config["num_hidden_layers"],
        "n_heads": config["num_attention_heads"],
        "max_seq_len": config["max_position_embeddings"],
        "norm_eps": config["rms_norm_eps"],
        "rope_theta": rope["rope_theta"],
    }
    scaled = rope["rope_type"] != "default"
    if scaled:
        found["rope_factor"] = rope["factor"]
        found["original_seq_len"] = rope["original_max_position_embeddings"]
    if kind == "Llama":
        found["n_kv_heads"] = config["num_key_value_heads"]
        found["head_dim"] = config["head_dim"]
        found["tie_embeddings"] = config.get("tie_word_embeddings", False)
        return found
    if scaled:
        found |= {k: rope[k] for k in ("beta_fast", "beta_slow", "mscale", "mscale_all_dim")}
    return found | {
        "moe_inter_dim": config["moe_intermediate_size"],
        "n_dense_layers": config["first_k_dense_replace"],
        "q_lora_rank": config["q_lora_rank"] or 0,
        "kv_lora_rank": config["kv_lora_rank"],
        "qk_nope_head_dim": config["qk_nope_head_dim"],
        "qk_rope_head_dim": config["qk_rope_head_dim"],
        "v_head_dim": config["v_head_dim"],
        "n_routed_experts": config["n_routed_experts"],
        "n_shared_experts": config["n_shared_experts"],
        "n_activated_experts": config["num_experts_per_tok"],
        "n_expert_groups": config["n_group"],
        "n_limited_groups": config["topk_group"],
        "score_func": "sigmoid" if kind == "DeepseekV3" else "softmax",
        "gate_bias": kind == "DeepseekV3",
        "norm_topk": config["norm_topk_prob"],
        "route_scale": config["routed_scaling_factor"],
        "weight_format": "bf16",
    }


@cache
def reference(name: str, folder: Path) -> Reference:
    """The reference of that name, its weights saved under `folder`."""
    import transformers

    kind, changed = CONFIGS[name]
    config = {**(DEEPSEEK if kind.startswith("Deepseek") else LLAMA), **changed}
    heads = config.get("num_nextn_predict_layers", 0)
    layers = config["num_hidden_layers"]
    settings = getattr(transformers, f"{kind}Config")(
        **{**config, "num_hidden_layers": layers + heads}, attn_implementation="eager"
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(settings).eval()
    randomise(model)
    model.save_pretrained(folder / name)
    model.config.num_hidden_layers = layers  # further layers are bodies of heads
    tokens = torch.randint(config["vocab_size"], (ROWS, LENGTH + heads))
    tokens, following = tokens[:, :LENGTH], tokens[:, 1:]
    mask = torch.ones(ROWS, LENGTH, dtype=torch.bool)
    mask[1, :PADDING] = False
    if heads:
        mask[:] = True
    positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        found = model(
            tokens,
            attention_mask=mask.long(),
            position_ids=positions,
            output_hidden_states=True,
        )
    logits = found.logits.masked_fill(~mask[..., None], torch.nan)
    if kind in ("DeepseekV3", "DeepseekV2", "Llama"):
        own = params(kind, config)
    else:
        written = json.loads((folder / name / "config.json").read_text())
        own = overrides_from_config(load_program(SPECS / f"{spec_of(name)}.dsv3"), written)
    if not heads:
        return Reference(own, folder / name, tokens, mask, logits)
    said = with_head(model, layers, found.hidden_states[-1], following, positions, folder / name)
    own["n_mtp_layers"] = heads
    return Reference(own, folder / name, tokens, mask, logits, following, said)


def randomise(model: torch.nn.Module) -> None:
    """Weights that keep the stream's scale; gains and biases that differ from 1 and 0."""
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.dim() > 1:
                tensor.normal_(std=1.5 / tensor.shape[-1] ** 0.5)
            elif name.endswith("norm.weight"):
                tensor.uniform_(0.5, 1.5)
            elif name.endswith("sinks"):
                tensor.normal_()
            elif name.endswith("correction_bias"):
                tensor.normal_(std=0.3)


def with_head(
    model: Any,
    layer: int,
    hidden: torch.Tensor,
    following: torch.Tensor,
    positions: torch.Tensor,
    checkpoint: Path,
) -> torch.Tensor:
    """Logits of a multi-token-prediction head, whose tensors are added to the checkpoint.

    Its body is the layer after the last; `hidden` is the model's output after its norm.
    """
    from safetensors.torch import load_file, save_file
    from transformers.modeling_layers import MtpModel

    heads = MtpModel(model, 1).eval()
    head = heads.layers[0]
    randomise(head)
    head.mtp_block.load_state_dict(model.model.layers[layer].state_dict())
    with torch.no_grad():
        last = heads.forward_layer(0, hidden, positions, None, input_ids=following)
        logits: torch.Tensor = model.lm_head(last)
    prefix = f"model.layers.{layer}"
    file = checkpoint / "model.safetensors"
    stored = load_file(file) | {
        f"{prefix}.enorm.weight": head.enorm.weight,
        f"{prefix}.hnorm.weight": head.hnorm.weight,
        f"{prefix}.eh_proj.weight": head.eh_proj.weight,
        f"{prefix}.shared_head.norm.weight": head.post_norm.weight,
        f"{prefix}.embed_tokens.weight": model.model.embed_tokens.weight.clone(),
        f"{prefix}.shared_head.head.weight": model.lm_head.weight.clone(),
    }
    save_file({name: tensor.detach() for name, tensor in stored.items()}, file)
    return logits
