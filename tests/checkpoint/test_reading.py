"""config.json read back: what a table writes, and what others have written."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from specgen.checkpoint.config import config
from specgen.checkpoint.reading import normalised, overrides_from_config
from specgen.elaborate.load import load_program
from specgen.ir.model import Program

REPOSITORY = Path(__file__).parents[2]
CONFIGS = REPOSITORY.parent / "shared" / "truth" / "configs"

#: Every shipped variant, and the released configuration of the same model.
VARIANTS = {
    "deepseek_v3@v3_671b": None,
    "deepseek_v3@v3_671b_mtp": "deepseek-v3",
    "deepseek_v3@v2_236b": None,  # the configuration at hand is reconstructed
    "deepseek_v3@v2_lite_16b": "deepseek-v2-lite",
    "deepseek_v3@kimi_k2_1t": "kimi-k2-instruct",
    "llama3@llama3_8b": "llama-3-8b",
    "llama3@llama3_70b": "llama-3-70b",
    "llama3@llama31_8b": "llama-3.1-8b",
    "llama3@llama31_70b": "llama-3.1-70b",
    "llama3@llama31_405b": "llama-3.1-405b",
    "llama3@llama32_1b": "llama-3.2-1b",
}


@cache
def table(name: str) -> Program:
    spec, _, variant = name.partition("@")
    return load_program(REPOSITORY / "specs" / f"{spec}.dsv3", variant or None)


def read_back(spec: str, found: dict[str, Any]) -> Program:
    overrides = overrides_from_config(table(spec), found)
    return load_program(REPOSITORY / "specs" / f"{spec}.dsv3", None, overrides)


@pytest.mark.parametrize("name", VARIANTS)
def test_own_configuration(name: str) -> None:
    """What `config` writes of a variant makes the variant again."""
    program = table(name)
    again = read_back(program.name, config(program, "hf"))
    assert again.values == program.values


@pytest.mark.parametrize("name", [name for name, file in VARIANTS.items() if file])
def test_released_configuration(name: str) -> None:
    path = CONFIGS / f"{VARIANTS[name]}.json"
    if not path.is_file():
        pytest.skip("released configurations (../shared/truth) are not here")
    program = table(name)
    again = read_back(program.name, json.loads(path.read_text()))
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
    assert normalised(plain) == {"rope_theta": 5.0, "rope_scaling": None}
    assert plain["rope_parameters"]["rope_theta"] == 5.0  # the caller's own is not touched


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
    found = config(table("llama3@llama3_8b"), "hf") | {"hidden_size": value}
    overrides = overrides_from_config(table("llama3"), found)
    assert overrides.get("dim") in (None, 10**400)
