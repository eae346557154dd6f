"""Graphs that point into a checkpoint: no byte of it is written, whatever its files are like."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import specgen
from specgen.analysis.quantities.ledger import ledger
from specgen.backends.onnx import Options, embedding, emit
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Experts
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.frontend.selection import Selection
from specgen.huggingface.comparing import compare
from specgen.huggingface.reading import overrides_from_config
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.onnx.checkpoints import Held, held, quantised, random_weights, write_file, write_shards
from tests.onnx.references import in_f32, load_spec, reference
from tests.onnx.runtimes import RUNTIMES
from tests.onnx.session import Session, fill, onnx, ort, parsed, weights_of
from tests.onnx.test_storage import SIZES
from tests.references import DECODED, REPOSITORY, SPECS, needs_references, saved

#: What goes with model.onnx for onnxruntime-genai.
GENAI = {"model.genai.onnx", "genai_config.json"}

#: Of rows that lie apart: what `--experts gathered` says.
TOO_MANY = "lies in 12 initializers, too many to gather from all: use `--weights embed`"

TOKENS = np.random.default_rng(2).integers(0, 96, (2, 17))


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def run(path: Path, tokens: np.ndarray) -> np.ndarray:
    """The logits of a prefill and four more tokens."""
    session = Session.open(path, batch=len(tokens))
    return np.concatenate([session(tokens[:, :-4]), session(tokens[:, -4:])], axis=1)


# ---- the references, as they were released -----------------------------------------------


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize("experts", get_args(Experts))
@pytest.mark.parametrize("name", DECODED)
def test_a_released_model_runs_from_its_own_file(name: str, experts: Any, tmp_path: Path) -> None:
    model = reference(name)
    (tmp_path / "model.safetensors").write_bytes((saved(name) / "model.safetensors").read_bytes())
    before = contents(tmp_path)
    spec = REPOSITORY / "specs" / f"{SPECS[name]}.dsv3"
    given = overrides_from_config(load_spec(SPECS[name]), model.config)
    onnx_options = Options(checkpoint=tmp_path, experts=experts)
    table = specgen.load(spec, **given)  # type: ignore[arg-type]
    assert table.build(tmp_path, onnx=onnx_options) == tmp_path
    after = contents(tmp_path)
    assert after.keys() - before.keys() == {"model.onnx", "model.onnx.manifest.json"} | GENAI
    assert before.items() <= after.items()
    session = Session.open(tmp_path / "model.onnx")
    logits = session(model.arrays["input_ids"][None])
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance
    for token, expected in zip(
        model.arrays["decode_tokens"], model.arrays["decode_logits"], strict=True
    ):
        assert np.abs(session(np.array([[token]]))[0, 0] - expected).max() <= model.tolerance


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize("experts", get_args(Experts))
@pytest.mark.parametrize("name", ["llama", "qwen3_moe", "gpt_oss"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_other_runtimes_follow_the_places_too(
    runtime: str, name: str, experts: str, tmp_path: Path
) -> None:
    model = reference(name)
    write_shards(tmp_path, {name: held(array) for name, array in model.weights.items()}, 3)
    given = overrides_from_config(load_spec(SPECS[name]), model.config)
    point(load_spec(SPECS[name], **given), tmp_path, experts=experts)
    session = Session.start(RUNTIMES[runtime](tmp_path / "model.onnx"))
    logits = session(model.arrays["input_ids"][None])
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance


# ---- files of every kind -----------------------------------------------------------------

SIZED = {**SIZES, "n_routed_experts": 12}


def expert(name: str) -> tuple[str, int]:
    """The name without the number of an expert, and that number."""
    before, between, after = name.partition(".experts.")
    number, _, rest = after.partition(".")
    return (f"{before}{between}{rest}", int(number)) if between else (name, -1)


#: Orders of tensors in files, and how many initializers then hold an expert's row.
LAYOUTS: Mapping[str, tuple[Callable[[str], Any], int]] = {
    "as saved, sorted by name": (lambda name: name, 1),
    "experts one by one": (lambda name: (expert(name)[1], name), 1),
    "stacks in order": (expert, 1),
    "stacks sorted by name": (lambda name: (expert(name)[0], name), 1),
    "each layer in its own way": (lambda n: expert(n) if "layers.2." in n else ("", n), 1),
    "in no order": (lambda name: hashlib.sha256(name.encode()).hexdigest(), 12),
}


def layout(tensors: Mapping[str, Held], order: str) -> dict[str, Held]:
    return {name: tensors[name] for name in sorted(tensors, key=LAYOUTS[order][0])}


@pytest.fixture(scope="module")
def table() -> Program:
    return load_spec("deepseek_v3", **SIZED, weight_format="bf16")


@pytest.fixture(scope="module")
def values(table: Program) -> dict[str, np.ndarray]:
    """Random weights that bf16 holds exactly."""
    found = random_weights(build(in_f32(table)), 3)
    return {n: ((v.view(np.uint32) >> 16) << 16).view(np.float32) for n, v in found.items()}


@pytest.fixture(scope="module")
def expected(
    table: Program, values: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    folder = tmp_path_factory.mktemp("expected")
    return run(fill(build(in_f32(table)), values, folder), TOKENS)


def point(program: Program, folder: Path, **options: Any) -> Any:
    """Writes model.onnx into the folder of a checkpoint; the graph."""
    files = emit(program, Options(checkpoint=folder, **options))
    assert "model.onnx.data" not in files
    data = files["model.onnx"]
    assert isinstance(data, bytes)
    (folder / "model.onnx").write_bytes(data)
    return parsed(data).graph


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_any_order_in_several_files_at_odd_places(
    order: str,
    shards: int,
    dtype: str,
    table: Program,
    values: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    tensors = {name: held(array, dtype) for name, array in values.items()}
    write_shards(tmp_path, layout(tensors, order), shards)
    before = contents(tmp_path)
    graph = point(table, tmp_path)
    assert np.abs(run(tmp_path / "model.onnx", TOKENS) - expected).max() <= 2e-5
    assert before.items() <= contents(tmp_path).items()
    if shards == 1:
        row = [t for t in graph.initializer if "layers.1.mlp.experts" in t.name and "up" in t.name]
        assert len(row) == LAYOUTS[order][1]
    onnx.load(tmp_path / "model.onnx")  # onnx itself follows the places, too
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)


@pytest.mark.parametrize("form", ["flat", "functions"])
@pytest.mark.parametrize("experts", get_args(Experts))
def test_dtypes_may_differ_where_the_cast_is_exact(
    form: str,
    experts: str,
    table: Program,
    values: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    tensors = {
        name: held(array, "F32" if number % 3 else "BF16")
        for number, (name, array) in enumerate(values.items())
    }
    write_shards(tmp_path, layout(tensors, "each layer in its own way"), 2)
    if experts == "gathered":
        assert TOO_MANY in refused(table, tmp_path, onnx_form=form, experts=experts).message
        return
    point(table, tmp_path, onnx_form=form, experts=experts)
    assert np.abs(run(tmp_path / "model.onnx", TOKENS) - expected).max() <= 2e-5


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("order", LAYOUTS)
@pytest.mark.parametrize("experts", get_args(Experts))
def test_8_bits_with_scales(experts: str, order: str, shards: int, tmp_path: Path) -> None:
    program = load_spec("deepseek_v3", **SIZED)
    floats = in_f32(load_spec("deepseek_v3", **SIZED, weight_format="f32"))
    checkpoint = random_weights(build(floats), 1)
    tensors = {name: held(array) for name, array in checkpoint.items()}
    for scale in random_weights(build(program), 1).keys() - checkpoint.keys():
        name = scale.removesuffix("_scale_inv")
        packed, scales, checkpoint[name] = quantised(checkpoint[name])
        tensors |= {name: held(packed), scale: held(scales)}
    write_shards(tmp_path, layout(tensors, order), shards)
    if experts == "gathered" and "stacks" not in order:  # scales lie between the matrices
        assert TOO_MANY in refused(program, tmp_path, experts=experts).message
        return
    point(program, tmp_path, experts=experts)
    computed = run(tmp_path / "model.onnx", TOKENS)
    (tmp_path / "floats").mkdir()
    expected = run(fill(build(floats), checkpoint, tmp_path / "floats"), TOKENS)
    assert np.abs(computed - expected).max() <= 2e-5
    assert np.abs(expected).max() > 1


def test_only_the_chosen_experts_are_evaluated(
    table: Program, values: dict[str, np.ndarray], expected: np.ndarray, tmp_path: Path
) -> None:
    """An expert of NaNs shows in every sum that it is part of, even with the weight zero.

    `dense` evaluates it, too, and adds nothing of what was not chosen.
    """
    poisoned = {
        name: held(array * np.float32("nan") if expert(name)[1] == 5 else array)
        for name, array in values.items()
    }
    for experts in get_args(Experts):
        folder = tmp_path / experts
        folder.mkdir()
        write_file(folder / "model.safetensors", poisoned)
        point(table, folder, experts=experts)
        session = Session.open(folder / "model.onnx", batch=1)
        rows = np.concatenate([session(TOKENS[:1, i : i + 1]) for i in range(17)], axis=1)
        whole = np.isfinite(rows[0]).all(axis=1)
        assert whole[0] or whole.any()
        assert not whole.all()


# ---- what does not fit -------------------------------------------------------------------


def refused(program: Program, folder: Path, **options: Any) -> Any:
    with pytest.raises(SpecError) as caught:
        emit(program, Options(checkpoint=folder, **options))
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def test_everything_that_does_not_fit_is_listed_at_once(
    table: Program, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    tensors = {name: held(array, "BF16") for name, array in values.items()}
    gone, wrong, other = list(tensors)[3:6]
    del tensors[gone]
    tensors[wrong] = held(np.zeros((3, 5), np.float32))
    tensors[other] = held(np.zeros(values[other].shape, np.uint8))
    tensors |= {f"lm_head.extra.{n}": held(np.zeros(2, np.float32)) for n in range(30)}
    write_file(tmp_path / "model.safetensors", tensors)
    found = refused(table, tmp_path)
    assert found.code == "E0907"
    assert "33 tensors" in found.message
    notes = "\n".join(found.notes)
    assert f"missing: {gone} [" in notes
    assert f"misshapen: {wrong} is [3, 5], not [" in notes
    assert f"of another dtype: {other} is f8e4m3, not " in notes
    assert "in excess: lm_head.extra.0" in notes
    assert "in excess: 10 more" in notes


def test_parts_that_a_class_leaves_out_when_it_saves_are_named(
    released: Path, values: dict[str, np.ndarray]
) -> None:
    """As transformers leaves out layers for further tokens, and counts them in config.json."""
    with pytest.raises(SpecError) as caught:
        build_there(released, n_mtp_layers=1)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0907"
    assert "`-D n_mtp_layers=0`" in (diagnostic.help or "")
    build_there(released, n_mtp_layers=0)
    fewer = {n: held(array, "BF16") for n, array in values.items() if n != min(values)}
    write_file(released / "model.safetensors", fewer)
    with pytest.raises(SpecError) as caught:
        build_there(released, n_mtp_layers=1)
    assert caught.value.diagnostics[0].help is None  # something else is missing, too


#: A function that the main forward never calls, with rows and a repeated part of its own.
ASIDE = """language 1
model t "T" {
  params { vocab_size : size = 9   dim : size = 8   heads : size = 4 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  tensors { embed : [vocab_size, dim]   extra : dim -> dim   extra.bias : [dim]   router : dim -> heads }
  parts { blocks[l] : block × 2   more[l] : block × 2   experts[e] : block × heads   aside[e] : block × heads }
  function further(x: [B, S, dim]) -> [B, S, dim] {
    weights, index = topk(softmax(router(x)), 2)
    return more(extra(x)) + mixture(aside, x, weights, index)
  }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    x = blocks(take(embed, tokens))
    weights, index = topk(softmax(router(x)), 2)
    return mixture(experts, x, weights, index)
  }
  module block { tensors { w : dim -> dim   twin : tied w }  forward(x: [..., dim]) -> [..., dim] { return tanh(w(x) + twin(x)) } }
  names hf {
    extra                -> "extra"
    blocks.w, more.w     -> "joined.{l}"
    experts.w.weight     -> "stacked.w"
    aside.w.weight       -> "stacked.aside"    as rearrange("e o i -> i (e o)")
  }
}
"""


@pytest.mark.parametrize("form", ["flat", "functions"])
@pytest.mark.parametrize("experts", get_args(Experts))
@pytest.mark.parametrize("weights", ["reference", "embed"])
def test_a_graph_of_a_checkpoint_carries_what_it_reads_and_no_more(
    form: Any, experts: Any, weights: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """onnxruntime warns of each initializer that no node reads, and an embedded one takes room."""
    (path := tmp_path / "t.dsv3").write_text(ASIDE, encoding="utf-8")
    program = load_program(path)
    counted = weights_of(parsed(build(program)))
    parameters = ledger(program).value("parameters")
    assert sum(prod(one.dims) for one in counted) == parameters  # one count
    tensors = {name: held(array) for name, array in random_weights(build(program), 3).items()}
    write_file(tmp_path / "model.safetensors", tensors)
    graph = point(program, tmp_path, onnx_form=form, experts=experts, weights=weights)
    found = {one.name for one in graph.initializer}
    read = {name for node in graph.node for name in read_by(node)}
    assert found <= read
    assert not [name for name in found if "extra" in name or "aside" in name]
    assert sum(len(one.raw_data) for one in graph.initializer) < 4 * parameters
    tokens = np.array([[1, 2, 3]])
    feeds = {"input_ids": tokens, "attention_mask": tokens, "position_ids": tokens - 1}
    ort.InferenceSession(tmp_path / "model.onnx").run(None, feeds)
    assert "Removing initializer" not in capfd.readouterr().err


def read_by(node: Any) -> Iterator[str]:
    """What a node reads, in its bodies too."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from read_by(inner)


