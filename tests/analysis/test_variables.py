"""Quantities of forwards with shape variables of their own: a formula in them, and no figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import specgen
from specgen.analysis.quantities import ledger
from specgen.backends.formulas import document
from specgen.elaborate.load import load_program
from specgen.sizes.evaluate import evaluate
from tests.cli.running import specgen_here as run

TWO = """language 1
model two "Attention of one sequence to another" {
  params { dim : size = 6   side : size = 4 }
  dtypes { maps = f32 arrays = f32 activations = f32 }
  tensors { w : dim -> dim   patch : side × side -> dim }
  forward(x: [B, S, dim], y: [B, E, dim], z: [N, M, side × side]) -> [B, S, dim] {
    s = einsum("b s d, b e d -> b s e", w(x), y)
    p = einsum("b s e, b e d -> b s d", softmax(s), y)
    return p + sum(sum(patch(z), over = 1), over = 0)
  }
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.dsv3"
    path.write_text(TWO, encoding="utf-8")
    return path


def test_formula_has_the_forwards_own_variables(path: Path) -> None:
    program = load_program(path)
    found = ledger(program)
    for name in ("flops_prefill", "flops_training", "activation_peak_bytes"):
        assert set(found.quantities[name].variables) >= {"B", "S", "E", "M", "N"}, name
    sizes = {"B": 2, "S": 5, "E": 7, "M": 6, "N": 4}
    expr = found.quantities["flops_prefill"].expr
    assert expr is not None
    by_hand = 2 * (2 * 5 * 6 * 6 + 2 * (2 * 5 * 7 * 6) + 4 * 6 * 16 * 6)
    assert evaluate(expr, {**found.values, **sizes}) == by_hand
    assert set(document(found)["variables"]) >= {"E", "M", "N"}
    assert found.quantities["parameters"].value == 36 + 96


@pytest.mark.parametrize(
    "arguments",
    [
        ["params", "TABLE"],
        ["formula", "TABLE", "flops_prefill"],
        ["whatif", "TABLE"],
        ["whatif", "TABLE", "--sweep", "dim=2:4"],
        ["diff", "TABLE", "TABLE"],
        ["build", "TABLE", "-o", "OUT"],
    ],
)
def test_every_command_answers_without_them(
    arguments: list[str], path: Path, tmp_path: Path
) -> None:
    words = {"TABLE": str(path), "OUT": str(tmp_path / "out")}
    done = run(*[words.get(word, word) for word in arguments], cwd=tmp_path)
    assert done.status == 0, done.err


def test_what_needs_a_figure_says_why_there_is_none(path: Path, tmp_path: Path) -> None:
    asked = run("formula", str(path), "flops_prefill", "--by-op", cwd=tmp_path)
    assert asked.status == 2
    assert "depends on E, M, N" in asked.err
    swept = run("whatif", str(path), "--sweep", "dim=2:4", cwd=tmp_path)
    assert "`E` has no value here" in swept.out + swept.err
    assert run("build", str(path), "-o", str(tmp_path), cwd=tmp_path).status == 0
    report = (tmp_path / "two" / "default" / "report.md").read_text(encoding="utf-8")
    assert "depends on `E`, `M`, `N`" in report
    formulas = json.loads((tmp_path / "two" / "default" / "formulas.json").read_text("utf-8"))
    assert formulas["quantities"]["flops_prefill"]["variables"] == ["B", "S", "E", "M", "N"]
    assert specgen.load(path).quantities["parameters"] == 132
