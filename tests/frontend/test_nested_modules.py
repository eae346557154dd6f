"""A module inside another sees what that one was given, whatever it is called elsewhere.

The truth is the same table written out by hand: every size worked out level by level.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.analysis.table.instances import OWN
from specgen.analysis.table.stored import expand, stored
from specgen.frontend.load import check_file, load_program

#: The model has all of these names as well, with values that fit nowhere else.
NAMES = ("width", "dim", "inter", "heads")
DTYPES = ("f32", "f16", "bf16")

MODEL = """language 1
model m "values that no module may see" {{
  params {{ width : size = 1001  dim : size = 1002  inter : size = 1003  heads : size = 1004
           kind : dtype = f64   start : size = {start} }}
  let {{ twice = 2003  rest = 2004 }}
  dtypes {{ maps = f32  arrays = f32  activations = f32  caches = f32 }}
  parts {{ top : level_0({first} = start, stored_as = {dtype}) }}
}}
"""

LEVEL = """module level_{i} {{
  params {{ {name} : size   stored_as : dtype }}
  let {{ twice = 2 * {name} + {more}   rest = twice % 3 }}
  parts {{
    rows[layer] : outer × {count}
    {deeper}
  }}
  module outer {{
    params {{ layer : count   factor : size = 2 }}
    parts {{
      some : inner(scale = factor + 1)    when layer % 3 == rest
      some : inner                        when layer % 3 != rest
    }}
    tensors {{ w : {name} -> twice }}
  }}
  module inner {{
    params {{ scale : size = 1 }}
    let {{ wide = scale * twice }}
    tensors {{ v : [wide, {name}] as stored_as }}
  }}
}}
"""


@dataclass(frozen=True)
class Level:
    name: str
    more: int
    count: int
    dtype: str


def text(levels: list[Level], start: int) -> str:
    found = MODEL.format(start=start, first=levels[0].name, dtype=levels[0].dtype)
    for i, level in enumerate(levels):
        deeper = ""
        if i + 1 < len(levels):
            below = levels[i + 1]
            deeper = f"deeper : level_{i + 1}({below.name} = twice, stored_as = {below.dtype})"
        found += LEVEL.format(
            i=i, name=level.name, more=level.more, count=level.count, deeper=deeper
        )
    return found


def by_hand(levels: list[Level], start: int) -> dict[str, tuple[tuple[int, ...], str]]:
    found: dict[str, tuple[tuple[int, ...], str]] = {}
    path, size = "top", start
    for level in levels:
        twice = 2 * size + level.more
        for layer in range(level.count):
            scale = 3 if layer % 3 == twice % 3 else 1
            found[f"{path}.rows.{layer}.w.weight"] = ((twice, size), "f32")
            found[f"{path}.rows.{layer}.some.v"] = ((scale * twice, size), level.dtype)
        path, size = f"{path}.deeper", twice
    return found


LEVELS = st.lists(
    st.builds(
        Level,
        st.sampled_from(NAMES),
        st.integers(0, 5),
        st.integers(1, 5),
        st.sampled_from(DTYPES),
    ),
    min_size=1,
    max_size=4,
)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(levels=LEVELS, start=st.integers(1, 9))
def test_rows_are_those_of_the_table_by_hand(
    tmp_path: Path, levels: list[Level], start: int
) -> None:
    path = tmp_path / "m.dsv3"
    path.write_text(text(levels, start), encoding="utf-8")
    assert [fault.message for fault in check_file(path).errors] == []
    rows = {
        name: (tuple(tensor.dims), tensor.dtype)
        for tensor in stored(load_program(path), OWN)
        for name, _ in expand(tensor)
    }
    assert rows == by_hand(levels, start)


#: A let of a param that has another name in the model reaches a block of std, two levels below.
RENAMED = """language 1
use std.attention { gqa, causal }
use std.rope { rotary_table }
model renamed "heads here, n_heads below" {
  params { vocab_size : size = 32   dim : size = 16   heads : size = 4   n_layers : size = 2 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  parts { body : decoder(n_heads = heads) }
  tensors { embed : [vocab_size, dim]   head : dim -> vocab_size }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {
    return head(body(take(embed, tokens), positions, mask))
  }
}
module decoder {
  params { dim : size   n_heads : size   n_layers : size }
  let { head_dim = 2 * n_heads }
  parts {
    rope           : rotary_table(rope_width = head_dim)
    layers[layer]  : block × n_layers
  }
  forward(x: [B, S, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    cos, sin = rope(positions)
    return layers(x, cos, sin, causal(positions, mask))
  }
  module block {
    params { layer : count }
    parts {
      attn : gqa(n_kv_heads = n_heads)
      ffn  : mlp(factor = layer + 1)
    }
    forward(x: [B, S, dim], cos: f32 [B, S, head_dim / 2], sin: f32 [B, S, head_dim / 2],
            seen: bool [B, S, T]) -> [B, S, dim] {
      y = x + attn(x, cos, sin, seen)
      return y + ffn(y)
    }
  }
  module mlp {
    params { factor : size }
    tensors { up : dim -> factor × head_dim   down : factor × head_dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return down(silu(up(x))) }
  }
}
"""


def test_every_layer_of_the_compiler_agrees(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from tests.agreement import EVERY, Layers, checked, differences

    path = tmp_path / "m.dsv3"
    path.write_text(RENAMED, encoding="utf-8")
    table = Layers(checked(path), tmp_path / "m")
    assert list(differences(table, 32, EVERY)) == []


#: How often an inner part is repeated is by the layer: an alternative for each count.
COUNTED = """language 1
model counted {
  params { vocab_size : size = 8   dim : size = 4   n : size = 3 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  parts { outer[j] : middle × n }
  tensors { embed : [vocab_size, dim]   head : dim -> vocab_size }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] { return head(outer(take(embed, tokens))) }
  module middle {
    params { j : count }
    parts {
      rows[k] : row × 1             when j == 0
      rows[k] : row × n - 1         when j > 0
    }
    forward(x: [B, S, dim]) -> [B, S, dim] { return rows(x) }
  }
  module row {
    params { k : count }
    tensors { w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return x + w(x) }
  }
}
"""


def test_alternatives_have_counts_of_their_own(tmp_path: Path) -> None:
    """What the help of a count by an index says to write, in every layer."""
    from tests.agreement import EVERY, Layers, checked, differences

    path = tmp_path / "t.dsv3"
    path.write_text(COUNTED, encoding="utf-8")
    program = checked(path)
    names = {name for tensor in stored(program, OWN) for name, _ in expand(tensor)}
    rows = {f"outer.{j}.rows.{k}.w.weight" for j in range(3) for k in range((1, 2, 2)[j])}
    assert names == {*rows, "embed", "head.weight"}
    assert list(differences(Layers(program, tmp_path / "t"), 8, EVERY[:2])) == []
    path.write_text(COUNTED.replace("row × n - 1         when j > 0", "row × j + 1    when j > 0"))
    (fault,) = check_file(path).errors
    assert fault.code == "E0605"
    assert "`j` is not the same in every instance" in fault.message
    assert fault.help is not None
    assert "an alternative for each count" in fault.help


#: The same with experts and with a cache in what is repeated; `{first}` and `{rest}` are the counts.
VARIED = """language 1
use std.attention {{ causal }}
model varied {{
  params {{ vocab_size : size = 8   dim : size = 4   n : size = 3   first : size = {first}   rest : size = {rest} }}
  dtypes {{ maps = f32  arrays = f32  activations = f32  caches = f32 }}
  parts {{ outer[j] : middle × n }}
  tensors {{ embed : [vocab_size, dim]   head : dim -> vocab_size }}
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {{
    return head(outer(take(embed, tokens), causal(positions, mask)))
  }}
  module middle {{
    params {{ j : count }}
    parts {{
      rows[k] : row × {a}         when j == {at}
      rows[k] : row × {b}         when j != {at}
      experts[e] : expert × {a} + 1   when j == {at}
      experts[e] : expert × {b} + 1   when j != {at}
    }}
    tensors {{
      router : dim -> {a} + 1     when j == {at}
      router : dim -> {b} + 1     when j != {at}
    }}
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {{
      y = rows(x, seen)
      weights, index = topk(softmax(router(y)), 2)
      return y + mixture(experts, y, weights, index)
    }}
  }}
  module row {{
    params {{ k : count }}
    tensors {{ w : dim -> dim }}
    cache {{ kept : [B, T, dim] along T }}
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {{
      all = append(kept, w(x))
      scores = where(seen, einsum("b s d, b t d -> b s t", x, all), -inf)
      return x + einsum("b s t, b t d -> b s d", softmax(scores), all)
    }}
  }}
  module expert {{
    tensors {{ up : dim -> dim }}
    forward(x: [..., dim]) -> [..., dim] {{ return silu(up(x)) }}
  }}
}}
"""


@pytest.mark.slow
@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(first=st.integers(1, 3), rest=st.integers(1, 3), at=st.integers(0, 2))
def test_layers_agree_where_counts_differ(
    tmp_path_factory: pytest.TempPathFactory, first: int, rest: int, at: int
) -> None:
    from specgen.analysis.quantities.ledger import ledger
    from tests.agreement import EVERY, Layers, checked, differences

    folder = tmp_path_factory.mktemp("varied")
    path = folder / "t.dsv3"
    text = VARIED.format(first=first, rest=rest, a="first", b="rest", at=at)
    path.write_text(text, encoding="utf-8")
    program = checked(path)
    found = ledger(program)
    counts = [first if j == at else rest for j in range(3)]
    each = sum(16 * n + 16 * (n + 1) + 4 * (n + 1) for n in counts)
    assert found.value("parameters") == each + 2 * 8 * 4
    active = sum(16 * n + 16 * 2 + 4 * (n + 1) for n in counts)
    assert found.value("parameters_active") == active + 2 * 8 * 4
    assert found.value("cache_elements_per_token") == 4 * sum(counts)
    assert list(differences(Layers(program, folder / "t"), 8, EVERY)) == []
