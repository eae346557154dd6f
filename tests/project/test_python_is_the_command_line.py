"""What Python gives is what the command prints as JSON: for every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import specgen
from specgen.cli.main import COMMANDS, main
from specgen.documents.formula import find_quantity

SPEC = "qwen3_moe@qwen3_30b_a3b"
OTHER = "llama@llama3_8b"

Ask = Callable[[specgen.Model], Any]

#: Command line, and the same asked of the model in Python.
QUESTIONS: dict[str, list[tuple[list[str], Ask]]] = {
    "params": [
        ([SPEC], lambda m: m.document()),
        ([SPEC, "--expand", "--names", "hf"], lambda m: m.document(names="hf")),
    ],
    "formula": [
        ([SPEC, "flops_decode"], lambda m: m.quantity("flops_decode").document),
        (
            [SPEC, "flops_prefill", "-D", "B=2", "-D", "n_layers=4"],
            lambda m: m.quantity("flops_prefill", B=2, n_layers=4).document,
        ),
        (
            [SPEC, "flops_prefill", "-D", "B=2", "-D", "S=64"],
            lambda m: m.quantity("flops_prefill", B=2, S=64).document,
        ),
        ([SPEC, "rank_parameters"], lambda m: m.quantity("rank_parameters").document),
        (
            [SPEC, "flops_prefill", "--by-op", "-D", "S=64"],
            lambda m: m.products("flops_prefill", S=64),
        ),
    ],
    "whatif": [
        ([SPEC], lambda m: m.whatif().document),
        (
            [SPEC, "-D", "n_layers=3", "-D", "B=2", "--quantity", "parameters,cache_bytes"],
            lambda m: m.whatif(n_layers=3, B=2, quantities="parameters,cache_bytes").document,
        ),
        (
            [SPEC, "--sweep", "n_layers=2:6:2", "--sweep", "S=64,128", "--where", "n_layers > 2",
             "--pareto", "parameters:max,cache_bytes", "-D", "B=3"],
            lambda m: m.whatif(
                sweep={"n_layers": range(2, 7, 2), "S": [64, 128]}, where="n_layers > 2",
                pareto=["parameters:max", "cache_bytes"], B=3,
            ).document,
        ),
        (
            [SPEC, "--parallel", "tensor=4,pipeline=2", "-D", "B=2"],
            lambda m: m.ranks({"tensor": 4, "pipeline": 2}, B=2).document,
        ),
    ],
    "solve": [
        (
            [SPEC, "parameters == 30e9", "--for", "n_layers", "--within", "1:100"],
            lambda m: m.solve("parameters == 30e9", "n_layers", within={"n_layers": "1:100"}).document,
        ),
        (
            [SPEC, "flops_prefill <= 1e14", "--for", "S", "-D", "n_layers=4"],
            lambda m: m.solve("flops_prefill <= 1e14", "S", n_layers=4).document,
        ),
        (
            [SPEC, "cache_bytes <= 1e9", "--for", "n_layers,T", "--within", "T=1024,2048",
             "--within", "n_layers=40:60:4", "--limit", "3"],
            lambda m: m.solve(
                "cache_bytes <= 1e9", ["n_layers", "T"],
                within={"T": [1024, 2048], "n_layers": range(40, 61, 4)}, limit=3,
            ).document,
        ),
    ],
    "sensitivity": [
        (
            [SPEC, "cache_bytes", "--step", "5%", "-D", "T=64"],
            lambda m: m.sensitivity("cache_bytes", step=0.05, T=64).document,
        ),
    ],
    "ir": [([SPEC], lambda m: m.ir())],
    "diff": [
        (
            [SPEC, OTHER, "-D", "S=64", "-D", "n_layers=4"],
            lambda m: m.diff(specgen.load("llama", variant="llama3_8b"), S=64, n_layers=4),
        ),
    ],
}  # fmt: skip

CASES = [(name, *case) for name, cases in QUESTIONS.items() for case in cases]

#: Commands that print no JSON, or need files: each has a test of its own below.
OTHERS = {"build", "check", "explain", "verify", "import"}


def printed(capfdbinary: pytest.CaptureFixture[bytes], *arguments: str) -> tuple[int, str]:
    status = main(arguments)
    return status, capfdbinary.readouterr().out.decode()


def test_every_command_is_compared() -> None:
    assert QUESTIONS.keys() | OTHERS == COMMANDS.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("command", "arguments", "ask"), CASES)
def test_python_says_what_the_command_prints(
    capfdbinary: pytest.CaptureFixture[bytes], command: str, arguments: list[str], ask: Ask
) -> None:
    status, text = printed(capfdbinary, command, *arguments, "--format", "json")
    name, _, variant = SPEC.partition("@")
    assert status == 0
    assert json.loads(json.dumps(ask(specgen.load(name, variant=variant)))) == json.loads(text)


def test_formats_are_those_of_the_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    model = specgen.load("llama", variant="llama3_8b")
    found = model.whatif(n_layers=2, quantities=["parameters"])
    asked = ["whatif", OTHER, "-D", "n_layers=2", "--quantity", "parameters"]
    for form in ("text", "md", "csv", "json"):
        assert printed(capfdbinary, *asked, "--format", form)[1] == found.render(form).decode()
    for form in ("text", "latex", "python", "js", "json"):
        _, text = printed(capfdbinary, "formula", OTHER, "parameters", "--format", form)
        assert text == model.quantity("parameters").render(form)
    assert find_quantity(model.ledger, "parameters").value == 8_030_261_248


def test_explain_and_check(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    assert printed(capfdbinary, "explain", "e0401")[1] == specgen.explain("e0401")
    assert specgen.check("llama") == ()
    broken = tmp_path / "broken.dsv3"
    broken.write_text("spec 1\nmodel m {\n  params { n : size = 0 }\n}\n", encoding="utf-8")
    assert main(["check", str(broken), "--diagnostics", "json"]) == 1
    told = [json.loads(line) for line in capfdbinary.readouterr().err.decode().splitlines()]
    assert [one["code"] for one in told] == [one.code for one in specgen.check(broken)]
    assert told


def test_import_and_verify(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    model = specgen.load("llama", variant="llama3_8b", n_layers=4)
    built = model.build(tmp_path / "out", targets=["checkpoint"])
    config = built / "config.json"
    _, text = printed(capfdbinary, "import", str(config), "--format", "json")
    assert json.loads(text) == json.loads(json.dumps(specgen.import_config(config)))
    for layers, status in (("4", 0), ("5", 1)):
        asked = [OTHER, str(config), "-D", f"n_layers={layers}", "--format", "json"]
        found = specgen.load("llama", variant="llama3_8b", n_layers=int(layers)).verify(config)
        assert printed(capfdbinary, "verify", *asked) == (
            status,
            found.render("json", OTHER).decode(),
        )
        assert found.document["fits"] == (status == 0)


def test_build_is_current_or_not(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    model = specgen.load("llama", variant="llama3_8b")
    model.build(tmp_path, targets=["formulas"])
    asked = ["build", OTHER, "--target", "formulas", "-o", str(tmp_path), "--check"]
    assert printed(capfdbinary, *asked) == (0, "")
    assert model.check_build(tmp_path, targets=["formulas"]) == []
    (tmp_path / "llama" / "llama3_8b" / "formulas.json").write_text("{}\n", encoding="utf-8")
    lines = model.check_build(tmp_path, targets=["formulas"])
    assert printed(capfdbinary, *asked) == (1, "".join(f"{line}\n" for line in lines))
    assert lines


def test_faults_are_the_same(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A usage error of the command is a ValueError with the same words."""
    model = specgen.load("llama", variant="llama3_8b")
    faults: list[tuple[list[str], Ask]] = [
        (["whatif", "--quantity", "parametres"], lambda m: m.whatif(quantities="parametres")),
        (["whatif", "--where", "dim > 1"], lambda m: m.whatif(where="dim > 1")),
        (["whatif", "--parallel", "tensr=2"], lambda m: m.ranks("tensr=2")),
        (["solve", "parameters == 1", "--for", "dmi"], lambda m: m.solve("parameters == 1", "dmi")),
        (["solve", "parameters", "--for", "dim"], lambda m: m.solve("parameters", "dim")),
        (["sensitivity", "paramters"], lambda m: m.sensitivity("paramters")),
        (["formula", "paramters"], lambda m: m.quantity("paramters")),
        (["formula", "flops_decode", "-D", "T=0"], lambda m: m.formula("flops_decode", T=0)),
        (["formula", "parameters", "--by-op"], lambda m: m.products("parameters")),
        (["params", "--expand", "--names", "hff"], lambda m: m.document(names="hff")),
        (["build", "--target", "pytroch"], lambda m: m.build("out", targets=["pytroch"])),
    ]
    for (command, *arguments), ask in faults:
        with pytest.raises(SystemExit) as stopped:
            main([command, OTHER, *arguments])
        assert stopped.value.code == 2
        with pytest.raises(ValueError, match=r".") as caught:
            ask(model)
        assert str(caught.value) in capfdbinary.readouterr().err.decode()
