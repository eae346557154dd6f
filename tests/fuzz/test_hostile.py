"""What is meant to take for ever is answered soon, with status 0 or 1 and never a traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bounds import command
from tests.fuzz.hostile import CIRCLES, GROWTH, model

ROOT = Path(__file__).parents[2]
SECONDS = 60
MEMORY = 2 << 30


def written(folder: Path, text: str) -> Path:
    path = folder / "hostile.dsv3"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", CIRCLES)
def test_circles_are_named(name: str, tmp_path: Path) -> None:
    text, code = CIRCLES[name]
    status, said = command("check", written(tmp_path, text), SECONDS)
    assert status == 1
    assert f"error[{code}]" in said


@pytest.mark.parametrize("name", CIRCLES)
def test_circles_end_a_count_too(name: str, tmp_path: Path) -> None:
    text, code = CIRCLES[name]
    status, said = command("params", written(tmp_path, text), SECONDS)
    if name == "variants":  # the defaults do not need them
        assert status == 0
    else:
        assert status == 1
        assert f"error[{code}]" in said


def test_files_that_use_each_other(tmp_path: Path) -> None:
    one, two = tmp_path / "one.dsv3", tmp_path / "two.dsv3"
    one.write_text("language 1\nuse ./two { b }\nmodule a { }\nmodel m { parts { x : b } }")
    two.write_text("language 1\nuse ./one { a }\nmodule b { parts { y : a } }")
    for name in ("check", "params"):
        status, said = command(name, one, SECONDS)
        assert status == 1
        assert "error[E0202]" in said
        assert "two.dsv3:2:1" in said


def test_a_use_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "secret.dsv3").write_text("language 1\nmodule a { }")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "link.dsv3").symlink_to(tmp_path / "secret.dsv3")
    for target in ("./../secret", "./inner/../../secret", "./link", "/etc/passwd"):
        path = tmp_path / "inner" / "m.dsv3"
        path.write_text(f"language 1\nuse {target} {{ a }}\nmodel m {{ parts {{ x : a }} }}")
        status, said = command("check", path, SECONDS)
        assert status == 1, target
        assert "error[E0" in said


def big(folder: Path) -> Path:
    path = folder / "big.dsv3"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    return path


def test_a_hundred_megabytes(tmp_path: Path) -> None:
    for name in ("check", "params"):
        status, said = command(name, big(tmp_path), 2)
        assert (status, "error[E0102]" in said) == (1, True)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"language 1\nmodel m \xff { }", "E0103"),
        (b"\x00\x01\x02", "E0103"),
        (b"", "E0104"),
        (b"\x93NUMPY\x01\x00v\x00", "E0103"),
        (b"PK\x03\x04", "E0104"),
        (b"language 1\nmodel m { params { d : size = " + b"[" * 500_000, "E0113"),
    ],
)
def test_bytes_that_are_no_spec(data: bytes, code: str, tmp_path: Path) -> None:
    path = tmp_path / "bytes.dsv3"
    path.write_bytes(data)
    for name in ("check", "params"):
        status, said = command(name, path, 5)
        assert status == 1
        assert f"error[{code}]" in said


def test_a_million_empty_lines(tmp_path: Path) -> None:
    path = written(tmp_path, "language 1" + "\n" * 1_000_000)
    assert command("check", path, 5)[0] == 0  # a file of blocks needs no model
    status, said = command("params", path, 5)
    assert (status, "error[E0207]" in said) == (1, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["power tower", "squares of squares", "chain of lets"])
def test_growth_is_answered(name: str, tmp_path: Path) -> None:
    survive(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", GROWTH)
def test_all_growth_is_answered(name: str, tmp_path: Path) -> None:
    survive(name, tmp_path)


def survive(name: str, folder: Path) -> None:
    path = written(folder, GROWTH[name]())
    for action in ("check", "params"):
        status, said = command(action, path, SECONDS)
        assert status in (0, 1), said
        assert len(said) < 1_000_000


@pytest.mark.parametrize("value", ["9**9**9", "(" * 100_000, "a", "1e999", "x = 1", "", "{", "\0"])
def test_values_from_the_command_line(value: str, tmp_path: Path) -> None:
    from specgen.diagnostics.diagnostic import SpecError
    from specgen.frontend.load import load_program

    path = written(tmp_path, model("params { a : size = 2 }", "tensors { w : [a] }"))
    with pytest.raises(SpecError) as caught:
        load_program(path, None, {"a": value})
    assert str(caught.value)


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CIRCLES, *GROWTH, "a hundred megabytes"])
def test_in_a_process_of_little_memory(name: str, tmp_path: Path) -> None:
    if name in CIRCLES:
        path = written(tmp_path, CIRCLES[name][0])
    else:
        path = written(tmp_path, GROWTH[name]()) if name in GROWTH else big(tmp_path)
    for action in ("check", "params"):
        done = subprocess.run(
            [sys.executable, "-m", "specgen", action, path.name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=limit_memory,
            capture_output=True,
            text=True,
            timeout=2 * SECONDS,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or "error[E" in done.stderr
