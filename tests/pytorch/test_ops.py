"""Every op in generated code against numpy, in the words of the IR's own interpreter."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.frontend.load import load_program  # noqa: E402
from specgen.ir import interpret  # noqa: E402
from specgen.ir.model import Program  # noqa: E402
from tests.numeric.generated import imported  # noqa: E402

pytestmark = pytest.mark.slow

FUNCTIONS = [
    "elementwise",
    "arithmetic",
    "whole_numbers",
    "conditions",
    "reductions",
    "selection",
    "pieces",
    "axes",
    "sums_of_products",
    "calls",
]

SCALARS = {"arithmetic": (0.5, 3), "calls": (1.5,)}


@pytest.fixture(scope="module")
def table() -> Program:
    return load_program(Path(__file__).parent / "ops.dsv3")


@pytest.fixture(scope="module")
def module(table: Program, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return imported(table, tmp_path_factory.mktemp("ops"))


def meaning(table: Program, name: str, x: np.ndarray, *scalars: float) -> np.ndarray:
    """The function's value in 64 bits."""
    function = table.functions[name]
    nowhere = interpret.EvaluatedInstance(
        table, table.model, table.values, np.random.default_rng(0)
    )
    env = {"B": x.shape[0], "S": x.shape[1], "D": x.shape[2] // 12}
    given = dict(zip([arg.name for arg in function.args[1:]], scalars, strict=True))
    body = interpret.NumpyInterpreter(nowhere, {**env, **given}, env, {function.args[0].name: x})
    (found,) = body.run(function.body) or ()
    return np.asarray(found)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("default", [torch.float32, torch.float64])
def test_as_defined(table: Program, module: ModuleType, name: str, default: torch.dtype) -> None:
    """Whatever torch's default dtype is: whole numbers must not pass through it."""
    x = np.random.default_rng(len(name)).standard_normal((2, 5, 24))
    scalars = SCALARS.get(name, ())
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(default)
        found = getattr(module, name)(torch.from_numpy(x), *scalars)
    finally:
        torch.set_default_dtype(before)
    assert found.dtype == torch.float64
    expected = meaning(table, name, x, *scalars)
    assert found.shape == expected.shape
    tolerance = 1e-5 if name == "whole_numbers" else 1e-12  # it goes through float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_dtype_follows_the_argument(module: ModuleType, name: str) -> None:
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        x = torch.randn(2, 5, 24).to(dtype)
        assert getattr(module, name)(x, *SCALARS.get(name, ())).dtype == dtype


def test_whole_model(table: Program, module: ModuleType) -> None:
    model = module.Model(module.Config()).double()
    torch.nn.init.normal_(model.table)
    tokens = np.random.default_rng(0).integers(20, size=(2, 5))
    instance = interpret.EvaluatedInstance(
        table, table.model, table.values, np.random.default_rng(0)
    )
    instance.weights["table"] = model.table.detach().numpy()
    forward = table.model.forward
    assert forward is not None
    (expected,) = instance.call(forward, [tokens], {"B": 2, "S": 5})
    found = model(torch.from_numpy(tokens)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
