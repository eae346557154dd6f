"""Modules with several forwards: one graph holds two of them, and the cost of each decides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from specgen.analysis.dataflow.costs import Saving, savings
from specgen.backends.onnx import build as build_module
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import OnnxForm, Ops, Options, OptionsError
from specgen.frontend.load import load_program
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import load_spec, reference
from tests.onnx.session import FLOW, Session, fill, onnx, operators, ort, parsed
from tests.references import needs_references

SPEC = Path(__file__).with_name("alternatives.dsv3")
BOOL = 9  # TensorProto.DataType


def steps(graph: Any) -> list[Any]:
    """The Loops of one step, each around a choice."""
    return [node for node in graph.node if choices(node)]


def choices(holder: Any) -> list[Any]:
    """The Ifs in a Loop, or in all Loops of a graph."""
    nodes = holder.node if hasattr(holder, "node") else [holder]
    bodies = [node.attribute[0].g for node in nodes if node.op_type == "Loop"]
    return [node for body in bodies for node in body.node if node.op_type == "If"]


def branches(choice: Any) -> tuple[Any, Any]:
    found = {attribute.name: attribute.g for attribute in choice.attribute}
    return found["then_branch"], found["else_branch"]


@pytest.fixture(scope="module")
def everything() -> Program:
    return load_program(SPEC)


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Builds a graph in which the polynomial decides that is given; none: the main forward."""

    def made(program: Program, operations: dict[tuple[str, ...], int] | None) -> bytes:
        found = savings(program)
        chosen = {
            module: Saving(saving.forward, operations)
            for module, saving in found.items()
            if operations is not None
        }
        with monkeypatch.context() as patch:
            patch.setattr(build_module, "savings", lambda _: chosen)
            return build(program)

    return made


def test_one_choice_for_each_module_and_what_both_need_outside_of_it() -> None:
    graph = parsed(build(load_spec("deepseek_v3", "v3_671b"))).graph
    found = choices(graph)
    assert len(found) == 61
    inside = {n.op_type for branch in branches(found[7]) for n in branch.node}
    assert "Attention" in inside
    assert not {"RMSNormalization", "RotaryEmbedding", "If"} & inside
    # Expanding is a map of the cache; folded, the same weights are two batched products.
    folded, expanded = branches(found[7])
    assert [n.op_type for n in expanded.node].count("Gemm") == 1
    assert [n.op_type for n in folded.node].count("Gemm") == 0
    assert [n.op_type for n in folded.node].count("MatMul") == 2
    # The output projection follows once.
    chosen = steps(graph)[7].output[0]
    after = [n.op_type for n in graph.node if chosen in n.input]
    assert after == ["Gemm"]


def test_a_table_without_alternatives_has_no_choice() -> None:
    assert not choices(parsed(build(load_spec("llama", n_layers=2))).graph)


@pytest.mark.parametrize("variant", ["v3_671b", "v2_lite_16b", "kimi_k2_1t"])
def test_the_condition_is_the_difference_of_the_operations(variant: str) -> None:
    """By hand: T · c · (n + v) to expand, S · c · (n + v) to fold, and 2c - n - v more a score."""
    program = load_spec("deepseek_v3", variant)
    rank, nope, value = (
        program.values[name] for name in ("kv_lora_rank", "qk_nope_head_dim", "v_head_dim")
    )
    (found,) = savings(program).values()
    expand, score = rank * (nope + value), 2 * rank - nope - value
    for new, total in ((1, 1), (1, 4096), (157, 2048), (158, 2048), (4096, 4096)):
        polynomial = sum(
            factor * {"S": new, "T": total}.get("".join(names), new * total)
            for names, factor in found.operations.items()
        )
        by_hand = (total - new) * expand - new * total * score
        assert np.sign(polynomial) == np.sign(by_hand)


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepseek_v3", "deepseek_v2_lite", "kimi_k2"])
@pytest.mark.parametrize("steps", [[20], [16, 1, 1, 1, 1], [1] * 20, [3, 9, 2, 5, 1], [12, 8]])
def test_prefill_chunks_and_single_tokens(name: str, steps: list[int], tmp_path: Path) -> None:
    model = reference(name)
    tokens = np.concatenate([model.arrays["input_ids"], model.arrays["decode_tokens"]])[None]
    session = Session.open(fill(build(model.program()), model.weights, tmp_path))
    ends = np.cumsum(steps)
    logits = [session(tokens[:, end - step : end]) for step, end in zip(steps, ends, strict=True)]
    found = np.concatenate(logits, axis=1)[0]
    assert np.abs(found - model.arrays["full_logits"]).max() <= model.tolerance


@needs_references
@pytest.mark.slow
def test_each_branch_alone_is_the_reference(forced: Any, tmp_path: Path) -> None:
    model = reference("deepseek_v3")
    tokens = np.concatenate([model.arrays["input_ids"], model.arrays["decode_tokens"]])[None]
    for always in ({(): 1}, {(): -1}):
        path = fill(forced(model.program(), always), model.weights, tmp_path)
        session = Session.open(path)
        found = np.concatenate([session(tokens[:, :16]), session(tokens[:, 16:])], axis=1)[0]
        assert np.abs(found - model.arrays["full_logits"]).max() <= model.tolerance


