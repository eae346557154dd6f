"""config.json and tensors.json against what was released."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from specgen.analysis.table.config import config
from specgen.analysis.table.stored import expand, stored
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.node import ONE, TRUE, Const, Expr, Sym
from specgen.huggingface import emit
from specgen.ir.model import ConfigRow
from tests.analysis.hand import latent_moe, op
from tests.analysis.released import table
from tests.truth import outside

RELEASED = {
    "deepseek_v3@v3_671b_mtp": "deepseek-v3",
    "deepseek_v3@v2_236b": "deepseek-v2",
    "deepseek_v3@v2_lite_16b": "deepseek-v2-lite",
    "deepseek_v3@kimi_k2_1t": "kimi-k2-instruct",
    "llama@llama3_8b": "llama-3-8b",
    "llama@llama31_405b": "llama-3.1-405b",
    "llama@llama32_1b": "llama-3.2-1b",
}

#: Keys that these releases leave out or write otherwise, and why that is right.
ELSEWHERE = {
    "head_dim": "left out where it is hidden_size / num_attention_heads",
    "mlp_bias": "newer than the release",
    "num_nextn_predict_layers": "newer than DeepSeek-V2; 0 says the same",
    "torch_dtype": "not in the reconstructed configuration of DeepSeek-V2",
    "model_type": "Kimi K2 has a name of its own for the same class",
}


@pytest.mark.parametrize("spec", RELEASED)
def test_config_says_what_the_release_says(spec: str) -> None:
    mine = json.loads(emit(table(spec))["config.json"])
    theirs = outside.config(RELEASED[spec])
    different = {
        k: (v, theirs.get(k, "absent")) for k, v in mine.items() if theirs.get(k, "absent") != v
    }
    assert set(different) <= set(ELSEWHERE), different
    assert all(their in ("absent", "kimi_k2") for _, their in different.values())


def test_config_has_json_types() -> None:
    mine = json.loads(emit(table("deepseek_v3@v2_lite_16b"))["config.json"])
    assert mine["q_lora_rank"] is None
    assert mine["attention_bias"] is False
    assert type(mine["hidden_size"]) is int
    assert type(mine["routed_scaling_factor"]) is float
    assert mine["architectures"] == ["DeepseekV2ForCausalLM"]


def test_a_table_without_config_has_no_config() -> None:
    assert set(emit(table("dsv3_table"))) == {"tensors.json"}


def row(key: str, value: Expr = ONE, when: Expr = TRUE) -> ConfigRow:
    return ConfigRow(value, key, when)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (row("a"), "twice"),
        (row("a.b"), "twice"),
        (row("b", Sym("nobody")), "`nobody`"),
        (row("b", op("/", "dim", 0)), "division by zero"),
        (row("b", Const(float("inf"))), "JSON"),
    ],
)
def test_configurations_that_cannot_be_written(second: ConfigRow, reason: str) -> None:
    program = replace(latent_moe(), configs={"hf": (row("a"), row("z.a"), second)})
    with pytest.raises(SpecError) as caught:
        config(program, "hf")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0802"
    assert reason in diagnostic.message


def test_rows_whose_condition_fails_are_not_written() -> None:
    rows = (row("a", Const(1), op("==", "dim", 1)), row("a", Const(2), op(">", "dim", 1)))
    assert config(replace(latent_moe(), configs={"hf": rows}), "hf") == {"a": 2}


# ---- tensors.json ----------------------------------------------------------------------


def unfolded(tensor: Any, scheme: str) -> Iterator[str]:
    """The names that a pattern stands for, by somebody who has tensors.json only."""
    indices = tensor["indices"]
    values = [sorted(v for r in ranges for v in range(*r)) for ranges in indices.values()]
    for chosen in product(*values):
        here = dict(zip(indices, chosen, strict=True))
        name = ""
        for i, piece in enumerate(tensor["names"][scheme].replace("}", "{").split("{")):
            name += piece if i % 2 == 0 else str(added(piece, here))
        yield name


def added(text: str, values: dict[str, int]) -> int:
    return sum(values[t] if t in values else int(t) for t in text.split(" + "))


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["deepseek_v3@v3_671b_mtp", "llama@llama32_1b"])
def test_folded_tensors_stand_for_all_of_them(spec: str) -> None:
    written = json.loads(emit(table(spec))["tensors.json"])
    for scheme in ("hf", "own"):
        mine = [
            (name, tuple(t["shape"]), t["dtype"])
            for t in written["tensors"]
            for name in unfolded(t, scheme)
        ]
        listed = [
            (name, t.dims, t.dtype) for t in stored(table(spec), scheme) for name, _ in expand(t)
        ]
        assert mine == listed
        assert len(mine) == written["stored_tensors"] == sum(t["count"] for t in written["tensors"])
