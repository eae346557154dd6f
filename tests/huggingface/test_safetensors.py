"""Headers of safetensors files: what is read of them, and that nothing in them is trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specgen.huggingface.safetensors import BITS, DamagedCheckpoint, header, stretches
from tests.cli.running import specgen_here
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
        (file(b'{"a": 1, "a": 2}'), "has the key `a` twice"),
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
        (file({"a": entry(offsets=(0, 4))}, b"12345"), "1 bytes behind its last tensor"),
        (file({}, b"12345"), "5 bytes behind its last tensor"),
        (file({"a": entry(offsets=(8, 12))}, b"123456789012"), "a gap of 8 bytes at 70"),
        (file({"a": entry(), "b": entry(offsets=(5, 9))}, b"123456789"), "a gap of 1 bytes at "),
        (file({"a": entry("F4", (3,), (0, 2))}, b"12"), "has 2 bytes for F4"),
        (file({"a": entry("Q4", (2,), (0, 1))}, b"1"), "is Q4, which the format does not have"),
        (file({"__metadata__": {"a": 1}}), "other things than texts"),
        (file('{"a": {}}'.encode("utf-16")), "no JSON object"),
        (file({"a": entry(), "b": entry(offsets=(2, 6))}, b"123456"), "overlap"),
        (file({"a": entry(), "b": entry()}, b"1234"), "overlap"),
    ],
)
def test_a_damaged_file_says_how(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(DamagedCheckpoint, match=reason):
        stretches(tmp_path)


# ---- whatever the library refuses is refused -------------------------------------------------

#: What may stand in the place of any value of a header.
ODD = [
    "0", "1", "-1", "-0", "4", "4.0", "1e400", "18446744073709551616", '""', '"F32"', '"F4"', '"U16"',
    '"\\ud800"', "null", "true", "[]", "{}", "[0]", "[0, 4]", "[4, 8]", "[2, 6]", "[0, 0]", "NaN",
    "[9223372036854775808, 9223372036854775808, 0]", "[" * 130 + "]" * 130,
]  # fmt: skip


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A file with some tensors, of which a few things are other than they should be."""
    document: dict[str, str] = {}
    end = 0
    for number in range(draw(st.integers(0, 3))):
        shape = draw(st.lists(st.integers(0, 3), max_size=2))
        kind, size = draw(st.sampled_from([("F32", 4), ("BF16", 2), ("U16", 2), ("I8", 1)]))
        length = size * int(np.prod(shape))
        start = max(0, end + draw(st.sampled_from([0, 0, 0, 0, 1, -1])))
        fields = {
            "dtype": f'"{kind}"',
            "shape": str(shape),
            "data_offsets": f"[{start}, {start + length}]",
        }
        if draw(st.integers(0, 3)) == 0:
            fields[draw(st.sampled_from([*fields, "more"]))] = draw(st.sampled_from(ODD))
        held = ", ".join(f'"{name}": {value}' for name, value in fields.items())
        document[f"t{number}"] = "{" + held + "}"
        end = start + length
    if draw(st.integers(0, 3)) == 0:
        value = draw(st.sampled_from([*ODD, '{"a": 1}', '{"a": "b"}', "[[]]"]))
        document[draw(st.sampled_from(["__metadata__", "t0", "t\\n", "\\ud834\\udd1e"]))] = value
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in document.items()) + "}"
    text = draw(st.sampled_from(["", "", "", "", " ", "\ufeff"])) + text
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8", "utf-16"]))
    header = text.encode(encoding) + draw(
        st.sampled_from([b"", b"", b"   ", b"\n", b"\0", b"\xff"])
    )
    data = bytes(max(0, end + draw(st.sampled_from([0, 0, 0, 0, 1, 7, -1]))))
    return file(header, data, len(header) + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1])))


def refused_by_the_library(path: Path) -> str | None:
    safetensors = pytest.importorskip("safetensors")
    try:
        with safetensors.safe_open(path, framework="np") as opened:
            opened.keys()
        safetensors.deserialize(path.read_bytes())
    except safetensors.SafetensorError as error:
        return str(error)
    return None


@settings(max_examples=150, deadline=None)
@example(file({"a": entry()}, b"1234 and more"))
@example(file({"a": entry(offsets=(4, 8))}, b"12345678"))
@example(file({"a": entry(), "b": entry(shape=(0,), offsets=(2, 2))}, b"1234"))
@example(file({"a": entry(shape=(2**62, 4, 0), offsets=(0, 0))}))
@given(content=damaged_files())
def test_what_the_library_refuses_does_not_fit(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("file") / "model.safetensors"
    path.write_bytes(content)
    reason = refused_by_the_library(path)
    if reason is None:
        return
    with pytest.raises(DamagedCheckpoint) as caught:
        header(path)
    assert path.name in str(caught.value), reason


@settings(max_examples=60, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=4),
    kind=st.sampled_from(sorted(BITS)),
    padding=st.sampled_from([b"", b" ", b"\n\t "]),
    said=st.sampled_from([{}, {"format": "pt", "é": "\U0001d11e"}, None]),
)
def test_what_the_library_takes_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    shapes: list[list[int]],
    kind: str,
    padding: bytes,
    said: dict[str, str] | None,
) -> None:
    document: dict[str, Any] = {"__metadata__": said}
    end = 0
    for number, shape in enumerate(shapes):
        bits = BITS[kind] * int(np.prod(shape))
        if bits % 8:
            continue
        document[str(number)] = entry(kind, shape, (end, end + bits // 8))
        end += bits // 8
    path = tmp_path_factory.mktemp("file") / "model.safetensors"
    path.write_bytes(file(json.dumps(document).encode() + padding, bytes(end)))
    assert refused_by_the_library(path) is None
    assert {name: list(one.shape) for name, one in header(path).items()} == {
        name: held["shape"] for name, held in document.items() if name != "__metadata__"
    }


def test_verify_says_why_a_file_is_none(tmp_path: Path) -> None:
    """A file of the right tensors with bytes behind them, as the command line says it."""
    (tmp_path / "t.dsv3").write_text(
        "language 1\nmodel m { params { n : size = 2 } dtypes { arrays = f32 } tensors { a : [n] } }"
    )
    whole = file({"a": entry(shape=(2,), offsets=(0, 8))}, bytes(8))
    (tmp_path / "model.safetensors").write_bytes(whole)
    done = specgen_here("verify", "t.dsv3", "model.safetensors", cwd=tmp_path)
    assert (done.status, done.out.splitlines()[-1]) == (0, "it fits")
    (tmp_path / "model.safetensors").write_bytes(whole + b"more")
    for path in ("model.safetensors", "."):
        done = specgen_here("verify", "t.dsv3", path, cwd=tmp_path)
        assert done.status == 1
        assert "model.safetensors has 4 bytes behind its last tensor" in done.err
        assert done.out == ""


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
