"""`specgen whatif`: what it prints, what it refuses, and that nothing in it is ever executed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from specgen.cli import whatif as command
from specgen.cli.main import main
from tests.cli.running import TINY

V3 = "deepseek_v3@v3_671b"


def ask(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["whatif", *arguments])
    except SystemExit as stop:
        status = int(str(stop.code))
    out, err = capfdbinary.readouterr()
    return status, out.decode(), err.decode()


# ---- one configuration -----------------------------------------------------------------


@pytest.mark.slow
def test_changed_beside_base(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    status, out, _ = ask(capfdbinary, V3, "-D", "dim=4096", "--format", "json")
    found = json.loads(out)
    assert status == 0
    assert found["changes"] == {
        "dim": {"base": 7168, "changed": 4096, "follows": False},
        "gate_bias": {"base": True, "changed": False, "follows": True},
    }
    parameters = found["quantities"]["parameters"]
    assert parameters["base"] == 671_026_419_200
    assert parameters["difference"] == parameters["changed"] - parameters["base"]
    assert found["quantities"]["flops_prefill"]["base"] == 170_973_789_683_712
    assert found["quantities"]["flops_training"]["base"] == 481_482_208_444_416


@pytest.mark.slow
def test_text_states_variables_and_changes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, out, _ = ask(capfdbinary, V3, "-D", "n_layers=30", "-D", "B=8", "--quantity", "cache_bytes")
    assert out == (
        "deepseek_v3@v3_671b\n"
        "  n_layers = 30 (base 61)\n\n"
        "quantity     unit            base      changed    difference  ratio\n"
        "cache_bytes  bytes  1,151,336,448  566,231,040  -585,105,408  0.4918\n\n"
        "with\n"
        "  B = 8: sequences of a batch\n"
        "  T = 2,048: all tokens of each sequence, those in the cache included\n"
    )


def test_without_changes_there_is_one_column(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, out, _ = ask(capfdbinary, V3, "-D", "T=4096", "--quantity", "cache_bytes", "--format", "csv")
    assert out == "quantity,unit,value\ncache_bytes,bytes,287834112\n"


def test_absent_quantities_say_why(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, out, _ = ask(capfdbinary, "dsv3_table", "--quantity", "parameters,flops_decode")
    assert "flops_decode: the table has no forward" in out


@pytest.mark.slow
def test_a_changed_table_that_breaks_a_requirement(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    status, out, err = ask(capfdbinary, V3, "-D", "n_layers=2")
    assert (status, out) == (1, "")
    assert "E0311" in err
    assert "prefix of the stack" in err


# ---- sweeps ----------------------------------------------------------------------------


@pytest.mark.slow
def test_formats_agree(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = [V3, "--sweep", "n_layers=2:4", "--quantity", "parameters,stored_bytes"]
    _, text, _ = ask(capfdbinary, *asked, "--format", "csv")
    rows = [{k: int(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]
    _, text, err = ask(capfdbinary, *asked, "--format", "json")
    found = json.loads(text)
    assert err == ""
    assert found["rows"] == rows
    assert (found["points"], len(rows)) == (3, 2)
    assert found["left_out"] == [
        {
            "reason": "the dense layers are a prefix of the stack (n_dense_layers <= n_layers)",
            "points": 1,
        }
    ]
    _, text, _ = ask(capfdbinary, *asked)
    assert f"{rows[1]['parameters']:,}" in text
    assert "2 of 3 configurations\nleft out 1: the dense layers" in text
    _, text, _ = ask(capfdbinary, *asked, "--format", "md")
    assert f"| {rows[0]['n_layers']} | {rows[0]['parameters']:,} |" in text


def test_csv_tells_on_stderr_what_is_left_out(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    _, out, err = ask(capfdbinary, V3, "--sweep", "n_layers=2:3", "--format", "csv")
    assert len(out.splitlines()) == 2
    assert "specgen: left out 1: the dense layers" in err


@pytest.mark.parametrize("form", ["text", "md", "csv", "json"])
def test_empty_results_say_so(capfdbinary: pytest.CaptureFixture[bytes], form: str) -> None:
    asked = ["llama", "--sweep", "n_layers=2:9", "--where", "parameters < 1", "--format", form]
    status, out, err = ask(capfdbinary, *asked)
    assert status == 0
    if form == "json":
        assert json.loads(out)["rows"] == []
        assert json.loads(out)["filtered_out"] == 8
    else:
        said = err if form == "csv" else out
        assert "no configuration is left of 8" in said
        assert "filtered out 8" in said


@pytest.mark.slow
def test_pareto(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    asked = ["--sweep", "n_layers=3:6", "--sweep", "n_routed_experts=64,256", "--format", "json"]
    _, out, _ = ask(capfdbinary, V3, *asked, "--pareto", "parameters:max,cache_bytes_per_token")
    found = json.loads(out)
    chosen = [(row["n_layers"], row["n_routed_experts"]) for row in found["rows"]]
    assert chosen[:3] == [(6, 256), (5, 256), (4, 256)]
    assert {row["n_layers"] for row in found["rows"]} == {3, 4, 5, 6}
    assert found["pareto"][0] == {"column": "parameters", "best": "most"}


@pytest.mark.slow
def test_all_tokens_are_new_where_only_those_are_swept(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    asked = [V3, "--sweep", "S=1024,2048", "--quantity", "cache_bytes", "--format", "json"]
    _, out, _ = ask(capfdbinary, *asked)
    assert json.loads(out)["variables"]["T"] == "S"
    assert [row["cache_bytes"] for row in json.loads(out)["rows"]] == [71_958_528, 143_917_056]


def test_output_and_its_faults(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    asked = ["llama", "--sweep", "n_layers=1:2", "--quantity", "parameters", "--format", "csv"]
    status, out, _ = ask(capfdbinary, *asked, "-o", str(tmp_path / "x.csv"))
    assert (status, out) == (0, "")
    assert (tmp_path / "x.csv").read_text().startswith("n_layers,parameters\n1,")
    status, _, err = ask(capfdbinary, *asked, "-o", str(tmp_path / "no" / "x.csv"))
    assert status == 2
    assert "cannot write" in err


# ---- refusals --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--where", "dim > 1"], "--where needs --sweep"),
        (["--pareto", "a,b"], "--pareto needs --sweep"),
        (["--plot", "x.svg"], "--plot needs --sweep"),
        (["--quantity", "parametres"], "did you mean `parameters`"),
        (["--sweep", "dim=1,2", "--plot", "x.pdf"], "--plot writes FILE.svg or FILE.png"),
        (["--sweep", "dim=1,2", "-D", "dim=3"], "`dim` is both set by -D and swept"),
        (["--sweep", "dim=1,2", "--pareto", "parameters"], "two different columns"),
        (["--sweep", "dim=1,2", "--pareto", "parameters,parameters"], "two different columns"),
        (["--sweep", "dim=1,2", "--pareto", "parameters:up,dim"], "NAME:min or NAME:max"),
        (["--sweep", "dim=1,2", "--where", "dim"], "this is no condition"),
        (["--sweep", "dim=1,2", "--where", "parameters < 700B"], "write `700e9`"),
        (["--sweep", "dim"], "not of the form NAME=VALUE"),
        (["-D", "B=-1"], "`B`"),
        (["-D", "B=2**99"], "`B`"),
    ],
)  # fmt: skip
def test_usage(
    capfdbinary: pytest.CaptureFixture[bytes], arguments: list[str], reason: str
) -> None:
    status, out, err = ask(capfdbinary, "deepseek_v3", *arguments)
    assert (status, out) == (2, "")
    assert reason in err


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch injected')",
        "().__class__.__bases__[0].__subclasses__()",
        "exec(1) == 1",
        "open('injected') == 1",
        "[x for x in (1,)]",
        "lambda: 0",
        "dim.__class__ == 1",
        "dim; import os",
        "dim == 1 or (yield)",
        "{{7 * 7}} == 49",
        "parameters == eval(1)",
        "S.evalf == 1",
    ],
)
@pytest.mark.parametrize("way", ["where", "define", "variable", "sweep", "quantity", "pareto"])
def test_nothing_is_executed(
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    text: str,
) -> None:
    spec = tmp_path / "tiny.dsv3"
    spec.write_text(TINY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ways = {
        "where": ["--sweep", "n_layers=1,2", "--where", text],
        "define": ["-D", f"dim={text}"],
        "variable": ["-D", f"B={text}"],
        "sweep": ["--sweep", f"dim={text}"],
        "quantity": ["--quantity", text],
        "pareto": ["--sweep", "n_layers=1,2", "--pareto", f"parameters,{text}"],
    }
    status, out, err = ask(capfdbinary, str(spec), *ways[way])
    assert status in (1, 2), err
    assert out == ""
    assert "internal error" not in err
    assert list(tmp_path.iterdir()) == [spec]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("dim < " + "1 + " * 3000 + "1", "longer than 2000 characters"),
        ("(" * 900 + "dim" + ")" * 900 + " < 1", ""),
        ("not " * 450 + "true", ""),
        ("2 ** 2 ** 2 ** 2 ** 2 ** 2 > dim", ""),
        ("dim ** dim ** dim > 1", ""),
        ("n_layers < 1e999", ""),
    ],
)
def test_no_filter_runs_away(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, text: str, reason: str
) -> None:
    spec = tmp_path / "tiny.dsv3"
    spec.write_text(TINY, encoding="utf-8")
    status, _, err = ask(capfdbinary, str(spec), "--sweep", "n_layers=1,2", "--where", text)
    assert status in (0, 1, 2)
    assert reason in err
    assert "internal error" not in err


# ---- costs -----------------------------------------------------------------------------


def test_no_progress_where_nobody_looks(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PATIENCE", 0.0)
    assert ask(capfdbinary, "llama", "--sweep", "n_layers=1:3")[2] == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with command.Bar() as update:
        update(1, 4)
        assert terminal.getvalue() == ""  # it has taken no time yet
        monkeypatch.setattr(command, "PATIENCE", 0.0)
        update(2, 4)
    assert terminal.getvalue() == f"\r\x1b[K[{'#' * 15}{'.' * 15}] 2 of 4\r\x1b[K"


@pytest.mark.slow
def test_imports_are_few() -> None:
    code = (
        "import sys; from specgen.cli.main import main;"
        "main(['whatif', 'llama', '--sweep', 'n_layers=1:2', '--format', 'csv']);"
        "print(sorted({'torch', 'onnx', 'sympy', 'matplotlib', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
