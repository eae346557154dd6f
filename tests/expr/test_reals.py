"""No real becomes infinite or zero by being read, wherever it is read."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.huggingface.configuration import parsed
from specgen.text.reals import read_real, rounded
from tests.cli.running import TINY, specgen_here

#: Half a unit in the last place of a normal number, and the smallest steps of all.
NEAR, STEP = Fraction(1, 2**53), Fraction(1, 2**1075)

#: What is refused by the smallest and the largest number.
BELOW, ABOVE = Fraction(1, 2**1075), Fraction(2**1024 - 2**970)


@example("0", "1", -400)
@example("0", "0", -400)
@example("1", "", 400)
@example("2", "5", -324)
@given(
    st.text("0123456789", min_size=1, max_size=25),
    st.text("0123456789", max_size=25),
    st.integers(-420, 420),
)
def test_a_text_is_the_number_that_it_says_or_refused(
    whole: str, fraction: str, exponent: int
) -> None:
    text = f"{whole}.{fraction or 0}e{exponent}"
    exact = Fraction(text)
    if exact == 0 or BELOW < exact < ABOVE:
        value = read_real(text)
        assert abs(Fraction(value) - exact) <= exact * NEAR + STEP
        return
    with pytest.raises(ValueError, match="a real number can"):
        read_real(text)
    with pytest.raises(ValueError, match="a real number can"):
        rounded(exact)
    with pytest.raises(ValueError, match="is not a number"):
        parsed(
            b'{"a": ' + f"{Fraction(whole).numerator}.{fraction or 0}e{exponent}".encode() + b"}"
        )


@given(st.fractions() | st.integers() | st.floats(allow_nan=False))
def test_what_a_real_can_hold_is_rounded(number: Fraction | int | float) -> None:
    assert rounded(number) == float(number)


REFUSED = ("1e-400", "-1e-400", "0.1e-330", "1e400", "-1e400", "1" * 25 + "e300", "[1e-400]")


@pytest.mark.parametrize("text", REFUSED)
def test_a_number_that_no_real_is_near_is_a_diagnostic(text: str, tmp_path: Path) -> None:
    """In `-D`, in a table's literals and where sets of values are asked for."""
    table = TINY.replace("n_layers   :", "a : real = 2.5   b : reals = [2.5]   n_layers   :")
    path = tmp_path / "tiny.dsv3"
    path.write_text(table, encoding="utf-8")
    name = "b" if text.startswith("[") else "a"
    for command in ("params", "check", "build"):
        done = specgen_here(command, "tiny.dsv3", "-D", f"{name}={text}", cwd=tmp_path)
        assert (done.status, "E0110" in done.err) == (1, True), command
    asked = specgen_here("whatif", "tiny.dsv3", "--sweep", f"{name}={text}", cwd=tmp_path)
    assert asked.status in (1, 2)
    assert "is not a number" in asked.err
    path.write_text(table.replace("[2.5]" if name == "b" else "2.5 ", f"{text} "))
    assert "E0110" in specgen_here("check", "tiny.dsv3", cwd=tmp_path).err


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_value_from_python_that_no_real_is_near(value: int, tmp_path: Path) -> None:
    path = tmp_path / "tiny.dsv3"
    path.write_text(TINY.replace("n_layers   :", "a : real = 2.5   n_layers   :"), encoding="utf-8")
    with pytest.raises(SpecError):
        load_program(path, None, {"a": value})


def test_zero_stays_zero() -> None:
    assert math.copysign(1, read_real("-0.0e-400")) == -1
    assert parsed(json.dumps({"a": 0.0, "b": 5e-324}).encode()) == {"a": 0.0, "b": 5e-324}
