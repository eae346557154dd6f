"""The form of functions: it reads as the table does, and computes what the flat graph does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Options
from specgen.frontend.load import load_program
from specgen.ir.model import Program
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import in_f32, load_spec, reference
from tests.onnx.session import Arrays, Session, fill, onnx, parsed, released
from tests.onnx.test_storage import SIZES
from tests.references import needs_references

FUNCTIONS = Options(onnx_form="functions")


def functions(spec: str, variant: str) -> dict[str, Any]:
    model = parsed(build(load_spec(spec, variant), FUNCTIONS))
    assert {function.domain for function in model.functions} == {f"specgen.{spec}"}
    return {function.name: function for function in model.functions}


def operators(graph: Any) -> list[str]:
    """The operators that compute or call, in order."""
    passing = {"Constant", "Identity"}
    return [node.op_type for node in graph.node if node.op_type not in passing]


@pytest.mark.slow
def test_a_released_model_reads_as_its_table() -> None:
    model = parsed(build(load_spec("deepseek_v3", "v3_671b"), FUNCTIONS))
    layers = [node for node in model.graph.node if node.name.startswith("layers.")]
    assert [node.op_type for node in layers] == ["block_swiglu"] * 3 + ["block_moe"] * 58
    assert [node.name for node in layers] == [f"layers.{layer}" for layer in range(61)]
    assert list(layers[7].output)[1:] == ["present.7.latent"]
    assert "layers.7.ffn.experts.w1" in layers[7].input
    found = functions("deepseek_v3", "v3_671b")
    assert list(found) == [
        *("yarn_table", "embedding", "rmsnorm", "fp8_block", "fp8_block_wkv_a", "mla"),
        *("swiglu", "block_swiglu", "grouped_router", "swiglu_experts", "moe", "block_moe"),
    ]
    block = found["block_moe"]
    assert operators(block) == ["rmsnorm", "mla", "Add", "rmsnorm", "moe", "Add"]
    assert block.doc_string == "Transformer layer"
    assert list(block.input)[:5] == ["x", "cos", "sin", "visible", "attn_norm.weight"]
    assert list(block.input)[-1:] == ["attn.latent.past"]
    assert list(block.output) == ["result", "attn.latent.present"]


@pytest.mark.slow
def test_functions_of_a_module_have_different_names() -> None:
    """Two kinds of layers of one module: the mask that they read is all that differs."""
    assert list(functions("gpt_oss", "gpt_oss_20b"))[-2:] == ["block", "block_layers"]
    assert list(functions("llama", "llama32_1b"))[-1] == "block"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "variant"), [("deepseek_v3", "v3_671b_mtp"), ("gpt_oss", "gpt_oss_20b")]
)
def test_rules_give_every_released_name(spec: str, variant: str) -> None:
    program = load_spec(spec, variant)
    flat = parsed(build(program, Options(weights="reference")))
    short = parsed(build(program, replace(FUNCTIONS, weights="reference")))
    places = [tensor.name for tensor in short.graph.initializer]
    assert {"embed.weight", "layers.0.attn_norm.weight"} <= set(places)
    ours, theirs = released(short), released(flat)
    by_offset = {offset(tensor): theirs[tensor.name] for tensor in flat.graph.initializer}
    assert {offset(t): ours[t.name] for t in short.graph.initializer} == by_offset


def offset(tensor: Any) -> str:
    return next(entry.value for entry in tensor.external_data if entry.key == "offset")


def logits(program: Program, data: bytes, weights: Arrays, folder: Path) -> np.ndarray:
    """Of a prefill and one more step."""
    vocabulary = program.values["vocab_size"]
    tokens = np.random.default_rng(3).integers(0, vocabulary, (2, 11))
    session = Session.open(fill(data, weights, folder), batch=2)
    return np.concatenate([session(tokens[:, :10]), session(tokens[:, 10:])], axis=1)


def agree(program: Program, weights: Arrays, folder: Path) -> None:
    """The flat form, the functions, and the functions that onnx put in their places."""
    inliner = pytest.importorskip("onnx.inliner")
    data = build(program, FUNCTIONS)
    expected = logits(program, build(program), weights, folder)
    assert np.abs(expected).max() > 1e-2
    inlined = inliner.inline_local_functions(parsed(data))
    assert not inlined.functions
    for form in (data, inlined.SerializeToString()):
        found = logits(program, form, weights, folder)
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("name", ["deepseek_v3", "llama", "gpt_oss", "gemma2", "qwen3_moe"])
def test_forms_agree(name: str, tmp_path: Path) -> None:
    model = reference(name)
    agree(model.program(), model.weights, tmp_path)


@pytest.mark.slow
def test_forms_agree_for_8_bit_floats(tmp_path: Path) -> None:
    """Scales go to nested functions, and stacks of experts into the Scan of one."""
    program = in_f32(load_spec("deepseek_v3", **SIZES))
    weights = {
        name: np.random.default_rng(4).integers(1, 90, values.shape).astype(np.uint8)
        if f"{name}_scale_inv" in shapes
        else values / 50
        if name.endswith("_scale_inv")
        else values
        for shapes in [random_weights(build(program), 1)]
        for name, values in shapes.items()
    }
    agree(program, weights, tmp_path)


@pytest.mark.slow
def test_forms_agree_for_an_unusual_table(tmp_path: Path) -> None:
    """Caches of one name in one layer, lengths that no argument has, experts with parts."""
    program = load_program(Path(__file__).with_name("unusual.dsv3"))
    agree(program, random_weights(build(program), 1), tmp_path)


@pytest.mark.slow
def test_the_checker_takes_the_functions_of_an_unusual_table() -> None:
    model = parsed(build(load_program(Path(__file__).with_name("unusual.dsv3")), FUNCTIONS))
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
