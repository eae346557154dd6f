"""Small tables that are huge when written out: refused soon, with a code."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from specgen.backends.report import emit
from specgen.diagnostics.diagnostic import SpecError
from specgen.documents.params import describe_program
from specgen.frontend.load import load_program

N = 24

ROOT = 'model m "m" {{ params {{ n : size = 3 }} {} }}'

WEIGHT = "tensors { w : n -> n }"

#: Names that double from module to module.
SIZES = ROOT.format(
    "parts { c : b0(k = n) }"
    + "".join(
        f'module b{i} "b" {{ params {{ k : size }} let {{ x = k + k }} parts {{ c : b{i + 1}(k = x) }} }}\n'
        for i in range(N)
    )
    + f'module b{N} "b" {{ params {{ k : size }} tensors {{ w : [k] }} }}'
)

#: Functions that call the next one twice.
CALLS = (
    "".join(
        f"function f{i}(x: [..., R]) -> [..., R] {{ return f{i + 1}(f{i + 1}(x)) }}\n"
        for i in range(N)
    )
    + f"function f{N}(x: [..., R]) -> [..., R] {{ return x }}\n"
    + ROOT.format(WEIGHT + "forward(x: [B, S, n]) -> [B, S, n] { return f0(w(x)) }")
)

#: Functions that hand on twice the width.
WIDTHS = (
    "".join(
        f"function f{i}(x: [B, S, R]) -> [B, S, S] {{ return f{i + 1}(concat([x, x])) }}\n" for i in range(N)
    )
    + f'function f{N}(x: [B, S, R]) -> [B, S, S] {{ return einsum("b s r, b t r -> b s t", x, x) }}\n'
    + ROOT.format(WEIGHT + "forward(x: [B, S, n]) -> [B, S, S] { return f0(w(x)) }")
)  # fmt: skip

#: Modules that call the next one twice.
PARTS = ROOT.format(
    "parts { c : b0 } forward(x: [B, S, n]) -> [B, S, n] { return c(x) }"
    + "".join(
        f'module b{i} "b" {{ parts {{ c : b{i + 1} }} forward(x: [B, S, n]) -> [B, S, n] {{ return c(c(x)) }} }}\n'
        for i in range(N)
    )
    + f'module b{N} "b" {{ {WEIGHT} forward(x: [B, S, n]) -> [B, S, n] {{ return w(x) }} }}'
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "reason"),
    [(SIZES, "terms"), (CALLS, "operations"), (WIDTHS, "terms"), (PARTS, "operations")],
    ids=["sizes", "calls", "widths", "parts"],
)
def test_tables_that_grow_by_doubling(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "m.dsv3"
    path.write_text(f"language 1\n{text}\n")
    start = time.perf_counter()
    with pytest.raises(SpecError, match=reason) as caught:
        describe_program(load_program(path))
    assert [d.code for d in caught.value.diagnostics] == ["E0801"]
    assert time.perf_counter() - start < 60  # a bound on hanging, not a measurement


@pytest.mark.slow
def test_thousands_of_rows_are_no_deep_formula(tmp_path: Path) -> None:
    path = tmp_path / "m.dsv3"
    rows = "\n".join(f"w{i} : [n, {i + 1}]" for i in range(3000))
    path.write_text("language 1\n" + ROOT.format(f"tensors {{\n{rows}\n}}"))
    program = load_program(path)
    assert describe_program(program)["quantities"]["parameters"] == 3 * sum(range(3001))
    assert b"w2999" in emit(program)["report.md"]


def test_a_name_without_a_value(tmp_path: Path) -> None:
    path = tmp_path / "m.dsv3"
    path.write_text(
        "language 1\n"
        + ROOT.format('parts { b[i] : one × n } names hf { b -> "b.{12 / i}" }')
        + 'module one "one" { tensors { w : [2] } }'
    )
    with pytest.raises(SpecError, match="division by zero") as caught:
        describe_program(load_program(path), "hf")
    assert [d.code for d in caught.value.diagnostics] == ["E0803"]
