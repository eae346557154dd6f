"""`verify`: a checkpoint or a configuration against a table, by headers alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from specgen.analysis.table.config import config
from specgen.analysis.table.stored import expand, scheme_of, stored
from specgen.diagnostics.diagnostic import SpecError
from specgen.huggingface.comparing import CheckpointDifference, compare
from specgen.huggingface.select import select
from tests.cli.running import specgen_here
from tests.truth.outside import REPOSITORY

SMALL = {
    "n_layers": 3, "dim": 8, "n_heads": 2, "n_kv_heads": 1, "inter_dim": 12, "vocab_size": 16,
}  # fmt: skip
DEFINES = [text for name, value in SMALL.items() for text in ("-D", f"{name}={value}")]
LLAMA = REPOSITORY / "specs" / "llama.dsv3"
TABLE = select(str(LLAMA), SMALL)
UP = "model.layers.*.mlp.up_proj.weight"

#: Name -> dtype and shape; no bytes are needed beyond those that a header promises.
Headers = dict[str, tuple[str, tuple[int, ...]]]


def headers() -> Headers:
    program = TABLE.program()
    found = (
        (name, tensor)
        for tensor in stored(program, scheme_of(program))
        for name, _ in expand(tensor)
    )
    return {name: ("BF16", tensor.dims) for name, tensor in found}


def write(path: Path, tensors: Headers) -> Path:
    document, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = {"F8_E4M3": 1, "BF16": 2, "F16": 2, "F32": 4}[dtype]
        for dim in shape:
            size *= dim
        document[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(document).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)  # a hole
    return path


def changed() -> Mapping[str, Headers]:
    whole = headers()
    ups = [f"model.layers.{layer}.mlp.up_proj.weight" for layer in range(3)]
    return {
        "missing": {k: v for k, v in whole.items() if k not in ups},
        "in excess": whole | {f"model.layers.{i}.inv_freq": ("F32", (4,)) for i in range(3)},
        "misshapen": whole | dict.fromkeys(ups, ("BF16", (8, 12))),
        "of another dtype": whole | dict.fromkeys(ups, ("F16", (12, 8))),
    }


@pytest.mark.parametrize("kind", ["missing", "in excess", "misshapen", "of another dtype"])
def test_what_differs_is_one_line_for_all_layers(kind: str, tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", changed()[kind])
    (found,) = compare(TABLE, file).differences
    expected = "model.layers.*.inv_freq" if kind == "in excess" else UP
    assert (found.kind, found.pattern, found.count) == (kind, expected, 3)
    assert found.name == expected.replace("*", "0")
    if kind == "in excess":
        assert not compare(TABLE, file, ["*.inv_freq"]).differences


def test_a_checkpoint_of_the_table_fits(tmp_path: Path) -> None:
    write(tmp_path / "model.safetensors", headers())
    assert not compare(TABLE, tmp_path).differences
    assert not compare(TABLE, tmp_path / "model.safetensors").differences


def test_files_of_several_and_their_index(tmp_path: Path) -> None:
    """One of them misses nothing; the index alone says which names there are."""
    whole = headers()
    names = sorted(whole)
    parts = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {n: f for f, own in parts.items() for n in own}}))
    assert "not there" in compare(TABLE, index).judged
    assert not compare(TABLE, index).differences
    for file, own in parts.items():
        write(tmp_path / file, {name: whole[name] for name in own})
        assert not compare(TABLE, tmp_path / file).differences
    assert not compare(TABLE, tmp_path).differences
    assert not compare(TABLE, index).differences
    index.write_text(json.dumps({"weight_map": {"odd": "x.safetensors"}}))
    assert {d.kind for d in compare(TABLE, index).differences} == {"missing", "in excess"}


def test_a_configuration_is_held_against_the_parameters(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    written = config(TABLE.program(), "hf")
    file.write_text(json.dumps(written))
    assert not compare(TABLE, file).differences
    assert not compare(TABLE, tmp_path).differences
    file.write_text(json.dumps(written | {"num_hidden_layers": 4}))
    expected = CheckpointDifference("param", "n_layers", "is 4, not 3", 1, "n_layers")
    assert compare(TABLE, file).differences == (expected,)


@pytest.mark.parametrize(("name", "said"), [("a.gguf", "GGUF"), ("a.safetensors", "no such file")])
def test_what_cannot_be_read_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=said):
        compare(TABLE, tmp_path / name)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    file = write(tmp_path / "model.safetensors", changed()["missing"])
    done = specgen_here("verify", str(LLAMA), str(file), *DEFINES, cwd=tmp_path)
    assert done.status == 1
    assert f"missing: {UP}" in done.out
    done = specgen_here("verify", str(LLAMA), str(file), *DEFINES, "--format", "json", cwd=tmp_path)
    assert json.loads(done.out)["differences"][0]["count"] == 3
    write(file, headers())
    assert specgen_here("verify", str(LLAMA), str(file), *DEFINES, cwd=tmp_path).status == 0
