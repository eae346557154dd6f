"""The Python interface: the names and meanings that other people's programs rely on."""

import json
from pathlib import Path

import pytest
import sympy

import specgen
from tests.cli.running import PURE, TINY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    (tmp_path / "pure.dsv3").write_text(PURE, encoding="utf-8")
    return tmp_path


def test_load_selects_variant_and_overrides(folder: Path) -> None:
    path = folder / "tiny.dsv3"
    assert specgen.load(path).params["dim"] == 8
    assert specgen.load(str(path), variant="wide").params["dim"] == 16
    assert specgen.load(f"{path}@wide").params["dim"] == 16
    model = specgen.load(path, variant="wide", n_layers=3, kind="b")
    assert (model.params["n_layers"], model.params["kind"]) == (3, "b")
    assert specgen.load("llama", variant="llama3_8b").quantities["parameters"] == 8_030_261_248
    assert specgen.load(f"{path}@wide", variant="wide").params["dim"] == 16
    with pytest.raises(ValueError, match="names a variant, and it is not deep"):
        specgen.load(f"{path}@wide", variant="deep")


def test_quantities_are_ints_and_formulas_are_theirs(folder: Path) -> None:
    model = specgen.load(folder / "tiny.dsv3", variant="deep")
    for name, value in model.quantities.items():
        assert type(value) is int
        formula = model.formula(name)
        values = {symbol: model.params[str(symbol)] for symbol in formula.free_symbols}
        assert formula.subs(values) == value
    assert isinstance(model.formula("parameters"), sympy.Expr)
    flops = {str(symbol) for symbol in model.formula("flops_decode").free_symbols}
    assert "B" in flops


def test_every_symbolic_value_is_sympys_too() -> None:
    """Shapes, multiplicities, formulas, closed forms and their assumptions, at the table's values."""
    model = specgen.load("deepseek_v3", variant="v3_671b")
    values = {**model.ledger.values, "B": 2, "S": 3, "T": 5, "W": 2, "G": 2, "O": 12}

    def at(expr: sympy.Basic) -> object:
        return expr.subs({symbol: values[str(symbol)] for symbol in expr.free_symbols})

    for row in model.rows:
        assert tuple(map(at, row.shape_sympy)) == row.dims
        assert at(row.multiplicity_sympy) == row.instances
        assert at(row.formula_sympy) == row.elements
    for quantity in model.ledger.quantities.values():
        if quantity.value is not None:
            assert at(quantity.sympy) == quantity.value
        assert all(at(condition) == sympy.true for condition in quantity.assumptions_sympy)
        figure = model.quantity(quantity.name)
        assert (figure.sympy is None) == (quantity.sympy is None)
        if figure.sympy is not None:
            assert figure.sympy == model.formula(quantity.name)


def test_rows_and_tensors_sum_to_the_parameters(folder: Path) -> None:
    model = specgen.load(folder / "tiny.dsv3", variant="deep")
    assert sum(row.elements for row in model.rows) == model.quantities["parameters"]
    for scheme in ("own", "hf"):
        tensors = model.tensors(names=scheme)
        assert len(tensors) == len({tensor.name for tensor in tensors}) == 2 + 2 * 9
        count = sum(sympy.prod(tensor.shape) for tensor in tensors)
        assert count == model.quantities["parameters"]
    assert "model.layers.8.up.weight" in {tensor.name for tensor in model.tensors(names="hf")}


def test_build_writes_and_says_where(folder: Path) -> None:
    model = specgen.load(folder / "tiny.dsv3", variant="wide")
    built = model.build(folder / "out", targets=["formulas", "report"])
    assert built == folder / "out" / "tiny" / "wide"
    manifest = json.loads((built / "manifest.json").read_text())
    assert set(manifest["files"]) == {"formulas.json", "report.html", "report.md"}


def test_faults_are_exceptions_that_read_well(folder: Path) -> None:
    with pytest.raises(specgen.SpecError, match="did you mean `wide`"):
        specgen.load(folder / "tiny.dsv3", variant="wdie")
    with pytest.raises(specgen.SpecError, match="E0101"):
        specgen.load(folder / "absent.dsv3")
    model = specgen.load(folder / "pure.dsv3")
    with pytest.raises(KeyError, match="parameters"):
        model.formula("paramters")
    with pytest.raises(KeyError, match="no forward"):
        model.formula("flops_decode")
    with pytest.raises(KeyError, match="own"):
        model.tensors(names="hf")
    with pytest.raises(KeyError, match="pytorch"):
        model.build(folder, targets=["pytroch"])
    with pytest.raises(specgen.SpecError, match="E0903"):
        model.build(folder / "out", targets=["onnx"])
    with pytest.raises(AttributeError):
        _ = specgen.no_such_name


def test_a_model_is_short_to_look_at() -> None:
    """Whatever its size: a shell prints it after every load."""
    assert repr(specgen.load("deepseek_v3", "v3_671b")) == "<specgen.Model deepseek_v3@v3_671b>"
    assert repr(specgen.load("dsv3_table")) == "<specgen.Model dsv3_table>"
