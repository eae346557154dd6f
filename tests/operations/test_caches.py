"""Cache rows of forwards that are given all tokens at once: T is S, and nothing is ever kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from specgen.analysis.quantities.ledger import ledger
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import DEFAULT, Options
from specgen.frontend.load import check_file, load_program
from tests.agreement import Layers, Step, checked, unequal

HEAD = """language 1
use std.attention { attention, causal }
model t "t" {
  params { vocab_size : size = 9   dim : size = 6 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { embed : [vocab_size, dim] }
  parts { PARTS }
  FORWARD
  module mixer {
    tensors { wk : dim -> dim   wo : dim -> dim }
    cache { key : [B, T, 1, dim] along T }
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {
      k = append(key, rearrange(wk(x), "b s d -> b s 1 d"))
      mixed = attention(rearrange(x, "b s d -> b s 1 d"), k, k, seen, 1.0)
      return x + wo(rearrange(mixed, "b s 1 d -> b s d"))
    }
  }
  module pair {
    parts { first : mixer   second : mixer }
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] { return second(first(x, seen), seen) }
  }
}
"""

WHOLE = """forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, S]) -> [B, S, dim] {
    x = take(embed, tokens)
    return where(rearrange(mask, "b s -> b s 1"), one(x, causal(positions, mask)), 0)
  }"""

#: One block reads all tokens at once, backwards as well as forwards; another, the same, continues.
BOTH = """forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    x = take(embed, tokens)
    return two(one(x, repeat(iota(S) < S, "t -> b s t", b = B, s = S)), causal(positions, mask))
  }"""


def table(folder: Path, parts: str, forward: str) -> Path:
    path = folder / "t.dsv3"
    path.write_text(HEAD.replace("PARTS", parts).replace("FORWARD", forward), encoding="utf-8")
    return path


def whole(length: int) -> Step:
    random = np.random.default_rng(length)
    mask = np.ones((2, length), np.bool_)
    mask[1, length - 2 :] = False
    positions = np.broadcast_to(np.arange(length), mask.shape)
    return Step(random.integers(0, 9, mask.shape), positions, mask)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("parts", ["one : mixer", "one : pair"])
def test_mask_of_the_new_tokens_means_that_nothing_is_held(
    parts: str, bare: bool, tmp_path: Path
) -> None:
    """Whether attention is followed by a map or not: then nothing says how wide it is."""
    path = table(tmp_path, parts, WHOLE)
    if bare:
        text = path.read_text(encoding="utf-8").replace("   wo : dim -> dim", "")
        path.write_text(text.replace("wo(", "("), encoding="utf-8")
    layers = Layers(checked(path), tmp_path)
    assert not hasattr(layers.model, "new_cache")
    for length in (5, 3):  # the second call knows nothing of the first
        step = [whole(length)]
        expected = layers.interpreted(step)
        assert not unequal(layers.torch(step), expected)
        for options in (DEFAULT, Options(onnx_form="functions")):
            graph = build(layers.program, options)
            assert b"past_key_values" not in graph
            assert b"present." not in graph
            assert not unequal(layers.onnx(step, options), expected)
    kept = ledger(layers.program).quantities["cache_elements_per_token"]
    assert kept.absent == "the forward keeps no cache"


def test_one_block_may_keep_tokens_where_another_of_its_kind_does_not(tmp_path: Path) -> None:
    path = table(tmp_path, "one : pair   two : pair", BOTH)
    layers = Layers(checked(path), tmp_path)
    pieces = (4, 1, 2)
    random = np.random.default_rng(0)
    tokens, steps, stop = random.integers(0, 9, (2, 7)), [], 0
    for piece in pieces:
        start, stop = stop, stop + piece
        positions = np.broadcast_to(np.arange(start, stop), (2, piece))
        steps.append(Step(tokens[:, start:stop], positions, np.ones((2, stop), np.bool_)))
    expected = layers.interpreted(steps)
    assert not unequal(layers.torch(steps), expected)
    for options in (DEFAULT, Options(onnx_form="functions")):
        assert build(layers.program, options).count(b"present.") > 0
        assert not unequal(layers.onnx(steps, options), expected)
    assert ledger(load_program(path)).quantities["cache_elements_per_token"].value == 12


#: Faults of E0466, and what their help says to write instead.
ADVISED = {
    "a mask of the new tokens": (
        """model m {
  params { vocab_size : size = 9  dim : size = 8 }
  tensors { embed : [vocab_size, dim] }
  cache { kept : [B, T, dim] along T }
  forward(tokens: i64 [B, S], mask: bool [B, S]) -> [B, S, dim] {
    x = take(embed, tokens) + sum(append(kept, take(embed, tokens)), over = 1, keep = true)
    return where(rearrange(mask, "b s -> b s 1"), x, 0)
  }
}""",
        [("mask: bool [B, S]", "mask: bool [B, T]"),
         ("rearrange(mask,", "rearrange(slice(mask, T - S, T, over = T),")],
    ),
    "one name for two lengths": (
        """model m {
  params { dim : size = 8 }
  parts { one : mixer }
  forward(x: [B, T, dim]) -> [B, T, dim] { return one(x) }
  module mixer {
    cache { kept : [B, T, dim] along T }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      return x + sum(append(kept, x), over = 1, keep = true)
    }
  }
}""",
        [("(x: [B, T, dim]) -> [B, T, dim]", "(x: [B, S, dim]) -> [B, S, dim]")],
    ),
    "a size that does not grow": (
        """model m {
  params { dim : size = 8 }
  cache { kept : [B, T, dim] along T }
  forward(x: [B, S, dim], seen: bool [B, 2 × S + 1]) -> [B, S, dim] {
    return seen_of(x, seen)
  }
  function seen_of(x: [B, S, dim], seen: bool [B, T]) -> [B, S, dim] {
    return x + sum(where(rearrange(seen, "b t -> b t 1"), append(kept, x), 0), over = 1, keep = true)
  }
}""",
        [("seen: bool [B, 2 × S + 1]", "seen: bool [B, T]")],
    ),
    "other tokens in one step": (
        """model m {
  params { dim : size = 8 }
  cache { key : [B, T, dim] along T   other : [B, U, dim] along U }
  forward(x: [B, S, dim], more: [B, E, dim]) -> [B, S, dim] {
    return x + sum(append(key, x), over = 1, keep = true) + sum(append(other, more), over = 1, keep = true)
  }
}""",
        [("   other : [B, U, dim] along U", ""), ("append(other, more)", "more")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ADVISED)
def test_what_the_help_says_makes_the_fault_go_away(kind: str, tmp_path: Path) -> None:
    text, changes = ADVISED[kind]
    path = tmp_path / "t.dsv3"
    path.write_text(f"language 1\n{text}\n", encoding="utf-8")
    (found,) = check_file(path).all
    assert found.code == "E0466"
    assert found.help
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(f"language 1\n{text}\n", encoding="utf-8")
    assert check_file(path).all == ()
