"""The graph in onnxruntime against the logits that transformers computed for small models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from tests.onnx.references import reference
from tests.onnx.session import Session, fill, onnx, parsed, stored
from tests.references import DECODED, needs_references

pytestmark = [pytest.mark.slow, needs_references]

FORMS = pytest.mark.parametrize("intrinsics", [True, False], ids=["operators", "expanded"])


def opened(name: str, folder: Path, intrinsics: bool = True, batch: int = 1) -> Session:
    model = reference(name)
    return Session.open(
        fill(build(model.program(), intrinsics=intrinsics), model.weights, folder), batch
    )


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left - right).max())


@FORMS
@pytest.mark.parametrize("name", DECODED)
def test_full_pass(name: str, intrinsics: bool, tmp_path: Path) -> None:
    model = reference(name)
    tokens = np.concatenate([model.arrays["input_ids"], model.arrays["decode_tokens"]])
    logits = opened(name, tmp_path, intrinsics)(tokens[None])
    assert difference(logits[0], model.arrays["full_logits"]) <= model.tolerance


@FORMS
@pytest.mark.parametrize("name", DECODED)
def test_prefill_and_four_steps_with_past(name: str, intrinsics: bool, tmp_path: Path) -> None:
    model = reference(name)
    session = opened(name, tmp_path, intrinsics)
    logits = session(model.arrays["input_ids"][None])
    assert difference(logits[0], model.arrays["prefill_logits"]) <= model.tolerance
    for token, expected in zip(
        model.arrays["decode_tokens"], model.arrays["decode_logits"], strict=True
    ):
        logits = session(np.array([[token]]))
        assert difference(logits[0, 0], expected) <= model.tolerance
    lengths = {array.shape[1] for array in session.cache.values()}
    assert lengths == {20}


def test_main_model_of_a_table_with_more_heads(tmp_path: Path) -> None:
    """The prediction heads' tensors are initializers; their caches and layers are no part of it."""
    model = reference("deepseek_v3_mtp")
    # This config.json names no class, from which the router's bias would follow.
    data = build(model.program(gate_bias=True))
    session = Session.open(fill(data, model.weights, tmp_path))
    logits = session(model.arrays["input_ids"][None])
    assert difference(logits[0], model.arrays["main_logits"]) <= 2e-5
    layers = {name.split(".")[1] for name in session.cache}
    assert layers == {"0", "1", "2"}


@pytest.mark.parametrize(
    "name", ["deepseek_v3", "deepseek_v2_lite", "llama", "llama3_rope", "cohere2", "qwen3_moe"]
)
def test_left_padding_changes_nothing(name: str, tmp_path: Path) -> None:
    """A batch of two, the shorter padded on the left: prefill and four steps."""
    model = reference(name)
    tokens, steps = model.arrays["input_ids"], model.arrays["decode_tokens"]
    batch = np.stack([tokens, np.concatenate([np.zeros(5, np.int64), tokens[:11]])])
    mask = np.ones_like(batch)
    mask[1, :5] = 0
    both = opened(name, tmp_path, batch=2)
    alone = opened(name, tmp_path)
    logits = both(batch, mask)
    assert np.isfinite(logits).all()
    assert difference(logits[0], model.arrays["prefill_logits"]) <= model.tolerance
    assert difference(logits[1, 5:], alone(tokens[None, :11])[0]) <= model.tolerance
    for step, expected in zip(steps, model.arrays["decode_logits"], strict=True):
        logits = both(np.array([[step], [step]]))
        assert difference(logits[0, 0], expected) <= model.tolerance
        assert difference(logits[1], alone(np.array([[step]]))[0]) <= model.tolerance


@FORMS
@pytest.mark.parametrize("name", ["deepseek_v3", "llama"])
def test_onnx_reference_evaluator_agrees(name: str, intrinsics: bool) -> None:
    """A second runtime, which nobody tuned: the definition of each operator in Python."""
    model = reference(name)
    graph = parsed(build(model.program(), intrinsics=intrinsics))
    for tensor in graph.graph.initializer:
        values = stored(tensor, model.weights)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = values.tobytes()
    tokens = model.arrays["input_ids"][None]
    feeds = {
        "input_ids": tokens,
        "attention_mask": np.ones_like(tokens),
        "position_ids": np.arange(tokens.shape[1])[None],
    }
    for value in graph.graph.input[3:]:
        dims = value.type.tensor_type.shape.dim
        shape = [{"batch": 1, "past": 0}.get(d.dim_param, d.dim_value) for d in dims]
        feeds[value.name] = np.zeros(shape, np.float32)
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(graph)
    logits = evaluator.run(["logits"], feeds)[0]
    assert difference(logits[0], model.arrays["prefill_logits"]) <= model.tolerance


def test_the_temperature_is_in_the_softmax_scale(tmp_path: Path) -> None:
    """A known exporter leaves mscale squared out of the scale; these references show it.

    The same weights with mscale 0, which makes the factor 1, are far from the reference.
    """
    model = reference("deepseek_v3")
    tokens = model.arrays["input_ids"][None]
    without = build(model.program(mscale=0.0, mscale_all_dim=0.0))
    logits = Session.open(fill(without, model.weights, tmp_path))(tokens)
    assert difference(logits[0], model.arrays["prefill_logits"]) > 1000 * model.tolerance


@pytest.mark.parametrize("name", ["deepseek_v3", "kimi_k2"])
def test_every_expert_can_be_reached(name: str, tmp_path: Path) -> None:
    """A known exporter drops the experts that its example input does not choose.

    Here the router's bias forces each expert in turn onto one and the same graph: without its
    weights the logits change, and without those of an expert outside its reach they do not.
    """
    model = reference(name)
    count = model.config["n_routed_experts"]
    data = build(model.program())
    tokens = model.arrays["input_ids"][None, :1]
    bias_name = "model.layers.1.mlp.gate.e_score_correction_bias"
    for expert in range(count):
        forced = dict(model.weights)
        bias = forced[bias_name].copy()
        bias[expert] = 100.0
        forced[bias_name] = bias
        logits = Session.open(fill(data, forced, tmp_path))(tokens)
        down = f"model.layers.1.mlp.experts.{expert}.down_proj.weight"
        forced[down] = np.zeros_like(forced[down])
        changed = Session.open(fill(data, forced, tmp_path))(tokens)
        assert difference(logits, changed) > 100 * model.tolerance, f"expert {expert}"
