"""config.json read back: what a table writes, and what others have written."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.table.config import config
from specgen.frontend.load import load_program
from specgen.huggingface.reading import normalised, overrides_from_config
from specgen.ir.model import Program
from tests.families import VARIANTS
from tests.truth import outside

REPOSITORY = Path(__file__).parents[2]

#: Every shipped variant, and one more than the released models have.
TABLES = sorted({*VARIANTS.values(), "deepseek_v3@v3_671b_mtp"})

#: Models whose released file says all that the variant does.
COMPLETE = {name: VARIANTS[name] for name in (
    "deepseek-v2-lite", "gemma2-2b", "gemma2-9b", "glm-4.5-air", "gpt-neox-20b", "gpt-oss-20b",
    "gpt-oss-120b", "gpt2", "kimi-k2-instruct", "llama-3-8b", "llama-3-70b",
    "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "llama-3.2-1b", "mistral-7b-v0.3",
    "mistral-nemo-12b", "mixtral-8x7b", "olmoe-1b-7b", "phi-3.5-mini", "phi-4-mini",
    "pythia-1.4b", "pythia-160m", "pythia-6.9b", "pythia-70m", "qwen1.5-moe-a2.7b", "qwen2-7b",
    "qwen2.5-14b", "qwen2.5-3b", "qwen2.5-7b", "qwen3-0.6b", "qwen3-1.7b", "qwen3-235b-a22b",
    "qwen3-30b-a3b", "qwen3-32b", "qwen3-4b", "qwen3-8b",
)} | {"deepseek-v3": "deepseek_v3@v3_671b_mtp"}  # fmt: skip


@cache
def table(name: str) -> Program:
    spec, _, variant = name.partition("@")
    return load_program(REPOSITORY / "specs" / f"{spec}.dsv3", variant or None)


def read_back(spec: str, found: dict[str, Any]) -> Program:
    overrides = overrides_from_config(table(spec), found)
    return load_program(REPOSITORY / "specs" / f"{spec}.dsv3", None, overrides)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_own_configuration(name: str) -> None:
    """What `config` writes of a variant makes the variant again."""
    program = table(name)
    again = read_back(program.name, config(program, "hf"))
    assert again.values == program.values


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPLETE)
def test_released_configuration(name: str) -> None:
    program = table(COMPLETE[name])
    again = read_back(program.name, outside.config(name))
    assert again.values == program.values


def test_spellings_of_transformers_5() -> None:
    old = config(table("deepseek_v3@v3_671b"), "hf")
    new = dict(old)
    scaling = dict(new.pop("rope_scaling"))
    kind = scaling.pop("type")
    new["rope_parameters"] = {**scaling, "rope_type": kind, "rope_theta": new.pop("rope_theta")}
    new["dtype"] = new.pop("torch_dtype")
    assert overrides_from_config(table("deepseek_v3"), new) == overrides_from_config(
        table("deepseek_v3"), old
    )
    plain = {"rope_parameters": {"rope_type": "default", "rope_theta": 5.0}}
    assert normalised(plain).items() >= {"rope_theta": 5.0, "rope_scaling": None}.items()
    assert plain["rope_parameters"]["rope_theta"] == 5.0  # the caller's own is not touched


@pytest.mark.parametrize("spec", ["gpt_neox", "phi3"])
@pytest.mark.parametrize(
    "found",
    [
        {"rotary_emb_base": 5.0, "rotary_pct": 0.5},
        {"rope_theta": 5.0, "partial_rotary_factor": 0.5},
        {"rope_theta": 5.0, "partial_rotary_factor": 0.5, "rope_scaling": None},
        {"rope_parameters": {"rope_theta": 5.0, "partial_rotary_factor": 0.5}},
    ],
)
def test_spellings_of_rotary_embeddings(spec: str, found: dict[str, Any]) -> None:
    overrides = overrides_from_config(table(spec), found)
    assert overrides.items() >= {"rope_theta": 5.0, "rotary_share": 0.5}.items()


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("q_lora_rank", None, {"q_lora_rank": 0}),
        ("q_lora_rank", ..., {"q_lora_rank": 0}),  # a missing key is read as null
        ("rope_scaling", None, {"rope_scaling": "none"}),
        ("quantization_config", ..., {"weight_format": "bf16"}),
        ("scoring_func", "softmax", {"score_func": "softmax"}),
        ("hidden_size", 7168.0, {"dim": 7168}),
    ],
)
def test_single_keys(key: str, value: object, wanted: dict[str, object]) -> None:
    found = config(table("deepseek_v3@v3_671b"), "hf")
    if value is ...:
        del found[key]
    else:
        found[key] = value
    overrides = overrides_from_config(table("deepseek_v3"), found)
    assert wanted.items() <= overrides.items()


@pytest.mark.parametrize("value", ["many", [1], {"a": 1}, True, 7.5, float("nan"), 10**400])
def test_values_of_another_type_are_left_out(value: object) -> None:
    found = config(table("llama@llama3_8b"), "hf") | {"hidden_size": value}
    overrides = overrides_from_config(table("llama"), found)
    assert overrides.get("dim") in (None, 10**400)


def test_lists_of_numbers() -> None:
    lists = load_program(REPOSITORY / "tests" / "pytorch" / "lists.dsv3", "ends")
    written = config(lists, "hf")
    assert written["mlp_only_layers"] == [0, 6]
    assert written["factors"]["long"] == [0.5, 1.0, 1.25, 2.0]
    written["factors"]["long"] = [1, 2, 3, 4.5]
    overrides = overrides_from_config(lists, json.loads(json.dumps(written)))
    assert overrides["long_factor"] == (1, 2, 3, 4.5)
    again = load_program(REPOSITORY / "tests" / "pytorch" / "lists.dsv3", None, overrides)
    assert again.values["long_factor"] == (1.0, 2.0, 3.0, 4.5)
    assert again.values["dense"] == (0, 6)


@pytest.mark.parametrize("value", [None, 3, "0", [True], ["0"], [None], {"0": 1}])
def test_what_is_no_list_of_numbers_sets_nothing(value: object) -> None:
    lists = load_program(REPOSITORY / "tests" / "pytorch" / "lists.dsv3")
    assert "dense" not in overrides_from_config(lists, {"mlp_only_layers": value})
