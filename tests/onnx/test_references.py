"""The graph in onnxruntime against the logits that transformers computed for small models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from specgen.backends.onnx.build import build, checked
from specgen.backends.onnx.options import FLOWLESS, Experts, OnnxForm, Ops, Options
from tests.onnx.references import Reference, reference
from tests.onnx.session import FLOW, Session, fill, operators, parsed
from tests.references import SPECS, needs_references

pytestmark = [pytest.mark.slow, needs_references]

PADDING = 5

FORMS = {
    "flat": Options(),
    "flat-primitive": Options(ops="primitive"),
    "functions": Options(onnx_form="functions"),
    "functions-primitive": Options(onnx_form="functions", ops="primitive"),
}

#: Tables whose experts become onnxruntime's own operator; gpt_oss has experts of another kind.
MIXTURES = [
    *("deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "kimi_k2"),
    *("glm4_moe", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe"),
]


def opened(model: Reference, folder: Path, options: Options | None = None) -> Session:
    overrides = {}
    if model.name == "deepseek_v3_mtp":
        # This config.json names no class, from which the router's bias would follow.
        overrides["gate_bias"] = True
    data = build(model.program(**overrides), options or Options())
    return Session.open(fill(data, model.weights, folder))


def difference(left: np.ndarray, right: np.ndarray) -> float:
    assert left.shape == right.shape
    return float(np.abs(left - right).max())


def agrees(model: Reference, opened: Session) -> None:
    """A full pass; and a batch of two, one padded on the left: prefill and four steps with past.

    The padded row is the other without its last tokens, so that it has the same logits.
    """
    tokens = model.arrays["input_ids"]
    if "decode_tokens" not in model.arrays:  # more heads than a graph has: the main model
        assert difference(opened(tokens[None])[0], model.arrays["main_logits"]) <= model.tolerance
        assert {name.split(".")[1] for name in opened.cache} == {"0", "1", "2"}
        return
    steps = model.arrays["decode_tokens"]
    full = opened(np.concatenate([tokens, steps])[None])
    assert difference(full[0], model.arrays["full_logits"]) <= model.tolerance
    both = Session.start(opened.session, batch=2)
    mask = np.ones((2, len(tokens)), np.int64)
    mask[1, :PADDING] = 0
    shorter = np.concatenate([np.full(PADDING, tokens[0]), tokens[:-PADDING]])
    logits = both(np.stack([tokens, shorter]), mask)
    expected = model.arrays["prefill_logits"]
    assert np.isfinite(logits).all()
    assert difference(logits[0], expected) <= model.tolerance
    assert difference(logits[1, PADDING:], expected[:-PADDING]) <= model.tolerance
    for step, wanted in enumerate(model.arrays["decode_logits"]):
        place = len(tokens) - PADDING + step
        logits = both(np.array([[steps[step]], [tokens[place]]]))
        assert difference(logits[0, 0], wanted) <= model.tolerance
        assert difference(logits[1, 0], expected[place]) <= model.tolerance
    assert {array.shape[1] for array in both.cache.values()} == {len(tokens) + len(steps)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SPECS)
def test_reference_logits(name: str, form: str, tmp_path: Path) -> None:
    model = reference(name)
    agrees(model, opened(model, tmp_path, FORMS[form]))


@pytest.mark.parametrize("form", get_args(OnnxForm))
@pytest.mark.parametrize("name", MIXTURES)
def test_reference_logits_with_operators_of_onnxruntime(
    name: str, form: OnnxForm, tmp_path: Path
) -> None:
    model = reference(name)
    agrees(model, opened(model, tmp_path, Options(onnx_form=form, ops="ort")))
    written = parsed((tmp_path / "model.onnx").read_bytes())
    bodies = (written.graph, *written.functions)
    used = {node.op_type for body in bodies for node in body.node}
    assert "MoE" in used
    assert "Unique" not in used  # nor is there a Loop over the experts that it finds


#: The graphs in which a mixture meets `experts`.
MEETING = {
    "flat": Options(),
    "functions-primitive": Options(onnx_form="functions", ops="primitive"),
    "flat-ort": Options(ops="ort"),
}


@pytest.mark.parametrize("form", MEETING)
@pytest.mark.parametrize("experts", get_args(Experts))
@pytest.mark.parametrize("name", [*MIXTURES, "gpt_oss"])
def test_reference_logits_however_experts_are_evaluated(
    name: str, experts: Experts, form: str, tmp_path: Path
) -> None:
    """And with one forward of a latent attention: `absorbed` or, where nothing is, the main one."""
    model = reference(name)
    latent = any(len(module.forwards) > 1 for module in model.program().modules.values())
    one = "absorbed" if latent and form == "flat" else "expanded"
    options = replace(MEETING[form], experts=experts, form=one)
    agrees(model, opened(model, tmp_path, options))
    if experts in FLOWLESS:
        assert not operators((tmp_path / "model.onnx").read_bytes()) & FLOW
        flat = checked(model.program(), replace(options, onnx_form="flat"))
        assert max(len(edge.shape) for edge in flat.edges.values() if "ffn" in edge.name) <= 4


def test_the_temperature_is_in_the_softmax_scale(tmp_path: Path) -> None:
    """A known exporter leaves mscale squared out of the scale; this reference shows it.

    The same weights with mscale 0, which makes the factor 1, are far from the reference that
    `test_reference_logits` holds the graph to.
    """
    model = reference("deepseek_v3")
    without = build(model.program(mscale=0.0, mscale_all_dim=0.0))
    logits = Session.open(fill(without, model.weights, tmp_path))(model.arrays["input_ids"][None])
    assert difference(logits[0], model.arrays["prefill_logits"]) > 1000 * model.tolerance


@pytest.mark.parametrize("ops", ["standard", "ort"])
@pytest.mark.parametrize("name", ["deepseek_v3", "kimi_k2"])
def test_every_expert_can_be_reached(name: str, ops: Ops, tmp_path: Path) -> None:
    """A known exporter drops the experts that its example input does not choose.

    Here the router's bias forces each expert in turn into one and the same graph: without its
    weights the logits change, as they do not in a graph that has lost it.
    """
    model = reference(name)
    count = model.config["n_routed_experts"]
    data = build(model.program(), Options(ops=ops))
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
