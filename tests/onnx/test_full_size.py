"""The graphs of released models at full size: counts, names, layout, checks, bytes."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest

from specgen.backends.onnx import emit
from specgen.backends.onnx.build import build, checked
from specgen.backends.onnx.graph import MOVES
from specgen.backends.onnx.options import FLOWLESS, Experts, OnnxForm, Ops, Options
from specgen.backends.onnx.proto import serialize
from specgen.diagnostics.diagnostic import SpecError
from tests.onnx.references import in_f32, load_spec
from tests.onnx.session import FLOW, onnx, operators, parsed, weights_of

PARAMETERS = {
    ("deepseek_v3", "v3_671b"): 671_026_419_200,
    ("deepseek_v3", "v3_671b_mtp"): 682_636_487_424,
    ("deepseek_v3", "v2_lite_16b"): 15_706_484_224,
    ("llama", "llama3_8b"): 8_030_261_248,
    ("llama", "llama32_1b"): 1_235_814_400,
    ("cohere2", "command_r7b"): 8_028_033_024,
    ("glm4_moe", "glm45_air"): 106_852_251_264,
    ("gpt_oss", "gpt_oss_20b"): 20_914_757_184,
    ("qwen2_moe", "qwen15_moe_a2b7"): 14_315_784_192,
}

V3 = ("deepseek_v3", "v3_671b")

#: Opens a graph and prints the peak of resident memory in kilobytes; `getrusage` would count
#: what this process had when it started the other.
OPEN = """
import sys
import onnxruntime
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
options.add_session_config_entry("session.disable_prepacking", "1")
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""

pytestmark = pytest.mark.slow


FORMS = pytest.mark.parametrize("form", ["flat", "functions"])


@cache
def model(spec: str, variant: str, form: OnnxForm = "flat") -> Any:
    return parsed(build(load_spec(spec, variant), Options(onnx_form=form)))


@cache
def referring(form: OnnxForm) -> Any:
    """The largest model with its weights in a file beside it."""
    return parsed(build(load_spec(*V3), Options(onnx_form=form, weights="reference")))


def entries(message: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in message}


def nodes(graph: Any) -> list[Any]:
    """Every node, those of bodies included."""
    found = []
    for node in graph.node:
        found.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found += nodes(attribute.g)
    return found


@pytest.mark.parametrize(("spec", "variant"), PARAMETERS)
def test_weights_are_the_parameters(spec: str, variant: str) -> None:
    tensors = [t for t in weights_of(model(spec, variant)) if not t.name.endswith("_scale_inv")]
    assert sum(prod(t.dims) for t in tensors) == PARAMETERS[spec, variant]
    assert entries(model(spec, variant).metadata_props)["parameters"] == str(
        PARAMETERS[spec, variant]
    )


def test_weights_have_released_names() -> None:
    tensors = {t.name: t for t in weights_of(model(*V3))}
    wq_a = tensors["model.layers.60.self_attn.q_a_proj.weight"]
    assert (list(wq_a.dims), wq_a.data_type) == ([1536, 7168], onnx.TensorProto.FLOAT8E4M3FN)
    stack = tensors["model.layers.3.mlp.experts.{e}.gate_proj.weight"]
    assert list(stack.dims) == [256, 2048, 7168]
    scale = tensors["model.layers.3.mlp.experts.{e}.gate_proj.weight_scale_inv"]
    assert (list(scale.dims), scale.data_type) == ([256, 16, 56], onnx.TensorProto.FLOAT)
    assert tensors["lm_head.weight"].data_type == onnx.TensorProto.BFLOAT16


def test_a_tied_head_is_the_embedding() -> None:
    names = [t.name for t in weights_of(model("llama", "llama32_1b"))]
    assert "model.embed_tokens.weight" in names
    assert "lm_head.weight" not in names


def test_the_data_file_is_laid_out_without_overlap() -> None:
    end = 0
    for tensor in referring("flat").graph.initializer:
        place = entries(tensor.external_data)
        size = {onnx.TensorProto.FLOAT: 4, onnx.TensorProto.BFLOAT16: 2}.get(tensor.data_type, 1)
        assert place["location"] == "model.onnx.data"
        assert int(place["length"]) == size * prod(tensor.dims)
        assert int(place["offset"]) % 4096 == 0
        assert end <= int(place["offset"]) < end + 4096
        end = int(place["offset"]) + int(place["length"])


