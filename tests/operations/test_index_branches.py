"""Rows of one name that differ by layer, in what they take or how wide they are: one model in every layer
of the compiler, and counts that are those of the layers one by one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import assume, given, settings

pytest.importorskip("torch", reason="torch is not installed")

from specgen.analysis.quantities.ledger import quantities
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.evaluate import evaluate
from specgen.frontend.load import load_program
from tests.agreement import EVERY, Layers, checked, differences
from tests.frontend.test_index_branches import QUIET, Table, fitting

TABLE = """language 1
model by_layer "alternatives that take other arguments, and are of other widths" {
  params { vocab_size : size = 11   dim : size = 6   n_layers : size = 4   wide : counts = [1, 3] }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  parts { layers[layer] : block × n_layers }
  tensors { embed : [vocab_size, dim]   head : dim -> vocab_size }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    return head(layers(take(embed, tokens), tokens))
  }
  module block {
    params { layer : count }
    parts {
      mix : with_tokens    when not (layer % 2 == 0)
      mix : alone          when layer % 2 == 0
    }
    tensors {
      up   : dim -> 8    when contains(wide, layer)
      up   : dim -> 4    when not contains(wide, layer)
      down : 4 -> dim    when not contains(wide, layer)
      down : 8 -> dim    when contains(wide, layer)
    }
    forward(x: [B, S, dim], tokens: i64 [B, S]) -> [B, S, dim] {
      if layer % 2 == 0 {
        y = mix(x)
      } else {
        y = mix(tokens, x)
      }
      return y + down(silu(up(y)))
    }
  }
  module alone {
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + w(x) }
  }
  module with_tokens {
    tensors { w : [vocab_size, dim]   v : dim -> dim }
    forward(tokens: i64 [B, S], x: [B, S, dim]) -> [B, S, dim] { return x + v(take(w, tokens)) }
  }
}
"""


def test_every_layer_agrees(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(TABLE, encoding="utf-8")
    program = checked(path)
    assert list(differences(Layers(program, tmp_path / "t"), 11, EVERY)) == []
    found = quantities(program)
    # Layers 0 and 2: w, up, down of 4; 1 and 3: w, v, up, down of 8; embedding and head.
    expected = 2 * (6 * 6 + 2 * 6 * 4) + 2 * (11 * 6 + 6 * 6 + 2 * 6 * 8) + 2 * 11 * 6
    assert found["parameters"].value == expected
    # Products of one token: every map once, of 4 layers, and the head.
    products = 2 * (6 * 6 + 2 * 6 * 4) + 2 * (6 * 6 + 2 * 6 * 8) + 6 * 11
    prefill = found["flops_prefill"].expr
    assert prefill is not None
    values = {param.name: param.value for param in program.model.params}
    assert evaluate(prefill, {**values, "B": 3, "S": 5}) == 2 * products * 3 * 5


@pytest.mark.slow
@settings(QUIET, max_examples=40)
@given(table=fitting())
def test_layers_agree_on_drawn_tables(
    tmp_path_factory: pytest.TempPathFactory, table: Table
) -> None:
    folder = tmp_path_factory.mktemp("drawn")
    path = folder / "t.dsv3"
    path.write_text(table.text(), encoding="utf-8")
    try:
        program = load_program(path)
    except SpecError:  # a row that no layer reads
        assume(False)
    assert list(differences(Layers(program, folder / "t"), 7, EVERY[:2])) == [], table.text()
