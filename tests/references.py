"""Where the reference models of ../shared/truth lie, and how near to them is near enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
REFERENCES = REPOSITORY.parent / "shared" / "truth" / "reference"

needs_references = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason="reference models (../shared/truth) are not on this machine"
)


#: Each reference and the spec that is a table of it.
SPECS = {
    "cohere2": "cohere2",
    "deepseek_v2": "deepseek_v3",
    "deepseek_v2_lite": "deepseek_v3",
    "deepseek_v3": "deepseek_v3",
    "deepseek_v3_mscale": "deepseek_v3",
    "deepseek_v3_mtp": "deepseek_v3",
    "deepseek_v3_noqlora": "deepseek_v3",
    "deepseek_v3_norope_scaling": "deepseek_v3",
    "gemma2": "gemma2",
    "glm4_moe": "glm4_moe",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "gpt_oss": "gpt_oss",
    "kimi_k2": "deepseek_v3",
    "llama": "llama",
    "llama3_rope": "llama",
    "llama_bias": "llama",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "olmoe": "olmoe",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2_moe",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3_moe",
}

#: The multi-token-prediction reference has no decoding: it is the main model and one more head.
DECODED = [name for name in SPECS if name != "deepseek_v3_mtp"]


def tolerance(meta: Mapping[str, Any]) -> float:
    """2e-5; where transformers differs from itself by more than 1e-5, twice that."""
    measured = (
        meta.get("cache_vs_full_max_abs_diff"),
        meta.get("sdpa_default_experts_max_abs_diff"),  # a text where there is no such form
    )
    own = max((found for found in measured if isinstance(found, float)), default=0.0)
    return 2 * own if own > 1e-5 else 2e-5