def test_inputs_and_outputs_are_the_contract() -> None:
    def shape(value: Any) -> list[str | int]:
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    graph, weights = model(*V3).graph, weights_of(model(*V3))
    inputs = {value.name: shape(value) for value in graph.input[: -len(weights)]}
    outputs = {value.name: shape(value) for value in graph.output}
    assert list(inputs)[:3] == ["input_ids", "attention_mask", "position_ids"]
    assert inputs["input_ids"] == inputs["position_ids"] == ["batch", "sequence"]
    assert inputs["attention_mask"] == ["batch", "total"]
    assert inputs["past_key_values.60.latent"] == ["batch", "past", 512 + 64]
    assert outputs["logits"] == ["batch", "sequence", 129280]
    assert outputs["present.0.latent"] == ["batch", "total", 512 + 64]
    assert len(inputs) == 3 + 61
    assert len(outputs) == 1 + 61
    llama = {value.name: shape(value) for value in model("llama", "llama3_8b").graph.input}
    assert llama["past_key_values.31.key"] == ["batch", "past", 8, 128]
    assert llama["past_key_values.31.value"] == ["batch", "past", 8, 128]


@FORMS
@pytest.mark.parametrize(("spec", "variant"), PARAMETERS)
def test_checker_and_strict_inference(spec: str, variant: str, form: OnnxForm) -> None:
    whole = model(spec, variant, form)
    onnx.checker.check_model(whole, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)
    logits = inferred.graph.output[0]
    dims = [d.dim_param or d.dim_value for d in logits.type.tensor_type.shape.dim]
    assert logits.name == "logits"
    assert dims[:2] == ["batch", "sequence"]


@pytest.mark.parametrize(("form", "layers"), [("functions", 61), ("flat", 8)])
def test_strict_inference_of_released_experts(form: OnnxForm, layers: int) -> None:
    """Flat, 8 layers take 2 s, 16 take 12, and 61 do not end: onnx looks at every If again."""
    program = load_spec(*V3, n_layers=layers)
    whole = parsed(build(program, Options(onnx_form=form, experts="released")))
    onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)


@pytest.mark.parametrize(("spec", "variant"), PARAMETERS)
def test_dims_that_the_compiler_worked_out(spec: str, variant: str) -> None:
    """With all of them in the file, strict inference finds no other."""
    found = checked(load_spec(spec, variant), Options())
    values = frozenset(name for node in found.nodes for name in node.outputs)
    whole = parsed(serialize(replace(found, landmarks=values - {e.name for e in found.outputs})))
    assert len(whole.graph.value_info) > 5 * len(tuple(found.given)) / 2
    onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)