def test_forwards_that_share_little(everything: Program, forced: Any, tmp_path: Path) -> None:
    """Different values are appended, the ends differ, and one result is an argument itself."""
    data = build(everything)
    (choice, *_) = choices(parsed(data).graph)
    assert len(choice.output) == 3  # the result, the argument with its copy, the cache
    assert build(everything, repeat=False) == data
    weights = random_weights(data, seed=3)
    tokens = np.random.default_rng(5).integers(0, 32, (2, 12))
    results = {}
    for kind, given in {
        "main": forced(everything, None),
        "folded": forced(everything, {(): 1}),
        "chosen": data,
    }.items():
        (tmp_path / kind).mkdir()
        session = Session.open(fill(given, weights, tmp_path / kind), batch=2)
        parts = [session(tokens[:, a:b]) for a, b in ((0, 9), (9, 10), (10, 12))]
        results[kind] = np.concatenate(parts, axis=1)
    scale = np.abs(results["main"]).max()
    assert scale > 0.1
    for kind in ("folded", "chosen"):
        assert np.abs(results[kind] - results["main"]).max() <= 1e-5 * scale


# ---- one of them in every call -----------------------------------------------------------


def named(graph: Any) -> str | None:
    return next((entry.value for entry in graph.metadata_props if entry.key == "form"), None)


@pytest.mark.parametrize("ops", get_args(Ops))
@pytest.mark.parametrize("onnx_form", get_args(OnnxForm))
@pytest.mark.parametrize("form", ["expanded", "folded"])
def test_one_forward_in_every_call(
    form: str, onnx_form: OnnxForm, ops: Ops, everything: Program, tmp_path: Path
) -> None:
    """The same as by choice, without an If or the Loop around it."""
    options = Options(form=form, onnx_form=onnx_form, ops=ops)
    data = build(everything, options)
    assert not operators(data) & FLOW
    assert named(parsed(data)) == form
    assert build(everything, options, repeat=False) == data
    weights = random_weights(data, seed=3)
    assert random_weights(build(everything), seed=3).keys() == weights.keys()
    tokens = np.random.default_rng(5).integers(0, 32, (2, 12))
    results = []
    for kind, given in {"one": data, "chosen": build(everything)}.items():
        (tmp_path / kind).mkdir()
        session = Session.open(fill(given, weights, tmp_path / kind), batch=2)
        parts = [session(tokens[:, a:b]) for a, b in ((0, 9), (9, 10), (10, 12))]
        results.append(np.concatenate(parts, axis=1))
    scale = np.abs(results[1]).max()
    assert np.abs(results[0] - results[1]).max() <= 1e-5 * scale


def test_what_is_chosen_stays_as_it_was(everything: Program) -> None:
    data = build(everything)
    assert build(everything, Options(form="chosen")) == data
    assert named(parsed(data)) is None
    llama = load_spec("llama", n_layers=2)  # which has no alternatives
    assert operators(build(llama, Options(form="expanded"))) == operators(build(llama))


@pytest.mark.parametrize(
    ("form", "there"), [("fold", "folded"), ("", "folded"), ("main", "folded")]
)
def test_a_forward_that_no_module_has_is_refused(
    form: str, there: str, everything: Program, tmp_path: Path
) -> None:
    with pytest.raises(OptionsError) as caught:
        build(everything, Options(form=form))
    expected = f"form is chosen, expanded, {there}; no module has a forward {form!r}"
    assert str(caught.value) == expected
    done = specgen_here("build", str(SPEC), "--form", form, "-o", "out", cwd=tmp_path)
    assert (done.status, expected in done.err) == (2, True)
    assert not (tmp_path / "out").exists()


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize("form", ["expanded", "absorbed"])
@pytest.mark.parametrize("name", ["deepseek_v3", "deepseek_v2_lite", "kimi_k2"])
@pytest.mark.parametrize("steps", [[20], [16, 1, 1, 1, 1], [3, 9, 2, 5, 1]])
def test_one_forward_is_the_reference(
    name: str, form: str, steps: list[int], tmp_path: Path
) -> None:
    model = reference(name)
    tokens = np.concatenate([model.arrays["input_ids"], model.arrays["decode_tokens"]])[None]
    data = build(model.program(), Options(form=form))
    session = Session.open(fill(data, model.weights, tmp_path))
    ends = np.cumsum(steps)
    logits = [session(tokens[:, end - step : end]) for step, end in zip(steps, ends, strict=True)]
    found = np.concatenate(logits, axis=1)[0]
    assert np.abs(found - model.arrays["full_logits"]).max() <= model.tolerance


# ---- the condition -----------------------------------------------------------------------


@pytest.mark.parametrize("new", [1, 2, 5, 9])
@pytest.mark.parametrize("past", [0, 1, 8, 30])
def test_the_graph_finds_the_cheaper_one(
    everything: Program, new: int, past: int, tmp_path: Path
) -> None:
    """The condition, made an output, against the products of each forward, counted by hand."""
    graph = parsed(build(everything))
    (condition,) = {choice.input[0] for choice in choices(graph.graph)}
    graph.graph.output.append(onnx.helper.make_tensor_value_info(condition, BOOL, [1]))
    data = graph.SerializeToString()
    path = fill(data, random_weights(data, seed=3), tmp_path)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    total, rank, dim = past + new, 4, 24
    feeds = {
        "input_ids": np.zeros((1, new), np.int64),
        "attention_mask": np.ones((1, total), np.int64),
        "position_ids": np.zeros((1, new), np.int64),
        **{f"past_key_values.{i}.latent": np.zeros((1, past, rank), np.float32) for i in range(3)},
    }
    (found,) = session.run([condition], feeds)
    maps, scores = rank * dim, 2 * new * total
    main = (new + total) * maps + scores * dim
    folded = (2 * new + 2 * new) * maps + scores * rank
    assert bool(found[0]) == (folded < main)
