"""What each level of operators promises: versions, operators, and dtypes that they take."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Ops, Options
from specgen.diagnostics.diagnostic import SpecError
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import Override, load_spec
from tests.onnx.session import Session, fill, onnx, parsed
from tests.onnx.test_storage import SIZES

#: Released models, one for each kind of block; DeepSeek's stored in bfloat16, which all have.
MODELS: dict[str, tuple[str, dict[str, Override]]] = {
    "deepseek_v3": ("v3_671b", {"weight_format": "bf16"}),
    "gemma2": ("gemma2_2b", {}),
    "gpt2": ("gpt2_124m", {}),
    "gpt_neox": ("pythia_70m", {}),
    "gpt_oss": ("gpt_oss_20b", {}),
    "phi3": ("phi35_mini", {}),
    "qwen3_moe": ("qwen3_30b_a3b", {}),
}

VERSIONS = {"standard": (24, 11), "primitive": (17, 8), "ort": (24, 11)}


@cache
def model(spec: str, ops: Ops) -> Any:
    variant, overrides = MODELS[spec]
    return parsed(build(load_spec(spec, variant, **overrides), Options(ops=ops)))


def nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)


def dtypes(graph: Any) -> Iterator[tuple[str, int]]:
    """The dtype of every value whose graph says it."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name, value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        yield tensor.name, tensor.data_type
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from dtypes(attribute.g)
            if node.op_type == "Constant":
                yield node.output[0], attribute.t.data_type


def text(dtype: int) -> str:
    """A dtype as operators' schemas spell it: `tensor(float)`."""
    return f"tensor({onnx.helper.tensor_dtype_to_string(dtype).rpartition('.')[2].lower()})"


def refused(model: Any, opset: int) -> Iterator[str]:
    """The operators that an opset lacks, or has without the dtype that they are given.

    What follows an operator beyond the standard has no dtype that inference knows.
    """
    known = dict(dtypes(onnx.shape_inference.infer_shapes(model).graph))
    for node in nodes(model.graph):
        if node.domain:
            continue
        if not onnx.defs.has(node.op_type, opset):
            yield node.op_type
            continue
        schema = onnx.defs.get_schema(node.op_type, opset)
        if schema.deprecated or any(a.name not in schema.attributes for a in node.attribute):
            yield f"{node.op_type} with {[a.name for a in node.attribute]}"
        if len(node.input) > schema.max_input:
            yield f"{node.op_type} of {len(node.input)} inputs"
            continue
        for formal, names in ((schema.inputs, node.input), (schema.outputs, node.output)):
            for position, name in enumerate(names):
                wanted = formal[min(position, len(formal) - 1)].types
                if name in known and text(known[name]).replace("float32", "float") not in wanted:
                    yield f"{node.op_type} of {text(known[name])}"


@pytest.mark.slow
@pytest.mark.parametrize("ops", VERSIONS)
@pytest.mark.parametrize("spec", MODELS)
def test_the_opset_has_every_operator_and_its_dtypes(spec: str, ops: Ops) -> None:
    found = model(spec, ops)
    versions = {entry.domain: entry.version for entry in found.opset_import}
    assert (versions[""], found.ir_version) == VERSIONS[ops]
    assert sorted(set(refused(found, versions[""]))) == []
    onnx.checker.check_model(found, full_check=True)
    onnx.shape_inference.infer_shapes(found, strict_mode=True, data_prop=True)


def test_the_check_above_finds_what_an_older_opset_lacks() -> None:
    newer = parsed(build(load_spec("deepseek_v3", **SIZES, weight_format="bf16")))
    assert {"Attention", "RMSNormalization", "RotaryEmbedding"} <= set(refused(newer, 17))
    assert "ReduceMax of 2 inputs" in set(refused(newer, 17))
    assert "ReduceMax of tensor(bool)" in set(refused(newer, 18))


@pytest.mark.slow
@pytest.mark.parametrize("spec", MODELS)
def test_a_body_that_equals_an_operator_is_that_operator(spec: str) -> None:
    operators = {"RMSNormalization", "LayerNormalization", "RotaryEmbedding", "Attention", "Gelu"}
    expected = {
        "deepseek_v3": {"RMSNormalization", "RotaryEmbedding", "Attention"},
        "gemma2": {"RotaryEmbedding", "Gelu"},  # a gain of 1 + weight, capped scores
        "gpt2": {"LayerNormalization", "Attention", "Gelu"},
        "gpt_neox": {"LayerNormalization", "RotaryEmbedding", "Attention", "Gelu"},
        "gpt_oss": {"RMSNormalization", "RotaryEmbedding"},  # sinks
        "phi3": {"RMSNormalization", "RotaryEmbedding", "Attention"},
        "qwen3_moe": {"RMSNormalization", "RotaryEmbedding", "Attention"},
    }
    used = {node.op_type for node in nodes(model(spec, "standard").graph)}
    assert used & operators == expected[spec]
    assert not operators & {node.op_type for node in nodes(model(spec, "primitive").graph)}


def test_a_dtype_that_the_level_lacks_is_a_clear_error() -> None:
    with pytest.raises(SpecError) as caught:
        build(load_spec("deepseek_v3", "v3_671b"), Options(ops="primitive"))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0905"
    assert "q_a_proj.weight` is f8e4m3, which opset 17 lacks" in diagnostic.message
    assert "use `--ops standard`, or store it otherwise" in diagnostic.message


@pytest.mark.slow
@pytest.mark.parametrize("ops", ["primitive", "ort"])
def test_bf16_weights_are_cast(ops: Ops, tmp_path: Path) -> None:
    table = load_spec("deepseek_v3", **SIZES, weight_format="bf16")
    weights = random_weights(build(table), 3)
    tokens = np.random.default_rng(2).integers(0, 96, (2, 17))
    found = []
    for level in (ops, "standard"):
        data = build(table, Options(ops=level))
        found.append(Session.open(fill(data, weights, tmp_path), batch=2)(tokens))
    assert np.abs(found[1]).max() > 1
    assert np.abs(found[0] - found[1]).max() <= 2e-5
