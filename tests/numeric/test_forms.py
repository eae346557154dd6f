"""Which of several forwards a step runs: the one that is counted to take fewer operations."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.analysis.dataflow.costs import operations, savings, sites
from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import environment, root
from specgen.backends.onnx.options import DEFAULT
from tests.agreement import Layers, checked, differences
from tests.numeric.generated import form, imported, program, randomised
from tests.numeric.test_torch_tracing import SHAPES, near, tokens

pytestmark = pytest.mark.slow


def small(**sizes: int) -> Any:
    return program("deepseek_v3", **{**SHAPES["deepseek_v3"], **sizes})


def chosen(module: ModuleType, model: Any, text: torch.Tensor, past: int) -> set[str]:
    """The forms that the step behind `past` tokens runs."""
    found: set[str] = set()
    classes = [c for c in vars(module).values() if isinstance(c, type) and hasattr(c, "form")]
    before = {(c, name): getattr(c, name) for c in classes for name in ("main", "absorbed")}

    def spy(name: str, run: Any) -> Any:
        def spied(*args: Any, **named: Any) -> Any:
            found.add(name)
            return run(*args, **named)

        return spied

    with torch.no_grad():
        cache = model.new_cache(len(text)) if past else None
        if past:
            model(text[:, :past], cache=cache)
        for (owner, name), run in before.items():
            setattr(owner, name, spy(name, run))
        try:
            given = {"cache": cache} if past else {}
            step = model(text[:, past:], **given)
        finally:
            for (owner, name), run in before.items():
                setattr(owner, name, run)
        with form(module, "main"):
            assert near(step, model(text)[:, past:])
    return found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_step_takes_the_form_with_fewer_operations(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    sizes = {
        "kv_lora_rank": data.draw(st.integers(4, 40), "latent"),
        "qk_nope_head_dim": data.draw(st.integers(4, 24), "keys"),
        "v_head_dim": data.draw(st.integers(4, 24), "values"),
        "n_heads": data.draw(st.sampled_from([1, 2, 4]), "heads"),
    }
    table = small(**sizes)
    module = imported(table, tmp_path_factory.mktemp("forms"))
    model = randomised(module.Model(module.Config()))
    (owner,) = [m.id for m in table.modules.values() if len(m.forwards) > 1]
    tree, folder = root(table), Folder(environment(table))
    for _ in range(4):
        past, new = data.draw(st.integers(0, 24), "past"), data.draw(st.integers(1, 12), "new")
        counts = {
            name or "main": operations(
                [c for place in sites(tree, {owner: name}) for c in folder.fold(place)],
                folder,
                new,
                past + new,
            )
            for name in ("", "absorbed")
        }
        wanted = "absorbed" if counts["absorbed"] < counts["main"] else "main"
        if owner not in savings(table):  # the other is not even cheaper for one token
            wanted = "main"
        assert chosen(module, model, tokens(2, past + new), past) == {wanted}


def test_a_chunk_behind_a_long_context_and_a_prompt_differ(tmp_path: Path) -> None:
    table = program("deepseek_v3", "v3_671b")
    saving = savings(table)["mla"]
    assert saving.operations == {("S",): -512, ("T",): 512, ("S", "T"): -3}
    text = imported(table, tmp_path).__file__
    assert text is not None
    assert "512 * T - 512 * S - 3 * S * T" in Path(text).read_text(encoding="utf-8")


NAMED = """language 1
model named "Arguments called as what chooses a form" {
  params { vocab_size : size = 9  dim : size = 8 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  parts { one : mixer }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    x = take(embed, tokens)
    return one(x, x * 2, x * 3, mask)
  }
  module mixer {
    tensors { up : dim -> 4 × dim }
    cache { kept : [B, T, dim] along T }
    forward(form: [B, S, dim], saved: [B, S, dim], other: [B, S, dim], mask: bool [B, T]) -> [B, S, dim] {
      all = up(append(kept, form))
      p = einsum("b s d, b t d -> b s t", up(saved), all)
      q = where(rearrange(mask, "b t -> b 1 t"), p, 0)
      return other + einsum("b s t, b t d -> b s d", q, slice(all, 0, dim))
    }
    forward folded(form: [B, S, dim], saved: [B, S, dim], other: [B, S, dim], mask: bool [B, T]) -> [B, S, dim] {
      all = append(kept, form)
      p = einsum("b s d, b t d -> b s t", einsum("b s i, i d -> b s d", up(saved), up), all)
      q = where(rearrange(mask, "b t -> b 1 t"), p, 0)
      mixed = einsum("b s t, b t d -> b s d", q, all)
      return other + slice(up(mixed), 0, dim)
    }
  }
}
"""


def test_arguments_may_be_called_as_what_chooses(tmp_path: Path) -> None:
    path = tmp_path / "named.dsv3"
    path.write_text(NAMED, encoding="utf-8")
    layers = Layers(checked(path), tmp_path)
    assert savings(layers.program)
    assert list(differences(layers, 9, [DEFAULT])) == []
