"""The config.json that a table writes against the one that was released."""

from __future__ import annotations

from typing import Any

import pytest

from specgen.checkpoint.config import config
from specgen.elaborate.load import load_program
from tests.truth import outside
from tests.truth.outside import REPOSITORY, needs_truth
from tests.truth.test_released import RELEASED

#: Keys of releases that say nothing about the architecture.
OTHER = {
    "attention_dropout", "auto_map", "aux_loss_alpha", "bos_token_id", "eos_token_id", "ep_size",
    "initializer_range", "pad_token_id", "pretraining_tp", "selective_checkpoint_enabled",
    "seq_aux", "sequence_parallel_enabled", "transformers_version", "use_cache",
}  # fmt: skip

#: Keys that older releases left to their class's default.
DEFAULTS = {"num_nextn_predict_layers": 0, "mlp_bias": False, "torch_dtype": "bfloat16"}

#: The release calls itself kimi_k2 and names DeepSeek-V3's class, whose type we write.
RENAMED = {"deepseek_v3@kimi_k2_1t": {"model_type": "deepseek_v3"}}

CONFIGS = {**RELEASED, "deepseek_v3@v3_671b_mtp": "deepseek-v3"}
del CONFIGS["deepseek_v3@v3_671b"]


def written(spec: str) -> dict[str, Any]:
    name, _, variant = spec.partition("@")
    return config(load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant), "hf")


@needs_truth
@pytest.mark.parametrize("spec", CONFIGS)
def test_config_is_that_of_the_release(spec: str) -> None:
    found = written(spec)
    released = {k: v for k, v in outside.config(CONFIGS[spec]).items() if k not in OTHER}
    expected = {**DEFAULTS, **released, **RENAMED.get(spec, {})}
    if spec.startswith("llama3"):
        del expected["num_nextn_predict_layers"]
        expected.setdefault("head_dim", released["hidden_size"] // released["num_attention_heads"])
    else:
        del expected["mlp_bias"]
    assert found == expected


def test_model_without_a_group_or_a_low_rank_query_says_so() -> None:
    found = written("deepseek_v3@v2_lite_16b")
    assert found["q_lora_rank"] is None
    assert "quantization_config" not in found
    assert found["topk_method"] == "greedy"
    assert written("llama3@llama3_8b")["rope_scaling"] is None
