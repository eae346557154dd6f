"""Quantities: released figures, closed forms at random parameters, what is active, costs."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from math import prod

import pytest

from specgen.analysis.dataflow.costs import decode_forwards
from specgen.analysis.quantities.ledger import Ledger, evaluated, ledger
from specgen.analysis.quantities.record import NO_CACHE, NO_DATAFLOW
from specgen.analysis.table.instances import definitions
from specgen.analysis.table.rows import OWN
from specgen.analysis.table.stored import expand, stored
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import evaluate
from specgen.expr.node import Expr, Sym, substitute, symbols
from specgen.expr.printing import to_text
from specgen.frontend.load import load_program
from specgen.ir.model import (
    ApplyMap,
    Arg,
    Assign,
    Branch,
    CallPart,
    Choose,
    Function,
    Mixture,
    Op,
    Program,
    Return,
    Type,
    Value,
    Var,
    Weight,
)
from tests.analysis.hand import array, expr, linear, module, op, part, program
from tests.analysis.released import SPECS, table, with_values
from tests.analysis.unrolled import unrolled

V3 = "deepseek_v3@v3_671b"

#: The release's totals, added up apart from specgen.
FIGURES = {
    V3: {
        "parameters": 671_026_419_200,
        "parameters_active": 37_552_297_472,
        "parameters_active_no_embedding": 36_625_618_432,
        "parameters_active_no_vocabulary": 35_698_939_392,
        "parameters_outside_forward": 0,
        "stored_tensors": 90_427,
        "stored_bytes": 673_150_611_808,
        "stored_elements": 671_026_419_200 + 40_838_232,
        "stored_scales": 40_838_232,
        "cache_elements_per_token": 35_136,
        "cache_bytes_per_token": 70_272,
    },
    "deepseek_v3@v3_671b_mtp": {
        "parameters": 682_636_487_424,
        "parameters_active": 37_552_297_472,
        "parameters_outside_forward": 11_610_068_224,
        "stored_tensors": 91_991,
        "stored_elements": 684_531_386_000,
        "stored_bytes": 688_574_839_360,
        "stored_copies": 2 * 129_280 * 7_168,
    },
    "llama@llama3_70b": {
        "parameters": 70_553_706_496,
        "parameters_active": 70_553_706_496,
        "cache_elements_per_token": 163_840,
        "cache_bytes_per_token": 327_680,
    },
    "llama@llama32_1b": {
        "parameters": 1_235_814_400,
        "parameters_active_no_embedding": 1_235_814_400,  # the embedding is the head as well
    },
}


@pytest.mark.parametrize("spec", FIGURES)
def test_released_figures(spec: str) -> None:
    found = ledger(table(spec))
    assert {name: found.value(name) for name in FIGURES[spec]} == FIGURES[spec]


def test_stored_elements_by_dtype() -> None:
    found = {s.dtype: (s.tensors, s.elements) for s in ledger(table(V3)).storage}
    assert found == {
        "bf16": (305, 1_960_795_136),
        "f8e4m3": (45_032, 669_065_609_216),
        "f32": (45_090, 40_853_080),
    }


@pytest.mark.parametrize(
    ("spec", "flops"),
    [(V3, 170_973_789_683_712), ("llama@llama3_70b", 295_674_138_591_232)],
)
def test_operations_of_a_prefill_of_2048_tokens(spec: str, flops: int) -> None:
    found = ledger(table(spec))
    quantity = found.quantities["flops_prefill"]
    assert evaluated(quantity, {**found.values, "B": 1, "S": 2048}) == flops
    assert evaluated(quantity, {**found.values, "B": 3, "S": 2048}) == 3 * flops


def test_a_pure_table_says_what_it_cannot_tell() -> None:
    found = ledger(table("dsv3_table")).quantities
    assert found["parameters"].value == 691_210_639_360
    assert found["stored_bytes"].value == 691_210_639_360
    for name in ("parameters_active", "cache_bytes_per_token", "flops_prefill", "flops_decode"):
        assert (found[name].value, found[name].expr, found[name].absent) == (
            None,
            None,
            NO_DATAFLOW,
        )


# ---- closed forms ----------------------------------------------------------------------


def random_values(draw: random.Random, spec: str) -> dict[str, int]:
    """Small sizes that keep what the variant decides: divisible, in order, above zero."""
    pick = draw.randint
    if spec.startswith("llama"):
        kv = pick(1, 4)
        return {
            "vocab_size": pick(2, 50), "dim": pick(2, 40), "n_layers": pick(1, 7),
            "n_kv_heads": kv, "n_heads": kv * pick(1, 4), "head_dim": 2 * pick(1, 9),
            "inter_dim": pick(1, 50),
        }  # fmt: skip
    layers = pick(2, 7)
    groups, size = pick(2, 3), pick(2, 4)
    limited = pick(1, groups)
    return {
        "vocab_size": pick(2, 300), "dim": pick(2, 400), "inter_dim": pick(1, 300),
        "moe_inter_dim": pick(1, 300), "n_layers": layers, "n_dense_layers": pick(1, layers - 1),
        "n_heads": pick(1, 4), "q_lora_rank": pick(1, 300), "kv_lora_rank": pick(1, 300),
        "qk_nope_head_dim": pick(1, 80), "qk_rope_head_dim": 2 * pick(1, 40),
        "v_head_dim": pick(1, 80), "n_routed_experts": groups * size,
        "n_shared_experts": pick(1, 3), "n_expert_groups": groups, "n_limited_groups": limited,
        "n_activated_experts": pick(1, limited * size),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("spec", [V3, "deepseek_v3@v3_671b_mtp", "llama@llama3_8b"])
def test_formulas_at_random_parameters_are_sums_over_tensors(spec: str) -> None:
    """Formulas of the released variant, evaluated elsewhere, against tensors listed there."""
    base = ledger(table(spec))
    lets = definitions(base.program)
    names = ("parameters", "stored_tensors", "stored_elements", "stored_bytes", "stored_scales")
    formulas = {name: only_params(base, base.quantities[name].expr, lets) for name in names}
    draw = random.Random(671)
    for _ in range(200):
        values = {**base.program.values, **random_values(draw, spec)}
        found = ledger(with_values(base.program, **random_values(draw, spec) | values_of(values)))
        tensors = [(held.first, name) for held in found.stored for name, _ in expand(held)]
        assert len({name for _, name in tensors}) == len(tensors)
        sizes = [(prod(row.dims), row) for row, _ in tensors]
        sums = {
            "parameters": sum(n for n, row in sizes if row.counted),
            "stored_tensors": len(tensors),
            "stored_elements": sum(n for n, _ in sizes),
            "stored_bytes": sum(n * DTYPES[row.dtype].bytes for n, row in sizes),
            "stored_scales": sum(n for n, row in sizes if row.kind == "scale"),
        }
        assert {name: evaluate(f, values) for name, f in formulas.items()} == sums
        assert {name: found.value(name) for name in names} == sums


def values_of(values: Mapping[str, object]) -> dict[str, int]:
    return {k: v for k, v in values.items() if isinstance(v, int) and not isinstance(v, bool)}


def only_params(found: Ledger, formula: Expr | None, lets: dict[str, Expr]) -> Expr:
    assert formula is not None
    result = substitute(formula, lets)
    assert symbols(result) <= set(found.program.values)
    return result


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (V3, {"n_layers": 9, "n_dense_layers": 9, "n_heads": 4}),
        (V3, {"n_layers": 4, "n_dense_layers": 0, "v_head_dim": 96}),
        ("deepseek_v3@v2_lite_16b", {"n_layers": 3, "dim": 64}),
        ("llama@llama32_1b", {"n_layers": 3, "n_kv_heads": 32}),
    ],
)
def test_loaded_with_other_parameters_it_is_what_it_unrolls_to(
    spec: str, changes: dict[str, int]
) -> None:
    name, _, variant = spec.partition("@")
    program = load_program(SPECS / f"{name}.dsv3", variant, changes)
    found = ledger(program)
    mine = [
        (name, held.dims)
        for held in stored(program, OWN)
        if held.first.kind != "scale"
        for name, _ in expand(held)
    ]
    oracle = sorted((name, dims) for name, dims, _ in unrolled(program))
    assert sorted(mine) == oracle
    assert found.value("parameters") == sum(prod(dims) for _, dims in oracle)


def test_every_formula_is_in_params_and_its_variables() -> None:
    for spec in (*FIGURES, "dsv3_table"):
        found = ledger(table(spec))
        lets = definitions(found.program)
        for quantity in found.quantities.values():
            if quantity.expr is None:
                continue
            names = symbols(substitute(quantity.expr, lets))
            assert names <= {*found.program.values, *quantity.variables}
            if quantity.value is not None:
                assert evaluate(quantity.expr, found.values) == quantity.value
            for assumption in quantity.assumptions:
                assert evaluate(assumption, found.values) is True


# ---- what a token touches --------------------------------------------------------------

X = Type("act", (expr("B"), expr("S"), expr("width")))


def var(name: str = "x", type_: Type = X) -> Value:
    return Var(name, (type_,))


def forward(*body: object, name: str = "") -> Function:
    return Function(name, (Arg("x", X),), ("",), (X,), body)  # type: ignore[arg-type]


def layered(block_body: tuple[object, ...], *tensors: object, **parts: object) -> Program:
    """Seven layers of a block with rows a and b, both [width, width]."""
    block = module(
        "block",
        ("layer",),
        (linear("a", "width", "width"), linear("b", "width", "width")),
        forwards=(forward(*block_body),),
        lexical=True,
    )
    model = module(
        "model",
        values={"n": 7, "d": 3, "width": 8},
        parts=(part("layers", "block", "layer", "n", layer="layer"),),
        forwards=(forward(Return((CallPart("layers", (var(),), (X,)),))),),
    )
    return program(block, model)


def applied(row: str, value: Value | None = None) -> Value:
    return ApplyMap(row, value or var(), (X,))


def test_rows_used_on_some_layers_only_are_active_there() -> None:
    body = (
        Branch(
            op("<", "layer", "d"),
            (Assign(("y",), applied("a")),),
            (Assign(("y",), applied("b")),),
        ),
        Return((var("y"),)),
    )
    found = ledger(layered(body))
    assert found.value("parameters") == 7 * 2 * 64
    assert found.value("parameters_active") == 7 * 64
    assert found.value("parameters_outside_forward") == 7 * 64
    quantity = found.quantities["parameters_active"].expr
    assert quantity is not None
    assert to_text(quantity) == "d*width*width + (n - d)*width*width"


def test_a_choice_by_layer_counts_as_a_branch_does() -> None:
    chosen = Choose(op("==", op("%", "layer", 3), 0), applied("a"), applied("b"), (X,))
    found = ledger(layered((Return((chosen,)),)))
    assert found.value("parameters_active") == 7 * 64
    prefill = found.quantities["flops_prefill"]
    assert evaluated(prefill, {**found.values, "B": 2, "S": 5}) == 7 * 2 * 2 * 5 * 64


def test_rows_that_nothing_reads_are_not_active() -> None:
    found = ledger(layered((Return((applied("a"),)),)))
    assert found.value("parameters_active") == 7 * 64
    assert found.value("parameters_outside_forward") == 7 * 64
    assert found.quantities["cache_elements_per_token"].absent == NO_CACHE


def test_of_a_mixture_the_chosen_experts_are_active() -> None:
    expert = module(
        "expert", ("width",), (linear("w", "width", "width"),), forwards=(forward(Return((applied("w"),))),)
    )  # fmt: skip
    picked = Type("act", (Sym("B", "axis"), Sym("S", "axis"), expr("k")))
    mixed = Mixture("experts", var(), var("weights", picked), var("index", picked), (X,))
    model = module(
        "model",
        values={"width": 8, "k": 2, "e": 6},
        parts=(part("experts", "expert", "i", "e", width="width"),),
        forwards=(forward(Return((mixed,))),),
    )
    found = ledger(program(expert, model))
    assert found.value("parameters") == 6 * 64
    assert found.value("parameters_active") == 2 * 64
    active = found.quantities["parameters_active"]
    assert active.expr is not None
    assert to_text(active.expr) == "k*width*width"
    assert [to_text(a) for a in active.assumptions] == ["k <= e"]
    prefill = found.quantities["flops_prefill"]
    assert evaluated(prefill, {**found.values, "B": 1, "S": 10}) == 2 * 10 * 2 * 64


def test_a_row_read_by_index_and_as_a_matrix_is_no_embedding() -> None:
    index = Type("i64", (expr("B"), expr("S")))

    def counted(*extra: Value) -> tuple[int, int]:
        looked_up = Op("take", (Weight("t", (X,)), var("i", index)), {}, (X,))
        model = module(
            "model",
            values={"width": 8, "v": 5},
            tensors=(array("t", "v", "width"),),
            forwards=(forward(Return((looked_up, *extra))),),
        )
        found = ledger(program(model))
        return found.value("parameters_active"), found.value("parameters_active_no_embedding")

    assert counted() == (40, 0)
    assert counted(Weight("t", (X,))) == (40, 40)


# ---- costs -----------------------------------------------------------------------------


def test_decoding_takes_the_absorbed_forward() -> None:
    program_ = table(V3)
    assert decode_forwards(program_) == {"mla": "absorbed"}
    assert decode_forwards(table("llama@llama3_8b")) == {}


def test_decoding_reads_the_cache_once() -> None:
    """Absorbed attention: per layer and head, scores over latent and rotary, then the latent."""
    found = ledger(table(V3))
    decode = found.quantities["flops_decode"]
    cost = [evaluated(decode, {**found.values, "B": 1, "T": t}) for t in (1000, 1001)]
    assert cost[1] - cost[0] == 2 * 61 * 128 * (512 + 64 + 512)


def test_costs_of_a_dense_model_by_hand() -> None:
    """2 per multiply-add: every map once for each token, queries against all keys and values."""
    draw = random.Random(70)
    base = ledger(table("llama@llama3_70b"))
    for _ in range(50):
        v = {**base.program.values, **random_values(draw, "llama")}
        sizes = values_of(v)
        d, h, kv, hd = (sizes[k] for k in ("dim", "n_heads", "n_kv_heads", "head_dim"))
        maps = sizes["n_layers"] * (d * hd * (2 * h + 2 * kv) + 3 * d * sizes["inter_dim"])
        maps += d * sizes["vocab_size"]
        b, s, t = draw.randint(1, 4), draw.randint(1, 30), draw.randint(1, 30)
        attention = sizes["n_layers"] * 2 * h * hd
        env = {**v, "B": b, "S": s, "T": t}
        prefill = 2 * b * s * maps + 2 * b * s * s * attention
        assert evaluated(base.quantities["flops_prefill"], env) == prefill
        decode = 2 * b * maps + 2 * b * t * attention
        assert evaluated(base.quantities["flops_decode"], env) == decode


def test_counting_imports_no_sympy() -> None:
    """It would take longer than all the rest."""
    code = (
        "import sys\n"
        "from specgen.frontend.load import load_program\n"
        "from specgen.documents.params import describe_program\n"
        f"describe_program(load_program({str(SPECS / 'llama.dsv3')!r}, 'llama3_8b'), 'hf')\n"
        "assert not {'sympy', 'numpy', 'onnx', 'torch', 'jinja2', 'rich'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, cwd=SPECS.parent)
