"""What ranks hold equals what an enumeration of tensors and ranks finds, element by element."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Ledger, evaluated, ledger
from specgen.analysis.quantities.ranks import RANK_QUANTITIES, rank_quantities
from specgen.analysis.table.instances import environment
from specgen.diagnostics.diagnostic import RequestError
from specgen.documents.params import describe_program
from specgen.expr.evaluate import evaluate
from specgen.frontend.load import load_program
from specgen.questions.ranks.layout import MAX_RANKS, LayoutError, read_layout
from specgen.questions.ranks.per_rank import FIGURES, Ranks, evaluate_ranks
from specgen.resources import folder
from tests.questions import enumeration
from tests.questions.enumeration import BYTES, Model, Tensor, follows_precision, is_parameter

#: Layouts of each table below: more than a hundred in all.
LAYOUTS = 12


@dataclass(frozen=True)
class Case:
    """A table made small, and how its sizes are called in the enumeration."""

    spec: str
    params: Mapping[str, Any]
    sizes: Mapping[str, str]
    layers: str = "n_layers"
    experts: str = ""
    tied: bool = False
    full_norms: bool = False
    fixed: tuple[str, ...] = ()


DENSE = {"vocab_size": "vocab_size", "n_heads": "n_heads", "inter_dim": "inter_dim"}
GROUPED = {**DENSE, "n_kv_heads": "n_kv_heads"}

CASES = (
    Case(
        "llama",
        {"vocab_size": 101, "dim": 24, "inter_dim": 50, "n_layers": 7, "n_heads": 12,
         "n_kv_heads": 4, "head_dim": 6, "attention_bias": True, "mlp_bias": True},
        GROUPED,
    ),
    Case(
        "gemma2",
        {"vocab_size": 64, "dim": 16, "inter_dim": 33, "n_layers": 5, "n_heads": 6,
         "n_kv_heads": 2, "head_dim": 8},
        GROUPED, tied=True,
    ),
    Case(
        "deepseek_v3",
        {"vocab_size": 71, "dim": 160, "inter_dim": 400, "moe_inter_dim": 150, "n_layers": 6,
         "n_dense_layers": 2, "n_mtp_layers": 1, "n_heads": 9, "q_lora_rank": 40,
         "kv_lora_rank": 130, "qk_nope_head_dim": 40, "qk_rope_head_dim": 16, "v_head_dim": 48,
         "n_routed_experts": 10, "n_shared_experts": 2, "n_activated_experts": 2,
         "n_expert_groups": 1, "n_limited_groups": 1},
        {**DENSE, "expert_dim": "moe_inter_dim", "shared_dim": "moe_inter_dim"},
        experts="n_routed_experts", fixed=("head", "join"),
    ),
    Case(
        "dsv3_table",
        {"vocab_size": 31, "dim": 12, "inter_dim": 20, "moe_inter_dim": 9, "n_layers": 5,
         "n_dense_layers": 2, "n_heads": 7, "q_lora_rank": 6, "kv_lora_rank": 5,
         "qk_head_dim": 4, "v_head_dim": 3, "n_routed_experts": 6, "n_shared_experts": 1},
        {**DENSE, "expert_dim": "moe_inter_dim", "shared_dim": "moe_inter_dim"},
        experts="n_routed_experts",
    ),
    Case(
        "olmoe",
        {"vocab_size": 50, "dim": 20, "inter_dim": 14, "n_layers": 4, "n_heads": 10,
         "n_kv_heads": 5, "head_dim": 4, "n_experts": 7, "n_activated_experts": 2},
        {"vocab_size": "vocab_size", "n_heads": "n_heads", "n_kv_heads": "n_kv_heads",
         "expert_dim": "inter_dim"},
        experts="n_experts", full_norms=True,
    ),
    Case(
        "gpt_oss",
        {"vocab_size": 40, "dim": 18, "inter_dim": 15, "n_layers": 6, "n_heads": 8,
         "n_kv_heads": 2, "head_dim": 4, "n_experts": 5, "n_activated_experts": 2},
        {"vocab_size": "vocab_size", "n_heads": "n_heads", "n_kv_heads": "n_kv_heads",
         "expert_dim": "inter_dim"},
        experts="n_experts",
    ),
    Case(
        "qwen2_moe",
        {"vocab_size": 40, "dim": 16, "inter_dim": 24, "moe_inter_dim": 10, "shared_inter_dim": 22,
         "n_layers": 8, "n_heads": 8, "n_kv_heads": 4, "head_dim": 4, "n_experts": 9,
         "n_activated_experts": 2, "mlp_only_layers": [0, 3, 6]},
        {**GROUPED, "expert_dim": "moe_inter_dim", "shared_dim": "shared_inter_dim"},
        experts="n_experts",
    ),
    Case(
        "gpt2",
        {"vocab_size": 45, "dim": 30, "inter_dim": 26, "n_layers": 4, "n_heads": 5,
         "max_seq_len": 20},
        DENSE, tied=True,
    ),
    Case(
        "cohere2",
        {"vocab_size": 45, "dim": 28, "inter_dim": 26, "n_layers": 9, "n_heads": 14,
         "n_kv_heads": 7, "head_dim": 4, "full_every": 4},
        GROUPED, tied=True,
    ),
)  # fmt: skip


def opened(case: Case) -> tuple[Ledger, Model]:
    return opened_once(CASES.index(case))


def row_name(tensor: str, maps: Container[str]) -> str:
    """The name of a row: of a map, a table without names adds `.weight` to it."""
    stem, _, end = tensor.rpartition(".")
    return stem if end == "weight" and stem.rpartition(".")[2] in maps else tensor


@cache
def opened_once(number: int) -> tuple[Ledger, Model]:
    case = CASES[number]
    program = load_program(folder("specs") / f"{case.spec}.dsv3", None, case.params)
    found = ledger(program)
    listed = describe_program(program, "own")["tensors"]
    maps = {row.name.rpartition(".")[2] for row in found.rows if row.kind == "map"}
    tensors = [Tensor(row_name(t["name"], maps), tuple(t["shape"]), t["dtype"]) for t in listed]
    kept = dict.fromkeys((row.name, row.dims, row.dtype) for row in found.caches)
    caches = [  # every layer keeps the same
        Tensor(name.replace("{layer}", str(layer)), dims, dtype)
        for name, dims, dtype in kept
        for layer in range(int(case.params[case.layers]))
    ]
    sizes = {name: int(case.params[param]) for name, param in case.sizes.items()}
    experts = int(case.params[case.experts]) if case.experts else 0
    layers = int(case.params[case.layers])
    return found, Model(tensors, sizes, layers, experts, case.tied, caches, case.full_norms)


def drawn(case: Case, found: Model, seed: int) -> enumeration.Layout:
    """A random layout that fits, uneven as often as not."""
    random_ = random.Random(f"{case.spec} {seed}")
    dense = min(v for n, v in found.sizes.items() if n not in ("n_kv_heads", "expert_dim"))
    if found.experts:
        dense = min(dense, found.sizes["expert_dim"])  # without expert ranks, tensor ranks cut them
    tensor = random_.randint(1, min(dense, 8))
    data = random_.randint(1, 4)
    expert, expert_tensor = 1, tensor
    if found.experts and random_.random() < 0.8:
        per_stage = tensor * data
        pairs = [
            (e, t)
            for e in range(1, min(found.experts, per_stage) + 1)
            for t in range(1, found.sizes["expert_dim"] + 1)
            if per_stage % (e * t) == 0
        ]
        expert, expert_tensor = random_.choice(pairs)
    pipeline = random_.randint(1, min(found.layers, 5))
    stages = None
    if random_.random() < 0.4:
        cuts = sorted(random_.choices(range(found.layers + 1), k=pipeline - 1))
        ends = [0, *cuts, found.layers]
        stages = tuple(b - a for a, b in pairwise(ends))
    return enumeration.Layout(tensor, expert, expert_tensor, pipeline, data, stages)


def asked(layout: enumeration.Layout) -> tuple[str, str | None]:
    axes = ("tensor", "expert", "expert_tensor", "pipeline", "data")
    degrees = ",".join(f"{axis}={getattr(layout, axis)}" for axis in axes)
    return degrees, None if layout.stages is None else ",".join(map(str, layout.stages))


def by_rank(found: Ranks) -> dict[int, Mapping[str, int]]:
    return {rank: g.figures for g in found.groups for stretch in g.ranks for rank in stretch}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(LAYOUTS))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec)
def test_ranks_hold_what_an_enumeration_finds(case: Case, seed: int) -> None:
    found, model = opened(case)
    layout = drawn(case, model, seed)
    variables = {"B": random.Random(seed).randint(1, 9), "T": 11, "W": 1 + seed % 4}
    answer = evaluate_ranks(found, read_layout(*asked(layout)), variables)
    figures = by_rank(answer)
    assert sorted(figures) == list(range(layout.ranks))
    whole: dict[str, set[int]] = {}
    sums = dict.fromkeys(FIGURES, 0)
    for number in range(layout.ranks):
        memory = [h for h in model.of_rank(layout, number, memory=True) if is_parameter(h.tensor)]
        loaded = list(model.of_rank(layout, number, memory=False))
        wanted = {
            "parameters": sum(h.elements for h in memory),
            "stored_bytes": sum(h.elements * BYTES[h.tensor.dtype] for h in loaded),
            "weights_bytes": sum(
                h.elements
                * (
                    variables["W"]
                    if follows_precision(h.tensor, case.fixed)
                    else BYTES[h.tensor.dtype]
                )
                for h in memory
            ),
            "cache_bytes": model.cache_bytes(layout, number, variables["B"], variables["T"]),
        }
        assert figures[number] == wanted, (layout, number)
        for name, value in wanted.items():
            sums[name] += value
        for h in loaded:
            whole.setdefault(h.tensor.name, set()).update(h.indices)
    for tensor in model.tensors:  # no element is on no rank
        dim = (model.rule(tensor.name.removesuffix(enumeration.SCALE)) or (0, ""))[0]
        assert whole[tensor.name] == set(range(tensor.shape[dim])), tensor
    replicas = dict.fromkeys(FIGURES, 0)
    for balance in answer.balances:
        assert balance.ranks == sums[balance.figure]
        assert balance.ranks - balance.replicas == balance.whole
        replicas[balance.figure] = balance.replicas
    assert replicas["parameters"] == sum(
        r.total for r in answer.replicas if r.figure == "parameters"
    )
    assert replicas["cache_bytes"] == sum(
        r.total for r in answer.replicas if r.figure == "cache_bytes"
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.spec)
def test_closed_forms_give_what_the_listing_gives(case: Case, seed: int) -> None:
    found, model = opened(case)
    drawn_layout = drawn(case, model, 100 + seed)
    layout = enumeration.Layout(**{**vars(drawn_layout), "stages": None})
    variables = {"B": 5, "T": 11, "W": 2}
    figures = by_rank(evaluate_ranks(found, read_layout(*asked(layout)), variables))
    quantities = rank_quantities(found.program)
    for number in range(layout.ranks):
        stage, place = divmod(number, layout.per_stage)
        env = {
            **environment(found.program), **variables,
            "tensor_parallel": layout.tensor, "tensor_rank": place % layout.tensor,
            "data_parallel": layout.data, "data_rank": place // layout.tensor,
            "expert_parallel": layout.expert,
            "expert_rank": place // layout.expert_tensor % layout.expert,
            "expert_tensor_parallel": layout.expert_tensor,
            "expert_tensor_rank": place % layout.expert_tensor,
            "pipeline_parallel": layout.pipeline, "pipeline_rank": stage,
        }  # fmt: skip
        for name, quantity in quantities.items():
            if quantity.expr is not None:
                assert evaluated(quantity, env) == figures[number][name.removeprefix("rank_")]
                if number == 0 and layout.expert_tensor <= min(model.sizes.values()):
                    assert all(evaluate(a, env) for a in quantity.assumptions)


@pytest.mark.slow
def test_a_form_holds_for_other_params_than_it_was_made_with() -> None:
    """The closed form of one table, evaluated at another's params, is the other's own."""
    case = next(case for case in CASES if case.spec == "deepseek_v3")
    small, _ = opened(case)
    others = {**case.params, "n_layers": 9, "n_dense_layers": 4, "n_heads": 5, "vocab_size": 33}
    path = folder("specs") / "deepseek_v3.dsv3"
    other = ledger(load_program(path, None, others))
    figures = by_rank(
        evaluate_ranks(other, read_layout("tensor=3,pipeline=4"), {"B": 1, "T": 1, "W": 2})
    )
    form = rank_quantities(small.program)["rank_parameters"]
    for number in range(12):
        env = {
            **environment(other.program),
            "tensor_parallel": 3, "tensor_rank": number % 3, "pipeline_parallel": 4,
            "pipeline_rank": number // 3, "data_parallel": 1, "expert_parallel": 1,
            "expert_rank": 0, "expert_tensor_parallel": 3, "expert_tensor_rank": number % 3,
        }  # fmt: skip
        assert evaluated(form, env) == figures[number]["parameters"]


def test_one_rank_holds_everything() -> None:
    found, _ = opened(CASES[2])
    answer = evaluate_ranks(found, read_layout("tensor=1"), {"B": 3, "T": 5, "W": 2})
    (group,) = answer.groups
    assert group.figures["parameters"] == found.value("parameters")
    assert group.figures["stored_bytes"] == found.value("stored_bytes")
    assert group.figures["cache_bytes"] == 15 * found.value("cache_bytes_per_token")
    assert answer.replicas == ()


def test_key_heads_below_the_degree_are_shared_by_groups_of_ranks() -> None:
    """Llama 3 70B on 16 ranks: 8 key/value heads, each on the two ranks that read it (as vLLM)."""
    path = folder("specs") / "llama.dsv3"
    found = ledger(load_program(path, "llama3_70b"))
    answer = evaluate_ranks(found, read_layout("tensor=16"), {"B": 1, "T": 1, "W": 2})
    (group,) = answer.groups
    assert group.figures["cache_bytes"] == 80 * 2 * 128 * 2
    again = {row.name: row.tensor for row in answer.replicas if row.figure == "parameters"}
    assert again["layers.{layer}.attn.wk"] == 80 * 8 * 128 * 8192
    assert "layers.{layer}.attn.wq" not in again


@pytest.mark.parametrize(
    ("degrees", "stages", "message"),
    [
        ("tensor=10", None, "tensor=10 is more than n_heads = 9"),
        ("expert=11,data=11", None, "expert=11 is more than n_routed_experts = 10"),
        ("tensor=3,expert=2", None, "does not divide tensor × data = 3 × 1 = 3"),
        ("pipeline=7", None, "pipeline=7 is more than the 6 of `layers`"),
        ("pipeline=2", "3,4", "the stages have 7 layers in all, but `layers` has 6"),
        ("pipeline=3", "3,3", "2 stages are given, but pipeline=3"),
        ("tensor=1", "6,x", "are no stages"),
        ("tensr=2", None, "did you mean `tensor`?"),
        ("tensor", None, "is no degree"),
        ("tensor=2,tensor=2", None, "`tensor` is given twice"),
        ("data=0", None, "from 1 to"),
        (f"data={MAX_RANKS},pipeline=2", None, "ranks are more than"),
        ("tensor=-1", None, "is no degree"),
        ("tensor=１", None, "is no degree"),
    ],
)  # fmt: skip
def test_layouts_that_do_not_fit_are_errors(degrees: str, stages: str | None, message: str) -> None:
    found, _ = opened(CASES[2])
    with pytest.raises(RequestError) as caught:
        evaluate_ranks(found, read_layout(degrees, stages), {"B": 1, "T": 1, "W": 2})
    assert message in str(caught.value)


def test_a_table_without_mixtures_has_no_expert_ranks() -> None:
    found, _ = opened(CASES[0])
    with pytest.raises(LayoutError, match="no mixture"):
        evaluate_ranks(found, read_layout("data=2,expert=2"), {"B": 1, "T": 1, "W": 2})


def test_every_shipped_table_says_what_tensor_ranks_divide() -> None:
    for path in sorted(folder("specs").glob("*.dsv3")):
        text = path.read_text(encoding="utf-8")
        assert "tensor" in text.split("sharding {")[1].split("}")[0], path.name


def test_the_quantities_have_units_and_conventions() -> None:
    assert set(RANK_QUANTITIES) == {f"rank_{figure}" for figure in FIGURES}
