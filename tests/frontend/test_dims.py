"""Dims of arguments that are products: the checker, counts and back ends solve them alike."""

from __future__ import annotations

from pathlib import Path

import pytest

import specgen
from specgen.expr.node import ONE, Apply, Const, Expr, Sym
from specgen.expr.solving import DimStep, quotient, solve
from specgen.frontend.load import check_file

TABLE = """language 1
model t "A module that takes pairs of tokens"  {{
  params {{ vocab_size : size = 9   dim : size = 4 }}
  dtypes {{ maps = f32 arrays = f32 activations = f32 }}
  tensors {{ embed : [vocab_size, dim] }}
  parts {{ fold : fold }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{
    x = take(embed, tokens)
    return fold({given})
  }}
  module fold "f" {{
    tensors {{ w : {width} × dim -> dim }}
    forward(x: [B, {dim}, dim]) -> [B, M, dim] {{
      return w(rearrange(x, "b (m k) d -> b m (k d)", m = M))
    }}
    {other}
  }}
}}
"""

SINGLE = {"given": "concat([x, x], over = 1)", "width": 2, "dim": "2 × M", "other": ""}
CASES = {
    "a number": SINGLE,
    "on the right": {**SINGLE, "dim": "M × 2"},
    "a param": {"given": 'repeat(x, "b s d -> b (k s) d", k = dim)', "width": "dim", "dim": "dim × M", "other": ""},
    "two factors": {
        "given": 'repeat(x, "b s d -> b (k s) d", k = 2 * dim)',
        "width": "2 × dim",
        "dim": "2 × M × dim",
        "other": "",
    },
    "an alternative forward": {
        **SINGLE,
        "other": """forward again(x: [B, 2 × M, dim]) -> [B, M, dim] {
      return w(rearrange(x, "b (m k) d -> b m (k d)", k = 2))
    }""",
    },
}  # fmt: skip


def written(folder: Path, name: str) -> Path:
    path = folder / "t.dsv3"
    path.write_text(TABLE.format(**CASES[name]))
    return path


@pytest.mark.parametrize("name", CASES)
def test_products_are_solved_in_counts(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, name)
    assert check_file(path).all == ()
    form = specgen.load(path).formula("flops_prefill")
    free = {str(symbol) for symbol in form.free_symbols}
    assert free == {"B", "S", "dim"}


def dims(text: str) -> list[Expr]:
    """`2*M N` as dims: numbers, variables in capitals, and sizes."""
    found: list[Expr] = []
    for dim in text.split():
        factors: list[Expr] = [
            Const(int(f)) if f.isdigit() else Sym(f, "axis" if f.isupper() else "size")
            for f in dim.split("*")
        ]
        product = factors[0]
        for factor in factors[1:]:
            product = Apply("*", (product, factor))
        found.append(product)
    return found


def test_each_step_needs_only_those_before_it() -> None:
    shapes = [dims("K*G K*H*2"), dims("K dim"), dims("G*M")]
    found = solve(shapes, {"K", "G", "H", "M"})
    assert [step.name for step in found] == ["K", "G", "H", "M"]
    assert found[0] == DimStep("K", 1, -2, ONE)
    assert found[3] == DimStep("M", 2, -1, Sym("G"))
    assert solve([dims("M*N")], {"M", "N"}) == []
    assert solve([dims("M*M")], {"M"}) == []


def test_quotients_cancel_where_they_can() -> None:
    s = Sym("S", "axis")
    assert quotient(Apply("*", (Const(2), s)), Const(2)) == s
    assert quotient(Apply("+", (s, s)), Const(2)) == s
    assert quotient(s, Const(2)) == Apply("/", (s, Const(2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_products_are_solved_in_both_back_ends(name: str, tmp_path: Path) -> None:
    from tests.agreement import Layers, checked, differences  # torch, only where it is needed

    program = checked(written(tmp_path, name))
    assert list(differences(Layers(program, tmp_path), 9)) == []
