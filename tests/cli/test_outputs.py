"""Whatever stdout, a file or a value is like, a command ends by rule: never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import specgen as package
from specgen.output.folder import replace_file
from tests.cli.running import ROOT, TINY, specgen_here

#: A command line of each command that prints a result.
PRINTING = [
    ["params", "tiny.dsv3"],
    ["formula", "tiny.dsv3", "parameters"],
    ["ir", "tiny.dsv3"],
    ["whatif", "tiny.dsv3"],
    ["solve", "tiny.dsv3", "parameters == 3", "--for", "dim"],
    ["sensitivity", "tiny.dsv3", "parameters"],
    ["diff", "tiny.dsv3", "tiny.dsv3@wide"],
    ["explain", "E0101"],
    ["--help"],
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    return tmp_path


def ended(arguments: list[str], folder: Path, redirection: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "specgen", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", PRINTING, ids=lambda a: a[0])
def test_a_closed_stdout_is_quiet(arguments: list[str], folder: Path) -> None:
    assert ended(arguments, folder, ">&-") == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", PRINTING, ids=lambda a: a[0])
def test_a_full_stdout_is_one_line(arguments: list[str], folder: Path) -> None:
    status, errors = ended(arguments, folder, "> /dev/full")
    assert status == 1
    assert errors == "specgen: cannot write the output: no space left on device\n"


def test_a_file_is_replaced_completely_or_not_at_all(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    target = tmp_path / "answer.csv"
    replace_file(target, b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            replace_file(target, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["answer.csv"]
    replace_file(target, b"new")
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf", "1e308", "1.5", "x", "10" * 40])
def test_no_value_of_a_variable_is_a_fault_of_specgen(value: str, folder: Path) -> None:
    for command in (
        ["whatif", "tiny.dsv3"],
        ["solve", "tiny.dsv3", "parameters == 3", "--for", "dim"],
        ["sensitivity", "tiny.dsv3", "parameters"],
        ["diff", "tiny.dsv3", "tiny.dsv3@wide"],
    ):
        assert specgen_here(*command, "-D", f"B={value}", cwd=folder).status in (0, 1, 2)


@pytest.mark.slow
def test_a_constant_beyond_its_dtype_is_refused(tmp_path: Path) -> None:
    build = ["build", "llama@llama32_1b", "--target", "onnx", "-D", "rope_theta=1e308"]
    done = specgen_here(*build, cwd=tmp_path)
    assert done.status == 1
    assert "E0905" in done.err


@pytest.mark.slow
def test_a_question_of_many_terms_is_no_fault_of_specgen(tmp_path: Path) -> None:
    question = ["solve", "llama@llama3_8b", "parameters ** 50 == 3", "--for", "dim,n_layers"]
    assert specgen_here(*question, cwd=tmp_path).status in (0, 1, 2)


def test_dir_lists_every_public_name() -> None:
    assert set(package.__all__) <= set(dir(package))
