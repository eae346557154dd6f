"""The models that the shipped specs are tables of: released ones, and types of transformers.

Knows names only; what is released lies in truth/data.
"""

from __future__ import annotations

#: Each model of truth/data/counts.csv and the variant that it is.
VARIANTS = {
    "cohere2-r7b": "cohere2@command_r7b",
    "deepseek-r1": "deepseek_v3@v3_671b",
    "deepseek-v2": "deepseek_v3@v2_236b",
    "deepseek-v2-lite": "deepseek_v3@v2_lite_16b",
    "deepseek-v3": "deepseek_v3@v3_671b",
    "gemma2-2b": "gemma2@gemma2_2b",
    "gemma2-9b": "gemma2@gemma2_9b",
    "glm-4.5-air": "glm4_moe@glm45_air",
    "gpt-neox-20b": "gpt_neox@neox_20b",
    "gpt-oss-120b": "gpt_oss@gpt_oss_120b",
    "gpt-oss-20b": "gpt_oss@gpt_oss_20b",
    "gpt2": "gpt2@gpt2_124m",
    "kimi-k2-instruct": "deepseek_v3@kimi_k2_1t",
    "llama-2-70b": "llama@llama2_70b",
    "llama-2-7b": "llama@llama2_7b",
    "llama-3-70b": "llama@llama3_70b",
    "llama-3-8b": "llama@llama3_8b",
    "llama-3.1-405b": "llama@llama31_405b",
    "llama-3.1-70b": "llama@llama31_70b",
    "llama-3.1-8b": "llama@llama31_8b",
    "llama-3.2-1b": "llama@llama32_1b",
    "mistral-7b-v0.1": "mistral@mistral_7b_v01",
    "mistral-7b-v0.3": "mistral@mistral_7b_v03",
    "mistral-nemo-12b": "mistral@mistral_nemo_12b",
    "mixtral-8x7b": "mixtral@mixtral_8x7b",
    "olmoe-1b-7b": "olmoe@olmoe_1b_7b",
    "phi-3-mini-4k": "phi3@phi3_mini_4k",
    "phi-3.5-mini": "phi3@phi35_mini",
    "phi-4-mini": "phi3@phi4_mini",
    "pythia-1.4b": "gpt_neox@pythia_1b4",
    "pythia-160m": "gpt_neox@pythia_160m",
    "pythia-6.9b": "gpt_neox@pythia_6b9",
    "pythia-70m": "gpt_neox@pythia_70m",
    "qwen1.5-moe-a2.7b": "qwen2_moe@qwen15_moe_a2b7",
    "qwen2-7b": "qwen2@qwen2_7b",
    "qwen2.5-14b": "qwen2@qwen25_14b",
    "qwen2.5-3b": "qwen2@qwen25_3b",
    "qwen2.5-7b": "qwen2@qwen25_7b",
    "qwen3-0.6b": "qwen3@qwen3_0b6",
    "qwen3-1.7b": "qwen3@qwen3_1b7",
    "qwen3-235b-a22b": "qwen3_moe@qwen3_235b_a22b",
    "qwen3-30b-a3b": "qwen3_moe@qwen3_30b_a3b",
    "qwen3-32b": "qwen3@qwen3_32b",
    "qwen3-4b": "qwen3@qwen3_4b",
    "qwen3-8b": "qwen3@qwen3_8b",
}

#: One variant of each spec.
ONE_EACH = sorted({v.partition("@")[0]: v for v in VARIANTS.values()}.values())

#: Types whose spec has another name; the others' specs are named as transformers' `model_type`.
SPECS = {"deepseek_v2": "deepseek_v3", "kimi_k2": "deepseek_v3"}


def spec_of(model_type: str) -> str:
    """The spec that is a table of this type of transformers."""
    return SPECS.get(model_type, model_type)
