"""A repeated part that has no instance is its argument, under whatever condition it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

from specgen.analysis.quantities.ledger import quantities
from tests.agreement import Layers, checked, differences

TABLE = """language 1
model stacked "Stacks of nothing" {{
  params {{ vocab_size : size = 7   dim : size = 4   layers_ : count = {layers}   n : count = {n}   m : count = {m} }}
  dtypes {{ maps = f32  arrays = f32  activations = f32  caches = f32 }}
  parts {{ layers[layer] : block × layers_ }}
  tensors {{ embed : [vocab_size, dim] }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return layers(take(embed, tokens)) }}
  module block {{
    params {{ layer : count }}
    parts {{
      inner[i] : leaf × n    when {condition}
      {other}
    }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{
      if {condition} {{ y = inner(x) }} else {{ y = {otherwise} }}
      return y + x
    }}
  }}
  module leaf {{
    tensors {{ w : dim -> dim }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{ return w(x) }}
  }}
}}
"""

CONDITIONS = {
    "layer > 0": lambda layer: layer > 0,
    "layer % 2 == 0": lambda layer: layer % 2 == 0,
    "dim > 3": lambda layer: True,
    "dim > 4": lambda layer: False,
    "layer > 0 and dim > 3": lambda layer: layer > 0,
}

COUNTS = st.integers(0, 2)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(CONDITIONS)), st.integers(0, 3), COUNTS, COUNTS, st.booleans()
)  # fmt: skip
@example("layer > 0", 3, 0, 0, False)
@example("layer > 0", 3, 0, 1, True)
@example("layer > 0", 3, 0, 0, True)
@example("layer % 2 == 0", 3, 1, 0, True)
def test_a_stack_of_nothing_is_its_argument(
    tmp_path: Path, condition: str, layers: int, n: int, m: int, alternative: bool
) -> None:
    other = f"inner[i] : leaf × m    when not ({condition})" if alternative else ""
    text = TABLE.format(
        layers=layers, n=n, m=m, condition=condition, other=other,
        otherwise="inner(x)" if alternative else "x * 2",
    )  # fmt: skip
    path = tmp_path / "t.dsv3"
    path.write_text(text, encoding="utf-8")
    program = checked(path)
    holds = [CONDITIONS[condition](layer) for layer in range(layers)]
    instances = holds.count(True) * n + holds.count(False) * m * alternative
    assert quantities(program)["parameters"].value == 7 * 4 + instances * 4 * 4
    folder = tmp_path / f"{condition}-{layers}{n}{m}{alternative}".replace(" ", "").replace("%", "")
    assert list(differences(Layers(program, folder), 7)) == []
