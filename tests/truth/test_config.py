"""The config.json that a table writes against the one that was released."""

from __future__ import annotations

from typing import Any

import pytest

from specgen.analysis.table.config import config
from specgen.frontend.load import load_program
from tests.families import VARIANTS
from tests.truth import outside
from tests.truth.outside import REPOSITORY

#: Keys of releases that say nothing about the architecture.
OTHER = {
    "attention_dropout", "auto_map", "aux_loss_alpha", "bos_token_id", "eos_token_id", "ep_size",
    "initializer_range", "pad_token_id", "pretraining_tp", "selective_checkpoint_enabled",
    "seq_aux", "sequence_parallel_enabled", "transformers_version", "use_cache",
}  # fmt: skip

#: Keys that other classes read, that only training does, or that follow from others.
UNREAD = {
    "_name_or_path", "attention_sink_size", "attn_pdrop", "cache_implementation", "clip_qkv",
    "embd_pdrop", "full_attn_mod", "interpolate_factor", "layer_types", "lm_head_bias",
    "max_window_layers", "mlp_bias", "output_router_logits", "prefill_chunk_size", "resid_pdrop",
    "router_aux_loss_coef", "sliding_window_size", "summary_activation",
    "summary_first_dropout", "summary_proj_to_labels", "summary_type", "summary_use_proj",
    "task_specific_params", "use_mrope",
}  # fmt: skip

#: Keys of single releases that the table leaves out.
UNSAID: dict[str, set[str]] = {
    "gpt-neox-20b": {"rope_theta"},  # said as rotary_emb_base
    "gpt-oss-120b": {"quantization_config"},  # the table is of the weights in bf16
    "gpt-oss-20b": {"quantization_config"},
}

#: Keys that older releases left to their class's default.
DEFAULTS = {
    "attention_bias", "head_dim", "mlp_bias", "num_nextn_predict_layers", "rope_theta",
    "torch_dtype",
}  # fmt: skip

#: Models of which the released file has every key that the table writes.
COMPLETE = [n for n in VARIANTS if n.startswith(("deepseek-v2", "deepseek-v3", "kimi", "llama"))]

#: What a release says of the model in another way than its table does.
OTHERWISE: dict[str, dict[str, Any]] = {
    "kimi-k2-instruct": {"model_type": "deepseek_v3"},  # it names DeepSeek-V3's class
    "mistral-7b-v0.1": {"sliding_window": 4096},
}


def written(spec: str) -> dict[str, Any]:
    name, _, variant = spec.partition("@")
    return config(load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant), "hf")


def released(name: str) -> dict[str, Any]:
    """What the release says of the architecture."""
    found = {k: v for k, v in outside.config(name).items() if k not in OTHER}
    if found.get("use_sliding_window") is False:
        del found["sliding_window"]  # transformers reads it as null
    return {**found, **OTHERWISE.get(name, {})}


def table_of(name: str) -> str:
    """The variant that is all of the release."""
    return VARIANTS[name].replace("v3_671b", "v3_671b_mtp")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_config_says_what_the_release_says(name: str) -> None:
    """Every key of the released file that is of the architecture, with its value."""
    found, expected = written(table_of(name)), released(name)
    assert expected.keys() - found.keys() <= UNREAD | UNSAID.get(name, set())
    assert found == {**found, **{k: v for k, v in expected.items() if k in found}}


@pytest.mark.parametrize("name", COMPLETE)
def test_config_says_nothing_else(name: str) -> None:
    assert written(table_of(name)).keys() <= released(name).keys() | DEFAULTS


def test_model_without_a_group_or_a_low_rank_query_says_so() -> None:
    found = written("deepseek_v3@v2_lite_16b")
    assert found["q_lora_rank"] is None
    assert "quantization_config" not in found
    assert found["topk_method"] == "greedy"
    assert written("llama@llama3_8b")["rope_scaling"] is None
