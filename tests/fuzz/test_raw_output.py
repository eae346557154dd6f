"""Nothing that a table, a file's name or a command line holds reaches any output raw."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.text.printable import UNSAFE, safe, safe_json, safe_lines
from tests.fuzz.test_files import said

HOSTILE = {
    "title of a terminal": "a\x1b]0;owned\x07b",
    "colour": "\x1b[31mred",
    "eight-bit escape": "a\x9b31mb",
    "backspace": "safe\x08\x08\x08\x08evil",
    "override": "a\u202egnp.exe",
    "isolate": "a\u2066b\u2069c",
    "mark": "a\u200fb",
    "line separator": "a\u2028b\u2029c",
    "next line": "a\x85b",
    "zero width": "a\u200b\u200d\ufeffb",
    "tag": "a\U000e0041b",
    "private": "a\ue000b",
    "long": "x" * 5000 + "\x1b[2J",
    "delete": "a\x7fb",
}


PLAIN = """\
language 1
model m "{0}" {{
  params {{
    dim : size = 4 "{0}"
    kind : "{0}" | "b" = "{0}"
  }}
  require {{ dim > 0 "{0}" }}
  tensors {{
    w : dim -> dim "{0}"
    v : [dim] when kind == "{0}" "{0}"
  }}
  names hf {{ w -> "{0}"  v -> "v{0}" }}
  variant big "{0}" {{ dim = 8 }}
}}
"""

COMMANDS = (
    "check SPEC", "check SPEC --diagnostics json", "params SPEC", "params SPEC --format json",
    "params SPEC --format csv", "params SPEC --format md", "params SPEC --expand",
    "params SPEC --expand --names hf", "params SPEC --expand --names hf --format json",
    "params SPEC --all-variants", "formula SPEC parameters", "formula SPEC parameters --format json",
    "whatif SPEC -D dim=5", "whatif SPEC --sweep dim=4:8", "whatif SPEC --sweep dim=4:8 --format csv",
    "whatif SPEC --sweep dim=4:8 --format json", "sensitivity SPEC parameters",
    "solve SPEC parameters==20 --for dim", "diff SPEC dsv3_table", "diff dsv3_table SPEC --format json",
    "build SPEC --target formulas,report,checkpoint", "build SPEC --target formulas --check",
)  # fmt: skip


def raw(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in UNSAFE}


def answers(spec: str, folder: Path) -> None:
    """Every command on the spec, and every file that it writes."""
    for command in COMMANDS:
        status, text = said(*[spec if word == "SPEC" else word for word in command.split()])
        assert status in (0, 1, 2), text
        assert not raw(text), (command, raw(text))
    for path in (folder / "generated").rglob("*"):
        if path.is_file():
            found = path.read_text(encoding="utf-8")
            assert not raw(found), (path.name, raw(found))
            if path.suffix == ".json":
                json.loads(found)


FAST = ("title of a terminal", "override", "line separator")
EACH = [kind if kind in FAST else pytest.param(kind, marks=pytest.mark.slow) for kind in HOSTILE]


@pytest.mark.parametrize("kind", EACH)
def test_no_text_of_a_table_is_raw(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dsv3").write_text(PLAIN.format(HOSTILE[kind]), encoding="utf-8")
    answers("m.dsv3", tmp_path)


@pytest.mark.parametrize("kind", FAST)
def test_no_path_is_raw(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{HOSTILE[kind].replace('/', '')}.dsv3"
    (tmp_path / name).write_text(PLAIN.format("t") + "}", encoding="utf-8")  # with a fault
    for command in ("check SPEC", "build SPEC", "check SPEC --diagnostics json", "import SPEC"):
        status, text = said(*[name if word == "SPEC" else word for word in command.split()])
        assert status == 1, text
        assert not raw(text)
    (tmp_path / "m.dsv3").write_text(PLAIN.format("t"), encoding="utf-8")
    for more in ([], ["--check"]):
        status, text = said("build", "m.dsv3", "--target", "formulas", "-o", f"out{name}", *more)
        assert status == 0, text
        assert not raw(text)


@pytest.mark.parametrize("kind", EACH)
def test_no_argument_is_raw(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dsv3").write_text(PLAIN.format("t"), encoding="utf-8")
    text = HOSTILE[kind]
    for arguments in (
        [text],
        ["check", text],
        ["check", f"m.dsv3@{text}"],
        ["params", "m.dsv3", f"--{text}"],
        ["params", "m.dsv3", "--format", text],
        ["params", "m.dsv3", "--expand", "--names", text],
        ["params", "m.dsv3", "-D", text],
        ["params", "m.dsv3", "-D", f"dim={text}"],
        ["params", "m.dsv3", "-D", f"kind={text}"],
        ["build", "m.dsv3", "--target", text],
        ["formula", "m.dsv3", text],
        ["explain", text],
        ["import", text],
        ["whatif", "m.dsv3", "--sweep", text],
        ["solve", "m.dsv3", text, "--for", text],
        ["sensitivity", "m.dsv3", text],
        ["diff", text, text],
    ):
        status, found = said(*arguments)
        assert status in (1, 2), found
        assert not raw(found), (arguments, raw(found))
        assert "Traceback" not in found


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.text())
def test_escapes_are_complete_and_json_keeps_its_meaning(text: str) -> None:
    assert not raw(safe(text))
    assert "\n" not in safe(text)
    assert not raw(safe_lines(text))
    written = safe_json(json.dumps(text, ensure_ascii=False))
    assert not raw(written)
    assert json.loads(written) == text
    if text.isascii() and text.isprintable():
        assert safe(text) == safe_lines(text) == text


def test_letters_of_every_script_stay() -> None:
    for text in ("dim × n_heads", "注意力", "انتباه", "внимание", "½ → ≥ é"):
        assert safe(text) == safe_lines(text) == text
        assert safe_json(json.dumps(text, ensure_ascii=False)) == f'"{text}"'


@pytest.mark.parametrize("sign", ["\n", "\r\n", "\t", "\x1b[2J\n"])
def test_a_path_that_ends_lines_is_printed_on_one(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dsv3").write_text(PLAIN.format("t"), encoding="utf-8")
    status, text = said("build", "m.dsv3", "--target", "formulas", "-o", f"o{sign}wrote t")
    assert status == 0, text
    assert len(text.splitlines()) == 1
    folder = tmp_path / f"d{sign}e"
    folder.mkdir()
    (folder / "m.dsv3").write_text(PLAIN.format("t"), encoding="utf-8")
    status, text = said("check", f"d{sign}e/n.dsv3")
    assert status == 1
    assert not [line for line in text.splitlines() if line.startswith("e/")]
