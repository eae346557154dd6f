"""Comparing tables: what differs, row by row, adding up exactly."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from specgen.documents.diff import TableDifference, compare_programs
from specgen.documents.diff_listing import to_json, to_markdown, to_terminal
from specgen.expr.node import Apply, Sym
from specgen.ir.model import Program, Tensor
from tests.analysis.hand import array, expr, latent_moe, linear, module, op, part, program
from tests.analysis.released import table
from tests.cli.running import TINY, specgen_here

V3 = "deepseek_v3@v3_671b"

#: The seed's mistakes as they are itemised against the release; the gate's bias, which
#: reading A leaves out, with its sign.
SEED = {
    "layers.{layer}.attn.wq": 7_163_871_232,
    "layers.{layer}.attn.wk": 7_163_871_232,
    "layers.{layer}.attn.wv": 7_163_871_232,
    "layers.{layer}.attn.wq_b": -767_557_632,
    "layers.{layer}.attn.wkv_a": -27_983_872,
    "layers.{layer}.attn.wkv_b": -511_705_088,
    "layers.{layer}.attn.q_norm.weight": -93_696,
    "layers.{layer}.attn.kv_norm.weight": -31_232,
    "norm.weight": -7_168,
    "layers.{layer}.ffn.router.bias": -14_848,
}


def seed() -> TableDifference:
    return compare_programs(table("dsv3_table"), table(V3))


def test_the_seeds_mistakes() -> None:
    found = seed()
    assert found.total == 20_184_220_160
    assert {c.name: c.difference for c in found.changes if c.difference} == SEED
    assert (
        sum(SEED[f"layers.{{layer}}.attn.{name}"] for name in ("wq", "wk", "wv")) == 21_491_613_696
    )


def test_norms_that_are_called_otherwise_are_the_same_rows() -> None:
    """Gamma and beta of one LayerNorm have the sizes of two RMSNorms: no difference in total."""
    changes = {c.name: c for c in seed().changes}
    gamma, beta = (changes[f"layers.{{layer}}.norm.{name}"] for name in ("weight", "bias"))
    assert (gamma.difference, beta.difference) == (0, 0)
    assert "called layers.{layer}.attn_norm.weight in B" in gamma.reasons
    assert "called layers.{layer}.ffn_norm.weight in B" in beta.reasons


def test_reasons_show_both_sizes_in_names_and_numbers() -> None:
    changes = {c.name: c for c in seed().changes}
    assert changes["layers.{layer}.attn.wkv_b"].reasons == (
        "out: 16384 (n_heads × qk_head_dim) in A,"
        " 32768 (n_heads × (qk_nope_head_dim + v_head_dim)) in B",
    )
    assert changes["layers.{layer}.attn.wq_b"].reasons == (
        "out: 16384 (n_heads × qk_head_dim) in A, 24576 (n_heads × qk_head_dim) in B;"
        " qk_head_dim is 128 in A, 192 in B",
    )
    assert changes["layers.{layer}.attn.wq"].reasons == (
        "only in A: [dim, n_heads × qk_head_dim] = 7168 × 16384, instances 61 (n_layers)",
    )
    assert changes["embed.weight"].reasons == ("dtype: f8e4m3 in A, bf16 in B",)


PAIRS = [
    ("dsv3_table", V3),
    (V3, "dsv3_table"),
    (V3, "deepseek_v3@v3_671b_mtp"),
    (V3, "deepseek_v3@v2_lite_16b"),
    (V3, "llama@llama3_70b"),
    ("llama@llama3_8b", "llama@llama32_1b"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_changes_add_up_and_turn_around(a: str, b: str) -> None:
    found, back = compare_programs(table(a), table(b)), compare_programs(table(b), table(a))
    assert sum(change.difference for change in found.changes) == found.total
    assert found.total == found.a.value("parameters") - found.b.value("parameters")
    assert back.total == -found.total
    assert len(back.changes) == len(found.changes)
    assert sorted(-c.difference for c in back.changes) == sorted(
        c.difference for c in found.changes
    )
    assert all(change.reasons for change in found.changes)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_every_counted_row_is_in_one_pair_at_most(a: str, b: str) -> None:
    found = compare_programs(table(a), table(b))
    for ledger, pick in ((found.a, 0), (found.b, 1)):
        rows = [id(row) for row in ledger.rows if row.counted]
        shown = [
            id(row)
            for change in found.changes
            for side in [(change.a, change.b)[pick]]
            if side is not None
            for row in side.rows
        ]
        assert len(set(shown)) == len(shown)
        assert set(shown) <= set(rows)


@pytest.mark.parametrize("spec", [V3, "dsv3_table", "llama@llama32_1b"])
def test_a_table_does_not_differ_from_itself(spec: str) -> None:
    found = compare_programs(table(spec), table(spec))
    assert (found.total, found.changes) == (0, ())
    assert dict(found.quantities) == {}


# ---- single edits ----------------------------------------------------------------------


def model(*tensors: Tensor, **values: int) -> Program:
    inner = module("block", ("layer",), tensors, lexical=True)
    parts = (part("layers", "block", "layer", "n", layer="layer"),)
    return program(inner, module("m", values={"n": 6, "d": 2, "w": 8, **values}, parts=parts))


BASE = (linear("a", "w", 4), array("v", "w"))


def only_change(a: Program, b: Program) -> tuple[str, int, tuple[str, ...]]:
    (change,) = compare_programs(a, b).changes
    return change.name, change.difference, change.reasons


def test_another_number_of_layers() -> None:
    found = compare_programs(model(*BASE), model(*BASE, n=7))
    assert [c.difference for c in found.changes] == [-32, -8]
    assert found.changes[0].reasons == ("instances: 6 (n) in A, 7 (n) in B",)


def test_a_transposed_map() -> None:
    name, gap, reasons = only_change(model(*BASE), model(linear("a", 4, "w"), BASE[1]))
    assert (name, gap) == ("layers.{layer}.a", 0)
    assert reasons == ("in: 8 (w) in A, 4 in B", "out: 4 in A, 8 (w) in B")


def test_another_kind_of_row() -> None:
    name, gap, reasons = only_change(model(*BASE), model(BASE[0], array("v", "w", 2)))
    assert (name, gap) == ("layers.{layer}.v", -48)
    assert reasons == (
        "shape: [w] = 8, instances 6 (n) in A, [w, 2] = 8 × 2, instances 6 (n) in B",
    )


def test_a_renamed_row_of_the_same_size_is_found() -> None:
    assert compare_programs(model(*BASE), model(BASE[0], array("gain", "w"))).changes == ()


def test_two_candidates_for_one_row_are_no_match() -> None:
    """Which of two equal rows was renamed cannot be told: each is shown as it is."""
    found = compare_programs(model(array("v", "w")), model(array("g", "w"), array("h", "w")))
    assert [(c.name, c.difference) for c in found.changes] == [
        ("layers.{layer}.g", -48), ("layers.{layer}.h", -48), ("layers.{layer}.v", 48),
    ]  # fmt: skip


def test_rows_are_matched_by_released_names() -> None:
    def released(own: str) -> Program:
        names = {"hf": {own: ("q_proj",)}}
        return program(module("m", tensors=(linear(own, 2, 4),), names=names))

    assert compare_programs(released("wq"), released("query")).changes == ()


def test_a_row_of_several_shapes_is_one_row() -> None:
    wide = Apply("cond", (op("<", "layer", "d"), op("*", 2, "w"), expr("w")))
    name, gap, reasons = only_change(model(array("v", wide)), model(array("v", "w")))
    assert (name, gap) == ("layers.{layer}.v", 2 * 8)
    assert any("only in A" in reason for reason in reasons)


def test_tied_and_copied_rows_are_no_parameters() -> None:
    tied = Tensor("h", "map", (Sym("w"), Sym("w")), "bf16", None, "act", shared="tied", target="a")
    assert compare_programs(model(*BASE), model(*BASE, tied)).total == 0
    copied = compare_programs(model(*BASE), model(*BASE, replace(tied, shared="copy")))
    assert copied.total == 0
    assert copied.quantities["stored_copies"] == (0, 6 * 64)


# ---- renderings ------------------------------------------------------------------------


def test_json() -> None:
    found = json.loads(to_json(seed()))
    assert found["a"] == {"spec": "dsv3_table", "variant": None}
    assert found["convention"] == "differences are A - B"
    assert found["parameters"]["difference"] == 20_184_220_160
    assert sum(row["difference"] for row in found["rows"]) == 20_184_220_160
    assert found["quantities"]["stored_scales"]["difference"] == -40_838_232
    assert found["quantities"]["parameters_active"]["difference"] is None
    (row,) = [row for row in found["rows"] if row["name"].endswith("wkv_b")]
    assert row["b"][0]["in_out_expr"] == ["kv_lora_rank", "n_heads*(qk_nope_head_dim + v_head_dim)"]


def test_text_states_the_convention_and_sums() -> None:
    text = to_terminal(seed())
    assert "differences are A - B" in text
    assert "A = dsv3_table" in text
    above, below = text.split("-----\n")
    gaps = [int(n.replace(",", "")) for n in re.findall(r"(?m)^ *([+-]?[\d,]+)  \S", above)]
    total = re.search(r"([+-][\d,]+)  in total", below)
    assert total is not None
    assert sum(gaps) == int(total[1].replace(",", "")) == 20_184_220_160


def test_markdown_sums() -> None:
    rows = re.findall(r"(?m)^\| `?([^|]*?)`? \| \**([+-]?[\d,]+)\** \| ", to_markdown(seed()))
    gaps = {name: int(n.replace(",", "")) for name, n in rows}
    assert gaps.pop("**total**") == sum(v for k, v in gaps.items() if "." in k or k == "head")


def test_hostile_names_stay_text() -> None:
    base = latent_moe()
    evil = replace(base, name="x`|<b>\n# h \x1b[31m", variant="v|{{1}}")
    text = to_markdown(compare_programs(base, evil))
    assert "<b>" not in re.sub(r"`[^`\n]*`", "", text)
    assert not [line for line in text.splitlines() if line.startswith("# h")]
    assert "\x1b" not in to_terminal(compare_programs(base, evil))


# ---- every quantity --------------------------------------------------------------------

AT = {"B": 1, "S": 2048, "T": 2048, "W": 2, "G": 2, "O": 12}


def test_quantities_with_variables_are_functions_and_figures() -> None:
    """The prefill: 170,973,789,683,712 and 295,674,138,591,232."""
    found = compare_programs(table(V3), table("llama@llama3_70b"), AT)
    prefill = {change.name: change for change in found.functions}["flops_prefill"]
    assert (prefill.a.value, prefill.b.value) == (170_973_789_683_712, 295_674_138_591_232)
    assert prefill.difference == 170_973_789_683_712 - 295_674_138_591_232
    document = json.loads(to_json(found))["functions"]["flops_prefill"]
    assert document["variables"] == ["B", "S"]
    for side in ("a", "b"):
        assert eval(document[side], {"B": 1, "S": 2048}) == document["value"][side]
    text = to_terminal(found)
    assert "170,973,789,683,712" in text
    assert "with B = 1, S = 2048" in text
    assert f"B  {document['b'].replace('*', ' × ')[:9]}" in text


def test_formulas_that_differ_in_form_only_do_not_differ() -> None:
    found = compare_programs(table("llama@llama3_8b"), table("llama@llama31_8b"), AT)
    assert found.functions == ()
    assert "as formulas" not in to_terminal(found)


def test_a_quantity_that_one_table_lacks_says_why() -> None:
    found = compare_programs(table("dsv3_table"), table(V3), AT)
    missing = {change.name: change for change in found.functions}["flops_decode"]
    assert (missing.a.expr, missing.a.absent) == (None, "the table has no forward")
    assert missing.difference is None
    for text in (to_terminal(found), to_markdown(found)):
        assert "no figure in A: the table has no forward\n" in text
    absent = json.loads(to_json(found))["absent"]["cache_bytes_per_token"]
    assert absent == {"a": "the table has no forward", "b": None}


def test_without_values_there_are_formulas_only() -> None:
    found = compare_programs(table(V3), table("llama@llama3_70b"))
    assert all(change.difference is None for change in found.functions)
    assert all(change.a.expr is not None for change in found.functions)


def test_the_command_takes_values_of_variables(tmp_path: Path) -> None:
    """tiny has 2 × (32 d + 8 d² n) operations for each token."""
    (tmp_path / "tiny.dsv3").write_text(TINY)
    done = specgen_here("diff", "tiny.dsv3@wide", "tiny.dsv3", "-D", "S=16", cwd=tmp_path)
    assert (done.status, done.err) == (0, "")
    wide, own = (2 * 16 * (32 * d + 8 * d * d * 2) for d in (16, 8))
    assert re.search(rf"flops_prefill +{wide:,} +{own:,} +\+{wide - own:,}\n", done.out)
    assert "with B = 1, S = 16" in done.out
    assert f"A  {wide // 16} × B × S\n" in done.out
    done = specgen_here("diff", "tiny.dsv3@wide", "tiny.dsv3", "-D", "S=0", cwd=tmp_path)
    assert done.status == 2
    assert "`S`" in done.err
