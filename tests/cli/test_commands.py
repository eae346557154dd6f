"""What commands print and return: the contracts that tests from outside rely on."""

import json
from pathlib import Path

import pytest

from tests.cli.running import PURE, ROOT, TINY, Done, specgen, specgen_here


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    (tmp_path / "pure.dsv3").write_text(PURE, encoding="utf-8")
    (tmp_path / "faulty.dsv3").write_text(TINY.replace("head(", "haed("), encoding="utf-8")
    (tmp_path / "broken.dsv3").write_text("language 1\nmodel m { params { a size } }")
    return tmp_path


def codes(done: Done) -> list[str]:
    """The codes of the JSON lines on stderr."""
    return [json.loads(line)["code"] for line in done.err.splitlines()]


# ---- exit status -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (0, ["check", "tiny.dsv3"]),
        (0, ["check", "tiny.dsv3", "pure.dsv3"]),
        (0, ["check", "tiny.dsv3@wide"]),
        (0, ["params", "tiny.dsv3"]),
        (0, ["params", "tiny.dsv3@deep", "-D", "dim=24"]),
        (0, ["diff", "tiny.dsv3", "tiny.dsv3@wide"]),
        (0, ["formula", "tiny.dsv3", "parameters"]),
        (0, ["explain", "E0101"]),
        (0, ["--help"]),
        (0, ["--version"]),
        (0, ["params", "--help"]),
        (1, ["check", "faulty.dsv3"]),
        (1, ["check", "tiny.dsv3", "faulty.dsv3"]),
        (1, ["check", "missing.dsv3"]),
        (1, ["check", "tiny.dsv3@wdie"]),
        (1, ["check", "."]),
        (1, ["params", "broken.dsv3"]),
        (1, ["params", "tiny.dsv3@wdie"]),
        (1, ["params", "tiny.dsv3", "-D", "dmi=3"]),
        (1, ["params", "tiny.dsv3", "-D", "dim=0"]),
        (1, ["params", "tiny.dsv3", "-D", "dim=x y"]),
        (1, ["params", "tiny.dsv3", "-D", 'kind="c"']),
        (1, ["build", "faulty.dsv3"]),
        (1, ["build", "pure.dsv3", "--target", "pytorch"]),
        (2, []),
        (2, ["chekc", "tiny.dsv3"]),
        (2, ["check"]),
        (2, ["params"]),
        (2, ["params", "tiny.dsv3", "--format", "yaml"]),
        (2, ["params", "tiny.dsv3", "-D", "dim"]),
        (2, ["params", "tiny.dsv3", "--names", "hf"]),
        (2, ["params", "tiny.dsv3", "--expand", "--names", "fh"]),
        (2, ["params", "tiny.dsv3@wide", "--all-variants"]),
        (2, ["build", "tiny.dsv3", "--target", "pytroch"]),
        (2, ["build", "tiny.dsv3", "--weights", "embedded"]),
        (2, ["build", "tiny.dsv3", "--weights", "embed"]),
        (2, ["build", "tiny.dsv3", "--weights", "none", "--checkpoint", "."]),
        (2, ["build", "tiny.dsv3", "--checkpoint", ".", "-o", "out"]),
        (2, ["build", "tiny.dsv3", "--checkpoint", ".", "--target", "onnx,report"]),
        (2, ["build", "tiny.dsv3", "tiny.dsv3@wide", "--checkpoint", "."]),
        (2, ["build", "tiny.dsv3", "--target", "report", "--ops", "ort"]),
        (1, ["build", "tiny.dsv3", "--checkpoint", "."]),
        (1, ["build", "tiny.dsv3", "--checkpoint", "nowhere"]),
        (2, ["formula", "tiny.dsv3", "paramters"]),
        (2, ["explain", "E9999"]),
        (2, ["check", "tiny.dsv3", "--no-such-option"]),
    ],
)
def test_exit_status(folder: Path, status: int, arguments: list[str]) -> None:
    done = specgen_here(*arguments, cwd=folder)
    assert done.status == status, done.err
    assert "Traceback" not in done.err
    assert done.err or status == 0
    assert not done.out or status == 0


