"""formulas.json: closed forms that other programs can evaluate, judged by Python's own parser."""

from __future__ import annotations

import ast
import json
import math
from fractions import Fraction
from typing import Any

import pytest

from specgen.backends.formulas import emit
from tests.analysis.released import table

SPECS = ["deepseek_v3@v3_671b", "deepseek_v3@v2_236b", "llama@llama31_405b", "dsv3_table"]


def formulas(spec: str) -> Any:
    return json.loads(emit(table(spec))["formulas.json"])


def computed(text: str, names: dict[str, object]) -> object:
    """The formula evaluated by Python, after a look that it is arithmetic and nothing else."""
    allowed = (
        ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Load, ast.Call,
        ast.operator, ast.unaryop, ast.IfExp, ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop,
    )  # fmt: skip
    tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        assert isinstance(node, allowed), ast.dump(node)
    functions = {"ceil": math.ceil, "floor": math.floor, "min": min, "max": max, "ln": math.log}
    exact = {k: Fraction(v) if type(v) is int else v for k, v in names.items()}
    return eval(compile(tree, "formula", "eval"), {"__builtins__": {}}, {**functions, **exact})


@pytest.mark.parametrize("spec", SPECS)
def test_formulas_give_the_values(spec: str) -> None:
    found = formulas(spec)
    params = {name: param["value"] for name, param in found["params"].items()}
    checked = 0
    for quantity in found["quantities"].values():
        if "value" not in quantity:
            continue
        assert computed(quantity["formula"], params) == quantity["value"]
        assert all(computed(text, params) for text in quantity["assumes"])
        checked += 1
    assert checked == (
        14 if "forward" not in found["quantities"]["parameters_active"].get("absent", "") else 6
    )


def test_costs_have_variables_and_no_value() -> None:
    found = formulas("deepseek_v3@v3_671b")
    params = {name: param["value"] for name, param in found["params"].items()}
    prefill = found["quantities"]["flops_prefill"]
    assert prefill["variables"] == ["B", "S"]
    assert "value" not in prefill
    assert computed(prefill["formula"], {**params, "B": 1, "S": 2048}) == 170_973_789_683_712


def test_lets_are_expanded_and_kept() -> None:
    found = formulas("deepseek_v3@v3_671b")
    assert found["let"]["qk_head_dim"]["formula"] == "qk_nope_head_dim + qk_rope_head_dim"
    assert found["let"]["qk_head_dim"]["value"] == 192
    quantity = found["quantities"]["parameters"]
    assert "n_heads*qk_head_dim" in quantity["with_lets"]
    assert quantity["unit"] == "elements"
    assert quantity["assumes"] == ["n_dense_layers <= n_layers"]
    assert "q_lora_rank > 0" in found["decided"]
    assert found["decode_forwards"] == {"mla": "absorbed"}


def test_a_pure_table_gives_reasons() -> None:
    found = formulas("dsv3_table")["quantities"]
    assert found["flops_decode"]["absent"] == "the table has no forward"
    assert "formula" not in found["flops_decode"]
