"""Packed tensors: their names, shapes and numbers against a checkpoint that was put together by hand."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from specgen import load
from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.table.instances import OWN, definitions
from specgen.analysis.table.stored import expand, scheme_of, stored
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Options
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.evaluate import evaluate
from specgen.expr.node import substitute
from specgen.frontend.checks.released_names import collisions
from specgen.frontend.load import check_file, load_program
from specgen.huggingface import emit
from specgen.ir.model import Program
from specgen.ir.text import program_text
from specgen.ir.verify import InternalFault, verify
from specgen.ops import registry
from tests.packing.by_hand import SPEC, Arrays, checkpoint, program, rows

#: Sizes at which every row exists; `checkpoint` asks for them.
SIZES = {"n_heads": 3, "n_experts": 4, "depth": 2, "n_layers": 3}


def shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def listed(table: Program, scheme: str = "hf") -> dict[str, tuple[int, ...]]:
    return {name: tensor.dims for tensor in stored(table, scheme) for name, _ in expand(tensor)}


def random_sizes(draw: random.Random) -> dict[str, int]:
    """Sizes that meet the spec's own demands: the width is heads × features."""
    heads, width = draw.randint(1, 4), draw.randint(1, 3) * 2
    return {
        "n_heads": heads,
        "head_dim": width,
        "n_kv_heads": draw.randint(1, 3),
        "dim": draw.randint(2, 9),
        "hidden": draw.randint(1, 7),
        "n_experts": draw.randint(1, 4),
        "n_chosen": 1,
        "n_layers": draw.randint(2, 5),
        "depth": draw.randint(1, 4),
    }


@pytest.mark.parametrize("seed", range(8))
def test_names_and_shapes_are_those_of_the_checkpoint(seed: int) -> None:
    sizes = random_sizes(random.Random(seed))
    table = program(**sizes)
    by_hand = checkpoint(rows(table), sizes)
    assert listed(table) == shapes(by_hand)
    assert listed(table, OWN) == shapes(rows(table))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_closed_forms_hold_at_other_sizes(seed: int) -> None:
    """The formulas of the defaults, evaluated elsewhere, against the list of tensors there."""
    base = ledger(program())
    lets = definitions(base.program)
    sizes = random_sizes(random.Random(100 + seed))
    table = program(**sizes)
    by_hand = checkpoint(rows(table), sizes)
    counted = {
        "stored_tensors": len(by_hand),
        "stored_elements": sum(array.size for array in by_hand.values()),
        "stored_bytes": sum(2 * array.size for array in by_hand.values()),
        "parameters": sum(array.size for array in rows(table).values()),
    }
    for name, value in counted.items():
        formula = base.quantities[name].expr
        assert formula is not None
        assert evaluate(substitute(formula, lets), table.values) == value, name
        assert ledger(table).value(name) == value


def test_layers_and_experts_are_never_unrolled() -> None:
    table = program(n_layers=90_000, n_experts=50_000, depth=70_000)
    found = stored(table, "hf")
    assert len(found) == len(stored(program(), "hf"))
    (experts,) = (t for t in found if t.first.path == "layers.moe.experts.w1")
    assert (experts.instances, experts.dims) == (89_999, (50_000, 12, 12))
    assert experts.elements == 2 * 89_999 * 50_000 * 12 * 6


def test_the_interface_lists_released_tensors() -> None:
    model = load(SPEC)
    found = {tensor.name: tensor.shape for tensor in model.tensors(names="hf")}
    assert found == shapes(checkpoint(rows(program()), SIZES))
    assert model.quantities["stored_tensors"] == len(found)


