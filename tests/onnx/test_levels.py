"""What each level of operators promises: versions, operators, and dtypes that they take."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import OPSETS, Ops, Options
from specgen.backends.refusal import Refusal
from specgen.diagnostics.diagnostic import SpecError
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import Override, in_f32, load_spec
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

MIXTURES = ("deepseek_v3", "gpt_oss", "qwen3_moe")

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


#: Each operator that may stand for a body, and the opset from which on it does.
BODIES = {"LayerNormalization": 17, "Gelu": 20, "Attention": 23}

GPT2: dict[str, Override] = {
    "vocab_size": 96, "dim": 48, "n_layers": 2, "n_heads": 4, "max_seq_len": 64,
}  # fmt: skip


@pytest.mark.parametrize(
    "opset",
    [n if n in (13, 17, 23) else pytest.param(n, marks=pytest.mark.slow) for n in OPSETS],
)
def test_a_body_is_an_operator_where_the_opset_has_it(opset: int, tmp_path: Path) -> None:
    table = in_f32(load_spec("gpt2", None, **GPT2))
    usual = build(table)
    weights = random_weights(usual, 3)
    tokens = np.random.default_rng(2).integers(0, 96, (2, 9))
    found = []
    for options in (Options(), Options(opset=opset), Options(opset=opset, ops="primitive")):
        data = build(table, options)
        session = Session.open(fill(data, weights, tmp_path), batch=2)
        found.append(np.concatenate([session(tokens[:, :6]), session(tokens[:, 6:])], axis=1))
        if options.opset is None:
            continue
        graph = parsed(data)
        assert {entry.domain: entry.version for entry in graph.opset_import} == {"": opset}
        assert sorted(set(refused(graph, opset))) == []
        onnx.checker.check_model(graph, full_check=True)
        used = {node.op_type for node in nodes(graph.graph)} & BODIES.keys()
        known = {op for op, since in BODIES.items() if since <= opset}
        assert used == (set() if options.ops == "primitive" else known)
    assert np.abs(found[1] - found[0]).max() <= 2e-5
    assert np.abs(found[2] - found[0]).max() <= 2e-5


@pytest.mark.parametrize("opset", [13, 17, 23])
def test_functions_at_older_opsets(opset: int, tmp_path: Path) -> None:
    """A file has functions of its own from IR 8 on, which is later than opset 13."""
    table = in_f32(load_spec("gpt2", None, **GPT2))
    weights = random_weights(build(table), 3)
    tokens = np.random.default_rng(2).integers(0, 96, (2, 9))
    data = build(table, Options(opset=opset, onnx_form="functions"))
    onnx.checker.check_model(parsed(data), full_check=True)
    found = Session.open(fill(data, weights, tmp_path), batch=2)(tokens)
    expected = Session.open(fill(build(table), weights, tmp_path), batch=2)(tokens)
    assert np.abs(found - expected).max() <= 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("spec", MODELS)
def test_released_models_at_every_opset(spec: str, opset: int) -> None:
    variant, overrides = MODELS[spec]
    for ops in ("standard", "primitive"):
        program, options = load_spec(spec, variant, **overrides), Options(ops=ops, opset=opset)
        if opset < 16 and spec in MIXTURES:  # it adds up what tokens get
            with pytest.raises(Refusal, match="needs the reduction of ScatterND"):
                build(program, options)
            continue
        graph = parsed(build(program, options))
        assert sorted(set(refused(graph, opset))) == []
        onnx.checker.check_model(graph, full_check=True)


@pytest.mark.parametrize("opset", [13, 18])
def test_an_opset_that_lacks_a_dtype_is_refused_by_the_name_of_the_row(opset: int) -> None:
    with pytest.raises(SpecError) as caught:
        build(load_spec("deepseek_v3", "v3_671b"), Options(opset=opset))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0905"
    assert f"q_a_proj.weight` is f8e4m3, which opset {opset} lacks" in diagnostic.message
    assert "use `--opset 19`" in diagnostic.message


def test_an_opset_that_lacks_an_operator_is_refused_by_the_name_of_the_row() -> None:
    with pytest.raises(Refusal) as caught:
        build(load_spec("deepseek_v3", None, **SIZES, weight_format="bf16"), Options(opset=15))
    (diagnostic,) = caught.value.diagnostics
    assert "experts.added` needs the reduction of ScatterND, which opset 15" in diagnostic.message
    assert caught.value.site is not None


@pytest.mark.parametrize("ops", VERSIONS)
def test_ids_in_32_bits_are_cast_once(ops: Ops, tmp_path: Path) -> None:
    table = in_f32(load_spec("gpt2", None, **GPT2))
    graph = parsed(build(table, Options(index="i32", ops=ops)))
    usual = parsed(build(table, Options(ops=ops)))
    inputs = ("input_ids", "attention_mask", "position_ids")
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.graph.input}
    assert {kinds[name] for name in inputs} == {onnx.TensorProto.INT32}
    casts = [n for n in nodes(graph.graph) if n.op_type == "Cast" and n.input[0] in inputs]
    assert len(casts) == 3
    assert len(graph.graph.node) <= len(usual.graph.node) + 2  # the mask is cast anyway
    weights, tokens = random_weights(build(table), 3), np.arange(12).reshape(2, 6)
    session = Session.open(fill(graph.SerializeToString(), weights, tmp_path), batch=2)
    other = Session.open(fill(usual.SerializeToString(), weights, tmp_path), batch=2)
    given = {name: np.ones((2, 6), np.int32) for name in inputs}
    given["input_ids"] = tokens.astype(np.int32)
    (found,) = session.session.run(["logits"], {**given, **session.cache})
    wide = {name: array.astype(np.int64) for name, array in given.items()}
    (expected,) = other.session.run(["logits"], {**wide, **other.cache})
    assert np.array_equal(found, expected)


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