def test_the_shapes_follow_from_the_inputs_alone() -> None:
    """Without the value infos that the compiler wrote, inference finds the same logits."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model(*V3))
    graphs = [bare.graph]
    for graph in graphs:
        graphs += [a.g for node in graph.node for a in node.attribute if a.HasField("g")]
        del graph.value_info[:]
    bare.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
    dims = inferred.graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch", "sequence", 129280]


def test_only_standard_operators_of_opset_24() -> None:
    whole = model(*V3)
    assert [(o.domain, o.version) for o in whole.opset_import] == [("", 24)]
    assert whole.ir_version == 11
    assert {node.domain for node in nodes(whole.graph)} == {""}
    assert not whole.functions


def test_no_cast_where_everything_is_f32() -> None:
    graph = parsed(build(in_f32(load_spec("llama", "llama32_1b", n_layers=2))))
    inferred = onnx.shape_inference.infer_shapes(graph).graph
    values = [*inferred.input, *inferred.value_info, *inferred.initializer]
    floats = {v.name for v in values if getattr(v, "data_type", None) == 1 or is_float(v)}
    casts = [node for node in nodes(inferred) if node.op_type == "Cast"]
    assert casts
    assert not [node.output[0] for node in casts if node.input[0] in floats]


def is_float(value: Any) -> bool:
    return hasattr(value, "type") and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_node_names_say_the_place_in_the_table() -> None:
    """A node that only moves or prepares values has none."""
    named = [node for node in nodes(model(*V3).graph) if node.name]
    by_name = {node.name: node for node in named}
    assert len(by_name) == len(named)
    assert {node.op_type for node in named}.isdisjoint(MOVES)
    assert by_name["layers.3.attn.wq_a"].op_type == "Gemm"
    assert by_name["layers.3.attn.q_norm"].op_type == "RMSNormalization"
    assert by_name["layers.60.ffn.experts"].op_type == "Scan"


def test_layers_say_their_dims() -> None:
    """The other values have numbers for names, and dims that inference finds."""
    infos = {value.name: value for value in model(*V3).graph.value_info}
    assert list(infos) == [f"layers.{layer}" for layer in range(61)]
    dims = infos["layers.7"].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == ["batch*sequence", 7168]


@pytest.mark.parametrize(
    ("variant", "options", "limit"),
    [
        ("v3_671b", Options(), 700_000),
        ("v3_671b_mtp", Options(), 700_000),
        ("v3_671b", Options(onnx_form="functions"), 300_000),
        ("v3_671b_mtp", Options(onnx_form="functions"), 300_000),
        *(
            (
                "v3_671b",
                Options(onnx_form="functions", experts="released", weights=weights),
                13_000_000,
            )
            for weights in ("none", "reference")
        ),
        ("v3_671b", Options(weights="reference"), 700_000),
    ],
)
def test_size_and_determinism(variant: str, options: Options, limit: int) -> None:
    data = build(load_spec("deepseek_v3", variant), options)
    assert len(data) <= limit
    assert build(load_spec("deepseek_v3", variant), options) == data
    assert str(Path(__file__).parents[2]).encode() not in data
    assert b"specgen_version" in data


@FORMS
def test_the_largest_model_is_built_within_two_seconds(form: OnnxForm) -> None:
    """Of the CPU, the table read and checked: the graph that `build` writes, and its bytes."""
    taken = []
    for _ in range(3):
        start = time.process_time()
        data = build(load_spec(*V3), Options(onnx_form=form))
        taken.append(time.process_time() - start)
    assert min(taken) <= 2
    assert len(data) <= 700_000


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("ops", ["standard", "ort"])
@pytest.mark.parametrize("experts", FLOWLESS)
@FORMS
def test_the_largest_mixture_without_control_flow(
    form: OnnxForm, experts: Experts, ops: Ops, level: str, tmp_path: Path
) -> None:
    """Within the same limits; onnx checks it, infers its dims, and onnxruntime opens it."""
    options = Options(onnx_form=form, experts=experts, ops=ops, form="absorbed")
    start = time.process_time()
    data = build(load_spec(*V3), options)
    assert time.process_time() - start <= 2
    assert len(data) <= (700_000 if form == "flat" else 300_000)
    assert not operators(data) & FLOW
    (path := tmp_path / "model.onnx").write_bytes(data)
    onnx.checker.check_model(path, full_check=True)
    whole = parsed(data)
    onnx.shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True)
    weights = {t.name: t.data_type for t in weights_of(whole)}
    assert weights.keys() == {t.name for t in weights_of(model(*V3, form))}
    stacks = {kind for name, kind in weights.items() if ".experts." in name and "scale" not in name}
    narrow = {"dense": onnx.TensorProto.FLOAT8E4M3FN, "gathered": onnx.TensorProto.UINT8}
    assert stacks == {narrow[experts]}
    ort = pytest.importorskip("onnxruntime")
    settings = ort.SessionOptions()
    settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def test_released_tensors_are_files_of_their_own() -> None:
    """Names and dtypes are the checkpoint's, and each file is a tensor and nothing else."""
    options = Options(onnx_form="functions", experts="released", weights="reference")
    found = parsed(build(load_spec(*V3, n_layers=5), options)).graph.initializer
    names = {tensor.name: tensor.data_type for tensor in found}
    expert = "model.layers.4.mlp.experts.255.down_proj.weight"
    assert names[expert] == onnx.TensorProto.FLOAT8E4M3FN
    assert names[f"{expert}_scale_inv"] == onnx.TensorProto.FLOAT
    places = [entries(tensor.external_data) for tensor in found]
    assert {key for place in places for key in place} == {"location"}
    assert len({place["location"].lower() for place in places}) == len(places)


@FORMS
def test_a_session_opens_within_200_megabytes(form: OnnxForm, tmp_path: Path) -> None:
    """Over a sparse file of 0.7 TB without folding, which would read it; and as it is built."""
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc to ask for the peak of memory")
    whole = referring(form)
    (tmp_path / "model.onnx").write_bytes(whole.SerializeToString())
    places = [entries(tensor.external_data) for tensor in whole.graph.initializer]
    size = max(int(place["offset"]) + int(place["length"]) for place in places)
    with (tmp_path / "model.onnx.data").open("wb") as file:
        try:
            file.truncate(size)
        except OSError:
            pytest.skip(f"no sparse file of {size:,} bytes here")
    inputs = tmp_path / "inputs.onnx"
    inputs.write_bytes(model(*V3, form).SerializeToString())
    for path in (tmp_path / "model.onnx", inputs):
        found = subprocess.run(
            [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True
        )
        assert int(found.stdout) <= 200_000  # kilobytes: all of the process at its largest


@FORMS
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_ALL"])
def test_weights_as_inputs_open_as_they_are(form: OnnxForm, level: str, tmp_path: Path) -> None:
    """Nothing lies beside the file: onnx checks and loads it, onnxruntime makes a session."""
    ort = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    path.write_bytes(build(load_spec(*V3), Options(onnx_form=form)))
    onnx.checker.check_model(path, full_check=True)
    inputs = {value.name for value in onnx.load(path).graph.input}
    assert {t.name for t in referring(form).graph.initializer} <= inputs
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert {value.name for value in session.get_inputs()} == inputs


def test_a_pure_table_has_no_graph() -> None:
    with pytest.raises(SpecError) as caught:
        emit(load_spec("dsv3_table"))
    assert [d.code for d in caught.value.diagnostics] == ["E0903"]
