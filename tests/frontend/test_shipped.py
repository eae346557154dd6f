"""Shipped files are passed over in a run only where they are the texts that passed every check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specgen.analysis.quantities.ledger import ledger
from specgen.backends.report.page.structures import structures
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.frontend import files, load, shipped
from specgen.frontend.checks import spec
from specgen.frontend.files import Loaded, load_files
from specgen.frontend.load import check_file, check_program
from specgen.frontend.opened import Opened
from specgen.resources import folder, std_folder

STD = sorted(std_folder().glob("*.dsv3"))
TABLES = sorted(folder("specs").glob("*.dsv3"))


def read(path: Path) -> Loaded:
    loaded = load_files(path, Diagnostics())
    assert loaded is not None
    return loaded


def test_the_digests_are_current() -> None:
    stored = json.loads((folder("specs") / shipped.CHECKED).read_text(encoding="utf-8"))
    assert stored == shipped.digests(), "run `python -m specgen.frontend.shipped`"
    names = [*(f"std.{path.stem}" for path in STD), *(path.stem for path in TABLES)]
    assert sorted(stored.values()) == sorted(names)


def test_what_is_shipped_passes_every_check() -> None:
    assert list(shipped.faults()) == []


@pytest.mark.slow
@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_what_pages_count_besides_passes_every_check(path: Path) -> None:
    loaded = read(path)
    (model,) = loaded.models()
    for variant in model.tree.variants:
        table = Opened(loaded, model, variant.name, {})
        for other in structures(ledger(table.program()), table):
            found = Diagnostics()
            check_program(other.program, loaded, model, found)
            assert found.all == ()


def test_a_table_of_ones_own_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a comment it is another text; and so is a shipped one with other values."""
    checked: list[str] = []
    check = load.check_program
    monkeypatch.setattr(
        load, "check_program", lambda p, *rest: (checked.append(p.name), check(p, *rest))
    )
    llama = folder("specs") / "llama.dsv3"
    own = tmp_path / "own.dsv3"
    own.write_text(llama.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    load.load_program(llama)
    assert checked == []
    load.load_program(llama, overrides={"n_layers": 2})
    load.load_program(own)
    assert checked == ["llama", "llama"]


def test_what_is_shipped_is_parsed_once_and_each_other_text_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    parse = files.parse
    monkeypatch.setattr(
        files, "parse", lambda s, found: (parsed.append(s.name), parse(s, found))[1]
    )
    files.parsed_without_fault.cache_clear()
    text = (folder("specs") / "llama.dsv3").read_text(encoding="utf-8")
    own = tmp_path / "llama.dsv3"
    own.write_text(text, encoding="utf-8")
    before = read(own)
    assert parsed.count("llama.dsv3") == 1
    assert len(parsed) == len(set(parsed)) > 1
    parsed.clear()
    again = read(own)
    assert parsed == []
    assert again.main is not before.main, "what one run learns of a file is not for the next"
    own.write_text(f"{text}# mine\n", encoding="utf-8")
    for _ in range(2):
        read(own)
    assert parsed == ["llama.dsv3", "llama.dsv3"]


@pytest.mark.parametrize("path", STD, ids=lambda path: path.stem)
def test_a_block_that_is_asked_for_is_checked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = checked_modules(monkeypatch)
    assert not check_file(path).errors
    own = [item.name for item in read(path).main.tree.modules]
    assert set(own) <= set(looked)


def test_a_changed_block_is_checked_again_and_what_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "std").mkdir()
    for path in STD:
        (tmp_path / "std" / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("specgen.frontend.files.std_folder", lambda: tmp_path / "std")
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
    looked = checked_modules(monkeypatch)
    llama = folder("specs") / "llama.dsv3"
    assert not check_file(llama).all
    assert "llama" in looked
    assert "gqa" not in looked
    looked.clear()
    load.load_program(llama)
    assert looked == []


def checked_modules(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the modules that are checked from now on."""
    looked: list[str] = []
    check = spec.check_module
    monkeypatch.setattr(
        spec,
        "check_module",
        lambda view, *rest: looked.append(view.definition.name) or check(view, *rest),
    )
    return looked
