"""A closed form means the same in every notation, and says what it rests on."""

import json
import math
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.documents.formula import (
    FORMATS,
    write_javascript,
    write_latex,
    write_python,
    write_text,
)
from specgen.huggingface.select import select

TABLES = ["deepseek_v3@v3_671b", "deepseek_v3@v2_lite_16b", "llama@llama32_1b", "dsv3_table"]

AWKWARD = """\
language 1
model awkward {
  params {
    class  : size  = 6
    new    : size  = 4
    lambda : flag  = true
    B2     : count = 3
  }
  let { half = class / 2 }
  require { class % 2 == 0 "even" }
  dtypes { arrays = f32 }
  tensors {
    a : [half × new, ceil(new ** 2 / 3)]
    b : [max(class, new) - min(class, new) + 1]    when lambda
    c : [(7 when B2 > 2 else 5)]
  }
}
"""


def table(name: str) -> Ledger:
    return ledger(select(name).program())


def python_values(found: Ledger) -> dict[str, Any]:
    names = {"class": "class_", "lambda": "lambda_"}
    return {names.get(name, name): value for name, value in found.program.values.items()}


def evaluated(text: str, values: Mapping[str, Any]) -> Any:
    """The value of Python code that specgen wrote."""
    functions = {name: getattr(math, name) for name in ("ceil", "floor", "log", "exp", "sqrt")}
    return eval(text, {"__builtins__": {}, "min": min, "max": max, **functions}, dict(values))


@pytest.mark.parametrize("name", TABLES)
def test_python_evaluates_to_the_value(name: str) -> None:
    found = table(name)
    for quantity in found.quantities.values():
        if quantity.value is not None:
            code = write_python(found, quantity)
            assert evaluated(code, python_values(found)) == quantity.value


@pytest.fixture
def awkward(tmp_path: Path) -> Ledger:
    (tmp_path / "awkward.dsv3").write_text(AWKWARD, encoding="utf-8")
    return table(str(tmp_path / "awkward.dsv3"))


def test_names_that_are_words_of_python_are_renamed(awkward: Ledger) -> None:
    quantity = awkward.quantities["parameters"]
    assert quantity.value == 3 * 4 * 6 + 3 + 7
    code = write_python(awkward, quantity)
    assert "class_" in code
    assert evaluated(code, python_values(awkward)) == quantity.value


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_evaluates_to_the_value(awkward: Ledger) -> None:
    for found in (awkward, table("deepseek_v3@v3_671b")):
        names = {"class": "class_", "new": "new_"}
        values = {names.get(n, n): v for n, v in found.program.values.items()}
        for quantity in found.quantities.values():
            if quantity.value is None:
                continue
            body = "return (\n" + write_javascript(found, quantity) + ")"
            program = (
                f"const values = {json.dumps(values)};\n"
                f"const f = new Function(...Object.keys(values), {json.dumps(body)});\n"
                "console.log(f(...Object.values(values)));"
            )
            done = subprocess.run(
                ["node", "-e", program], capture_output=True, text=True, check=True
            )
            assert int(done.stdout) == quantity.value, quantity.name


def test_text_defines_the_names_that_it_uses(awkward: Ledger) -> None:
    text = write_text(awkward, awkward.quantities["parameters"])
    assert "half × new" in text
    assert "where\n  half = class / 2" in text
    assert "82 elements" in text


def test_assumptions_are_part_of_every_notation() -> None:
    found = table("deepseek_v3@v3_671b")
    quantity = found.quantities["parameters"]
    assert quantity.assumptions
    for form, write in FORMATS.items():
        text = write(found, quantity)
        assert "n_dense_layers" in text.replace("\\_", "_"), form
        assert "<= n_layers" in text or "\\leq" in text, form


CHOICES = """\
language 1
model chosen {
  params { dim : size = 8  wide : flag = true  form : "a_1" | "b" = "a_1"  ks : counts = [1, 2] }
  let { w = (4 × dim when wide else 2) + (1 when form == "a_1" else 3) + (5 when contains(ks, 2) else length(ks)) }
  dtypes { arrays = f32 }
  tensors { a : [dim, w] }
}
"""


def test_flags_choices_and_lists_have_a_form_in_every_notation(tmp_path: Path) -> None:
    (tmp_path / "chosen.dsv3").write_text(CHOICES, encoding="utf-8")
    found = table(str(tmp_path / "chosen.dsv3"))
    quantity = found.quantities["parameters"]
    code = write_python(found, quantity)
    assert "(2 in ks)" in code
    assert "len(ks)" in code
    assert eval(code, {"__builtins__": {}, "len": len}, dict(found.program.values)) == 8 * 38
    code = write_javascript(found, quantity)
    assert 'form === "a_1"' in code
    assert "ks.includes(2)" in code
    assert "ks.length" in code
    text = write_latex(found, quantity)
    for part in (r"\text{for}\: \mathrm{wide}", r'\text{"a\_1"}', r"2 \in \mathrm{ks}"):
        assert part in text


def test_latex_keeps_names_upright() -> None:
    found = table("llama@llama3_8b")
    text = write_latex(found, found.quantities["parameters"])
    assert "\\mathrm{vocab\\_size}" in text


def test_what_a_pure_table_lacks_is_said_in_every_notation() -> None:
    found = table("dsv3_table")
    quantity = found.quantities["flops_decode"]
    for form, write in FORMATS.items():
        assert "no forward" in write(found, quantity), form
