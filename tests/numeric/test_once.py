"""What does not depend on a layer is worked out once, however many layers there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Options
from specgen.frontend.load import load_program
from tests.numeric.generated import SPECS, imported, randomised
from tests.numeric.test_steps import FAMILIES
from tests.numeric.test_torch_tracing import COMMON, tokens

pytestmark = pytest.mark.slow

#: Attention with a bias by distance, made of the mask where the stack is called.
SLOPES = """language 1
use std.attention { causal }
model slopes {
  params { vocab_size : size = 40   dim : size = 8   n_layers : size = 2   n_heads : size = 4 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  parts { layers[layer] : block × n_layers }
  tensors { embed : [vocab_size, dim]   head : tied embed }
  function distances(mask: bool [B, T]) -> f32 [B, T] {
    return cast(cumsum(cast(mask, i64), over = T), f32) * 0.125
  }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {
    return head(layers(take(embed, tokens), causal(positions, mask), cos(distances(mask))))
  }
  module block {
    tensors { wk : dim -> dim }
    cache { key : [B, T, dim] along T }
    forward(x: [B, S, dim], seen: bool [B, S, T], bias: f32 [B, T]) -> [B, S, dim] {
      k = append(key, wk(x))
      s = einsum("b s d, b t d -> b s t", x, k) + rearrange(cast(bias, like = x), "b t -> b 1 t")
      return x + einsum("b s t, b t d -> b s d", softmax(where(seen, s, -inf)), k)
    }
  }
}
"""

#: Operations of positions and masks, in torch and in ONNX; a router of groups has others.
TORCH = ("aten.cumsum", "aten.cos", "aten.sin", "aten.lt", "aten.le", "aten.bitwise_or")
ONNX = ("CumSum", "Cos", "Sin", "Less", "LessOrEqual", "And", "Or")


class Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.counts[str(func).rpartition(".")[0]] += 1
        return func(*args, **(kwargs or {}))


def table(family: str, n_layers: int, folder: Path) -> Any:
    if family != "slopes":
        spec, shape = FAMILIES[family]
        return load_program(SPECS / f"{spec}.dsv3", None, {**shape, "n_layers": n_layers})
    path = folder / "slopes.dsv3"
    path.write_text(SLOPES, encoding="utf-8")
    return load_program(path, None, {"n_layers": n_layers})


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("family", [*FAMILIES, "slopes"])
def test_positions_and_masks_are_made_once(family: str, masked: bool, tmp_path: Path) -> None:
    found = []
    for n_layers in (2, 6):
        folder = tmp_path / str(n_layers)
        folder.mkdir()
        module = imported(table(family, n_layers, folder), folder)
        model = randomised(module.Model(module.Config()))
        text = tokens(2, 7) % COMMON["vocab_size"]
        mask = torch.ones(2, 7, dtype=torch.bool) if masked else None
        cache = model.new_cache(2)
        with torch.no_grad(), Counting() as counting:
            model(text[:, :6], mask=None if mask is None else mask[:, :6], cache=cache)
            model(text[:, 6:], mask=mask, cache=cache)
        found.append({name: counting.counts[name] for name in TORCH})
    assert found[0] == found[1]
    assert any(found[0].values()) or not masked


@pytest.mark.parametrize("family", [*FAMILIES, "slopes"])
def test_positions_and_masks_stand_once_in_a_graph(family: str, tmp_path: Path) -> None:
    found = []
    for n_layers in (2, 6):
        graph = build(table(family, n_layers, tmp_path), Options(weights="none"))
        model = onnx.load_from_string(graph)
        counts = Counter(node.op_type for node in model.graph.node)
        found.append({name: counts[name] for name in ONNX})
    assert found[0] == found[1]
    assert any(found[0].values())