def test_tensors_json_says_how_rows_lie() -> None:
    """Somebody with tensors.json alone finds the numbers of every row."""
    own = rows(program())
    released = checkpoint(own, SIZES)
    written = json.loads(emit(program())["tensors.json"])
    assert written["stored_tensors"] == len(released) == sum(t["count"] for t in written["tensors"])
    by_name = {tensor["names"]["hf"]: tensor for tensor in written["tensors"]}
    tensor = by_name["model.layers.{layer}.moe.experts.gate_up_proj"]
    assert tensor == {
        "names": {"hf": "model.layers.{layer}.moe.experts.gate_up_proj"},
        "indices": {"layer": [[0, 1, 1], [2, 3, 1]]},
        "shape": [4, 12, 12],
        "dtype": "bf16",
        "count": 2,
        "kind": "map",
        "rows": ["layers.{layer}.moe.experts.{e}.w1", "layers.{layer}.moe.experts.{e}.w3"],
        "stacked": {"e": 4},
        "arrangement": {
            "pattern": "two e h d -> e d (h two)",
            "sizes": {"two": 2, "e": 4, "h": 6, "d": 12},
        },
    }
    assert by_name["model.layers.{layer}.attn.qkv_proj.weight"]["arrangement"] is None
    assert by_name["last.up.weight"]["names"]["own"] == "last.a"


# ---- the IR ----------------------------------------------------------------------------


def test_packings_are_in_the_textual_form() -> None:
    text = program_text(program())
    assert 'packed hf wq, wk, wv -> "qkv_proj.weight"\n' in text
    assert (
        'packed hf wq.bias, wk.bias, wv.bias -> "query_key_value.bias" '
        "((three) (h d)) -> ((h three d)) {h: n_heads}\n"
    ) in text
    # What a rearrangement does to the only dim of a bias is nothing.
    assert 'packed hf c.bias -> "c_proj.bias"\n' in text


def test_a_packing_of_no_row_is_a_fault_of_specgen() -> None:
    table = program()
    module = table.modules["attention"]
    (packing,) = module.packings["hf"]
    broken = replace(module, packings={"hf": (replace(packing, rows=(("wz",),)),)})
    with pytest.raises(InternalFault, match="packs wz"):
        verify(replace(table, modules={**table.modules, "attention": broken}), registry.fault)


def test_packed_tensors_collide_by_their_names() -> None:
    table = program()
    module = table.modules["transposed"]
    renamed = replace(module, names={"hf": {}}, packings={"hf": module.packings["hf"][:1] * 2})
    assert list(collisions(table)) == []
    twice = replace(
        renamed,
        packings={
            "hf": (
                module.packings["hf"][0],
                replace(module.packings["hf"][2], template=("c_attn.weight",)),
            )
        },
    )
    (found,) = collisions(replace(table, modules={**table.modules, "transposed": twice}))
    assert found == (
        "model.layers.{layer}.stacked.c_attn.weight",
        ("layers.{layer}.stacked.a", "layers.{layer}.stacked.c"),
    )


# ---- graphs ----------------------------------------------------------------------------


def unpacked(table: Program) -> Program:
    """The same table, stored row by row in its own names."""
    modules = {id_: replace(module, names={}, packings={}) for id_, module in table.modules.items()}
    return replace(table, modules=modules)


