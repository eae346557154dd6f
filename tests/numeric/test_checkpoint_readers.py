"""Readers of one checkpoint agree: what `verify` and `build` refuse, `load_checkpoint` does, and the other way round."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import save_file  # noqa: E402

from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface.safetensors import INDEX, DamagedCheckpoint, stretches  # noqa: E402
from tests.cli.running import TINY  # noqa: E402
from tests.numeric.generated import imported, randomised, stored  # noqa: E402

pytestmark = pytest.mark.slow

FILES = ("a.safetensors", "b.safetensors")

#: What an index may say in place of a file: files that are there, and others.
PLACES = st.sampled_from([
    *FILES, *FILES, "c.safetensors", "../a.safetensors", "./a.safetensors", "sub/a.safetensors",
    "..\\a.safetensors", "", ".", "..", "sub.safetensors", "a.bin", "a.safetensors\0", None, 1, ["a"],
])  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    return imported(load_program(folder / "tiny.dsv3"), folder)


@pytest.fixture(scope="module")
def places(
    tiny: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A folder of two files, and where each tensor is."""
    folder = tmp_path_factory.mktemp("checkpoint") / "inner"
    folder.mkdir()
    held = dict(stored(tiny, randomised(tiny.Model(tiny.Config()), 0)))
    found = {name: FILES[number % 2] for number, name in enumerate(held)}
    for file in FILES:
        save_file({n: held[n] for n, f in found.items() if f == file}, folder / file)
    (folder / "sub.safetensors").mkdir()
    (folder / "sub").mkdir()
    for outside in (folder.parent, folder / "sub"):
        shutil.copy(folder / FILES[0], outside)
    return folder, found


def refusals(tiny: ModuleType, folder: Path) -> tuple[str | None, str | None]:
    """Why the checkpoint is refused by each of its readers."""
    ours = generated = None
    try:
        stretches(folder)
    except DamagedCheckpoint as error:
        ours = str(error)
    try:
        randomised(tiny.Model(tiny.Config()), 1).load_checkpoint(folder)
    except ValueError as error:
        generated = str(error)
    return ours, generated


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), changed=st.integers(0, 2))
def test_readers_agree_on_an_index(
    tiny: ModuleType, places: Any, data: st.DataObject, changed: int
) -> None:
    folder, found = places
    said = dict(found)
    for _ in range(changed):
        said[data.draw(st.sampled_from([*found, "stray"]))] = data.draw(PLACES)
    (folder / INDEX).write_text(json.dumps({"weight_map": said}))
    ours, generated = refusals(tiny, folder)
    assert (ours is None) == (generated is None) == (said == found), (ours, generated)


@pytest.mark.parametrize(
    "text",
    [
        '{"weight_map": {}}', "{}", "[]", '{"weight_map": []}', '{"weight_map": [["x", "a.safetensors"]]}',
        "[" * 100_000, "\ufeff{}",
    ],
)  # fmt: skip
def test_readers_agree_on_what_is_no_index(tiny: ModuleType, places: Any, text: str) -> None:
    folder, _ = places
    (folder / INDEX).write_text(text, encoding="utf-8")
    assert all(refusals(tiny, folder))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), doubled=st.booleans(), same=st.booleans())
def test_readers_agree_on_a_doubled_key(
    tiny: ModuleType, places: Any, data: st.DataObject, doubled: bool, same: bool
) -> None:
    """In whichever object of the index it is, with the same value or another."""
    folder, found = places
    objects: dict[str, list[tuple[str, str]]] = {
        "metadata": [("total_size", "8"), ("format", '"pt"')],
        "weight_map": [(name, json.dumps(file)) for name, file in found.items()],
        "": [("metadata", "{}"), ("weight_map", "{}")],
    }
    if doubled:
        pairs = objects[data.draw(st.sampled_from(sorted(objects)))]
        key, value = data.draw(st.sampled_from(pairs))
        pairs.insert(data.draw(st.integers(0, len(pairs))), (key, value if same else "{}"))
    texts = {
        name: "{" + ", ".join(f"{json.dumps(key)}: {value}" for key, value in pairs) + "}"
        for name, pairs in objects.items()
        if name
    }
    inner = ", ".join(f'"{key}": {texts[key]}' for key, _ in objects[""])
    (folder / INDEX).write_text(f"{{{inner}}}")
    ours, generated = refusals(tiny, folder)
    assert (ours is None) == (generated is None) == (not doubled), (ours, generated)
    assert not doubled or ("twice" in str(ours) and "twice" in str(generated))


@pytest.mark.parametrize("file", ["c.safetensors", "sub.safetensors", "", ".", "../a.safetensors"])
def test_a_file_that_cannot_be_read_is_named(tiny: ModuleType, places: Any, file: str) -> None:
    folder, found = places
    name = next(iter(found))
    (folder / INDEX).write_text(json.dumps({"weight_map": {**found, name: file}}))
    _, generated = refusals(tiny, folder)
    assert generated is not None
    assert repr(file) in generated or f"{file} cannot be read" in generated


@pytest.mark.parametrize("nested", [False, True])
def test_a_doubled_key_is_said_to_be_doubled(nested: bool, tmp_path: Path) -> None:
    entry = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    doubled = entry.replace('"shape":[0]', '"shape":[0],"shape":[0]') if nested else entry
    text = f'{{"x":{doubled}}}' if nested else f'{{"x":{entry},"x":{entry}}}'
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text.encode())
    key = "shape" if nested else "x"
    with pytest.raises(DamagedCheckpoint, match=f"has the key `{key}` twice"):
        stretches(tmp_path)


@pytest.mark.parametrize("sign", ["\x1b[31m", "\u202e", "\n", "\x00", "\x9b2J", "\r"])
def test_names_out_of_files_do_nothing_to_a_terminal(
    tiny: ModuleType, sign: str, tmp_path: Path
) -> None:
    held = dict(stored(tiny, randomised(tiny.Model(tiny.Config()), 0)))
    strange = {f"x{sign}.{n}": torch.zeros(1) for n in range(2)}
    file = tmp_path / "model.safetensors"
    said = []
    save_file({**held, **strange}, file)
    said.append(refused(tiny, tmp_path))
    for name in ("a", "b"):
        save_file(strange, tmp_path / f"{name}.safetensors")
    file.unlink()
    said.append(refused(tiny, tmp_path))
    index = dict.fromkeys((*held, *strange), "a.safetensors")
    (tmp_path / INDEX).write_text(
        json.dumps({"weight_map": {f"y{sign}": "b.safetensors", **index}})
    )
    said.append(refused(tiny, tmp_path))
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"x": f"{sign}.safetensors"}}))
    said.append(refused(tiny, tmp_path))
    for text in said:
        assert text.replace("\n", "").isprintable(), text
        assert sign == "\n" or sign not in text


def refused(tiny: ModuleType, folder: Path) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        tiny.Model(tiny.Config()).load_checkpoint(folder)
    return str(caught.value)
