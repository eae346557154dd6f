"""Small tables whose ranks can be told by hand: where rows stand, and which values layers have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Ledger, evaluated, ledger
from specgen.analysis.quantities.ranks import rank_quantities, shares
from specgen.analysis.table.instances import environment
from specgen.cli.main import main
from specgen.documents.formula import write_json, write_python
from specgen.frontend.load import load_program
from specgen.questions.ranks import per_rank as listing
from specgen.questions.ranks.layout import LayoutError, read_layout
from specgen.questions.ranks.listing import RankAnswer
from specgen.questions.ranks.per_rank import Ranks, evaluate_ranks
from specgen.resources import folder

ONE = {"B": 1, "T": 1, "W": 2}

#: Layers whose width grows with their number; a row that the layers and the end share.
STAIRS = """language 1
model stairs {
  params { n : size = 5  dim : size = 6  vocab : size = 10 }
  sharding { tensor over vocab }
  parts {
    before[i] : side × n
    layers[i] : step(width = i + 1) × n
    after[i]  : side × 2
  }
  tensors {
    embed  : [vocab, dim]
    shared : [dim]
    head   : dim -> vocab
    unread : copy head
  }
  forward(tokens: i64 [B, S]) -> [B, S, vocab] {
    return head(layers(take(embed, tokens)) * shared)
  }
  function extra(x: [B, S, dim]) -> [B, S, dim] {
    return before(after(x))
  }
  module step {
    params { width : size }
    tensors {
      up   : dim -> width
      down : width -> dim
      gain : tied shared
    }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      return down(up(x)) * gain
    }
  }
  module side {
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }
}
"""

#: Two stacks of layers, one behind the other, in a part of the model.
TWO = """language 1
model two {
  params { n : size = 3  m : size = 4  dim : size = 6 }
  SHARDING
  parts { body : inner }
  tensors { embed : [dim, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return body(take(embed, tokens)) }
  module inner {
    parts { low[i] : side × n  high[i] : side × m }
    tensors { mid : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return high(mid(low(x))) }
  }
  module side {
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }
}
"""


def opened(path: Path, text: str) -> Ledger:
    path.write_text(text, encoding="utf-8")
    return ledger(load_program(path))


def parameters(found: Ranks) -> list[int]:
    """The parameters of each rank."""
    by_rank = {
        rank: group.figures["parameters"]
        for group in found.groups
        for stretch in group.ranks
        for rank in stretch
    }
    return [by_rank[rank] for rank in sorted(by_rank)]


@pytest.fixture
def stairs(tmp_path: Path) -> Ledger:
    return opened(tmp_path / "stairs.dsv3", STAIRS)


def test_layers_that_all_differ_are_counted_by_their_numbers(stairs: Ledger) -> None:
    found = evaluate_ranks(stairs, read_layout("pipeline=2"), ONE)
    layers = [2 * 6 * width for width in range(1, 6)]
    side, ends = 36, 60
    assert (
        parameters(found)
        == [
            ends + 6 + sum(layers[:3]),  # the embedding, and the gain that the layers are tied to
            ends
            + 6
            + 7 * side
            + sum(layers[3:]),  # the head, and parts that the forward never calls
        ]
    )
    chosen = evaluate_ranks(stairs, read_layout("tensor=1", "0,5,0"), ONE)
    assert parameters(chosen) == [ends + 6, 6 + sum(layers), ends + 6 + 7 * side]
    assert [r.pipeline for r in chosen.replicas if r.name == "shared"] == [12]


def test_a_form_that_is_not_closed_says_so(stairs: Ledger) -> None:
    form = rank_quantities(stairs.program)["rank_parameters"]
    assert not form.closed
    env = {**environment(stairs.program), "tensor_parallel": 1, "tensor_rank": 0}
    env |= {"pipeline_parallel": 2, "pipeline_rank": 0}
    assert evaluated(form, env) == 60 + 6 + 72


def test_a_copy_is_loaded_again_but_held_once(stairs: Ledger) -> None:
    found = evaluate_ranks(stairs, read_layout("pipeline=2"), ONE)
    first, last = (group.figures for group in sorted(found.groups, key=lambda g: g.stages[0].start))
    assert last["stored_bytes"] == 2 * (last["parameters"] + 60)
    assert first["stored_bytes"] == 2 * first["parameters"]


def test_of_two_stacks_the_table_says_which(tmp_path: Path) -> None:
    vague = opened(tmp_path / "vague.dsv3", TWO.replace("SHARDING", ""))
    assert parameters(evaluate_ranks(vague, read_layout("data=2"), ONE)) == [36 * 9] * 2
    with pytest.raises(LayoutError, match=r"`body\.low` and `body\.high`; say which"):
        evaluate_ranks(vague, read_layout("pipeline=2"), ONE)
    said = TWO.replace("SHARDING", "sharding { pipeline over m }")
    found = evaluate_ranks(opened(tmp_path / "said.dsv3", said), read_layout("pipeline=3"), ONE)
    assert parameters(found) == [36 * (1 + 3 + 1 + 2), 36, 36]


def test_without_a_stack_there_is_one_stage(tmp_path: Path) -> None:
    text = "language 1 model m { params { n : size = 4 } tensors { w : [n, n] } }"
    found = opened(tmp_path / "m.dsv3", text)
    assert parameters(evaluate_ranks(found, read_layout("tensor=2"), ONE)) == [16, 16]
    with pytest.raises(LayoutError, match="pipeline over n_layers"):
        evaluate_ranks(found, read_layout("pipeline=2"), ONE)


@pytest.mark.parametrize(
    ("dim", "held"),
    [
        ("n × 3", [6, 6, 3]),
        ("3 × twice", [12, 12, 6]),
        ("(n + 2 × m) × 2", [12, 8, 6]),
        ("n + 1", [6, 6, 6]),
        ("n × m", [8, 8, 4]),
        ("ceil(n / 2)", [1, 1, 1]),
    ],
)
def test_a_dim_is_cut_where_a_name_is_a_factor(tmp_path: Path, dim: str, held: list[int]) -> None:
    text = (
        "language 1 model t { params { n : size = 5  m : size = 4 } let { twice = n × 2 }"
        f" sharding {{ tensor over n, m }} tensors {{ w : [{dim}] }} }}"
    )
    found = opened(tmp_path / "t.dsv3", text)
    assert parameters(evaluate_ranks(found, read_layout("tensor=3"), ONE)) == held


def test_only_one_dim_of_a_row_is_cut(tmp_path: Path) -> None:
    text = (
        "language 1 model t { params { n : size = 4  m : size = 6 }"
        " sharding { tensor over n, m } tensors { w : n -> m } }"
    )
    found = opened(tmp_path / "t.dsv3", text)
    assert parameters(evaluate_ranks(found, read_layout("tensor=2"), ONE)) == [
        12,
        12,
    ]  # [m, n] as stored
    assert parameters(evaluate_ranks(found, read_layout("tensor=6"), ONE)) == [4] * 6


def test_a_name_that_is_a_variable_leaves_no_form(tmp_path: Path) -> None:
    text = (
        "language 1 model t { params { data_rank : size = 4 }"
        " sharding { tensor over data_rank } tensors { w : [data_rank] } }"
    )
    found = opened(tmp_path / "t.dsv3", text)
    quantity = rank_quantities(found.program)["rank_parameters"]
    assert quantity.expr is None
    assert quantity.absent is not None
    assert "`data_rank`" in quantity.absent
    with pytest.raises(LayoutError, match="`data_rank`"):
        evaluate_ranks(found, read_layout("tensor=2"), ONE)


def test_ranks_of_many_rows_are_bounded(stairs: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_FIGURES", 100)
    with pytest.raises(LayoutError, match="too many to list; at most 2 ranks"):
        evaluate_ranks(stairs, read_layout("data=3"), ONE)


# ---- exports ---------------------------------------------------------------------------


def python_value(text: str, env: dict[str, Any]) -> Any:
    """The value of Python code that specgen wrote."""
    functions = {name: getattr(math, name) for name in ("ceil", "floor")}
    return eval(text, {"__builtins__": {}, "min": min, "max": max, **functions}, env)


def test_exports_give_the_same_numbers() -> None:
    found = ledger(load_program(folder("specs") / "deepseek_v3.dsv3", "v3_671b_mtp"))
    quantity = rank_quantities(found.program)["rank_stored_bytes"]
    code = write_python(found, quantity)
    document = json.loads(write_json(found, quantity))
    for number in range(100):
        env: dict[str, Any] = {
            **environment(found.program),
            "tensor_parallel": 5, "tensor_rank": number % 5, "expert_parallel": 7,
            "expert_rank": number % 7, "expert_tensor_parallel": 3,
            "expert_tensor_rank": number % 3, "pipeline_parallel": 11,
            "pipeline_rank": number % 11,
        }  # fmt: skip
        wanted = evaluated(quantity, env)
        assert python_value(code, env) == wanted
        assert python_value(document["formula"], env) == wanted


def test_listings_say_the_same(stairs: Ledger) -> None:
    found = evaluate_ranks(stairs, read_layout("tensor=2,pipeline=2"), ONE)
    answer = RankAnswer(found)
    document = json.loads(answer.render("json"))
    assert document["layout"]["ranks"] == 4
    assert sum(group["number"] for group in document["groups"]) == 4
    for figures in document["reconciliation"].values():
        assert figures["ranks"] - figures["replicas"] == figures["whole"]
    memory = [group["memory_bytes"] for group in document["groups"]]
    assert memory == sorted(memory, reverse=True)
    for text in (answer.render("text").decode(), answer.render("md").decode()):
        for group in found.groups:
            assert f"{group.memory:,}" in text
        assert "layers of the stages" in text


# ---- the command -----------------------------------------------------------------------


def test_the_command_lists_ranks(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    arguments = ["whatif", "llama@llama3_8b", "--parallel", "tensor=4,pipeline=2", "--format"]
    assert main([*arguments, "json", "-D", "B=4", "-D", "T=1024", "--stages", "17,15"]) == 0
    document = json.loads(capsysbinary.readouterr().out)
    assert document["layout"]["stages"] == [17, 15]
    assert document["variables"] == {"B": 4, "T": 1024, "W": 2}
    cache = {group["stages"][0]: group["cache_bytes"] for group in document["groups"]}
    assert cache == {stage: n * 4 * 1024 * 2 * 2 * 128 * 2 for stage, n in ((0, 17), (1, 15))}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parallel", "tensor=64"], "tensor=64 is more than n_heads = 32"),
        (["--parallel", "tensor"], "is no degree"),
        (["--stages", "1,2"], "--stages needs --parallel"),
        (["--parallel", "tensor=2", "--format", "csv"], "writes text, md, json"),
        (["--parallel", "tensor=2", "--sweep", "dim=1:4"], "takes no --sweep"),
        (["--parallel", "data=2", "-D", "B=0"], "B"),
    ],
)
def test_faults_of_the_command_line_are_usage(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as status:
        main(["whatif", "llama", *options])
    assert status.value.code == 2
    assert message in capsys.readouterr().err


def test_experts_are_those_of_mixtures() -> None:
    found = shares(load_program(folder("specs") / "deepseek_v3.dsv3", "v3_671b_mtp"))
    assert [str(count) for count in found.experts] == ["Sym(name='n_routed_experts', kind='size')"]
    rows = {share.row.path for share in found.rows if share.expert}
    assert rows
    assert all(".experts." in path for path in rows)
