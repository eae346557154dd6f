"""What a result depends on is in its key, and a warm run imports nothing that it does not need."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from specgen.cache.key import inputs, key
from specgen.cache.results import pack, remembered, unpack
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.frontend.files import load_files
from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from tests.cli.running import ROOT, TINY, specgen

OUTER = "language 1\nuse ./blocks/inner { part }\nmodel outer { parts { p : part } }\n"
INNER = "language 1\nuse ./leaf { leaf }\nmodule part { parts { l : leaf } }\n"
LEAF = "language 1\nmodule leaf { tensors { w : [3] as f32 } }\n"


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "outer.dsv3").write_text(OUTER)
    (tmp_path / "blocks" / "inner.dsv3").write_text(INNER)
    (tmp_path / "blocks" / "leaf.dsv3").write_text(LEAF)
    return tmp_path / "outer.dsv3"


def test_the_scan_finds_every_file_that_the_loader_reads(outer: Path) -> None:
    assert {name for name, _ in inputs(outer)} == {
        "outer.dsv3",
        "blocks/inner.dsv3",
        "blocks/leaf.dsv3",
    }


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.dsv3")), ids=lambda p: p.stem)
def test_the_scan_and_the_loader_agree_on_shipped_tables(spec: Path) -> None:
    loaded = load_files(spec, Diagnostics())
    assert loaded is not None
    own = {name for name in loaded.files if not name.startswith("std/")}
    assert len(own) == len(list(inputs(spec)))


@pytest.mark.parametrize(
    "use",
    [
        "use ./leaf { leaf }",
        "use\n.\n/leaf{leaf}",
        "use # why\n ./ # not\n leaf { leaf }",
        'use ./leaf { leaf } # "',
    ],
)
def test_the_scan_reads_use_as_the_parser_does(tmp_path: Path, use: str) -> None:
    (tmp_path / "leaf.dsv3").write_text(LEAF)
    spec = tmp_path / "spec.dsv3"
    spec.write_text(f'language 1\n# use ./absent {{ x }}\n{use}\nmodel m "use ./gone" {{ }}\n')
    loaded = load_files(spec, Diagnostics())
    assert loaded is not None
    assert len(loaded.files) == 2
    assert {name for name, _ in inputs(spec)} == {"spec.dsv3", "leaf.dsv3"}


def changed(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: changed(spec, "p :", "q :"),
        lambda spec: changed(spec.parent / "blocks" / "inner.dsv3", "l :", "m :"),
        lambda spec: changed(spec.parent / "blocks" / "leaf.dsv3", "[3]", "[4]"),
    ],
)
def test_any_edit_of_any_file_changes_the_key(outer: Path, change: Callable[[Path], None]) -> None:
    before = key(Selection(outer), ("params",))
    assert key(Selection(outer), ("params",)) == before
    change(outer)
    assert key(Selection(outer), ("params",)) != before


def test_variant_overrides_and_request_are_in_the_key(outer: Path) -> None:
    keys = {
        key(Selection(outer), ("params",)),
        key(Selection(outer), ("params", "json")),
        key(Selection(outer), ("build",)),
        key(Selection(outer, "a"), ("params",)),
        key(Selection(outer, None, {"a": "1"}), ("params",)),
        key(Selection(outer, None, {"a": 1}), ("params",)),
        key(Selection(outer, None, {"a": True}), ("params",)),
        key(Selection(outer, None, {"b": 1}), ("params",)),
    }
    assert len(keys) == 8
    assert None not in keys


def test_the_key_is_of_content_not_of_place(outer: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "blocks").mkdir()
    for name, data in inputs(outer):
        (copy / name).write_bytes(data)
    assert key(Selection(copy / "outer.dsv3"), ()) == key(Selection(outer), ())


def test_what_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    assert key(Selection(tmp_path / "no.dsv3"), ()) is None
    (tmp_path / "large.dsv3").write_bytes(b"#" * (2**20 + 1))
    assert key(Selection(tmp_path / "large.dsv3"), ()) is None


def test_computed_once_and_again_after_damage(
    outer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("SPECGEN_CACHE", str(cache))
    calls = []

    def compute() -> bytes:
        calls.append(1)
        return b"result"

    for _ in range(3):
        assert remembered(Selection(outer), ("x",), compute) == b"result"
    assert len(calls) == 1
    (entry,) = cache.iterdir()
    entry.write_bytes(entry.read_bytes().replace(b"result", b"poison"))
    for _ in range(2):
        assert remembered(Selection(outer), ("x",), compute) == b"result"
    assert len(calls) == 2


def test_a_file_saved_while_computing_is_not_mistaken(
    outer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECGEN_CACHE", str(tmp_path / "cache"))
    before = outer.read_text()

    def compute() -> bytes:
        outer.write_text(before + "# saved\n")
        return b"of the new text"

    assert remembered(Selection(outer), (), compute) == b"of the new text"
    outer.write_text(before)
    assert remembered(Selection(outer), (), lambda: b"of the old text") == b"of the old text"


def test_pack_keeps_files_as_they_are() -> None:
    files = {"b": b"\0\n\xff", "a": b"", "c.json": b'{"x": 1}\n'}
    assert unpack(pack(files)) == files
    assert list(unpack(pack(files))) == list(files)


@pytest.mark.slow
def test_a_damaged_entry_changes_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    cache = tmp_path / "cache"
    arguments = ["params", "tiny.dsv3", "--format", "json"]
    monkeypatch.setenv("SPECGEN_CACHE", str(cache))
    first = specgen(*arguments, cwd=tmp_path)
    for entry in cache.iterdir():
        entry.write_bytes(entry.read_bytes()[:-40] + b"\0" * 40)
    assert specgen(*arguments, cwd=tmp_path) == first
    (entry,) = cache.iterdir()
    assert b"\0" * 40 not in entry.read_bytes()
    assert specgen(*arguments, cwd=tmp_path, SPECGEN_CACHE="off") == first


# ---- start-up --------------------------------------------------------------------------

HEAVY = {"lark", "sympy", "onnx", "jinja2", "rich", "numpy", "torch", "transformers"}


def imported(arguments: list[str], cwd: Path, cache: Path) -> set[str]:
    """The heavy libraries that a command imports."""
    script = (
        "import json, sys\n"
        "from specgen.cli.main import main\n"
        f"status = main({arguments!r})\n"
        "assert status == 0, status\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPECGEN_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1])) & HEAVY


@pytest.mark.slow
def test_commands_import_what_they_use(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    params = ["params", "llama@llama3_8b", "--format", "json"]
    build = ["build", "llama@llama3_8b"]
    assert imported(params, tmp_path, cache) == set()
    assert imported(params, tmp_path, cache) == set()
    assert imported(build, tmp_path, cache) == {"jinja2"}
    assert imported(build, tmp_path, cache) == set()
    assert imported(["explain", "E0101"], tmp_path, cache) == set()
    assert imported(["--help"], tmp_path, cache) == set()


def test_importing_specgen_imports_nothing_else() -> None:
    script = "import sys, specgen; print([m for m in sys.modules if m.startswith('specgen')])"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(ast.literal_eval(done.stdout)) == ["specgen", "specgen.version"]


def test_select_finds_the_shipped_tables() -> None:
    assert select("llama@llama3_8b") == Selection(ROOT / "specs" / "llama.dsv3", "llama3_8b")
