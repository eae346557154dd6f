"""Std blocks and lists as graphs in onnxruntime, against the generated model.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx.build import build  # noqa: E402
from specgen.backends.onnx.options import Options  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from tests.numeric.generated import REPOSITORY, imported, randomised, stored  # noqa: E402
from tests.onnx.session import Session, fill, onnx, parsed  # noqa: E402

pytestmark = pytest.mark.slow

TABLES = REPOSITORY / "tests" / "pytorch"


@pytest.mark.parametrize("ops", ["standard", "primitive"])
@pytest.mark.parametrize(
    ("name", "variant"),
    [("activations", None), ("lists", None), ("lists", "none"), ("lists", "ends")],
)
def test_graph_and_model_agree(name: str, variant: str | None, ops: str, tmp_path: Path) -> None:
    table = load_program(TABLES / f"{name}.dsv3", variant)
    module = imported(table, tmp_path)
    model = randomised(module.Model(module.Config()))
    weights = {name: np.asarray(row) for name, row in stored(module, model).items()}
    data = build(table, Options(ops=ops))
    onnx.shape_inference.infer_shapes(parsed(data), strict_mode=True, data_prop=True)
    used = {node.op_type for node in parsed(data).graph.node}
    assert ("LayerNormalization" in used) == (ops == "standard" and name == "activations")
    assert ("Gelu" in used) == (ops == "standard" and variant != "none")
    assert ("Erf" in used) == (ops == "primitive" and name == "activations")
    tokens = np.random.default_rng(0).integers(0, 20, (2, 6))
    found = Session.open(fill(data, weights, tmp_path), 2)(tokens)
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens)).numpy()
    assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
