"""Headers of safetensors files: what is read of them, and that nothing in them is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.checkpoint.safetensors import DamagedCheckpoint, stretches
from tests.onnx.checkpoints import held, write_file, write_shards
from tests.references import needs_references, saved

TENSORS = {
    "a.weight": held(np.arange(6, dtype=np.float32).reshape(2, 3), "BF16"),
    "b": held(np.float32(1.5).reshape(())),
    "none": held(np.zeros((0, 4), np.float32)),
}


def file(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_places_are_those_that_the_library_reads(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors = {name: held(array.values) for name, array in TENSORS.items()}
    write_file(tmp_path / "model.safetensors", tensors, odd=True)
    data = (tmp_path / "model.safetensors").read_bytes()
    read = safetensors.load_file(tmp_path / "model.safetensors")
    found = stretches(tmp_path)
    assert found.keys() == read.keys()
    for name, stretch in found.items():
        assert stretch.start % 2
        assert stretch.shape == read[name].shape
        assert data[stretch.start : stretch.stop] == read[name].tobytes()


@needs_references
def test_a_released_file() -> None:
    found = stretches(saved("llama"))
    assert found["lm_head.weight"].dtype == "f32"
    assert {stretch.file for stretch in found.values()} == {"model.safetensors"}


def test_the_index_says_which_files_belong_together(tmp_path: Path) -> None:
    write_shards(tmp_path, TENSORS, 2)
    write_file(tmp_path / "consolidated.safetensors", TENSORS)
    files = {stretch.file for stretch in stretches(tmp_path).values()}
    assert files == {f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(DamagedCheckpoint, match="is in two files"):
        stretches(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends before"),
        (b"\x05\0\0", "ends before"),
        (file({}, length=2**63), "ends before"),
        (file(b"\xff\xfe"), "no JSON object"),
        (file(b"[" * 100_000), "no JSON object"),
        (file(b"[]"), "no JSON object"),
        (file(b'{"a": 1, "a": 2}'), "no JSON object"),
        (file({"a": 1}), "damaged"),
        (file({"a": {"dtype": "F32"}}), "damaged"),
        (file({"a": entry(dtype=5)}), "damaged"),  # type: ignore[arg-type]
        (file({"a": entry(shape=("1",))}), "damaged"),
        (file({"a": entry(shape=(-1,))}), "damaged"),
        (file({"a": entry(shape=(True,))}), "damaged"),
        (file({"a": entry(shape=(1.0,))}), "damaged"),
        (file({"a": entry(offsets=(0, 4, 8))}), "damaged"),
        (file({"a": entry(offsets=(4, 0))}), "damaged"),
        (file({"a": entry(offsets=(-4, 0))}), "damaged"),
        (file({"a": entry(shape=(2,))}, b"1234"), "has 4 bytes for F32"),
        (file({"a": entry(shape=(2**40, 2**40))}, b"1234"), "has 4 bytes for F32"),
        (file({"a": entry()}, b"123"), "cut short"),
        (file({"a": entry(offsets=(8, 12))}, b"12345678"), "cut short"),
        (file({"a": entry(), "b": entry(offsets=(2, 6))}, b"123456"), "overlap"),
        (file({"a": entry(), "b": entry()}, b"1234"), "overlap"),
    ],
)
def test_a_damaged_file_says_how(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=reason):
        stretches(tmp_path)


def test_a_header_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as sparse:
        sparse.write((100_000_001).to_bytes(8, "little"))
        sparse.truncate(200_000_000)
    with pytest.raises(DamagedCheckpoint, match="over 100,000,000"):
        stretches(tmp_path)


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        '{"weight_map": []}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "../secret.safetensors"}}',
        '{"weight_map": {"a": "/etc/passwd"}}',
        '{"weight_map": {"a": "model.bin"}}',
    ],
)
def test_a_damaged_index_says_so(index: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(index)
    with pytest.raises(DamagedCheckpoint, match=r"index\.json does not say"):
        stretches(tmp_path)


def test_an_index_that_is_wrong_about_a_file(tmp_path: Path) -> None:
    write_shards(tmp_path, TENSORS, 2)
    index = tmp_path / "model.safetensors.index.json"
    document = json.loads(index.read_text())
    document["weight_map"]["elsewhere"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(document))
    with pytest.raises(DamagedCheckpoint, match="does not hold it"):
        stretches(tmp_path)


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(DamagedCheckpoint, match="there is no file"):
        stretches(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        stretches(tmp_path / "nowhere")