def test_a_process_of_its_own_ends_the_same(folder: Path) -> None:
    for arguments in (["params", "tiny.dsv3"], ["check", "faulty.dsv3"], ["chekc"], []):
        assert specgen(*arguments, cwd=folder) == specgen_here(*arguments, cwd=folder)


def test_a_fault_of_specgen_itself_is_3_and_says_how_to_report(folder: Path) -> None:
    script = (
        "import sys\nfrom specgen.cli import main, params\n"
        "def fail(*_): raise ZeroDivisionError('boom')\n"
        "params.select_tables = fail\n"
        "sys.exit(main.main(['params', 'tiny.dsv3']))"
    )
    import os
    import subprocess
    import sys

    for debug in ("", "1"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SPECGEN_DEBUG": debug},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3
        assert done.stdout == ""
        assert "fault of specgen" in done.stderr
        assert "SPECGEN_DEBUG" in done.stderr
        assert ("Traceback" in done.stderr) == (debug == "1")


# ---- selection -------------------------------------------------------------------------


def total(*arguments: str, cwd: Path) -> int:
    done = specgen_here("params", *arguments, "--format", "json", cwd=cwd)
    assert done.status == 0, done.err
    value = json.loads(done.out)["quantities"]["parameters"]
    assert isinstance(value, int)
    return value


def test_variants_and_overrides_select(folder: Path) -> None:
    def expected(dim: int, n_layers: int) -> int:
        return 2 * 32 * dim + n_layers * 8 * dim * dim

    assert total("tiny.dsv3", cwd=folder) == expected(8, 2)
    assert total("tiny.dsv3@wide", cwd=folder) == expected(16, 2)
    assert total("tiny.dsv3@deep", cwd=folder) == expected(16, 9)
    assert total("tiny.dsv3@deep", "-D", "dim=4", "-D", "n_layers=1", cwd=folder) == expected(4, 1)
    assert total("-D", "dim=4", "tiny.dsv3", cwd=folder) == expected(4, 2)


def test_shipped_tables_are_found_from_any_folder(tmp_path: Path) -> None:
    for name in ("llama@llama3_8b", "llama.dsv3@llama3_8b"):
        assert total(name, cwd=tmp_path) == 8_030_261_248


def test_a_file_wins_over_a_shipped_table(folder: Path) -> None:
    (folder / "llama").write_text(TINY, encoding="utf-8")
    assert total("llama", cwd=folder) == 2 * 32 * 8 + 2 * 8 * 64


def test_a_file_whose_name_has_an_at_sign(folder: Path) -> None:
    (folder / "tiny@home.dsv3").write_text(TINY, encoding="utf-8")
    assert total("tiny@home.dsv3", cwd=folder) == total("tiny.dsv3", cwd=folder)
    assert total("tiny@home.dsv3@wide", cwd=folder) == total("tiny.dsv3@wide", cwd=folder)


def test_mistyped_names_are_suggested(folder: Path) -> None:
    for arguments, meant in [
        (["params", "tiny.dsv3@wdie"], "wide"),
        (["params", "tiny.dsv3", "-D", "n_layer=3"], "n_layers"),
        (["build", "tiny.dsv3", "--target", "pytroch"], "pytorch"),
        (["build", "tiny.dsv3", "--experts", "relesed"], "released"),
        (["build", "tiny.dsv3", "--onnx-form", "function"], "functions"),
        (["formula", "tiny.dsv3", "paramters"], "parameters"),
        (["chekc", "tiny.dsv3"], "check"),
        (["explain", "E0904x"], "E0904"),
    ]:
        assert f"did you mean `{meant}" in specgen_here(*arguments, cwd=folder).err


# ---- output ----------------------------------------------------------------------------


def test_json_is_one_document_and_nothing_else(folder: Path) -> None:
    for arguments in (
        ["params", "tiny.dsv3"],
        ["params", "tiny.dsv3", "--expand", "--names", "hf"],
        ["formula", "tiny.dsv3", "parameters"],
        ["diff", "tiny.dsv3", "pure.dsv3"],
    ):
        done = specgen_here(*arguments, "--format", "json", cwd=folder)
        assert isinstance(json.loads(done.out), dict)
        assert done.err == ""


def test_params_follows_the_contract(folder: Path) -> None:
    found = json.loads(specgen_here("params", "tiny.dsv3@wide", "--format", "json", cwd=folder).out)
    assert (found["spec"], found["variant"]) == ("tiny", "wide")
    assert found["quantities"]["parameters"] == 5120
    up = next(row for row in found["rows"] if row["name"] == "layers.{layer}.up")
    wanted = {
        "shape": [64, 16],
        "in_out": [16, 64],
        "dtype": "bf16",
        "multiplicity": 2,
        "multiplicity_expr": "n_layers",
        "elements": 2048,
        "kind": "map",
    }
    assert {key: up[key] for key in wanted} == wanted
    counted = [row["elements"] for row in found["rows"] if row["kind"] != "scale"]
    assert sum(counted) == found["quantities"]["parameters"]


def test_params_lists_every_tensor_under_the_released_names(folder: Path) -> None:
    done = specgen_here(
        "params", "tiny.dsv3", "--expand", "--names", "hf", "--format", "json", cwd=folder
    )
    names = [tensor["name"] for tensor in json.loads(done.out)["tensors"]]
    assert "model.layers.1.down.weight" in names
    assert len(names) == 2 + 2 * 2


def test_all_variants_is_a_list(folder: Path) -> None:
    for spec, variants in (("tiny.dsv3", ["wide", "deep"]), ("pure.dsv3", [None])):
        done = specgen_here("params", spec, "--all-variants", "--format", "json", cwd=folder)
        assert [document["variant"] for document in json.loads(done.out)] == variants


def test_diagnostics_as_json_lines(folder: Path) -> None:
    done = specgen_here("check", "faulty.dsv3", "--diagnostics", "json", cwd=folder)
    assert done.status == 1
    assert done.out == ""
    assert codes(done)
    found = json.loads(done.err.splitlines()[0])
    assert (found["severity"], found["file"], found["line"]) == ("error", "faulty.dsv3", 16)
    assert specgen_here("check", "tiny.dsv3", "--diagnostics", "json", cwd=folder).err == ""
    assert codes(specgen_here("params", "no.dsv3", "--diagnostics", "json", cwd=folder)) == [
        "E0101"
    ]


def test_diagnostics_of_several_tables_come_in_one_run(folder: Path) -> None:
    arguments = ["check", "faulty.dsv3", "missing.dsv3", "broken.dsv3", "--diagnostics", "json"]
    done = specgen_here(*arguments, cwd=folder)
    files = {json.loads(line)["file"] for line in done.err.splitlines()}
    assert {"faulty.dsv3", "broken.dsv3"} <= files
    assert "E0101" in codes(done)


def test_explain_prints_the_page_of_a_code() -> None:
    done = specgen_here("explain", "e0903", cwd=ROOT)
    assert done.out.startswith("E0903 (error): target needs a forward")
    assert "right:" in done.out


def test_no_colour_without_a_terminal(folder: Path) -> None:
    for arguments in (["check", "faulty.dsv3"], ["params", "tiny.dsv3"]):
        done = specgen(*arguments, cwd=folder)
        assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_refused(folder: Path, no_color: str, colored: bool) -> None:
    pty = pytest.importorskip("pty")
    import os
    import subprocess
    import sys

    leader, follower = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "specgen", "check", "faulty.dsv3"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": no_color, "TERM": "xterm"},
        stderr=follower,
        check=False,
    )
    os.close(follower)
    assert (b"\x1b[" in os.read(leader, 100_000)) == colored
    os.close(leader)


@pytest.mark.slow
def test_a_reader_that_stops_is_no_fault(folder: Path) -> None:
    import os
    import subprocess
    import sys

    running = subprocess.Popen(
        [sys.executable, "-m", "specgen", "params", "deepseek_v3", "--expand"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stderr is not None
    assert running.stdout.readline()
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait(60) == 0


def test_output_is_utf8_whatever_the_locale(folder: Path) -> None:
    (folder / "tiny.dsv3").write_text(TINY.replace('"width"', '"宽度"'), encoding="utf-8")
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    done = specgen("params", "tiny.dsv3", "--format", "md", cwd=folder, **environment)
    assert done.status == 0, done.err
    assert "×" in done.out
