"""`save_checkpoint`: what was saved loads as it was, here and in transformers."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from specgen.backends.pytorch.runtime.narrow import narrowed, scaled, widened  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface import emit as emit_checkpoint  # noqa: E402
from tests.numeric.generated import imported, kinds, program  # noqa: E402
from tests.numeric.test_padding import FAMILIES  # noqa: E402
from tests.numeric.test_torch_checkpoints import SMALL, fresh, same  # noqa: E402
from tests.packing import by_hand  # noqa: E402

pytestmark = pytest.mark.slow

INDEX = "model.safetensors.index.json"


def header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of its tensors."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    found: dict[str, Any] = json.loads(data[8 : 8 + length])
    return {name: entry for name, entry in found.items() if name != "__metadata__"}


def loaded(module: ModuleType, folder: Path) -> Any:
    model = fresh(module, 5)
    model.load_checkpoint(folder)
    return model


# ---- what was saved loads as it was


@pytest.mark.parametrize("spec", FAMILIES)
def test_loads_as_it_was(spec: str, tmp_path: Path) -> None:
    """Every shipped family, in float32: to the last bit, under the released names alone."""
    name, sizes = FAMILIES[spec]
    exact = {"weight_format": "bf16"} if name == "deepseek_v3" else {}
    module = imported(program(name, **{**sizes, **exact}), tmp_path)
    model = fresh(module)
    model.save_checkpoint(tmp_path / "saved")
    assert os.listdir(tmp_path / "saved") == ["model.safetensors"]
    found = {n: t["shape"] for n, t in header(tmp_path / "saved" / "model.safetensors").items()}
    assert found == {n: list(shape) for n, (_, shape) in kinds(module, model).items()}
    assert same(loaded(module, tmp_path / "saved"), model)


def test_packed_in_any_way(tmp_path: Path) -> None:
    module = imported(by_hand.program(), tmp_path)
    model = fresh(module)
    model.save_checkpoint(tmp_path / "saved")
    assert same(loaded(module, tmp_path / "saved"), model)


def test_copies_are_stored_again(tmp_path: Path) -> None:
    """A head that the release stores a second time, which the model has once."""
    table = program("deepseek_v3", weight_format="bf16", n_mtp_layers=1, **SMALL)
    module = imported(table, tmp_path)
    model = fresh(module)
    model.save_checkpoint(tmp_path / "saved")
    held = load_file(tmp_path / "saved" / "model.safetensors")
    copies = dict(module.checkpoints().stored_copies(model))
    assert copies
    for copy, original in copies.items():
        assert torch.equal(held[copy], held[original])
    assert same(loaded(module, tmp_path / "saved"), model)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_dtypes_are_the_model_s(dtype: torch.dtype, tmp_path: Path) -> None:
    """Rows that compute in float32 are saved so, whatever the others are."""
    table = program("deepseek_v3", weight_format="bf16", **SMALL)
    module = imported(table, tmp_path)
    model = fresh(module).to(dtype)
    model.save_checkpoint(tmp_path / "saved")
    held = load_file(tmp_path / "saved" / "model.safetensors")
    wide = {name for name, tensor in held.items() if tensor.dtype == torch.float32}
    assert wide == {"model.layers.1.mlp.gate.e_score_correction_bias"}
    assert {tensor.dtype for tensor in held.values()} == {dtype, torch.float32}
    other = fresh(module, 5).to(dtype)
    other.load_checkpoint(tmp_path / "saved")
    assert same(other, model)


def test_rows_along_their_longer_side(tmp_path: Path) -> None:
    module = imported(program("llama", **FAMILIES["llama"][1]), tmp_path)
    model = fresh(module)
    module.lay_out(model)
    assert not all(row.is_contiguous() for row in model.parameters())
    model.save_checkpoint(tmp_path / "saved")
    assert same(loaded(module, tmp_path / "saved"), model)


# ---- several files


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return imported(program("llama", **FAMILIES["llama"][1]), tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("shard", [1, 3000, 10**9])
def test_files_and_index(llama: ModuleType, shard: int, tmp_path: Path) -> None:
    """Each at most as large as is said, or of one tensor; named and indexed as transformers does."""
    model = fresh(llama)
    model.save_checkpoint(tmp_path, shard=shard)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    held = {file: load_file(tmp_path / file) for file in files}
    sizes = [sum(t.nbytes for t in tensors.values()) for tensors in held.values()]
    assert all(size <= shard or len(t) == 1 for size, t in zip(sizes, held.values(), strict=True))
    count = len(files)
    if count == 1:
        assert files == ["model.safetensors"]
        assert not (tmp_path / INDEX).exists()
    else:
        assert files == [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
        index = json.loads((tmp_path / INDEX).read_text())
        assert index["weight_map"] == {name: file for file, t in held.items() for name in t}
        assert index["metadata"]["total_size"] == sum(sizes)
    assert len(files) == {1: len(kinds(llama, model)), 3000: count, 10**9: 1}[shard]
    assert same(loaded(llama, tmp_path), model)


@pytest.mark.parametrize("shards", [(1, 10**9), (10**9, 1), (1, 3000), (3000, 1)])
def test_saved_over_another(llama: ModuleType, shards: tuple[int, int], tmp_path: Path) -> None:
    """Of the one before nothing is left that would be loaded, here or by transformers."""
    for seed, shard in enumerate(shards):
        fresh(llama, seed).save_checkpoint(tmp_path, shard=shard)
    assert same(loaded(llama, tmp_path), fresh(llama, 1))
    assert (tmp_path / INDEX).exists() != (tmp_path / "model.safetensors").exists()


def test_a_failure_changes_nothing(
    llama: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at the third file: the checkpoint before it is there as it was."""
    fresh(llama).save_checkpoint(tmp_path, shard=3000)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    released = llama.checkpoints()
    written = []

    def full(tensors: Any, path: Path, metadata: Any) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError("no space left")
        save_file(tensors, path, metadata)

    monkeypatch.setattr(released, "save_file", full)
    with pytest.raises(OSError, match="no space"):
        fresh(llama, 1).save_checkpoint(tmp_path, shard=3000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_has_no_values_is_not_saved(llama: ModuleType, tmp_path: Path) -> None:
    with torch.device("meta"):
        model = llama.Model(llama.Config())
    with pytest.raises(ValueError, match="to_empty"):
        model.save_checkpoint(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


# ---- in transformers


@pytest.mark.parametrize(
    "name",
    [
        "llama3",
        "gpt2",
        "gpt_neox",
        "phi3",
        "gpt_oss",
        "qwen3_moe",
        "mixtral",
        "deepseek_v3",
        "gemma2",
    ],
)
def test_transformers_loads_what_was_saved(name: str, tmp_path: Path) -> None:
    """With config.json of the build: packed, transposed, tied, and experts of one tensor."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    from specgen.huggingface.reading import overrides_from_config
    from tests.numeric.test_torch_transformers import MODELS, TOLERANCE, paired, prompt

    spec, kind, settings = MODELS[name]
    pair = paired(spec, kind, settings, tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    own = overrides_from_config(program(spec), said)
    if spec == "deepseek_v3":  # in 8 bits it would be another model
        own["weight_format"] = "bf16"
        module = imported(program(spec, **own), tmp_path)
        pair.ours.save_checkpoint(tmp_path)
        model = module.Model(module.Config())
        model.load_checkpoint(tmp_path)
    else:
        model = pair.ours
    model.save_checkpoint(tmp_path / "saved")
    config = json.loads(emit_checkpoint(program(spec, **own))["config.json"])
    config |= {"pad_token_id": None}  # phi3's own is beyond so small a vocabulary
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "saved", dtype=torch.float32, attn_implementation="eager"
    )
    with torch.no_grad():
        wanted = pair.theirs(prompt()).logits
        assert (theirs(prompt()).logits - wanted).abs().max() <= TOLERANCE


# ---- in 8 and 4 bits


def test_quantised_and_back(tmp_path: Path) -> None:
    """Within half of a step of 8 bits, at the largest of its tile; and from then on as it is."""
    module = imported(program("deepseek_v3", **SMALL), tmp_path)
    model = fresh(module)
    model.save_checkpoint(tmp_path / "once")
    once = loaded(module, tmp_path / "once")
    narrow = header(tmp_path / "once" / "model.safetensors")
    assert {entry["dtype"] for entry in narrow.values()} == {"F8_E4M3", "F32"}
    for (name, row), found in zip(model.named_parameters(), once.parameters(), strict=True):
        assert (found - row).abs().max() <= row.abs().max() * 16 / 448, name
        assert torch.allclose(
            found, row, rtol=2**-4, atol=float(row.detach().abs().max()) * 2**-9 / 448
        ), name
    once.save_checkpoint(tmp_path / "twice")
    assert same(loaded(module, tmp_path / "twice"), once)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 7), (128, 128), (129, 300), (256, 130)])
def test_scales_of_tiles(rows: int, columns: int) -> None:
    """Tile by tile: the largest is 448, and what is zero stays zero."""
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(rows)) * 10
    matrix[:128, :128] *= 1e-6
    matrix[128:, 128:] = 0
    weight, scale = scaled(matrix, (128, 128), "F8_E4M3")
    assert scale.shape == (-(-rows // 128), -(-columns // 128))
    for i in range(scale.size(0)):
        for j in range(scale.size(1)):
            tile = (slice(128 * i, 128 * i + 128), slice(128 * j, 128 * j + 128))
            largest = matrix[tile].abs().max()
            assert weight[tile].float().abs().max() == (448 if largest > 0 else 0)
            assert torch.allclose(
                scale[i, j] * 448, largest if largest > 0 else torch.tensor(448.0)
            )
            found = weight[tile].float() * scale[i, j]
            assert torch.allclose(
                found, matrix[tile], rtol=2**-4, atol=float(largest) * 2**-9 / 448
            )


def test_four_bits() -> None:
    """All values there are, what lies between them, and what lies beyond."""
    values = torch.tensor([0.0, 0.5, 1, 1.5, 2, 3, 4, 6])
    both = torch.cat([values, -values])
    assert torch.equal(widened(narrowed(both, "F4")), both)
    assert narrowed(both, "F4").view(torch.uint8).tolist() == [
        low | high << 4 for low, high in zip(range(0, 16, 2), range(1, 16, 2), strict=True)
    ]
    grid = torch.linspace(-8, 8, 3202)
    found = widened(narrowed(grid, "F4"))
    nearest = (grid[:, None] - both).abs().min(-1).values
    assert torch.equal((grid - found).abs(), nearest)
    ties = (values[1:] + values[:-1]) / 2  # to the one whose last bit is 0
    assert widened(narrowed(ties.repeat(2), "F4")).tolist() == [0, 1, 1, 2, 2, 4, 4] * 2
    with pytest.raises(ValueError, match="pairs"):
        narrowed(torch.zeros(3), "F4")


NARROW = """language 1
model narrow {
  params { vocab_size : size = 12 width : size = 8 }
  tensors {
    table : [vocab_size, width]
    up : width -> width as f8e4m3
    down : width -> width as f4e2m1
    gain : [width] as f4e2m1
    shift : [width] as i64
    out : width -> vocab_size
  }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    return out(down(up(take(table, tokens)) * gain + cast(shift, like = gain)))
  }
}
"""


def test_rows_of_narrow_floats(tmp_path: Path) -> None:
    """Stored `as` a dtype that nothing is computed in: it loads, saves, and loads as it was."""
    (tmp_path / "narrow.dsv3").write_text(NARROW)
    module = imported(load_program(tmp_path / "narrow.dsv3"), tmp_path)
    draw = torch.Generator().manual_seed(2)
    exact: Mapping[str, torch.Tensor] = {
        "table": torch.randn(12, 8, generator=draw),
        "up.weight": torch.randn(8, 8, generator=draw).to(torch.float8_e4m3fn),
        "down.weight": torch.randint(256, (8, 4), generator=draw, dtype=torch.uint8),
        "gain": torch.randint(256, (4,), generator=draw, dtype=torch.uint8),
        "shift": torch.randint(-5, 5, (8,), generator=draw),
        "out.weight": torch.randn(12, 8, generator=draw),
    }
    held = {
        name: tensor.view(torch.float4_e2m1fn_x2) if tensor.dtype == torch.uint8 else tensor
        for name, tensor in exact.items()
    }
    (tmp_path / "a").mkdir()
    save_file(held, tmp_path / "a" / "model.safetensors")
    assert header(tmp_path / "a" / "model.safetensors")["down.weight"]["shape"] == [8, 8]
    model, other = module.Model(module.Config()), module.Model(module.Config())
    model.load_checkpoint(tmp_path / "a")
    assert torch.equal(model.up.weight, exact["up.weight"].float())
    levels = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    for name, row in {"down.weight": model.down.weight, "gain": model.gain}.items():
        codes = [code for pair in exact[name].flatten().tolist() for code in (pair & 15, pair >> 4)]
        wanted = [(-1 if code & 8 else 1) * levels[code & 7] for code in codes]
        assert row.flatten().tolist() == wanted
    assert torch.equal(model.shift, exact["shift"])
    model.save_checkpoint(tmp_path / "b")
    again = {
        n: (e["dtype"], e["shape"]) for n, e in header(tmp_path / "b" / "model.safetensors").items()
    }
    first = header(tmp_path / "a" / "model.safetensors")
    assert again == {n: (e["dtype"], e["shape"]) for n, e in first.items()}
    other.load_checkpoint(tmp_path / "b")
    assert same(other, model)


# ---- where checkpoint.py is


def written(folder: Path, *files: str) -> Path:
    source = Path(imported(program("llama", **FAMILIES["llama"][1]), folder).__file__ or "").parent
    for name in {"model.py", "checkpoint.py"} - set(files):
        (source / name).unlink()
    return folder


USED = "import torch; from {0} import Config, Model; m = Model(Config()); m.save_checkpoint('saved'); m.load_checkpoint('saved')"


@pytest.mark.parametrize("package", ["", "one", "one.two"])
def test_beside_it_in_a_folder_and_in_a_package(package: str, tmp_path: Path) -> None:
    """Whatever else is called `checkpoint`."""
    folder = tmp_path.joinpath(*package.split(".")) if package else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    written(folder, "model.py", "checkpoint.py")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "checkpoint.py").write_text("raise SystemExit('the wrong one')")
    command = USED.format(f"{package}.model" if package else "model")
    paths = os.pathsep.join([str(tmp_path / "elsewhere"), str(tmp_path)])
    subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        check=True,
    )
    assert (tmp_path / "saved" / "model.safetensors").is_file()


def test_alone_it_does_all_but_checkpoints(tmp_path: Path) -> None:
    written(tmp_path, "model.py")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(tmp_path / "model.py", other / "anything.py")
    command = (
        "import torch; from anything import Config, Model; m = Model(Config());"
        "c = m.new_cache(1, 4); m(torch.tensor([[1, 2]]), cache=c); print(c.length);"
        "m.load_checkpoint('saved')"
    )
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=other, capture_output=True, text=True, check=False
    )
    assert done.stdout == "2\n"
    last = done.stderr.splitlines()[-1]
    assert last.startswith("FileNotFoundError: to load and save, checkpoint.py has to be beside")
    assert last.endswith("anything.py")


def test_checkpoint_of_another_build(llama: ModuleType, tmp_path: Path) -> None:
    """A file of other tables would leave rows as they are, in silence."""
    written(tmp_path, "model.py", "checkpoint.py")
    (tmp_path / "gpt2").mkdir()
    gpt2 = imported(program("gpt2", **FAMILIES["gpt2"][1]), tmp_path / "gpt2")
    fresh(gpt2).save_checkpoint(tmp_path / "saved")
    shutil.copy(Path(gpt2.checkpoints().__file__), tmp_path / "checkpoint.py")
    command = USED.format("model")
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "checkpoint.py is for another model" in done.stderr


def test_metadata(llama: ModuleType, tmp_path: Path) -> None:
    """Which transformers looks for."""
    fresh(llama).save_checkpoint(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
