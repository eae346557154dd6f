"""A tensor has one name: in model.py, tensors.json, `verify` and the graph beside a checkpoint.

Tables without `names` are stored in their own names; a map's tensor is its name and `.weight`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import product
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

from specgen.analysis.table.rows import rows
from specgen.backends.onnx.build import emit
from specgen.backends.onnx.options import Options
from specgen.backends.refusal import Refusal
from specgen.frontend.load import load_program
from specgen.frontend.selection import Selection
from specgen.huggingface.comparing import compare
from specgen.huggingface.tensors import document
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.fuzz.programs.tables import table
from tests.huggingface.test_comparing import write
from tests.numeric.generated import REPOSITORY, imported
from tests.onnx.checkpoints import held, write_file
from tests.onnx.session import parsed

#: One of everything: a map with a bias, alternatives of one name, a copy, experts.
EVERYTHING = """language 1
model everything "rows of every kind, stored under their own names" {
  params { vocab_size : size = 11   dim : size = 6   n_layers : size = 3   n_experts : size = 4 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  parts { layers[layer] : block × n_layers }
  tensors { embed : [vocab_size, dim]   head : dim -> vocab_size   again : copy head }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    return head(layers(take(embed, tokens))) + again(take(embed, tokens))
  }
  module block {
    params { layer : count }
    parts { experts[e] : expert × n_experts }
    tensors {
      mix      : dim -> dim       when layer % 2 == 0
      mix.bias : [dim]            when layer % 2 == 0
      mix      : [dim, dim]       when layer % 2 == 1
      router   : dim -> n_experts
    }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      if layer % 2 == 0 { y = mix(x) } else { y = einsum("b s d, d e -> b s e", x, mix) }
      weights, index = topk(router(x), 2)
      return mixture(experts, y, weights, index)
    }
  }
  module expert {
    tensors { up : dim -> dim }
    forward(x: [..., dim]) -> [..., dim] { return up(x) }
  }
}
"""


def of_model(program: Program, folder: Path) -> dict[str, tuple[int, ...]]:
    """What model.py loads, with shapes."""
    module = imported(program, folder)
    model = module.Model(module.Config())
    found = {}
    released = module.checkpoints()
    for stored in released.stored_tensors(model):
        found |= {name: shape for name, (_, shape) in stored.kinds.items()}
    if hasattr(released, "stored_copies"):
        found |= {copy: found[name] for copy, name in released.stored_copies(model)}
    return found


def of_document(program: Program) -> dict[str, tuple[int, ...]]:
    """What tensors.json lists, with shapes: each index in all of its values."""
    found = {}
    for entry in document(program)["tensors"]:
        (name,) = entry["names"].values()
        values = {
            index: [number for ends in ranges for number in range(*ends)]
            for index, ranges in entry["indices"].items()
        }
        for chosen in product(*values.values()):
            put_in = dict(zip(values, chosen, strict=True))
            pieces = Formatter().parse(name)
            text = "".join(t + (str(put_in[i]) if i else "") for t, i, _, _ in pieces)
            found[text] = tuple(entry["shape"])
    return found


def of_graph(program: Program, folder: Path) -> set[str]:
    """The tensors of the checkpoint that model.onnx in its folder points to."""
    data = emit(program, Options(checkpoint=folder, experts="released"))["model.onnx"]
    assert isinstance(data, bytes)
    return {tensor.name for tensor in parsed(data).graph.initializer}


def agree(text: str, folder: Path, *, every: bool) -> None:
    path = folder / "t.dsv3"
    path.write_text(text, encoding="utf-8")
    program = load_program(path)
    names = of_model(program, folder)
    assert of_document(program) == names
    (folder / "c").mkdir()
    drawn = {name: held(np.ones(shape, np.float32)) for name, shape in names.items()}
    write_file(folder / "c" / "model.safetensors", drawn)
    assert not compare(Selection(path), folder / "c").differences
    copies = {row.name for row in rows(program) if row.shared == "copy"}
    stored = {name for name in names if name.removesuffix(".weight") not in copies}
    found = of_graph(program, folder / "c")
    # A graph of a checkpoint carries what its nodes read; drawn tables have rows that none does.
    assert found == stored if every else found <= stored


def test_rows_of_every_kind_have_one_stored_name(tmp_path: Path) -> None:
    agree(EVERYTHING, tmp_path, every=True)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@example(7)
@given(seed=st.integers(0, 10_000))
def test_tensors_of_any_table_without_names_have_one_name(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    with suppress(Refusal):
        agree(table(seed), tmp_path_factory.mktemp("drawn"), every=False)


def test_tables_that_come_with_it_list_what_verify_wants(tmp_path: Path) -> None:
    """The one without names has no forward, so that there is no model.py."""
    path = REPOSITORY / "specs" / "dsv3_table.dsv3"
    sizes = {"n_layers": 4, "n_dense_layers": 1, "n_routed_experts": 2}
    names = of_document(load_program(path, None, sizes))
    file = write(
        tmp_path / "f.safetensors", {name: ("F8_E4M3", shape) for name, shape in names.items()}
    )
    assert not compare(Selection(path, None, sizes), file).differences
    defines = [text for name, value in sizes.items() for text in ("-D", f"{name}={value}")]
    done = specgen_here("params", str(path), "--expand", "--format", "json", *defines, cwd=tmp_path)
    assert {tensor["name"] for tensor in json.loads(done.out)["tensors"]} == set(names)