def test_what_is_in_excess_can_be_ignored(
    table: Program, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    extra = {"rotary.inv_freq": held(np.zeros(4, np.float32))}
    write_file(tmp_path / "model.safetensors", {**{n: held(v) for n, v in values.items()}, **extra})
    assert refused(table, tmp_path).code == "E0907"
    point(table, tmp_path, ignore=("*.inv_freq",))


def cached(folder: Path, name: str = "snapshot") -> Path:
    """The folder's files as a hub's cache has them: links to files that are called by their hash."""
    (folder.parent / "blobs").mkdir(exist_ok=True)
    (folder.parent / name).mkdir()
    for path in sorted(folder.iterdir()):
        blob = folder.parent / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(blob)
        (folder.parent / name / path.name).symlink_to(f"../blobs/{blob.name}")
    return folder.parent / name


@pytest.mark.slow
@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_of_links_is_a_checkpoint(
    shards: int,
    table: Program,
    values: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    """The graph is opened where the user sees the weights, and from where they really lie."""
    (tmp_path / "files").mkdir()
    tensors = {name: held(array) for name, array in values.items()}
    if shards == 1:
        write_file(tmp_path / "files" / "model.safetensors", tensors)
    else:
        write_shards(tmp_path / "files", tensors, shards)
    folder = cached(tmp_path / "files")
    before = contents(folder)
    overrides = {**SIZED, "weight_format": "bf16"}
    table_ = specgen.load(REPOSITORY / "specs" / "deepseek_v3.dsv3", **overrides)
    for _ in range(2):  # and again: nothing changes
        assert table_.build(tmp_path, onnx=Options(checkpoint=folder)) == folder
    assert np.abs(run(folder / "model.onnx", TOKENS) - expected).max() <= 2e-5
    assert before.items() <= contents(folder).items()
    graphs = [path for path in folder.iterdir() if path.suffix == ".onnx"]
    assert {path.name for path in graphs} == {"model.onnx", "model.genai.onnx"}
    for path in graphs:
        blob = path.resolve()
        assert blob.parent == tmp_path / "blobs"
        assert blob.name == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not [path for path in (tmp_path / "blobs").iterdir() if path.name.startswith(".")]
    selection = Selection(REPOSITORY / "specs" / "deepseek_v3.dsv3", None, overrides)
    assert {d.kind for d in compare(selection, folder).differences} == {"of another dtype"}


@pytest.mark.slow
def test_links_into_several_folders_are_copied_or_refused(
    table: Program, values: dict[str, np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    write_shards(tmp_path / "files", {name: held(array) for name, array in values.items()}, 2)
    (tmp_path / "links").mkdir()
    for number, path in enumerate(sorted((tmp_path / "files").iterdir())):
        (tmp_path / str(number)).mkdir()
        path.rename(tmp_path / str(number) / path.name)
        (tmp_path / "links" / path.name).symlink_to(tmp_path / str(number) / path.name)
    found = refused(table, tmp_path / "links")
    assert found.code == "E0906"
    assert "links into several folders" in found.message
    emit(table, Options(weights="embed", checkpoint=tmp_path / "links"))


def test_a_folder_without_safetensors_is_refused(table: Program, tmp_path: Path) -> None:
    (tmp_path / "0123").write_bytes(b"")
    assert refused(table, tmp_path).code == "E0906"
    assert refused(table, tmp_path / "nowhere").code == "E0906"


# ---- embedded weights, and weights as inputs ---------------------------------------------


@pytest.mark.parametrize("limit", [None, 1000])
def test_embedded_weights_need_the_checkpoint_no_more(
    limit: int | None,
    table: Program,
    values: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if limit is not None:
        monkeypatch.setattr(embedding, "MAX_EMBEDDED", limit)
    source, built = tmp_path / "checkpoint", tmp_path / "built"
    source.mkdir()
    tensors = {name: held(array, "BF16") for name, array in values.items()}
    write_shards(source, layout(tensors, "in no order"), 3)
    overrides = {**SIZED, "weight_format": "bf16"}
    table_ = specgen.load(REPOSITORY / "specs" / "deepseek_v3.dsv3", **overrides)
    options = Options(weights="embed", checkpoint=source)
    folder = table_.build(built, ["onnx"], onnx=options)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["onnx"] == {"weights": "embed", "checkpoint": True}
    written = {"model.onnx", "model.onnx.data"} if limit else {"model.onnx"}
    assert set(manifest["files"]) == written | GENAI
    for path in source.iterdir():
        path.unlink()
    assert np.abs(run(folder / "model.onnx", TOKENS) - expected).max() <= 2e-5
    onnx.checker.check_model(folder / "model.onnx", full_check=True)


@pytest.mark.parametrize("experts", get_args(Experts))
def test_weights_as_inputs(
    experts: Any, table: Program, values: dict[str, np.ndarray], expected: np.ndarray
) -> None:
    data = build(in_f32(table), Options(weights="none", experts=experts))
    graph = parsed(data).graph
    assert not graph.initializer
    onnx.checker.check_model(data, full_check=True)
    given = {}
    for value in graph.input:
        entries = {entry.key: entry.value for entry in value.metadata_props}
        name = entries.get("released_name", value.name)
        if "{e}" in name:
            given[value.name] = np.stack([values[name.format(e=i)] for i in range(12)])
        elif name in values:
            given[value.name] = values[name]
    session = Session.start(WithWeights(data, given), batch=2)
    logits = np.concatenate([session(TOKENS[:, :-4]), session(TOKENS[:, -4:])], axis=1)
    assert np.abs(logits - expected).max() <= 2e-5


class WithWeights:
    """A session whose weights are among its inputs."""

    def __init__(self, data: bytes, weights: Mapping[str, np.ndarray]) -> None:
        ort = pytest.importorskip("onnxruntime")
        self.session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        self.weights = weights

    def get_inputs(self) -> list[Any]:
        return [v for v in self.session.get_inputs() if v.name not in self.weights]

    def get_outputs(self) -> list[Any]:
        return list(self.session.get_outputs())

    def run(self, names: list[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return list(self.session.run(names, {**feeds, **self.weights}))


# ---- experts as they were released -------------------------------------------------------


@pytest.mark.parametrize("format_", ["bf16", "fp8_block"])
def test_released_experts_are_the_tensors_of_the_checkpoint(format_: str) -> None:
    overrides = {**SIZED, "weight_format": format_}
    model = specgen.load(REPOSITORY / "specs" / "deepseek_v3.dsv3", **overrides)
    tensors = weights_of(parsed(build(model.program, Options(experts="released"))))
    types = {"bf16": 16, "f8e4m3": 17, "f32": 1}
    assert {(t.name, tuple(t.dims), t.data_type) for t in tensors} == {
        (tensor.name, tensor.shape, types[tensor.dtype]) for tensor in model.tensors("hf")
    }


# ---- the folder --------------------------------------------------------------------------


@pytest.fixture
def released(values: dict[str, np.ndarray], tmp_path: Path) -> Path:
    folder = tmp_path / "released"
    folder.mkdir()
    tensors = {name: held(array, "BF16") for name, array in values.items()}
    write_file(folder / "model.safetensors", tensors)
    return folder


def build_there(folder: Path, **overrides: Any) -> Path:
    sizes = {**SIZED, "weight_format": "bf16", **overrides}
    model = specgen.load(REPOSITORY / "specs" / "deepseek_v3.dsv3", **sizes)
    return model.build("elsewhere", onnx=Options(checkpoint=folder))


@pytest.mark.slow
def test_a_graph_that_stands_there_is_replaced_only_if_it_is_ours(released: Path) -> None:
    build_there(released)
    first = contents(released)
    build_there(released)
    assert contents(released) == first
    graph = (released / "model.onnx").read_bytes()
    (released / "model.onnx").write_bytes(b"edited")
    with pytest.raises(SpecError, match="E0908"):
        build_there(released)
    assert (released / "model.onnx").read_bytes() == b"edited"
    (released / "model.onnx").write_bytes(graph)
    build_there(released)
    assert contents(released) == first
    (released / "model.onnx.manifest.json").unlink()
    (released / "model.onnx").write_bytes(b"another exporter's")
    before = contents(released)
    with pytest.raises(SpecError, match="E0902"):
        build_there(released)
    assert contents(released) == before


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_earlier_graph(
    released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contents(released)
    build_there(released)
    before = contents(released)
    written = len(before.keys() - first.keys())
    synced = os.fsync
    for good in range(9):
        left = iter(range(good))

        def full(descriptor: int, left: Any = left) -> None:
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            synced(descriptor)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            if good <= written:  # the files, then the folder in which they wait
                with pytest.raises(SpecError, match=r"E0901.*: cannot write.*No space left"):
                    build_there(released, rope_theta=5000.0)
                assert contents(released) == before
            else:  # all is there; that the folder cannot be synced changes nothing
                build_there(released, rope_theta=5000.0)
                assert contents(released).keys() == before.keys()
                assert contents(released) != before
                return
    raise AssertionError("nothing was written")


@pytest.mark.slow
def test_a_build_on_the_command_line_and_its_check(released: Path) -> None:
    sizes = {**SIZED, "weight_format": "bf16"}
    defines = [f"-D{name}={str(value).lower()}" for name, value in sizes.items()]
    build = ["build", "deepseek_v3", "--checkpoint", str(released), *defines]
    before = contents(released)
    assert specgen_here(*build, "--check", cwd=released.parent).status == 1
    assert contents(released) == before
    done = specgen_here(*build, cwd=released.parent)
    assert done.status == 0, done.err
    assert os.listdir(released.parent) == ["released"]
    manifest = json.loads((released / "model.onnx.manifest.json").read_text())
    assert manifest["onnx"] == {"checkpoint": True}
    assert manifest["targets"] == ["onnx"]
    assert str(released).encode() not in b"".join(
        (released / name).read_bytes() for name in manifest["files"]
    )
    check = specgen_here(*build, "--check", cwd=released.parent)
    assert (check.status, check.out) == (0, "")
    (released / "model.onnx").write_bytes(b"edited")
    assert specgen_here(*build, "--check", cwd=released.parent).status == 1


def test_the_documented_way_to_map_each_file_once(
    table: Program, values: dict[str, np.ndarray], expected: np.ndarray, tmp_path: Path
) -> None:
    """Initializers of every dtype at odd places, given to onnxruntime one by one."""
    page = (REPOSITORY / "docs" / "onnx.md").read_text(encoding="utf-8")
    (code,) = (c for c in re.findall(r"^```python\n(.*?)^```", page, re.S | re.M) if "memmap" in c)
    tensors = {
        name: held(array, "F32" if number % 3 else "BF16")
        for number, (name, array) in enumerate(values.items())
    }
    write_shards(tmp_path, tensors, 3)
    point(table, tmp_path, onnx_form="functions", experts="released")
    names: dict[str, Any] = {}
    exec(code.replace("v3/model.onnx", (tmp_path / "model.onnx").as_posix()), names)
    assert len(names["files"]) == 3
    maps = Path("/proc/self/maps")
    if maps.exists():
        mapped = [line for line in maps.read_text().splitlines() if str(tmp_path) in line]
        assert len(mapped) == 3
    session = Session.start(names["session"], batch=len(TOKENS))
    found = np.concatenate([session(TOKENS[:, :-4]), session(TOKENS[:, -4:])], axis=1)
    assert np.abs(found - expected).max() <= 2e-5
