"""Files that are no specs are refused with a reason, before they cost anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics
from specgen.language.parser import FILE_BYTES, read_source


def refused(path: Path | str) -> Diagnostic:
    diagnostics = Diagnostics()
    assert read_source(path, "shown.dsv3", diagnostics) is None
    (found,) = diagnostics.all
    assert "`shown.dsv3`" in found.message
    assert found.span is None
    return found


def test_text_is_read_without_mark_and_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.dsv3"
    path.write_bytes("language 1\r\n# 注意\n".encode("utf-8-sig"))
    diagnostics = Diagnostics()
    source = read_source(path, "a.dsv3", diagnostics)
    assert source is not None
    assert (source.name, source.text) == ("a.dsv3", "language 1\n# 注意\n")
    assert diagnostics.all == ()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere.dsv3", "there is no such file"),
        ("file/below.dsv3", "not a folder"),
        ("folder", "it is a folder"),
        ("nul\0.dsv3", "not valid"),
        ("long" * 100, "too long"),
        ("loop", "symbolic links"),
    ],
)
def test_paths_that_lead_nowhere(path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    found = refused(f"{tmp_path}/{path}")
    assert found.code == "E0101"
    assert reason in found.message


def test_devices_and_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert refused(path).message.endswith("it is not a regular file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.dsv3"
    path.touch(mode=0o000)
    assert refused(path).message.endswith("permission denied")


def test_a_large_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: pytest.fail("the file was opened"))
        found = refused(path)
    assert found.code == "E0102"
    assert "104,857,600" in found.message
    with path.open("wb") as file:
        file.write(b"#" * FILE_BYTES)
    assert read_source(path, "just.dsv3", Diagnostics()) is not None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"language 1\n# \xff\n", "byte 0xff at offset 13, in line 2"),
        ("# 注意".encode("gb18030"), "byte 0xd2 at offset 4, in line 1"),
        ("language 1".encode("utf-16"), "byte 0xff at offset 0, in line 1"),
        (b"# caf\xc3", "byte 0xc3 at offset 5, in line 1"),
        ("# é\n\n\0".encode(), "a NUL byte at offset 6, in line 3"),
        (b"\xed\xa0\x80", "byte 0xed at offset 0, in line 1"),
    ],
)
def test_what_is_not_utf8_is_named_by_its_byte(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.dsv3"
    path.write_bytes(data)
    found = refused(path)
    assert found.code == "E0103"
    assert found.message.endswith(reason)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_line_ends_mean_the_same(end: str, tmp_path: Path) -> None:
    from specgen.diagnostics import jsonlines
    from specgen.frontend.load import check_file

    text = 'language 1\n# note\nmodel m {\n  params { d : size = 4 "t" }\n  tensors {\n    w : [e]\n  }\n}\n'
    path = tmp_path / "a.dsv3"
    found = []
    for this in ("\n", end):
        path.write_bytes(text.replace("\n", this).encode())
        found.append(jsonlines.render(check_file(path).all))
    assert found[0] == found[1]
    assert '"line": 6, "column": 10' in found[0]
