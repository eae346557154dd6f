"""Operations by other conventions, and product by product."""

from __future__ import annotations

import json
import random

import pytest

from specgen.analysis.quantities.flops import COUNTED
from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.quantities.terms import evaluated
from specgen.analysis.table.instances import definitions
from specgen.cli.main import main
from specgen.documents.operations import OperationsAnswer, list_operations, to_terminal
from specgen.expr.evaluate import evaluate
from specgen.expr.node import substitute
from tests.analysis.released import table

V3 = "deepseek_v3@v3_671b"
LLAMA = "llama@llama3_70b"


def test_training_as_maxtext_counts() -> None:
    """481.482208444416 TFLOPs for 2,048 tokens."""
    found = ledger(table(V3))
    quantity = found.quantities["flops_training"]
    assert evaluated(quantity, {**found.values, "B": 1, "S": 2048}) == 481_482_208_444_416


def test_a_published_breakdown() -> None:
    """GPT-2 small on 1,024 tokens: 291,648,307,200 operations and these shares, as others list."""
    found = ledger(table("gpt2@gpt2_124m"))
    listed = list_operations(found, "flops_prefill")
    env = {**found.values, "B": 1, "S": 1024}
    counts = [evaluate(operation.formula, env) for operation in listed]
    assert sum(counts) == 291_648_307_200
    q, k, v, scores, mixed, out, up, down, head = (
        round(100 * count / sum(counts), 2) for count in counts
    )
    assert (head, scores, mixed, out) == (27.1, 6.63, 6.63, 4.97)
    assert (round(q + k + v, 2), round(up + down, 2)) == (14.91, 39.76)


@pytest.mark.parametrize("spec", [V3, LLAMA])
@pytest.mark.parametrize("tokens", [1, 7, 2048])
def test_causal_counts_half_of_the_pairs(spec: str, tokens: int) -> None:
    found = ledger(table(spec))
    env = {**found.values, "B": 1, "S": tokens}
    full, causal, training = (
        evaluated(found.quantities[name], env)
        for name in ("flops_prefill", "flops_prefill_causal", "flops_training")
    )
    layers, heads, width = (61, 128, 192 + 128) if spec == V3 else (80, 64, 128 + 128)
    assert full - causal == layers * heads * width * tokens**2
    assert training == 3 * causal


def test_decoding_with_main_forwards_computes_keys_and_values_anew() -> None:
    """Per layer, token in the cache: wkv_b, scores and values of every head."""
    found = ledger(table(V3))
    quantity = found.quantities["flops_decode_main"]
    cost = [evaluated(quantity, {**found.values, "B": 1, "T": t}) for t in (1000, 1001)]
    assert cost[1] - cost[0] == 2 * 61 * (512 * 128 * (128 + 128) + 128 * (192 + 128))
    # A model without alternatives decodes in one way.
    llama = ledger(table(LLAMA)).quantities
    assert llama["flops_decode_main"].expr == llama["flops_decode"].expr


@pytest.mark.parametrize("spec", [V3, LLAMA])
@pytest.mark.parametrize("name", COUNTED)
def test_products_sum_to_the_quantity(spec: str, name: str) -> None:
    found = ledger(table(spec))
    lets = definitions(found.program)
    listed = list_operations(found, name)
    draw = random.Random(name)
    for _ in range(5):
        env = {**found.values, **{v: draw.randint(1, 9000) for v in "BST"}}
        total = evaluated(found.quantities[name], env)
        assert sum(evaluate(operation.formula, env) for operation in listed) == total
        in_params = (substitute(operation.formula, lets) for operation in listed)
        assert sum(evaluate(formula, env) for formula in in_params) == total


def test_products_are_named_as_the_table_names_them() -> None:
    found = ledger(table(V3))
    listed = list_operations(found, "flops_decode")
    names = {operation.name for operation in listed}
    assert {"layers.{layer}.ffn.experts.{e}.w1", "layers.{layer}.attn", "head"} <= names
    assert "layers.{layer}.attn.wkv_b" not in names, "it is folded into query and output"
    assert "layers.{layer}.attn.wkv_b" in {
        o.name for o in list_operations(found, "flops_decode_main")
    }


def test_the_listing_in_text_and_json() -> None:
    found = ledger(table(V3))
    quantity = found.quantities["flops_prefill"]
    listed = list_operations(found, "flops_prefill")
    at = {"B": 1, "S": 2048}
    text = to_terminal(found, quantity, listed, at)
    assert "170,973,789,683,712 in total" in text
    assert "head: map; [B × S × dim × vocab_size]" in text
    document = OperationsAnswer(found, quantity, listed, at).document
    assert sum(entry["value"] for entry in document["operations"]) == 170_973_789_683_712
    assert document["at"] == at


def test_minus_d_sets_params_and_variables(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    command = ["formula", "llama", "flops_prefill", "--by-op", "-D", "n_layers=2", "-D", "S=10"]
    assert main([*command, "--format", "json"]) == 0
    document = json.loads(capfdbinary.readouterr().out)
    assert document["at"] == {"B": 1, "S": 10}
    found = ledger(table("llama"))
    env = {**found.values, "n_layers": 2, "B": 1, "S": 10}
    total = evaluated(found.quantities["flops_prefill"], env)
    assert sum(entry["value"] for entry in document["operations"]) == total


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["parameters", "--by-op"], "counts no operations"),
        (["flops_decode", "--by-op", "--format", "latex"], "has no format latex"),
        (["flops_decode", "--by-op", "-D", "B=-1"], "a whole number from 1"),
    ],
)
def test_faults_of_the_command_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["formula", "llama", *arguments])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
