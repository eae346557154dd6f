"""A table elaborated for several sets of values is the same as elaborated for each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.frontend.files import Loaded, load_files
from specgen.frontend.program import assemble
from specgen.ir.model import Program
from specgen.resources import folder

TABLES = sorted(folder("specs").glob("*.dsv3"))
QUICK = {"gpt_oss", "qwen2_moe"}


def loaded(path: Path) -> Loaded:
    found = load_files(path, Diagnostics())
    assert found is not None
    return found


def elaborated(files: Loaded, variant: str) -> Program:
    (model,) = files.models()
    program = assemble(files, model, variant, {}, Diagnostics())
    assert program is not None
    return program


@pytest.mark.parametrize(
    "path",
    [path if path.stem in QUICK else pytest.param(path, marks=pytest.mark.slow) for path in TABLES],
    ids=lambda path: path.stem,
)
def test_after_other_variants_and_by_itself(path: Path) -> None:
    once = loaded(path)
    (model,) = once.models()
    names = [variant.name for variant in model.tree.variants]
    alone = {name: elaborated(loaded(path), name) for name in names}
    for name in [*names, *reversed(names)]:
        assert elaborated(once, name) == alone[name]


FAULTY = """language 1

model toy "A row that fits in one variant alone" {
  params { dim : size = 4 in features "width"   two : flag = false "the other row" }
  tensors {
    w : dim -> dim     when not two "one"
    v : dim -> dim + 1 when two     "the other"
  }
  forward(x: [B, dim]) -> [B, dim] { return v(x) when two else w(x) }
  variant one  { two = false }
  variant both { two = true }
}
"""


def test_faults_of_one_variant_are_found_after_others(tmp_path: Path) -> None:
    path = tmp_path / "toy.dsv3"
    path.write_text(FAULTY, encoding="utf-8")

    def faults(files: Loaded, variant: str) -> list[str]:
        found = Diagnostics()
        (model,) = files.models()
        assemble(files, model, variant, {}, found)
        return [fault.code for fault in found.all]

    once = loaded(path)
    alone = {name: faults(loaded(path), name) for name in ("one", "both")}
    assert not alone["one"]
    assert alone["both"]
    for name in ("one", "both", "both", "one", "both"):
        assert faults(once, name) == alone[name]