def bare(own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows as a table without names stores them: a map's tensor is called `.weight`, too."""
    return {**own, **{f"{name}.weight": values for name, values in own.items()}}


@pytest.mark.slow
@pytest.mark.parametrize("ops", ["standard", "primitive"])
def test_a_graph_of_packed_tensors_computes_what_the_rows_do(ops: str, tmp_path: Path) -> None:
    from tests.onnx.references import in_f32
    from tests.onnx.session import Session, fill

    table = in_f32(program())
    own = rows(table)
    tokens = np.arange(10).reshape(2, 5)
    logits = []
    for form, weights in ((table, checkpoint(own, SIZES)), (unpacked(table), bare(own))):
        folder = tmp_path / scheme_of(form)
        folder.mkdir()
        graph = build(form, Options(ops=ops))
        logits.append(Session.open(fill(graph, weights, folder), batch=2)(tokens))
    assert np.abs(logits[0]).max() > 0.1
    np.testing.assert_allclose(logits[0], logits[1], rtol=0, atol=1e-5)


@pytest.mark.slow
def test_model_py_reads_packed_tensors(tmp_path: Path) -> None:
    """The generated model, loaded from the checkpoint, against the graph of the bare rows."""
    import torch
    from safetensors.numpy import save_file

    from tests.numeric.generated import imported
    from tests.onnx.references import in_f32
    from tests.onnx.session import Session, fill

    table = in_f32(program())
    own = rows(table)
    released = {name: np.ascontiguousarray(v) for name, v in checkpoint(own, SIZES).items()}
    save_file(released, tmp_path / "model.safetensors")
    module = imported(table, tmp_path)
    model = module.Model(module.Config()).to(torch.float32)
    model.load_checkpoint(tmp_path)
    tokens = np.arange(10).reshape(2, 5)
    with torch.inference_mode():
        logits = model(torch.tensor(tokens)).numpy()
    expected = Session.open(fill(build(unpacked(table)), bare(own), tmp_path), batch=2)(tokens)
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_weights_are_the_released_tensors() -> None:
    from tests.onnx.session import parsed, weights_of
    from tests.onnx.session import released as names_in

    table = program()
    model = parsed(build(table))
    names = names_in(model)
    found = {
        names[tensor.name][0]: tuple(tensor.dims)
        for tensor in weights_of(model)
        if len(names[tensor.name]) == 1
    }
    released = shapes(checkpoint(rows(table), SIZES))
    assert found.items() <= released.items()
    # The experts' last matrices are tensors of their own, one under the other in the graph.
    assert {name for name in released if name not in found} == {
        f"model.layers.{layer}.moe.experts.{e}.down.weight" for layer in (0, 2) for e in range(4)
    }


# ---- reading -----------------------------------------------------------------------------

MODEL = """language 1
model m {{
  params {{ n : size = 4  wide : flag = false }}
  require {{ n % 2 == 0 "halves" }}
  tensors {{ a : n -> n  b : n -> n  c : n -> n when wide  d : n -> n when wide }}
  names hf {{ {names} }}
}}
"""


def loaded(tmp_path: Path, names: str) -> Program:
    path = tmp_path / "m.dsv3"
    path.write_text(MODEL.format(names=names))
    return load_program(path)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ('a, b -> "ab"', {"ab.weight": (8, 4)}),
        ('a.weight, b.weight -> "ab"', {"ab": (8, 4)}),
        ('a, b -> "ab" as rearrange("x o i -> o i x")', {"ab.weight": (4, 4, 2)}),
        ('a, b -> "ab" as rearrange("x o i -> 1 (x o i)")', {"ab.weight": (1, 32)}),
        ('a -> "a" as rearrange("(p q) i -> q p i", p = n / 2)', {"a.weight": (2, 2, 4)}),
        ('a, b -> "ab{n + 1}"  c, d -> "cd"', {"ab5.weight": (8, 4)}),
    ],
)
def test_shapes_of_small_packings(
    names: str, expected: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    found = listed(loaded(tmp_path, names))
    assert {name: found.get(name) for name in expected} == expected
    assert sum(map(prod, found.values())) == 32


def test_the_outermost_names_decide(tmp_path: Path) -> None:
    """All rows of a packing may get other names from outside; some of them may not."""
    text = """language 1
model m {{
  params {{ n : size = 4 }}
  parts {{ inner : pair }}
  module pair {{ tensors {{ a : n -> n  b : n -> n }} names hf {{ a, b -> "ab" }} }}
  names hf {{ inner -> "part"  {names} }}
}}
"""
    path = tmp_path / "m.dsv3"
    path.write_text(text.format(names=""))
    assert listed(load_program(path)) == {"part.ab.weight": (8, 4)}
    path.write_text(text.format(names='inner.b, inner.a.weight -> "x"'))
    assert [d.code for d in check_file(path).all] == ["E0712"]
    path.write_text(text.format(names='inner.b -> "x"  inner.a.weight -> "y"'))
    assert listed(load_program(path)) == {"x.weight": (4, 4), "y": (4, 4)}
    path.write_text(text.format(names='inner.b -> "x"'))
    with pytest.raises(SpecError, match="names some of its rows, not all"):
        listed(load_program(path))
    assert [d.code for d in check_file(path).all] == ["E0801"]
