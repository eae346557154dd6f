"""onnxruntime-genai, from PyPI, generates with the graph: the tokens of the generated model.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx import Options, emit
from specgen.backends.pytorch import emit as emit_pytorch
from specgen.diagnostics.diagnostic import SpecError
from tests.onnx.checkpoints import held, random_weights, write_file
from tests.onnx.references import load_spec, reference
from tests.onnx.session import fill, onnx, parsed
from tests.onnx.test_pytorch import generated
from tests.references import needs_references, saved

PROMPT, LENGTH = 12, 40

#: genai reads weights from a file, and has no inputs for them.
REFERENCE = Options(weights="reference")

LLAMA = {"vocab_size": 64, "dim": 16, "inter_dim": 8, "n_layers": 1, "n_heads": 2, "n_kv_heads": 1}


def settings(spec: str, variant: str | None = None) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(
        emit(load_spec(spec, variant), REFERENCE)["genai_config.json"]
    )
    return loaded["model"]


@pytest.mark.slow
def test_the_settings_of_released_models() -> None:
    """A latent cache is one head: 512 + 64 numbers, in halves that genai calls key and value."""
    latent = settings("deepseek_v3", "v3_671b")
    assert (latent["type"], latent["vocab_size"]) == ("decoder", 129280)
    assert latent["context_length"] == 163840
    decoder = latent["decoder"]
    assert (decoder["num_hidden_layers"], decoder["num_key_value_heads"]) == (61, 1)
    assert decoder["head_size"] == 288
    grouped = settings("llama", "llama3_8b")["decoder"]
    assert (grouped["num_hidden_layers"], grouped["head_size"]) == (32, 8 * 128)


def test_weights_that_are_inputs_are_none_of_genais() -> None:
    assert set(emit(load_spec("llama", n_layers=1))) == {"model.onnx"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    program = load_spec("llama", **LLAMA)
    weights = random_weights(emit(program)["model.onnx"], 1)
    write_file(tmp_path / "model.safetensors", {name: held(w) for name, w in weights.items()})
    return tmp_path


def ending(folder: Path) -> Any:
    files = emit(load_spec("llama", **LLAMA), Options(checkpoint=folder))
    return json.loads(files["genai_config.json"])["model"].get("eos_token_id")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        (None, None, None),
        (None, {"vocab_size": 64}, None),
        (None, {"eos_token_id": 2}, 2),
        ({"eos_token_id": None}, {"eos_token_id": 2}, 2),
        ({"eos_token_id": [3, 63, 3]}, {"eos_token_id": 2}, [3, 63]),
        ({"eos_token_id": [0]}, None, 0),
        ({"eos_token_id": 64}, {"eos_token_id": 2}, None),  # of another vocabulary: ends nothing
        ({"eos_token_id": [999_999, 5, -1]}, None, 5),
    ],
)
def test_a_checkpoint_says_what_ends_a_text(
    generation: Any, config: Any, expected: Any, checkpoint: Path
) -> None:
    for name, content in (("generation_config", generation), ("config", config)):
        if content is not None:
            (checkpoint / f"{name}.json").write_text(json.dumps(content))
    assert ending(checkpoint) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *((f'{{"eos_token_id": {v}}}', v) for v in ("true", '"</s>"', "[]", "[1, 2.5]")),
        ("[1]", "no JSON object"),
        ("{", "no JSON object"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_what_ends_a_text_has_to_be_tokens(text: str, reason: str, checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text(text)
    with pytest.raises(SpecError) as caught:
        ending(checkpoint)
    (found,) = caught.value.diagnostics
    assert found.code == "E0906"
    assert (
        f"config.json{' is' if 'JSON' in reason else ': eos_token_id is'} {reason}" in found.message
    )


@pytest.mark.parametrize("spec", ["deepseek_v3", "llama", "gpt2", "gemma2"])
def test_the_graph_is_valid_and_has_the_caches_of_the_settings(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = emit(load_spec(spec, n_layers=4), REFERENCE)
    decoder = json.loads(files["genai_config.json"])["model"]["decoder"]
    graph = parsed(files[decoder["filename"]])
    (tmp_path / "model.onnx.data").touch()
    monkeypatch.chdir(tmp_path)
    onnx.checker.check_model(graph, full_check=True)
    onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    }
    for half in ("key", "value"):
        for layer in range(4):
            past = decoder["inputs"][f"past_{half}_names"] % layer
            present = decoder["outputs"][f"present_{half}_names"] % layer
            assert shapes[past] == ["batch", 1, "past", decoder["head_size"]]
            assert shapes[present] == ["batch", 1, "total", decoder["head_size"]]
    assert len(shapes) == 4 + 4 * 4


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, REFERENCE) for name in ("llama", "qwen3_moe", "deepseek_v3", "gpt_oss", "gemma2")]
    + [
        ("deepseek_v3", replace(REFERENCE, onnx_form="functions")),
        ("deepseek_v3", replace(REFERENCE, experts="released")),
        ("deepseek_v3", replace(REFERENCE, ops="primitive")),
    ],
    ids=lambda value: ",".join(value.given().values()) if isinstance(value, Options) else value,
)
def test_greedy_tokens_are_those_of_model_py(name: str, options: Options, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    genai = pytest.importorskip("onnxruntime_genai", reason="onnxruntime-genai is not installed")
    ours = reference(name)
    program = ours.program()
    files = emit(program, options)
    fill(files["model.onnx"], ours.weights, tmp_path)
    for file in ("model.genai.onnx", "genai_config.json"):
        (tmp_path / file).write_bytes(files[file])

    module = generated(emit_pytorch(program), tmp_path)
    model = module.Model(module.Config())
    model.load_checkpoint(saved(name))
    tokens = ours.arrays["input_ids"][:PROMPT].tolist()
    prompt = np.array([tokens], dtype=np.int32)
    margins = []
    with torch.no_grad():
        while len(tokens) < LENGTH:
            best = model(torch.tensor([tokens]))[0, -1].topk(2)
            tokens.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
    assert min(margins) > 20 * ours.tolerance, "a near tie: another prompt is needed"

    loaded = genai.Model(str(tmp_path))
    params = genai.GeneratorParams(loaded)
    params.set_search_options(max_length=LENGTH, do_sample=False)
    generator = genai.Generator(loaded, params)
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
    assert generator.get_sequence(0).tolist() == tokens
