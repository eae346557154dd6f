"""A table elaborated for several sets of values is the same as elaborated for each by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.elaborate.files import Loaded, load_files
from specgen.elaborate.program import assemble
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
