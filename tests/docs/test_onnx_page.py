"""The commands of docs/onnx.md print what it says, and the client of static graphs works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Options, StaticLengths
from specgen.ir.model import Program
from tests.docs.console import hold
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import in_f32, load_spec
from tests.onnx.session import Session, fill
from tests.onnx.static import graphs

PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"


@pytest.fixture
def table() -> Program:
    sizes = {"dim": 48, "n_heads": 4, "n_kv_heads": 2, "head_dim": 12, "inter_dim": 64}
    return in_f32(load_spec("llama", None, vocab_size=96, n_layers=2, **sizes))


def test_commands_print_what_the_page_says(tmp_path: Path) -> None:
    hold(PAGE, tmp_path)


def test_the_client_of_static_graphs_chooses_the_same_tokens(
    table: Program, tmp_path: Path
) -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(
        r"<!-- a client of static graphs -->\n```python\n(.*?)^```", text, re.S | re.M
    )
    assert found is not None
    weights = random_weights(build(table), 5)
    usual = Session.open(fill(build(table), weights, tmp_path))
    expected, new = [], np.array([[1, 2, 3]])
    for _ in range(13):
        new = usual(new)[:, -1:].argmax(-1)
        expected.append(new[0])
    chosen = Options(static=StaticLengths(1, 8, 16), index="i32")
    for name, data in graphs(table, chosen).items():
        fill(data, weights, tmp_path).rename(tmp_path / name)  # their weights lie in one file
    names: dict[str, Any] = {"folder": tmp_path, "weights": {}}
    exec(compile(found[1], PAGE.name, "exec"), names)
    assert np.array_equal(names["chosen"], expected)
