"""Caches without their compression, weights and training in any precision."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.analysis.quantities.caches import UNMET
from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.terms import RECIPES, evaluated
from specgen.documents.formula import write_json, write_text
from specgen.huggingface.select import select
from tests.analysis.released import table
from tests.families import ONE_EACH

V3 = "deepseek_v3@v3_671b"
LLAMA = "llama@llama3_70b"


@pytest.mark.parametrize(("spec", "elements"), [(V3, 2_498_560), (LLAMA, 163_840)])
def test_a_cache_without_its_compression(spec: str, elements: int) -> None:
    """Published figures."""
    found = ledger(table(spec))
    assert found.value("cache_elements_per_token_expanded") == elements
    assert found.value("cache_bytes_per_token_expanded") == 2 * elements


@pytest.mark.slow
@pytest.mark.parametrize("spec", ONE_EACH)
def test_a_cache_of_keys_and_values_is_expanded_already(spec: str) -> None:
    found = ledger(table(spec))
    names = {row.name.rpartition(".")[2] for row in found.caches}
    plain = found.value("cache_elements_per_token")
    expanded = found.value("cache_elements_per_token_expanded")
    if names == {"latent"}:
        assert expanded > plain
    else:
        assert names == {"key", "value"}
        assert expanded == plain


def test_the_caches_of_a_batch() -> None:
    found = ledger(table(V3))
    bytes_ = evaluated(found.quantities["cache_bytes"], {**found.values, "B": 3, "T": 1000})
    assert bytes_ == 3 * 1000 * 70_272


def spec(folder: Path, text: str) -> Ledger:
    path = folder / "small.dsv3"
    path.write_text(f"language 1\nmodel small {{\n{text}\n}}\n", encoding="utf-8")
    return ledger(select(str(path)).program())


KEPT = """
params {{ dim : size = 8  heads : size = 2  vocab : size = 5 {param} }}
tensors {{ embed : [vocab, dim]  wk : dim -> heads × dim  head : dim -> vocab }}
cache {{ rows : [B, T, dim] along T }}
forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab] {{
  x    = take(embed, tokens)
  kept = append(rows, x)
  {body}
}}
"""

#: Keys of every head from the cache, met twice; the second time as the same numbers.
MET = """
  k      = rearrange(wk(kept), "b t (h d) -> b t h d", h = heads)
  scores = einsum("b s d, b t h d -> b s h t", x, k)
  y      = einsum("b s h t, b t h d -> b s d", scores, rearrange(k, "b t h d -> b t h d"))
  return head(y)
"""

#: The cache is averaged before it meets anything.
AVERAGED = """
  y = mean(rearrange(kept, "b t d -> b d t"), over = -1)
  z = mean(rearrange(wk(x), "b s (h d) -> b s d h", h = heads), over = -1)
  return head(z + rearrange(y, "b d -> b 1 d"))
"""


def test_what_meets_new_tokens_is_kept_once(tmp_path: Path) -> None:
    found = spec(tmp_path, KEPT.format(param="", body=MET))
    assert found.value("cache_elements_per_token") == 8
    assert found.value("cache_elements_per_token_expanded") == 2 * 8


def test_a_cache_that_no_product_reads_says_so(tmp_path: Path) -> None:
    found = spec(tmp_path, KEPT.format(param="", body=AVERAGED))
    assert found.quantities["cache_elements_per_token_expanded"].absent == UNMET
    assert found.value("cache_elements_per_token") == 8


def test_a_param_is_no_variable(tmp_path: Path) -> None:
    """A table whose param has a variable's name gets no formula that mixes them up."""
    found = spec(tmp_path, KEPT.format(param="W : size = 3", body=AVERAGED)).quantities
    for name in ("weights_bytes", "training_bytes"):
        assert "param `W`" in str(found[name].absent)
    assert found["cache_bytes"].expr is not None


def test_weights_in_any_precision() -> None:
    """At the stored precision they are what is stored, without scales."""
    v3, llama = ledger(table(V3)), ledger(table(LLAMA))

    def weights(found: Ledger, width: int) -> int:
        return evaluated(found.quantities["weights_bytes"], {**found.values, "W": width})

    assert weights(v3, 1) == v3.value("stored_bytes") - 4 * v3.value("stored_scales")
    assert weights(llama, 2) == llama.value("stored_bytes")
    # The head of DeepSeek-V3 is bf16 whatever the other matrices are; Llama's is not.
    embedding, norms = 128_256 * 8192, (2 * 80 + 1) * 8192
    matrices = llama.value("parameters") - embedding - norms
    assert weights(llama, 1) == matrices + 2 * (embedding + norms)
    outside = 2 * 129_280 * 7168 + (2 * 61 + 1) * 7168 + 61 * (1536 + 512) + 58 * 256 * 7168
    assert weights(v3, 1) == v3.value("parameters") + outside + 3 * 58 * 256


def test_training_by_recipe() -> None:
    """Bytes for each parameter that are commonly given: 16, 16, 18 and 8."""
    found = ledger(table(V3))
    quantity = found.quantities["training_bytes"]
    assert {r.name: sum(r.values.values()) for r in RECIPES} == {
        "f32": 16, "mixed": 16, "mixed_f32_gradients": 18, "bf16": 8,
    }  # fmt: skip
    text = write_text(found, quantity)
    for recipe in quantity.recipes:
        value = evaluated(quantity, {**found.values, **recipe.values})
        assert value == sum(recipe.values.values()) * found.value("parameters")
        assert f"{value:,} bytes ({recipe.name}: " in text
        assert f'"{recipe.name}"' in write_json(found, quantity)
