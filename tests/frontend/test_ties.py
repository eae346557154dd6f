"""Rows that share another's tensor name the row that it is in the end, in every program."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.analysis.quantities.ledger import ledger
from specgen.frontend.load import load_program
from specgen.ir.model import TRUE

HEAD = """language 1
model t "T" {
  params { vocab_size : size = 9  dim : size = 8 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
"""


@settings(max_examples=25, deadline=None)
@given(
    kinds=st.lists(st.sampled_from(["tied", "copy"]), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_a_chain_ends_at_a_row_of_its_own(
    kinds: list[str], order: object, tmp_path_factory: object
) -> None:
    """However long it is, in whatever order its rows stand, and counted once."""
    rows = ["embed : [vocab_size, dim]"]
    names = ["embed", *(f"r{number}" for number in range(len(kinds)))]
    rows += [f"{names[n + 1]} : {kind} {names[n]}" for n, kind in enumerate(kinds)]
    order.shuffle(rows)  # type: ignore[attr-defined]
    uses = " + ".join(f"take({name}, tokens)" for name in names)
    body = f"forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return {uses} }}"
    folder: Path = tmp_path_factory.mktemp("chain")  # type: ignore[attr-defined]
    path = folder / "t.dsv3"
    path.write_text(f"{HEAD}  tensors {{\n    " + "\n    ".join(rows) + f"\n  }}\n  {body}\n}}\n")
    program = load_program(path)
    found = {row.name: row for row in program.model.tensors}
    assert {found[name].target for name in names[1:]} == {"embed"}
    assert [found[name].shared for name in names[1:]] == kinds
    counts = ledger(program)
    assert counts.value("parameters") == 72
    assert counts.value("stored_elements") == 72 * (1 + kinds.count("copy"))


def test_a_row_between_that_has_alternatives_by_index_gives_them_on(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(
        HEAD
        + """  tensors { embed : [vocab_size, dim]  w : dim -> dim }
  parts { layers[i] : block × 4 }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return w(layers(take(embed, tokens))) }
  module block {
    params { i : count }
    tensors {
      a : dim -> dim    when i > 1
      a : tied w        when i <= 1
      b : tied a
    }
    forward(x: [B, S, dim]) -> [B, S, dim] { return a(b(x)) }
  }
}
"""
    )
    block = next(m for m in load_program(path).modules.values() if m.name == "block")
    rows = block.tensors_named("b")
    assert sorted(str(row.target) for row in rows) == ["a", "w"]
    assert TRUE not in [row.condition for row in rows]
