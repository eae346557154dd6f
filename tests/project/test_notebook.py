"""What notebooks show, and the questions of the command line asked from Python."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path

import pytest

import specgen
from tests.cli.running import PURE, TINY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    (tmp_path / "pure.dsv3").write_text(PURE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def tiny(folder: Path) -> specgen.Model:
    return specgen.load(folder / "tiny.dsv3", variant="deep")


class Cells(HTMLParser):
    """The texts of an HTML table's cells, and every tag that is there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip("\n")


def test_a_model_shows_its_table(tiny: specgen.Model) -> None:
    shown = Cells(tiny._repr_html_())
    up = next(row for row in shown.rows if row[0] == "layers.{layer}.up")
    assert up[1:6] == ["bf16", "[dim, 4*dim]", "16 × 64", "9", "9,216"]
    total = next(row for row in shown.rows if row[0] == "parameters")
    assert total[1] == f"{tiny.quantities['parameters']:,}"
    assert shown.tags == {"p", "table", "thead", "tbody", "tr", "th", "td"}


def test_texts_of_a_table_open_no_markup(folder: Path) -> None:
    nasty = "<script>alert(1)</script> & <img src=x onerror=alert(1)> ' `"
    text = TINY.replace('"Tiny"', f'"{nasty}"').replace(
        "up   : dim -> 4 × dim", f'up : dim -> 4 × dim "{nasty}"'
    )
    (folder / "nasty.dsv3").write_text(text, encoding="utf-8")
    model = specgen.load(folder / "nasty.dsv3")
    shown = Cells(model._repr_html_())
    assert shown.tags == {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert any(nasty in cell for row in shown.rows for cell in row)
    html = model.whatif(dim=16)._repr_html_()
    assert Cells(html).tags <= {"p", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.slow
def test_a_quantity_shows_its_formula(tiny: specgen.Model) -> None:
    found = tiny.quantity("parameters")
    assert (found.name, found.value, found.unit) == (
        "parameters",
        2 * 32 * 16 + 9 * 2048,
        "elements",
    )
    assert "2 × vocab_size × dim" in found.text() or "vocab_size × dim" in found.text()
    latex = found._repr_latex_()
    assert latex.startswith(r"$\displaystyle \mathrm{parameters} = ")
    assert r"\mathrm{vocab\_size}" in latex
    assert latex.endswith("= 19{,}456$")
    assert r"\cdot" in latex  # names that stand side by side would read as one
    assert "parameters = 19,456 elements" in repr(found)
    flops = tiny.quantity("flops_decode")
    assert flops.value is None
    assert flops.variables == ("B",) or "B" in flops.variables
    with pytest.raises(KeyError, match="parameters"):
        tiny.quantity("paramters")


def test_a_quantity_that_a_table_lacks_says_so(folder: Path) -> None:
    found = specgen.load(folder / "pure.dsv3").quantity("flops_decode")
    assert found.value is None
    assert "flops" in found._repr_latex_()
    assert "no forward" in repr(found)


def test_changed_values_beside_the_base(tiny: specgen.Model) -> None:
    found = tiny.whatif(n_layers=10, quantities=["parameters", "flops_decode"])
    parameters, flops = found.records()
    assert parameters["difference"] == 2048
    assert parameters["changed"] == parameters["base"] + 2048 == 21_504  # type: ignore[operator]
    assert flops["changed"] == 2 * 10 * 2048 + 2 * 16 * 32
    twice = tiny.whatif(B=2, quantities="flops_decode")
    assert twice["value"] == [2 * (2 * 9 * 2048 + 2 * 16 * 32)]
    assert len(tiny.whatif(dim=32)) > 10
    assert Cells(found._repr_html_()).rows[0][0] == "quantity"
    assert repr(found).startswith("quantity")


def test_sweeps_take_values_of_python(tiny: specgen.Model) -> None:
    by_text = tiny.whatif(sweep={"dim": "8:32:8", "n_layers": "1,2"}, quantities=["parameters"])
    by_value = tiny.whatif(
        sweep={"dim": range(8, 33, 8), "n_layers": [1, 2]}, quantities=["parameters"]
    )
    assert by_text.records() == by_value.records()
    assert [row["parameters"] for row in by_value] == [
        64 * dim + n * 8 * dim * dim for dim in (8, 16, 24, 32) for n in (1, 2)
    ]
    kept = tiny.whatif(
        sweep={"dim": range(8, 33, 8)}, where=["parameters < 20000", "dim > 8"], n_layers=1
    )
    assert kept["dim"] == [16, 24, 32]
    assert any("of 4 configurations" in note for note in kept.notes)
    assert "configurations" in kept._repr_html_()


def test_questions_are_solved(tiny: specgen.Model) -> None:
    assert tiny.solve("parameters == 21504", "n_layers").records() == [
        {"n_layers": 10, "is": "exact", "left": 21504, "right": 21504, "left over": 0}
    ]
    near = tiny.solve("parameters == 21505", "n_layers")
    assert [(row["n_layers"], row["is"]) for row in near] == [(10, "below"), (11, "above")]
    found = tiny.solve("parameters == 21504", ["dim", "n_layers"], within={"dim": [8, 16, 32]})
    assert {"dim": 16, "n_layers": 10}.items() <= found.records()[0].items()


def test_influences_are_sorted(tiny: specgen.Model) -> None:
    found = tiny.sensitivity("parameters")
    assert found["parameter"][0] == "dim"
    assert "vocab_size" in found["parameter"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda m: m.whatif(quantities=["paramters"]), "`parameters`"),
        (lambda m: m.whatif(sweep={"dmi": [1]}), "`dim`"),
        (lambda m: m.whatif(sweep={"dim": []}), "no values"),
        (lambda m: m.whatif(sweep={"dim": "8:4:1"}), "no values"),
        (lambda m: m.whatif(sweep={"dim": [object()]}), "a value is a number"),
        (lambda m: m.whatif(sweep={"dim": range(1, 100)}, where="parameters"), "condition"),
        (lambda m: m.whatif(where="dim < 3"), "sweep"),
        *(
            (lambda m, s=seconds: m.whatif(sweep={"dim": [8]}, seconds=s), "seconds above 0")
            for seconds in (0, -1, math.nan, "1", True)
        ),
        (lambda m: m.whatif(B=-1), "`B`"),
        (lambda m: m.solve("parameters", "dim"), "=="),
        (lambda m: m.solve("parameters == 3", "dmi"), "`dim`"),
        (lambda m: m.solve("parameters == 3", "dim", within={"n_layers": [1]}), "n_layers"),
        (lambda m: m.sensitivity("paramters"), "`parameters`"),
        (lambda m: m.sensitivity("parameters", step=2), "step"),
    ],
)  # fmt: skip
def test_faults_of_questions_are_value_errors(tiny, ask, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r".") as caught:
        ask(tiny)
    assert said in str(caught.value)


def test_faults_of_values_are_those_of_the_table(tiny: specgen.Model) -> None:
    for ask in (
        lambda: tiny.whatif(dmi=3),
        lambda: tiny.whatif(dim=0),
        lambda: tiny.whatif(sweep={"dim": [0]}),
        lambda: tiny.whatif(sweep={"dim": [8]}, where="__import__('os').system('id') > 0"),
        lambda: tiny.solve("__import__('os') == 1", "dim"),
    ):
        with pytest.raises(specgen.SpecError):
            ask()
