"""One count, four ways, at random sizes: formula, report rows, model.py, model.onnx."""

from __future__ import annotations

import random
from math import prod
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.analysis.quantities.terms import evaluated  # noqa: E402
from specgen.analysis.table.rows import rows  # noqa: E402
from specgen.backends.onnx.build import build  # noqa: E402
from specgen.backends.onnx.graph import Graph  # noqa: E402
from specgen.backends.onnx.levels import LEVELS  # noqa: E402
from specgen.backends.onnx.options import DEFAULT  # noqa: E402
from specgen.backends.onnx.weights import Weights  # noqa: E402
from specgen.ir.model import Program  # noqa: E402
from tests.analysis.released import SPECS  # noqa: E402
from tests.numeric.generated import config_of, imported  # noqa: E402
from tests.onnx.session import parsed, weights_of  # noqa: E402
from tests.promises.configurations import structures  # noqa: E402

pytestmark = pytest.mark.slow

#: Configurations of each table, over all of its structures.
CONFIGURATIONS = 200

STRUCTURES = 3


def declared(program: Program) -> int:
    """The elements of the weights that the ONNX back end writes for a program.

    It lists them before it walks the forward, which takes most of the time and adds none.
    """
    return sum(prod(one.shape) for one in Weights(program, Graph(LEVELS[DEFAULT.ops])).ordered())


def written(program: Program) -> int:
    """The elements of the weights in the file itself."""
    return sum(prod(tensor.dims) for tensor in weights_of(parsed(build(program, DEFAULT))))


@pytest.mark.parametrize("spec", sorted(path.stem for path in SPECS.glob("*.dsv3")))
def test_formula_rows_model_and_graph_count_the_same(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # First values on the meta device are none, and take most of the time.
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda self: None)
    found = structures(spec, STRUCTURES)
    draw = random.Random(spec)
    for number, structure in enumerate(found):
        quantities = structure.found.quantities
        module = None
        if structure.program.has_dataflow:
            (folder := tmp_path / str(number)).mkdir()
            module = imported(structure.program, folder)
        share = range(number, CONFIGURATIONS, len(found))
        for turn, values in enumerate(structure.drawn(draw, len(share))):
            env = structure.environment(values)
            parameters = evaluated(quantities["parameters"], env)
            program = structure.program_of(values)
            table = rows(program)
            assert sum(row.elements for row in table if row.counted) == parameters, values
            if module is None:
                continue
            with torch.device("meta"):
                model = module.Model(config_of(module, values))
            assert sum(p.numel() for p in model.parameters()) == parameters, values
            # Scales of storage formats are initializers, and no parameters.
            scales = evaluated(quantities["stored_scales"], env)
            assert declared(program) == parameters + scales, values
            if turn == 0:
                assert written(program) == parameters + scales, values
