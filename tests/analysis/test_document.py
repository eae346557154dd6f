"""The document of `params` and its renderings, to the contract."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest

from specgen.documents.params import describe_program, list_schemes, to_json
from specgen.documents.params_listing import to_csv, to_markdown, to_terminal
from specgen.ir.model import Program
from specgen.text.json_text import json_text
from tests.analysis.hand import latent_moe
from tests.analysis.released import table

V3 = "deepseek_v3@v3_671b"


def test_a_row_as_the_contract_shows_it() -> None:
    rows = {row["name"]: row for row in describe_program(table(V3))["rows"]}
    row = rows["layers.{layer}.attn.wq_a"]
    assert {k: v for k, v in row.items() if k not in ("released", "describes")} == {
        "name": "layers.{layer}.attn.wq_a",
        "shape": [1536, 7168],
        "shape_expr": ["q_lora_rank", "dim"],
        "in_out": [7168, 1536],
        "dtype": "f8e4m3",
        "multiplicity": 61,
        "multiplicity_expr": "n_layers",
        "elements": 671_612_928,
        "formula": "n_layers*dim*q_lora_rank",
        "kind": "map",
    }
    assert rows["layers.{layer}.attn.wq_b"]["shape_expr"] == ["n_heads*qk_head_dim", "q_lora_rank"]
    assert rows["layers.{layer}.attn.wq_b"]["formula"] == (
        "n_layers*q_lora_rank*n_heads*(qk_nope_head_dim + qk_rope_head_dim)"
    )
    assert rows["layers.{layer}.ffn.router.bias"]["assumes"] == ["n_dense_layers <= n_layers"]


@pytest.mark.parametrize("spec", [V3, "deepseek_v3@v3_671b_mtp", "llama@llama32_1b", "dsv3_table"])
def test_rows_and_quantities_agree(spec: str) -> None:
    found = describe_program(table(spec))
    counted = [row for row in found["rows"] if row["kind"] != "scale"]
    assert sum(row["elements"] for row in counted) == found["quantities"]["parameters"]
    stored = [*found["rows"], *(row for row in found["shared"] if row["shared"] == "copy")]
    assert sum(row["multiplicity"] for row in stored) == found["quantities"]["stored_tensors"]
    for row in found["rows"]:
        size = row["multiplicity"]
        for dim in row["shape"]:
            size *= dim
        assert row["elements"] == size
        order = row["shape"][::-1] if row["kind"] == "map" else row["shape"]
        assert row["in_out"] == order


def test_shared_rows_stand_apart() -> None:
    (head,) = describe_program(table("llama@llama32_1b"))["shared"]
    assert (head["name"], head["shared"], head["target"]) == ("head", "tied", "embed.weight")
    copies = describe_program(table("deepseek_v3@v3_671b_mtp"))["shared"]
    assert [(c["shared"], c["dtype"]) for c in copies] == [("copy", "bf16")] * 2


@pytest.mark.slow
def test_tensors_are_listed_in_the_order_of_the_table() -> None:
    found = describe_program(table(V3), "hf")
    assert len(found["tensors"]) == 90_427
    assert found["tensors"][0] == {
        "name": "model.embed_tokens.weight", "shape": [129280, 7168], "dtype": "bf16",
    }  # fmt: skip
    experts = [t["name"] for t in found["tensors"] if t["name"].endswith("up_proj.weight")]
    order = [tuple(int(part) for part in name.split(".") if part.isdigit()) for name in experts]
    assert [o for o in order if len(o) == 2] == sorted(o for o in order if len(o) == 2)
    assert len(describe_program(table(V3), "own")["tensors"]) == 90_427
    assert list_schemes(table(V3)) == ("own", "hf")
    assert list_schemes(table("dsv3_table")) == ("own",)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(KeyError):
        describe_program(table("dsv3_table"), "hf")


def test_json_is_the_document() -> None:
    for found in (describe_program(table(V3)), describe_program(table("llama@llama32_1b"), "hf")):
        assert json.loads(to_json(found)) == found
        assert json.loads(to_json([found, found])) == [found, found]
    assert to_json(describe_program(table(V3))) == to_json(describe_program(table(V3)))


@pytest.mark.parametrize(
    "value",
    [{}, [], {"a": []}, {"a": {"b": [1, 2.5, None, True, "x\n\"\u2028"]}}, ["x" * 200, {"k": "v" * 99}],
     [[i] * 40 for i in range(4)], 1, "text", {"": ""}],
)  # fmt: skip
def test_json_text_is_json(value: Any) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert text.endswith("\n")


# ---- other renderings ------------------------------------------------------------------


def test_text_shows_rows_and_totals() -> None:
    text = to_terminal([describe_program(table(V3))], width=140)
    assert "layers.{layer}.ffn.experts.{e}.w1" in text
    assert "217,969,590,272" in text
    assert "671,026,419,200" in text
    assert "40,838,232" in text  # the scales, in one line
    assert "weight_scale_inv" not in text
    assert "[dim, q_lora_rank]" in text  # brackets are not markup


def test_text_of_tensors() -> None:
    text = to_terminal([describe_program(table("llama@llama32_1b"), "hf")])
    lines = text.splitlines()
    assert len(lines) == 146
    assert lines[0] == f"{'bf16':8} {'[128256, 2048]':20} model.embed_tokens.weight"


def test_csv_holds_every_row() -> None:
    found = describe_program(table("deepseek_v3@v3_671b_mtp"))
    rows = list(csv.DictReader(io.StringIO(to_csv([found]))))
    assert len(rows) == len(found["rows"]) + len(found["shared"])
    counted = [r for r in rows if r["kind"] != "scale" and not r["shared"]]
    assert sum(int(r["elements"]) for r in counted) == 682_636_487_424
    assert {(r["spec"], r["variant"]) for r in rows} == {("deepseek_v3", "v3_671b_mtp")}
    tensors = csv.DictReader(
        io.StringIO(to_csv([describe_program(table("llama@llama32_1b"), "hf")]))
    )
    assert len(list(tensors)) == 146


def test_markdown_holds_every_row() -> None:
    found = describe_program(table(V3))
    text = to_markdown([found, found])
    for row in found["rows"]:
        assert text.count(f"| `{row['name']}`") == 2


EVIL = '=HYPERLINK("http://e.test")|`<b>\n\x1b[31m[bold]{{7*7}}'


def hostile() -> Program:
    program = latent_moe()
    model = program.model
    tensors = tuple(replace(t, description=EVIL) for t in model.tensors)
    changed = replace(model, tensors=tensors)
    return replace(program, name=EVIL, variant=EVIL, modules={**program.modules, model.id: changed})


def test_hostile_texts_stay_texts() -> None:
    found = describe_program(hostile())
    text = to_terminal([found], width=200)
    assert "\x1b" not in text
    assert "[bold]" in text
    rows = list(csv.reader(io.StringIO(to_csv([found]))))
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@")]
    assert len(rows) == 1 + len(found["rows"]) + len(found["shared"])
    assert "<b>" not in to_markdown([found])
    assert json.loads(to_json(found))["spec"] == EVIL
