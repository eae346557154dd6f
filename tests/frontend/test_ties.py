"""Rows that share another's tensor name the row that it is in the end, in every program."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.analysis.quantities.ledger import ledger
from specgen.frontend.load import check_file, load_program
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


def test_rows_that_share_each_other_in_turn_are_no_circle(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(
        HEAD
        + """  tensors { embed : [vocab_size, dim] }
  parts { layers[i] : block × 4 }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return layers(take(embed, tokens)) }
  module block {
    params { i : count }
    tensors {
      a : dim -> dim    when i % 2 == 0
      a : tied b        when i % 2 == 1
      b : dim -> dim    when i % 2 == 1
      b : tied a        when i % 2 == 0
    }
    forward(x: [B, S, dim]) -> [B, S, dim] { return a(b(x)) }
  }
}
"""
    )
    assert not check_file(path).all
    counts = ledger(load_program(path))
    assert counts.value("parameters") == counts.value("parameters_active") == 72 + 4 * 64


@pytest.mark.parametrize("kind", ["tied", "copy"])
def test_a_row_may_be_read_only_through_those_that_share_it(kind: str, tmp_path: Path) -> None:
    """Of this module, of the model or of a part; but one of them has to be read."""
    path = tmp_path / "t.dsv3"
    text = (
        HEAD
        + """  tensors { embed : [vocab_size, dim]  root : dim -> dim  far : tied sub.v }
  parts { layers[i] : block × 2  sub : other }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return far(sub(layers(take(embed, tokens)))) }
  module block {
    tensors { a : tied root  b : tied a  c : dim -> dim  d : tied c }
    forward(x: [B, S, dim]) -> [B, S, dim] { return d(b(x)) }
  }
  module other {
    tensors { v : dim -> dim  w : dim -> dim }
    forward(x: [B, S, dim]) -> [B, S, dim] { return w(x) }
  }
}
"""
    )
    text = text.replace("tied", kind)
    path.write_text(text)
    assert not check_file(path).all
    assert ledger(load_program(path)).value("parameters_active") == 72 + 5 * 64
    path.write_text(text.replace("d(b(x))", "b(x)"))  # a copy may only be stored
    faults = ["E0512"] * (2 if kind == "tied" else 1)
    assert [found.code for found in check_file(path).all] == faults
    path.write_text(text.replace("d(b(x))", "d(c(x))"))
    assert [found.code for found in check_file(path).all] == faults


def test_many_ways_that_lead_nowhere_are_refused_soon(tmp_path: Path) -> None:
    """Each of 14 rows is shared with the next in two ways; the last leads back to the first."""
    path = tmp_path / "t.dsv3"
    rows = "\n".join(
        f"r{n} : tied r{(n + 1) % 14} when p{n}  r{n} : tied r{(n + 1) % 14} when not p{n}"
        for n in range(14)
    )
    flags = " ".join(f"p{n} : flag = true" for n in range(14))
    path.write_text(
        f"""language 1
model t {{
  params {{ vocab_size : size = 9  dim : size = 8  {flags} }}
  tensors {{ embed : [vocab_size, dim]
  {rows} }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return take(embed, tokens) }}
}}
"""
    )
    assert "E0505" in {found.code for found in check_file(path).all}
