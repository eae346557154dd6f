"""Rows of hand-written programs: folding, names, formats, shared rows, limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.analysis.table.rows import OWN, Row, rows
from specgen.analysis.table.stored import expand, stored
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.node import TRUE, Apply, Expr, Sym, conjunction, disjunction, negation
from specgen.expr.printing import to_text
from specgen.ir.model import Program, Tensor
from tests.analysis.hand import array, expr, latent_moe, linear, module, op, part, program
from tests.analysis.unrolled import unrolled
from tests.work import calls


def listed(table: Program, scheme: str = OWN) -> list[tuple[str, tuple[int, ...], str]]:
    return [(name, t.dims, t.dtype) for t in stored(table, scheme) for name, _ in expand(t)]


def named(found: tuple[Row, ...], name: str) -> list[Row]:
    return [row for row in found if row.name == name]


def assert_unrolls(table: Program) -> None:
    """The folded rows are the table unrolled instance by instance."""
    matrices = [tensor for tensor in stored(table, OWN) if tensor.first.kind != "scale"]
    mine = [(name, tensor.dims) for tensor in matrices for name, _ in expand(tensor)]
    assert sorted(mine) == sorted((name, dims) for name, dims, _ in unrolled(table))


def layered(*modules: Any, **layer: Any) -> Program:
    """A model of n layers of the last module, with the params n, d, p and width."""
    inner = modules[-1]
    model = module(
        "model",
        values={"n": 7, "d": 3, "p": 3, "width": 8, **layer},
        parts=(part("layers", inner.id, "layer", "n", layer="layer"),),
    )
    return program(*modules, model)


# ---- folding ---------------------------------------------------------------------------


def test_the_whole_of_a_mixture_of_experts() -> None:
    table = latent_moe()
    found = rows(table)
    assert sum(row.elements for row in found if row.counted) == 682_636_487_424
    assert_unrolls(table)
    (experts,) = named(found, "layers.{layer}.ffn.experts.{e}.w1")
    assert experts.dims == (2048, 7168)
    assert experts.in_out_dims == (7168, 2048)
    assert experts.instances == 58 * 256
    assert to_text(experts.multiplicity) == "(n_layers - n_dense_layers)*n_routed_experts"
    assert [index.values for index in experts.indices] == [(range(3, 61),), (range(256),)]
    assert [to_text(a) for a in experts.assumptions] == ["n_dense_layers <= n_layers"]


def test_released_names_flatten_and_compute() -> None:
    names = {name for name, _, _ in listed(latent_moe(), "hf")}
    assert "model.layers.61.self_attn.q_a_proj.weight" in names  # a part released as ""
    assert "model.layers.61.shared_head.norm.weight" in names
    assert "model.layers.61.embed_tokens.weight" in names  # an array's template is complete
    assert "model.layers.60.mlp.experts.255.up_proj.weight_scale_inv" in names
    assert "lm_head.weight" in names
    assert len(names) == 91_991


@pytest.mark.slow
def test_expanding_takes_a_few_calls_for_each_tensor() -> None:
    found = stored(latent_moe(), "hf")
    names: list[object] = []
    assert calls(lambda: names.extend(name for t in found for name in expand(t))) < 20 * 91_991
    assert len(names) == 91_991


def test_ten_thousand_layers_of_ten_thousand_experts_cost_the_same() -> None:
    small = latent_moe()
    model = replace(
        small.model,
        params=tuple(
            replace(p, value=10_000) if p.name in ("n_layers", "n_routed_experts") else p
            for p in small.model.params
        ),
    )
    big = replace(small, modules={**small.modules, model.id: model})
    assert sum(row.instances for row in rows(big)) > 6 * 9_997 * 10_000

    assert calls(lambda: rows(big)) <= 1.1 * calls(lambda: rows(small))


def test_a_shape_that_depends_on_a_layer_is_several_rows() -> None:
    wide = Apply("cond", (op("<", "layer", "d"), op("*", 2, "width"), expr("width")))
    table = layered(module("block", ("layer",), (array("w", wide),), lexical=True))
    found = named(rows(table), "layers.{layer}.w")
    assert [(row.dims, to_text(row.multiplicity)) for row in found] == [
        ((16,), "d"),
        ((8,), "n - d"),
    ]
    assert_unrolls(table)


def test_a_size_that_grows_with_the_layer_is_counted_one_by_one() -> None:
    inner = module("block", ("layer",), (array("w", op("+", "width", "layer")),), lexical=True)
    table = layered(inner)
    found = rows(table)
    assert [row.dims for row in found] == [(8 + i,) for i in range(7)]
    assert not any(row.closed for row in found)
    assert_unrolls(table)


def test_a_count_that_depends_on_the_layer() -> None:
    expert = module("expert", ("width",), (array("w", "width"),))
    count = Apply("cond", (op("<", "layer", "d"), expr(2), expr(4)))
    inner = module(
        "block", ("layer",), parts=(part("e", "expert", "e", count, width="width"),), lexical=True
    )
    table = layered(expert, inner)
    assert [to_text(row.multiplicity) for row in rows(table)] == ["d*2", "(n - d)*4"]
    assert_unrolls(table)


@pytest.mark.parametrize("taken", ["layer", "width", "half"])
def test_indices_get_names_of_their_own(taken: str) -> None:
    """An index may be called as an index around it, a param or a let."""
    inner = module("inner", (taken,), (array("w", op("+", taken, 1)),))
    inside = replace(part("parts", "inner", taken, 3), arguments={taken: Sym(taken)})
    block = module("block", ("layer",), parts=(inside,))
    model = module(
        "model",
        values={"n": 2, "width": 8},
        lets={"half": op("/", "width", 2)},
        parts=(part("layers", "block", "layer", "n", layer="layer"),),
    )
    table = program(inner, block, model)
    assert {row.name for row in rows(table)} == {f"layers.{{layer}}.parts.{{{taken}_2}}.w"}
    assert_unrolls(table)


def test_names_of_a_module_hide_the_models() -> None:
    """A lexical module's own params and lets win over the model's of the same name."""
    inner = module(
        "inner", ("width",), (array("w", "width", "half"),),
        lets={"half": op("+", "width", 1)}, lexical=True,
    )  # fmt: skip
    model = module(
        "model",
        values={"width": 8},
        lets={"half": op("/", "width", 2)},
        tensors=(array("own", "half"),),
        parts=(part("inner", "inner", width=op("*", "half", 5)),),
    )
    table = program(inner, model)
    assert [row.dims for row in rows(table)] == [(20, 21), (4,)]
    assert_unrolls(table)


def test_a_row_without_instances_is_no_row() -> None:
    inner = module("block", ("layer",), (array("w", 3, when=op("<", "layer", 0)),))
    assert rows(layered(inner)) == ()


def test_biases_are_released_beside_their_map() -> None:
    block = module(
        "block",
        ("layer",),
        (linear("wq", 4, 6), replace(array("wq.bias", 6), kind="bias")),
        names={"hf": {"wq": ("q_proj",)}},
    )
    model = module(
        "model",
        values={"n": 1},
        parts=(part("layers", "block", "layer", "n", layer="layer"),),
        names={"hf": {"layers": ("h.", Sym("layer"))}},
    )
    found = program(block, model)
    assert [n for n, _, _ in listed(found, "hf")] == ["h.0.q_proj.weight", "h.0.q_proj.bias"]
    assert [n for n, _, _ in listed(found)] == ["layers.0.wq", "layers.0.wq.bias"]


def test_tied_rows_are_listed_and_not_stored() -> None:
    tied = Tensor("head", "map", (expr(5), expr(4)), "bf16", None, "act", TRUE, "tied", "table")
    table = program(module("model", tensors=(array("table", 5, 4), tied)))
    found = rows(table)
    assert [(row.name, row.shared, row.target) for row in found] == [
        ("table", None, None),
        ("head", "tied", "table"),
    ]
    assert [n for n, _, _ in listed(table)] == ["table"]
    assert [row.counted for row in found] == [True, False]


# ---- faults ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dim", "reason"),
    [
        (op("-", "width", 9), "negative"),
        (op("/", "width", 3), "not a whole number"),
        (op("/", "width", op("-", "n", "n")), "division by zero"),
        (op("*", op("**", "width", 400), 1), "beyond the limits"),
        (op("+", "nobody", 1), "`nobody`"),
    ],
    ids=["negative", "fraction", "zero", "huge", "unknown"],
)
def test_sizes_without_a_value_are_diagnostics(dim: Expr, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        rows(layered(module("block", ("layer",), (array("w", dim),), lexical=True)))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0801"
    assert reason in diagnostic.message


@pytest.mark.slow
def test_tables_that_multiply_by_nesting_are_refused() -> None:
    """Twenty modules, each of which holds the one before twice, are a million places."""
    bottom = module("m0", tensors=(array("w", 1),))
    above = [
        module(f"m{i}", parts=(part("a", f"m{i - 1}"), part("b", f"m{i - 1}")))
        for i in range(1, 21)
    ]
    with pytest.raises(SpecError, match="modules in place"):
        rows(program(bottom, *above))


# ---- any pattern -----------------------------------------------------------------------

atoms = st.one_of(
    st.builds(lambda k: op("<", "layer", k), st.sampled_from([1, "d", "n"])),
    st.builds(lambda k: op("==", op("%", "layer", "p"), k), st.integers(0, 2)),
    st.builds(lambda k: op(">=", "e", k), st.integers(0, 3)),
    st.builds(lambda k: op("<", op("+", "layer", "e"), k), st.integers(0, 6)),
    st.just(op(">", "d", 2)),
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(conjunction, inner, inner),
        st.builds(disjunction, inner, inner),
        st.builds(negation, inner),
    ),
    max_leaves=4,
)
sizes = st.recursive(
    st.sampled_from([expr(2), expr("width"), op("+", "layer", 1)]),
    lambda inner: st.builds(lambda c, a, b: Apply("cond", (c, a, b)), patterns, inner, inner),
    max_leaves=3,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(patterns, patterns, sizes, st.integers(0, 5), st.integers(0, 4))
def test_any_table_folds_to_what_it_unrolls_to(
    one: Expr, two: Expr, size: Expr, n: int, d: int
) -> None:
    leaf = module("leaf", ("layer", "e"), (array("w", size, when=two), array("v", 2)), lexical=True)
    block = module(
        "block",
        ("layer",),
        parts=(part("es", "leaf", "e", 4, when=one, layer="layer", e="e"),),
        lexical=True,
    )
    assert_unrolls(layered(leaf, block, n=n, d=d))
