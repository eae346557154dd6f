"""The std blocks are passed over in a run only where they are the texts that passed every check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specgen.check import shipped, spec
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.elaborate.files import Loaded, load_files
from specgen.elaborate.load import check_file
from specgen.resources import std_folder

STD = sorted(std_folder().glob("*.dsv3"))


def read(path: Path) -> Loaded:
    loaded = load_files(path, Diagnostics())
    assert loaded is not None
    return loaded


def test_the_digests_are_current() -> None:
    """Writing them checks each block; here they are what is written."""
    stored = json.loads((std_folder() / shipped.CHECKED).read_text(encoding="utf-8"))
    assert stored == shipped.digests(), "run `python -m specgen.check.shipped`"
    assert sorted(stored.values()) == [path.stem for path in STD]


@pytest.mark.parametrize("path", STD, ids=lambda path: path.stem)
def test_a_block_that_is_asked_for_is_checked(path: Path) -> None:
    loaded = read(path)
    assert loaded.main not in shipped.passed(loaded)


def test_a_changed_block_is_checked_again_and_what_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "std").mkdir()
    for path in (*STD, std_folder() / shipped.CHECKED):
        (tmp_path / "std" / path.name).write_bytes(path.read_bytes())
    for module in ("specgen.elaborate.files", "specgen.check.shipped"):
        monkeypatch.setattr(f"{module}.std_folder", lambda: tmp_path / "std")
    main = tmp_path / "main.dsv3"
    main.write_text("language 1\nuse std.attention { gqa }\nuse std.ffn { swiglu }\n", "utf-8")
    before = {file.source.name for file in shipped.passed(read(main))}
    assert {"std/attention.dsv3", "std/rope.dsv3", "std/ffn.dsv3"} <= before

    changed = tmp_path / "std" / "rope.dsv3"
    text = changed.read_text(encoding="utf-8")
    head, brace, rest = text.rpartition("}")
    changed.write_text(f"{head}  unknown_name\n{brace}{rest}", encoding="utf-8")
    assert check_file(main).errors
    changed.write_text(f"{text}# another text\n", encoding="utf-8")
    after = {file.source.name for file in shipped.passed(read(main))}
    assert "std/ffn.dsv3" in after
    assert not {"std/rope.dsv3", "std/attention.dsv3"} & after
    assert not check_file(main).all


def test_what_is_passed_over_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    check = spec.check_module
    monkeypatch.setattr(
        spec,
        "check_module",
        lambda view, found: (looked.append(view.definition.name), check(view, found)),
    )
    llama = std_folder().parent / "llama.dsv3"
    assert not check_file(llama).all
    assert "llama" in looked
    assert "gqa" not in looked
