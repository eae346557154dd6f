"""What `build` writes opens as it is: onnx checks and loads it, onnxruntime makes a session of it.

Nothing is put beside the file and nothing done to it.  Weights that are inputs cost a graph
nothing, so that shipped tables are built at the size of the released models.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import specgen
from specgen.backends.onnx import emit
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import DEFAULT, Experts, OnnxForm, Options, OptionsError
from specgen.frontend.load import check_file, load_program
from specgen.ir.model import Program
from tests.families import ONE_EACH, VARIANTS
from tests.onnx.checkpoints import held, random_weights, write_file
from tests.onnx.references import Override, load_spec
from tests.onnx.session import fill, onnx, ort, parsed, released, weights_of
from tests.onnx.test_runtimes import with_scales
from tests.onnx.test_storage import SIZES
from tests.references import REPOSITORY

HERE = Path(__file__).parent

#: Every form of a graph and every way to hold experts.
FORMS = [Options(onnx_form=f, experts=e) for f, e in product(get_args(OnnxForm), get_args(Experts))]

LLAMA: dict[str, Override] = {
    "vocab_size": 64,
    "dim": 16,
    "inter_dim": 8,
    "n_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 1,
}


def opens(path: Path) -> set[str]:
    """The inputs of the session; without its optimiser, which has tests of its own."""
    onnx.checker.check_model(path, full_check=True)
    loaded = onnx.load(path)
    quick = ort.SessionOptions()
    quick.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, quick, providers=["CPUExecutionProvider"])
    inputs = {value.name for value in session.get_inputs()}
    assert inputs == {value.name for value in loaded.graph.input}
    return inputs


@pytest.mark.slow
@pytest.mark.parametrize("spec", sorted(set(VARIANTS.values())))
def test_every_released_model_opens_as_it_is(spec: str, tmp_path: Path) -> None:
    """At full size, from the folder that a build without any option writes."""
    table, _, variant = spec.partition("@")
    folder = specgen.load(table, variant=variant).build(tmp_path, targets=["onnx"])
    assert {path.name for path in folder.iterdir()} == {"model.onnx", "manifest.json"}
    assert opens(folder / "model.onnx") >= {"input_ids", "attention_mask", "position_ids"}


@pytest.mark.parametrize("options", FORMS, ids=lambda o: f"{o.form}-{o.experts}")
@pytest.mark.parametrize("table", ["unusual", "mixtures", "alternatives"])
def test_every_form_opens_as_it_is(table: str, options: Options, tmp_path: Path) -> None:
    for name, content in emit(load_program(HERE / f"{table}.dsv3"), options).items():
        (tmp_path / name).write_bytes(content)  # type: ignore[arg-type]
    opens(tmp_path / "model.onnx")


# ---- inputs in place of initializers, and nothing else ------------------------------------


def same_but_for_the_place_of_weights(program: Program, options: Options) -> None:
    inputs = parsed(build(program, options))
    reference = parsed(build(program, replace(options, weights="reference")))
    weights, held_beside = weights_of(inputs), weights_of(reference)
    assert weights
    assert not inputs.graph.initializer
    assert [(t.name, *t.dims, t.data_type) for t in weights] == [
        (t.name, *t.dims, t.data_type) for t in held_beside
    ]
    others = inputs.graph.input[: -len(weights)]
    assert list(others) == list(reference.graph.input)
    marks = [[*value.metadata_props] for value in inputs.graph.input[-len(weights) :]]
    assert marks == [[*tensor.metadata_props] for tensor in held_beside]
    del inputs.graph.input[:], reference.graph.input[:], reference.graph.initializer[:]
    (counted,) = [e for e in inputs.metadata_props if e.key == "weight_inputs"]
    assert counted.value == str(len(weights))
    inputs.metadata_props.remove(counted)
    assert inputs == reference


@pytest.mark.parametrize("options", FORMS, ids=lambda o: f"{o.form}-{o.experts}")
@pytest.mark.parametrize("table", ["unusual", "mixtures", "alternatives"])
def test_only_the_place_of_weights_differs(table: str, options: Options) -> None:
    same_but_for_the_place_of_weights(load_program(HERE / f"{table}.dsv3"), options)


@pytest.mark.slow
@pytest.mark.parametrize("ops", ["standard", "ort"])
@pytest.mark.parametrize("form", get_args(OnnxForm))
@pytest.mark.parametrize("spec", ONE_EACH)
def test_only_the_place_of_weights_differs_in_shipped_tables(
    spec: str, form: OnnxForm, ops: Any
) -> None:
    table, _, variant = spec.partition("@")
    same_but_for_the_place_of_weights(load_spec(table, variant), Options(onnx_form=form, ops=ops))


# ---- names, whatever a checkpoint calls its tensors ---------------------------------------

#: What inputs and outputs are called, or what weights are that would be called so.
NAMES = ("x", "y", "z", "weight.x", "past_key_values.0.key", "present.0.key", "result", "a")

SCALED = """language 1
model scaled "Scaled" {{
  params {{ dim : size = 4 }}
  dtypes {{ maps = f32 arrays = f32 activations = f32 }}
  tensors {{ {a} : [dim]  {b} : [dim] }}
  names hf {{ {a} -> "{first}"  {b} -> "{second}" }}
  forward(x: [B, S, dim]) -> (y: [B, S, dim]) {{ return x * {a} + {b} }}
}}
"""


@pytest.mark.parametrize("form", get_args(OnnxForm))
@settings(max_examples=12, deadline=None)
@given(
    rows=st.lists(st.sampled_from(("a", "y", "b", "z")), min_size=2, max_size=2, unique=True),
    names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True),
)
@example(rows=["a", "b"], names=["x", "y"])
@example(rows=["y", "b"], names=["a", "weight.x"])
def test_a_name_is_one_value_s_whatever_tensors_are_called(
    form: OnnxForm, rows: list[str], names: list[str]
) -> None:
    (a, b), (first, second) = rows, names
    weights = {first: np.full(4, 2, np.float32), second: np.arange(4, dtype=np.float32)}
    x = np.ones((1, 3, 4), np.float32)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scaled.dsv3"
        path.write_text(SCALED.format(a=a, b=b, first=first, second=second), encoding="utf-8")
        assert not check_file(path).all
        data = build(load_program(path), Options(onnx_form=form))
        (Path(folder) / "open.onnx").write_bytes(data)
        assert len(opens(Path(folder) / "open.onnx")) == 3
        held_beside = {name for each in released(parsed(data)).values() for name in each}
        assert held_beside == {first, second}
        session = ort.InferenceSession(fill(data, weights, Path(folder)))
        assert [value.name for value in session.get_inputs()] == ["x"]
        (found,) = session.run(["y"], {"x": x})
    np.testing.assert_array_equal(found, x * weights[first] + weights[second])


# ---- the choice, and what is said of it ---------------------------------------------------


def test_weights_are_inputs_without_a_checkpoint_and_its_files_with_one(tmp_path: Path) -> None:
    assert DEFAULT.weights == "none"
    assert Options(weights="none") == DEFAULT
    assert not DEFAULT.given()
    beside = Options(checkpoint=tmp_path)
    assert beside == Options(weights="reference", checkpoint=tmp_path)
    assert beside.given() == {"checkpoint": True}
    assert Options(weights="reference").given() == {"weights": "reference"}
    with pytest.raises(OptionsError, match="come from no checkpoint"):
        Options(weights="none", checkpoint=tmp_path)


def session_of(folder: Path, manifest: str = "manifest.json") -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / manifest).read_text())["session"]
    return found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(), "the checkpoint's names: it opens as it is"),
        (Options(experts="released", onnx_form="functions"), "the checkpoint's names: it opens as it is"),
        (Options(onnx_form="functions"), "their places in the table: it opens as it is"),
        (Options(weights="reference"), "in model.onnx.data beside it"),
        (Options(weights="reference", experts="released"), "in w/0, ... beside it"),
    ],
    ids=lambda value: "-".join(map(str, value.given().values())) if isinstance(value, Options) else "",
)  # fmt: skip
def test_the_manifest_says_where_the_weights_are(
    options: Options, words: str, tmp_path: Path
) -> None:
    folder = specgen.load("llama", **LLAMA).build(tmp_path, targets=["onnx"], onnx=options)
    said = session_of(folder)
    assert said["file"] == "model.onnx"
    assert words in said["weights"]
    assert ("opens as it is" in said["weights"]) == (options.weights == "none")


def test_the_manifest_names_no_session_without_a_graph(tmp_path: Path) -> None:
    folder = specgen.load("llama", **LLAMA).build(tmp_path, targets=["formulas"])
    assert "session" not in json.loads((folder / "manifest.json").read_text())


def test_the_command_of_the_manifest_leads_to_a_session_with_weights(tmp_path: Path) -> None:
    """It is run as it stands; the graph that it writes opens, and needs no further input."""
    from specgen.cli.main import main

    folder = specgen.load("llama", variant="llama3_8b", **LLAMA).build(tmp_path, targets=["onnx"])
    checkpoint = tmp_path / "released model"
    checkpoint.mkdir()
    weights = random_weights((folder / "model.onnx").read_bytes(), 1)
    tensors = {name: held(array, "BF16") for name, array in weights.items()}
    write_file(checkpoint / "model.safetensors", tensors)
    program, *arguments = shlex.split(session_of(folder)["with_checkpoint"])
    assert program == "specgen"
    assert main([str(checkpoint) if a == "FOLDER" else a for a in arguments]) == 0
    assert not opens(checkpoint / "model.onnx") & weights.keys()
    said = session_of(checkpoint, "model.onnx.manifest.json")
    assert said == {
        "file": "model.onnx",
        "weights": "in the checkpoint's files beside it: it opens as it is",
    }


@pytest.mark.parametrize(
    ("table", "given"),
    [
        ("qwen3_moe@qwen3_30b_a3b", {"mlp_only_layers": [1], "n_layers": 3, "rope_theta": 1e-7}),
        ("deepseek_v3", {**SIZES, "weight_format": "bf16", "gate_bias": False, "rope_scaling": "none"}),
        ("llama", {}),
    ],
)  # fmt: skip
def test_the_command_of_the_manifest_means_the_table_that_was_built(
    table: str, given: dict[str, Any], tmp_path: Path
) -> None:
    """Lists, numbers, choices and flags: another build by its words gives the same graph."""
    from specgen.cli.main import main

    name, _, variant = table.partition("@")
    model = specgen.load(name, variant=variant or None, **given)
    folder = model.build(tmp_path / "first", targets=["onnx"])
    arguments = shlex.split(session_of(folder)["with_checkpoint"])[1:-2]
    again = [*arguments, "--target", "onnx", "-o", str(tmp_path / "second")]
    assert main(again) == 0
    place = folder.relative_to(tmp_path / "first") / "model.onnx"
    assert (tmp_path / "second" / place).read_bytes() == (folder / "model.onnx").read_bytes()


# ---- from the file to a session, as docs/onnx.md has it -----------------------------------

#: Tables with one tensor for each weight, with stacks of experts, and with stacks in 8 bits.
DOCUMENTED: dict[str, tuple[str, dict[str, Override]]] = {
    "llama": ("llama", LLAMA),
    "experts": ("deepseek_v3", {**SIZES, "weight_format": "bf16"}),
    "experts in 8 bits": ("deepseek_v3", SIZES),
}


def steps_to_a_session() -> tuple[str, str, str]:
    """The blocks of the page: over a checkpoint, with weights of one's own, and a call."""
    page = (REPOSITORY / "docs" / "onnx.md").read_text(encoding="utf-8")
    section = page.partition("## From the file to a session")[2].partition("\n## ")[0]
    beside, own, call = re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.M)
    return beside, own, call


