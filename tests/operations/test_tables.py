"""Tables that one layer took and another did not: each stands for a kind of fault."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx import emit
from specgen.backends.refusal import Refusal, RefusalSite
from tests.agreement import Layers, checked, differences

pytestmark = pytest.mark.slow

HEAD = """language 1
use std.attention { attention, causal }
use std.norm { layernorm }
use std.ffn { swiglu }
model t "T" {
  params { vocab_size : size = 9  dim : size = 8  n : count = 0  heads : size = 4 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
"""

#: What follows the params, by the property that was broken.
TABLES = {
    "an index that is computed": """
  tensors { embed : [5, dim] }
  forward(tokens: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    return take(embed, tokens % 5)
  }
}""",
    "a bound that is known at run time": """
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    near = cast(clamp(positions, 1, T - 2), like = embed)
    return take(embed, tokens) + rearrange(near, "b s -> b s 1")
  }
}""",
    "places that broadcast against the values": """
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, 3] {
    x = take(embed, tokens)
    return gather(rearrange(x, "b s d -> b s d"), rearrange(tokens % dim, "b s -> b s 1") * 0 + iota(3))
  }
}""",
    "a bias of a row that is another's": """
  tensors { embed : [vocab_size, dim]   head : tied embed   head.bias : [vocab_size] }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] { return head(take(embed, tokens)) }
}""",
    "a bias of a row that is another's in this variant": """
  tensors {
    embed     : [vocab_size, dim]
    head      : dim -> vocab_size    when n > 0
    head      : tied embed           when n == 0
    head.bias : [vocab_size]
  }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] { return head(take(embed, tokens)) }
  names hf { embed -> "wte.weight"  head -> "lm_head" }
}""",
    "rows and biases of them that are others' at some indices": """
  parts { layers[i] : block × 4 }
  tensors { embed : [vocab_size, dim]   common : dim -> dim }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return layers(common(take(embed, tokens))) }
  module block {
    params { i : count }
    tensors {
      b      : dim -> dim
      b.bias : [dim]          when i < 2
      a      : dim -> dim     when i % 2 == 1
      a      : tied b         when i % 2 == 0
      a.bias : [dim]          when i > 0
      c      : dim -> dim     when i == 0
      c      : tied common    when i > 0
      c.bias : [dim]
    }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      return c(x) + b(a(x)) + sum(c, over = 0) + sum(a, over = 0)
    }
  }
}""",
    "rows that are those of rows that are others'": """
  tensors {
    embed  : [vocab_size, dim]   first : tied embed   head : tied first
    last   : tied head
    common : dim -> dim          again : tied common
    out    : tied small.twin
  }
  parts { layers[i] : block × 4   small : small }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    x = layers(again(take(first, tokens) + take(embed, tokens)))
    return head(x) + last(out(small(x))) + head(common(x))
  }
  module small {
    tensors { own : dim -> dim   twin : tied own }
    forward(x: [B, S, dim]) -> [B, S, dim] { return own(twin(x)) }
  }
  module block {
    params { i : count }
    tensors {
      a      : dim -> dim
      b      : tied a        when i % 2 == 0
      b      : dim -> dim    when i % 2 == 1
      b.bias : [dim]         when i == 1
      c      : tied b
      c.bias : [dim]
      d      : tied again
      e      : tied d        when i > 1
      e      : tied c        when i <= 1
    }
    forward(x: [B, S, dim]) -> [B, S, dim] { return tanh(c(a(x)) + b(x) + e(d(x))) }
  }
}""",
    "a size of a mask whose values are not read": """
  tensors { embed : [vocab_size, dim] }
  cache { kept : [B, T, dim] along T }
  forward(tokens: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    return slice(append(kept, take(embed, tokens)), T - S, T, over = 1) * T
  }
}""",
    "a size of a mask that attention alone reads, asked for before a cache row has it": """
  parts { one : mixer }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    return one(take(embed, tokens), causal(positions, mask))
  }
  module mixer {
    cache { kept : [B, T, 1, dim] along T }
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {
      y = x * T / 8
      z = rearrange(y, "b s d -> b s 1 d")
      all = append(kept, z)
      return rearrange(attention(z, all, all, seen, 0.5), "b s h d -> b s (h d)")
    }
  }
}""",
    "a cache row of the model itself": """
  tensors { embed : [vocab_size, dim] }
  cache { kept : [B, T, dim] along T }
  function heard(x: [B, S, dim], mask: bool [B, T]) -> [B, T, dim] {
    return where(rearrange(mask, "b t -> b t 1"), append(kept, x), 0)
  }
  forward(tokens: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    x = take(embed, tokens)
    return x + sum(heard(x, mask), over = 1, keep = true)
  }
}""",
    "two mixtures with one choice": """
  parts {
    first[h]  : layernorm(width = dim, norm_eps = 0.01, bias = false) × heads
    second[h] : layernorm(width = dim, norm_eps = 0.01, bias = false) × heads
  }
  tensors { embed : [vocab_size, heads × dim] }
  forward(tokens: i64 [B, S]) -> [B, S, heads, dim] {
    x = rearrange(take(embed, tokens), "b s (h d) -> b s h d", h = heads)
    i = repeat(iota(heads), "h -> b s h 1", b = B, s = S)
    y = mixture(first, x, cast(i >= 0, like = x), i)
    return mixture(second, y, cast(i >= 0, like = x), i)
  }
}""",
    "instances among other things in a tensor": """
  require { heads % 2 == 0  "they lie in pairs" }
  parts { experts[e] : swiglu(width = dim, hidden = 6) × heads }
  tensors { embed : [vocab_size, dim]  router : dim -> heads }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    x = take(embed, tokens)
    weights, index = topk(softmax(router(x)), 2)
    return mixture(experts, x, weights, index)
  }
  names hf {
    experts.w1.weight                    -> "joined.w1"    as rearrange("e h d -> (e h) d")
    experts.w2.weight                    -> "turned.w2"    as rearrange("e d h -> d h e")
    experts.w3.weight                    -> "nested.w3"    as rearrange("(a b) h d -> a (h b) d", b = 2)
  }
}""",
    "an index that the instances of a mixture are given and do not use": """
  parts { layers[e] : layer × 2 }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return layers(take(embed, tokens)) }
  module layer {
    params { e : count }
    tensors { router : dim -> heads   plain : dim -> dim when e == 1 }
    parts { experts[k] : expert × heads   others[j] : expert(k = j + 1) × heads }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      weights, index = topk(softmax(router(x)), 2)
      if e == 1 { y = plain(x) } else { y = x }
      return mixture(experts, y, weights, index) + mixture(others, x, weights, index)
    }
  }
  module expert {
    params { e : count   k : count   rank : count = k }
    let { next = k + 1   wide = dim when k < 0 else 6 }
    tensors { w : dim -> 6 }
    parts { inner : inner(l = next) }
    forward(x: [..., dim]) -> [..., dim] { return tanh(inner(w(x))) }
  }
  module inner {
    params { k : count   l : count }
    tensors { w : 6 -> dim }
    forward(x: [..., 6]) -> [..., dim] { return w(x) }
  }
}""",
    "an index that experts of one tensor are given and do not use": """
  parts { experts[e] : expert × heads }
  tensors { embed : [vocab_size, dim]  router : dim -> heads }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    x = take(embed, tokens)
    weights, index = topk(softmax(router(x)), 2)
    return mixture(experts, x, weights, index)
  }
  module expert {
    params { e : count   width : size = 6 }
    tensors { w1 : dim -> width   w2 : width -> dim   w3 : dim -> width }
    forward(x: [..., dim]) -> [..., dim] { return w2(silu(w1(x)) * w3(x)) }
  }
  names hf {
    experts.w1.weight, experts.w3.weight -> "gate_up"    as rearrange("two e h d -> e d (h two)")
    experts.w2.weight                    -> "down"       as rearrange("e d h -> e h d")
  }
}""",
    "a stored table of whole numbers": """
  tensors { embed : [vocab_size, dim]   other : [vocab_size, 3] as i64 }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    return sum(take(embed, take(other, tokens)), over = 2)
  }
}""",
    "a function without tensors": """
  parts { ramp : ramp }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    return cast(cast(take(embed, tokens), f32) * slopes(dim) + ramp(), like = embed)
  }
  module ramp {
    forward() -> f32 [dim] { return slopes(dim) / 2 + cast(0.5, f32) }
  }
}
function slopes(heads: size) -> f32 [heads] {
  return 2 ** (-0.5 * (cast(iota(heads), f32) + 1))
}""",
    "the working dtype where no argument has it": """
  parts { inner : inner }
  forward(tokens: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] { return inner(tokens) }
  module inner {
    parts { table : table }
    forward(tokens: i64 [B, S]) -> [B, S, dim] {
      return table(tokens) * cast(rearrange(tokens > 3, "b s -> b s 1"), like = table(tokens))
    }
  }
  module table {
    tensors { weight : [vocab_size, dim] }
    forward(tokens: i64 [B, S]) -> [B, S, dim] { return take(weight, tokens) }
  }
}""",
    "a stack of nothing": """
  parts { layers[i] : block × n  more[i] : outer × 3 }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return more(layers(take(embed, tokens))) }
  module block {
    tensors { w : dim -> dim }
    cache { kept : [B, T, dim] along T }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      return tanh(w(x) + sum(append(kept, x), over = 1, keep = true))
    }
  }
  module outer {
    params { i : count }
    parts {
      one[j] : block × n    when i == 1
      one[j] : block × 2    when not (i == 1)
    }
    forward(x: [B, S, dim]) -> [B, S, dim] { return one(x) + x }
  }
}""",
}


@pytest.mark.parametrize("kind", TABLES)
def test_layers_agree_on(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(HEAD + TABLES[kind].lstrip("\n") + "\n")
    assert list(differences(Layers(checked(path), tmp_path), 9)) == []


USED = """
  parts { layers[e] : layer × 2 }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return layers(take(embed, tokens)) }
  module layer {
    params { e : count }
    tensors { router : dim -> heads }
    parts { experts[k] : expert × heads }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      weights, index = topk(softmax(router(x)), 2)
      return mixture(experts, x, weights, index) * (e + 1)
    }
  }
  module expert {
    params { e : count   k : count }
    tensors { w : dim -> dim }
    forward(x: [..., dim]) -> [..., dim] { return w(x) * (e + k + 2) }
  }
}"""


def test_an_index_that_instances_of_a_mixture_use_is_refused_by_onnx_where_it_is_used(
    tmp_path: Path,
) -> None:
    """The index of a layer around them is a number there; the other targets have the table."""
    path = tmp_path / "t.dsv3"
    path.write_text(HEAD + USED.lstrip("\n") + "\n")
    table = Layers(checked(path), tmp_path)
    assert list(differences(table, 9, options=())) == []
    with pytest.raises(Refusal, match="`k` differs among the instances of a mixture") as raised:
        emit(table.program)
    assert raised.value.site == RefusalSite("expert")


def test_layers_agree_on_a_cache_that_does_not_grow_along_its_second_axis(tmp_path: Path) -> None:
    from specgen.frontend.load import load_program

    program = load_program(Path(__file__).parents[1] / "pytorch" / "hybrid.dsv3")
    assert list(differences(Layers(program, tmp_path), 20)) == []
