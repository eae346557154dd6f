"""A target that cannot express a table is refused alone, at a place, and the others are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import specgen
from specgen.diagnostics.diagnostic import SpecError
from tests.cli.running import specgen_here as run

#: T is asked for before any tensor has it, which a file for any number of tokens cannot know.
NOT_PYTORCH = """language 1
model t "T" {
  params { vocab_size : size = 9  dim : size = 4 }
  parts { one : mixer }
  tensors { embed : [vocab_size, dim] }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return one(take(embed, tokens)) }
  module mixer {
    cache { kept : [B, T, dim] along T }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      y = x * T
      return y + sum(append(kept, y), over = 1, keep = true)
    }
  }
}
"""

#: The experts of one mixture have different widths: PyTorch has no stack to put them in.
NOT_ONNX = """language 1
model t "T" {
  params { vocab_size : size = 9  dim : size = 4  n : size = 3 }
  parts { experts[e] : expert(e = e) × n }
  tensors { embed : [vocab_size, dim]  router : dim -> n }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    x = take(embed, tokens)
    weights, index = topk(router(x), 1)
    return mixture(experts, x, weights, index)
  }
  module expert {
    params { e : count }
    tensors {
      up   : dim -> dim × (e + 1)
      down : dim × (e + 1) -> dim
    }
    forward(x: [..., dim]) -> [..., dim] { return down(up(x)) }
  }
}
"""

#: The table, the target that refuses it, and the line on which it says so.
REFUSED = {
    "pytorch": (NOT_PYTORCH, 9, "no argument of a forward has `T`"),
    "onnx": (NOT_ONNX, 14, "instances differ"),
}

FILES = {"pytorch": "model.py", "onnx": "model.onnx"}


@pytest.mark.parametrize("target", REFUSED)
def test_one_target_is_refused_and_the_others_are_written(target: str, tmp_path: Path) -> None:
    text, line, reason = REFUSED[target]
    (tmp_path / "t.dsv3").write_text(text)
    for _ in range(2):  # nothing of it is remembered as complete
        done = run("build", "t.dsv3", cwd=tmp_path)
        assert done.status == 1
        assert f"error[E0905]: target `{target}` cannot express this table" in done.err
        assert reason in done.err
        assert f"t.dsv3:{line}:" in done.err
    folder = tmp_path / "generated" / "t" / "default"
    found = {path.name for path in folder.iterdir()}
    assert FILES[target] not in found
    assert {"report.md", "formulas.json", "tensors.json", *FILES.values()} - found == {
        FILES[target]
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["targets"]) == {"pytorch", "onnx", "report", "formulas", "checkpoint"} - {
        target
    }


@pytest.mark.parametrize("target", REFUSED)
def test_nothing_is_written_where_no_target_can(target: str, tmp_path: Path) -> None:
    text, line, _ = REFUSED[target]
    (tmp_path / "t.dsv3").write_text(text)
    done = run("build", "t.dsv3", "--target", target, cwd=tmp_path)
    assert done.status == 1
    assert f"t.dsv3:{line}:" in done.err
    assert not (tmp_path / "generated").exists()


def test_check_of_a_refused_target_fails(tmp_path: Path) -> None:
    (tmp_path / "t.dsv3").write_text(NOT_ONNX)
    run("build", "t.dsv3", cwd=tmp_path)
    done = run("build", "t.dsv3", "--check", cwd=tmp_path)
    assert done.status == 1
    assert done.out == ""


def test_python_says_so_after_the_others_are_written(tmp_path: Path) -> None:
    (tmp_path / "t.dsv3").write_text(NOT_ONNX)
    with pytest.raises(SpecError, match="E0905"):
        specgen.load(tmp_path / "t.dsv3").build(tmp_path / "out")
    assert (tmp_path / "out" / "t" / "default" / "model.py").exists()