@pytest.mark.slow
@pytest.mark.parametrize("kind", DOCUMENTED)
def test_the_documented_ways_to_a_session_give_the_logits_of_model_py(
    kind: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.numeric.generated import imported

    spec, sizes = DOCUMENTED[kind]
    table = specgen.load(spec, **sizes)
    built = table.build(tmp_path / "generated", targets=["onnx"])
    data = (built / "model.onnx").read_bytes()
    dtypes = {t.name: t.dtype for t in table.tensors("hf")}
    halves = {"bf16": "BF16"}
    folder = tmp_path / "released"
    folder.mkdir()
    tensors = {
        name: held(array, halves.get(dtypes[name], "F32"))
        for name, array in with_scales(random_weights(data, 1)).items()
    }
    write_file(folder / "model.safetensors", tensors)
    table.build(tmp_path, onnx=Options(checkpoint=folder))

    module = imported(table.program, tmp_path)
    model = module.Model(module.Config())
    model.load_checkpoint(folder)
    with torch.no_grad():
        expected = model.float()(torch.tensor([[1, 2, 3]])).numpy()
    assert np.abs(expected).max() > 0.1

    beside, own, call = steps_to_a_session()
    for block in (beside, own):
        assert '"llama3' in block
        code = block.replace("llama3/model.onnx", (folder / "model.onnx").as_posix())
        code = code.replace("generated/llama/llama3_8b", built.as_posix())
        code = code.replace('"llama3"', repr(folder.as_posix()))
        names: dict[str, Any] = {}
        exec(code + call, names)
        assert len(names["weights"]) == (0 if block == beside else len(weights_of(parsed(data))))
        assert np.abs(names["logits"].numpy() - expected).max() <= 2e-5


# ---- inputs of any forward ----------------------------------------------------------------


def described(value: Any) -> str:
    """Name, dtype and dims of an input or output, as the page writes them."""
    tensor = value.type.tensor_type
    dtype = {1: "f32", 7: "i64", 9: "bool"}[tensor.elem_type]
    dims = ", ".join(d.dim_param or str(d.dim_value) for d in tensor.shape.dim)
    return f"`{value.name}` {dtype} [{dims}]"


def test_the_page_shows_the_inputs_that_graphs_have(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "onnx.md").read_text(encoding="utf-8")
    section = page.partition("## Inputs and outputs")[2].partition("\n## ")[0]
    tables = re.findall(r"^```dsv3\n(.*?)^```", section, re.DOTALL | re.M)
    assert len(tables) == 3
    lines = []
    for number, text in enumerate(tables):
        path = tmp_path / f"t{number}.dsv3"
        path.write_text(text, encoding="utf-8")
        assert not check_file(path).all
        folder = specgen.load(path).build(tmp_path / "built")
        model = onnx.load(folder / "model.onnx")
        inputs = model.graph.input[: -len(weights_of(model))]
        shown = ("; ".join(map(described, values)) for values in (inputs, model.graph.output))
        lines.append(f"| `{model.graph.name}` | {' | '.join(shown)} |")
        opens(folder / "model.onnx")
    assert "\n".join(lines) in section
