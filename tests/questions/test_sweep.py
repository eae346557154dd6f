"""A sweep's rows are what the table gives when it is built anew with each point's values."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.quantities.ledger import Ledger, evaluated, ledger
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.evaluate import EvaluationError, Value, evaluate, holds
from specgen.expr.node import Sym
from specgen.expr.simplify import fold
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from specgen.questions import sweep as sweeping
from specgen.questions.compare import complete_variables
from specgen.questions.forms import Family, TooManyStructures, find_structure, make_override
from specgen.questions.points import read_axes
from specgen.questions.question import read_condition
from specgen.questions.session import Session
from specgen.questions.sweep import Sweep, sweep_family
from specgen.questions.values import SweepError
from tests.cli.running import TINY

QUANTITIES = (
    "parameters",
    "parameters_active",
    "stored_bytes",
    "cache_bytes_per_token",
    "flops_decode",
)


def run(
    spec: str, axes: dict[str, str], quantities: tuple[str, ...] = QUANTITIES, where: str = ""
) -> Sweep:
    session = Session(select(spec))
    family = session.family
    read = read_axes(list(axes.items()), family.loaded[1])
    variables = {n: v for n, v in complete_variables({}).items() if n not in axes}
    kept = [read_condition(where, session)] if where else []
    return sweep_family(family, read, quantities, *kept, variables=variables)


def built(spec: str, point: dict[str, Value]) -> Ledger | None:
    """The table built for one point alone; None where it is refused."""
    chosen = select(spec)
    overrides = {name: make_override(value) for name, value in point.items() if name not in "BSTW"}
    try:
        return ledger(Selection(chosen.path, chosen.variant, overrides).program())
    except SpecError:
        return None


def agrees(spec: str, found: Sweep, sample: int | None = None) -> None:
    """Each row, and each point that was left out, against a table of its own."""
    names = [axis.name for axis in found.axes]
    rows = {
        tuple(map(repr, record[: len(names)])): record[len(names) :]
        for record in zip(*(found.columns[n].tolist() for n in found.columns), strict=True)
    }
    assert len(rows) == found.rows
    points = list(product(*(axis.values for axis in found.axes)))
    if sample is not None:
        points = random.Random(1).sample(points, min(sample, len(points)))
    for values in points:
        point = dict(zip(names, values, strict=True))
        truth = built(spec, point)
        row = rows.get(tuple(map(repr, values)))
        if truth is None:
            assert row is None, point
            continue
        assert row is not None, point
        env = {**complete_variables({}), **truth.values, **point}
        for name, value in zip(list(found.columns)[len(names) :], row, strict=True):
            quantity = truth.quantities[name]
            expected = None if quantity.expr is None else evaluated(quantity, env)
            assert value == expected, (point, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "axes"),
    [
        ("deepseek_v3@v3_671b", {"dim": "4096,7168", "n_layers": "2:5", "q_lora_rank": "0,512"}),
        ("deepseek_v3@v3_671b", {"n_routed_experts": "1:24", "n_mtp_layers": "0,1"}),
        ("deepseek_v3@v3_671b", {"gate_bias": "true,false", "score_func": "sigmoid,softmax"}),
        ("deepseek_v3@v3_671b", {"weight_format": "bf16,fp8_block", "qk_rope_head_dim": "1:8"}),
        ("deepseek_v3@v3_671b", {"qk_nope_head_dim": "1,2,128", "v_head_dim": "1,128", "kv_lora_rank": "1,64,512"}),
        ("deepseek_v3", {"max_seq_len": "2048,4096,8192", "S": "16,4096", "B": "1,64"}),
        ("qwen3_moe", {"mlp_only_layers": "[],[0],[1,2]", "n_layers": "1:4"}),
        ("gemma2", {"n_layers": "1:7", "n_heads": "8,16", "window": "512,4096"}),
        ("llama", {"dim": "32:40", "n_heads": "1:4"}),
        ("cohere2", {"full_every": "1:5", "n_layers": "1:6", "tie_embeddings": "true,false"}),
        ("gpt_oss", {"n_layers": "1:4", "n_activated_experts": "1:6:5", "attention_bias": "true,false"}),
        ("phi3", {"rotary_dim": "48,96", "window": "0,2047"}),
        ("glm4_moe", {"n_expert_groups": "1,2,3", "n_dense_layers": "0:3", "n_shared_experts": "0,1"}),
        ("dsv3_table", {"dim": "4096,7168", "n_layers": "3:6"}),
    ],
)  # fmt: skip
def test_every_row_is_the_tables_own(spec: str, axes: dict[str, str]) -> None:
    known = select(spec).opened().model.tree.params
    axes = {n: v for n, v in axes.items() if n in "BSTW" or n in {p.name for p in known}}
    assert axes
    agrees(spec, run(spec, axes), sample=12)


def test_released_configurations() -> None:
    found = run(
        "deepseek_v3@v3_671b", {"n_layers": "27,61", "S": "2048"}, ("parameters", "flops_prefill")
    )
    assert found.columns["parameters"].tolist()[1] == 671_026_419_200
    assert found.columns["flops_prefill"].tolist()[1] == 170_973_789_683_712


@pytest.mark.slow
def test_params_follow_as_the_table_says() -> None:
    found = run("deepseek_v3@v3_671b", {"dim": "7168,7169"}, ("parameters",))
    truth = [built("deepseek_v3@v3_671b", {"dim": d}) for d in (7168, 7169)]
    assert found.columns["parameters"].tolist() == [t.value("parameters") for t in truth if t]
    assert found.structures == 2  # the router's bias is there for the width 7168 only


@pytest.mark.slow
def test_points_are_in_the_order_of_the_product() -> None:
    axes = {"q_lora_rank": "0,1536", "dim": "7168,4096", "n_layers": "61,3"}
    found = run("deepseek_v3@v3_671b", axes, ("parameters",))
    order = list(zip(*(found.columns[name].tolist() for name in axes), strict=True))
    assert order == list(product((0, 1536), (7168, 4096), (61, 3)))
    assert found.structures == 4


def test_requirements_leave_points_out_with_their_reason() -> None:
    found = run("deepseek_v3", {"qk_rope_head_dim": "1:8", "n_layers": "2,61"}, ("parameters",))
    assert found.points == 16
    assert dict(found.left_out) == {
        "rotary features come in pairs (qk_rope_head_dim % 2 == 0)": 8,
        "the dense layers are a prefix of the stack (n_dense_layers <= n_layers)": 4,
    }
    assert found.rows == 4 == len(found.columns["parameters"])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    below=st.integers(-9, 9),
    shift=st.integers(-9, 9),
    way=st.sampled_from(["{0} / (n_layers - {1}) > 1", "sqrt(n_layers - {1}) > {0}",
                         "parameters > 0 and {0} / (n_layers - {1}) <= 1"]),
)  # fmt: skip
def test_where_without_a_value_is_not_where_it_is_false(below: int, shift: int, way: str) -> None:
    """Each point is kept, filtered out, or said to have no value with the reason."""
    text = way.format(below, shift)
    found = run("llama", {"n_layers": "1:9"}, ("parameters",), text)
    asked = read_condition(text, Session(select("llama")))
    kept, false, undecided = [], 0, 0
    for layers in range(1, 10):
        try:
            holds = evaluate(asked, {"n_layers": layers, "parameters": 10**9})
        except EvaluationError:
            undecided += 1
            continue
        kept += [layers] if holds else []
        false += not holds
    assert found.columns["n_layers"].tolist() == kept
    assert (found.filtered, sum(found.undecided.values())) == (false, undecided)
    assert found.rows == len(kept)


def test_where_about_a_figure_that_is_not_there_says_so() -> None:
    found = run("dsv3_table", {"n_layers": "61,62"}, ("parameters",), "cache_bytes > 1")
    assert found.undecided == {"`cache_bytes` has none: the table has no forward": 2}


@pytest.mark.slow
def test_nothing_is_left() -> None:
    found = run("deepseek_v3", {"n_layers": "1,2"}, ("parameters",))
    assert found.rows == 0
    assert found.columns["parameters"].tolist() == []
    found = run("deepseek_v3", {"n_layers": "60,61"}, ("parameters",), "parameters < 1")
    assert (found.rows, found.filtered) == (0, 2)


def test_where_speaks_of_params_lets_and_quantities() -> None:
    where = "n_moe_layers == 58 and parameters / parameters_active > 17 and dim % 1024 == 0"
    found = run(
        "deepseek_v3@v3_671b", {"n_layers": "60:62", "n_heads": "64,128"}, ("parameters",), where
    )
    assert found.columns["n_layers"].tolist() == [61, 61]


@pytest.mark.slow
def test_where_compares_exactly() -> None:
    exact = 671_026_419_200
    for text, rows in (
        (f"parameters == {exact}", 1),
        (f"parameters < {exact}", 0),
        ("parameters < 671.0264192e9", 0),
    ):
        assert run("deepseek_v3@v3_671b", {"n_layers": "61"}, ("parameters",), text).rows == rows


def test_a_quantity_that_a_structure_lacks_is_blank() -> None:
    found = run("dsv3_table", {"n_layers": "4,61"}, ("parameters", "flops_decode"))
    assert found.columns["flops_decode"].tolist() == [None, None]
    assert found.blank["flops_decode"] == (2, "the table has no forward")


def test_a_part_that_the_base_has_none_of(tmp_path: Path) -> None:
    table = tmp_path / "tiny.dsv3"
    text = TINY.replace("n_layers   : size = 2 ", "extra : count = 0  n_layers : size = 2 ")
    text = text.replace("block × n_layers }", "block × n_layers  more[k] : wider × extra }")
    text = text.replace("head(layers(", "head(more(layers(").replace("tokens)))", "tokens))))")
    wider = """module wider {
    params { k : count }
    tensors { up : dim -> dim  down : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + down(up(x)) }
  }
  """
    table.write_text(text.replace("module block", f"{wider}module block"), encoding="utf-8")
    found = run(str(table), {"extra": "0:3"}, ("parameters",))
    assert found.columns["parameters"].tolist() == [1536, 1664, 1792, 1920]


@pytest.mark.slow
def test_beyond_int64() -> None:
    axes = {"dim": "2**40:2**41:2**40", "inter_dim": "2**40"}
    found = run("deepseek_v3", axes, ("parameters", "flops_prefill"))
    agrees("deepseek_v3", found)
    assert found.columns["parameters"].max() > 2**63


# ---- limits ----------------------------------------------------------------------------


def test_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MAX_CELLS", 100)
    with pytest.raises(SweepError, match="more than 100 values; take larger steps"):
        run("llama", {"n_layers": "1:51"}, ("parameters",))


@pytest.mark.slow
def test_too_many_structures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "MAX_STRUCTURES", 3)
    axes = {"gate_bias": "true,false", "norm_topk": "true,false", "q_lora_rank": "0,1"}
    with pytest.raises(TooManyStructures, match="more than 3 structures"):
        run("deepseek_v3", axes, ("parameters",))


@pytest.mark.slow
def test_too_long() -> None:
    family = Family(select("llama"))
    axes = read_axes([("dim", "1:3000"), ("n_layers", "1:100")], family.loaded[1])
    with pytest.raises(SweepError, match="takes longer than it may"):
        sweep_family(family, axes, ("parameters",), seconds=0.0)


# ---- families --------------------------------------------------------------------------


@pytest.mark.slow
def test_a_ledger_covers_what_it_decides_alike() -> None:
    family = Family(select("deepseek_v3@v3_671b"))
    base = family.base
    same = find_structure(base, ["parameters"])
    assert holds(same, family.environment({"n_layers": 30}))
    assert not holds(same, family.environment({"dim": 4096}))  # gate_bias follows
    assert not holds(same, family.environment({"n_layers": 2}))
    assert family.ledger_at({"n_layers": 30}) is base
    other = family.ledger_at({"dim": 4096})
    assert other is not base
    assert family.ledger_at({"dim": 5120, "n_layers": 7}) is other
    env = family.environment({"dim": 5120})
    truth = built("deepseek_v3@v3_671b", {"dim": 5120})
    assert truth is not None
    assert evaluated(other.quantities["parameters"], env) == truth.value("parameters")


@pytest.mark.slow
def test_the_cheapest_forward_is_part_of_a_structure() -> None:
    """With tiny heads and a wide latent, decoding does not absorb: another form of flops_decode."""
    point = {"qk_nope_head_dim": 1, "v_head_dim": 1, "kv_lora_rank": 4096, "n_heads": 1}
    truth = built("deepseek_v3@v3_671b", point)
    assert truth is not None
    family = Family(select("deepseek_v3@v3_671b"))
    found = family.ledger_at(point)
    assert found.decode_forwards == truth.decode_forwards
    env = {**complete_variables({}), **family.environment(point)}
    expected = evaluated(
        truth.quantities["flops_decode"], {**complete_variables({}), **truth.values}
    )
    assert evaluated(found.quantities["flops_decode"], env) == expected


@pytest.mark.slow
def test_names_for_folding() -> None:
    family = Family(select("deepseek_v3@v3_671b"))
    names = family.names({"dim"})
    assert names["n_layers"] == 61
    assert "dim" not in names
    assert names["gate_bias"] is not True  # it follows dim
    assert fold(Sym("gate_bias", "flag"), {**names, "dim": 7168}).value is True  # type: ignore[union-attr]


@pytest.mark.slow
def test_points_where_no_table_can_be_are_left_out() -> None:
    """Also where no structure is known yet: without n_mtp_layers there are other rows."""
    model = specgen.load("deepseek_v3", variant="v3_671b")
    changes = {"n_routed_experts": (1, 64), "n_mtp_layers": (0, 1)}
    rows = model.whatif(sweep=changes, quantities="parameters").records()
    assert [row["n_routed_experts"] for row in rows] == [64, 64]
    for row in rows:
        some = {name: row[name] for name in changes}
        own = specgen.load("deepseek_v3", variant="v3_671b", **some)
        assert row["parameters"] == own.quantities["parameters"]
