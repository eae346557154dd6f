"""Values that Python gives, wherever one may: numpy's are those that they stand for, others refused in words."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import specgen
from tests.cli.running import TINY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.dsv3"
    path.write_text(
        TINY.replace("params {", "params {\n    few : counts = [1]\n    on : flag = false\n", 1),
        encoding="utf-8",
    )
    return path


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("dim", np.int64(16), 16),
        ("dim", np.uint8(16), 16),
        ("dim", np.array(16), 16),
        ("on", np.bool_(True), True),
        ("few", np.array([0, 1]), [0, 1]),
        ("few", [np.int64(0), 1], [0, 1]),
        ("few", range(2), [0, 1]),
        ("kind", np.str_("b"), "b"),
    ],
)
def test_numbers_of_numpy_are_numbers(path: Path, name: str, given: object, meant: object) -> None:
    changes = {name: given}
    model, expected = (specgen.load(path, **{name: value}) for value in (given, meant))  # type: ignore[arg-type]
    assert model.params == expected.params
    assert model.quantities["parameters"] == expected.quantities["parameters"]
    assert not specgen.check(path, **changes)  # type: ignore[arg-type]
    plain = specgen.load(path)
    assert plain.whatif(**changes).document == plain.whatif(**{name: meant}).document  # type: ignore[arg-type]
    # The folder of a build is named after what is meant.
    made = [one.build(path.parent / "out", targets=["formulas"]) for one in (model, expected)]
    assert made[0] == made[1]


def test_ranges_of_numpy_are_swept(path: Path) -> None:
    model = specgen.load(path)
    expected = model.whatif(sweep={"dim": [8, 16, 24]}).document
    for given in (np.arange(8, 25, 8), np.linspace(8, 24, 3, dtype=int), range(8, 25, 8)):
        assert model.whatif(sweep={"dim": given}).document == expected
    lengths: dict[str, Any] = {"B": np.int64(2), "S": np.int32(3)}
    found = model.quantity("flops_prefill", **lengths)
    assert str(found) == str(model.quantity("flops_prefill", B=2, S=3))


ASKED: dict[str, Callable[[Path, object], object]] = {
    "load": lambda path, given: specgen.load(path, dim=given),  # type: ignore[arg-type]
    "check": lambda path, given: specgen.check(path, dim=given),  # type: ignore[arg-type]
    "whatif": lambda path, given: specgen.load(path).whatif(dim=given),  # type: ignore[arg-type]
    "a variable": lambda path, given: specgen.load(path).quantity("flops_prefill", B=given),  # type: ignore[arg-type]
    "sweep": lambda path, given: specgen.load(path).whatif(sweep={"dim": [given]}),
    "a list": lambda path, given: specgen.load(path, few=[given]),  # type: ignore[list-item]
    "a swept list": lambda path, given: specgen.load(path).whatif(sweep={"few": [[1, given]]}),
}


@pytest.mark.parametrize(
    "given", [None, object, b"16", {16}, {16: 1}, 16j, [[16]], [None]], ids=repr
)
@pytest.mark.parametrize("asked", ASKED)
def test_what_is_no_value_is_refused_in_words(path: Path, asked: str, given: object) -> None:
    with pytest.raises(specgen.RequestError, match=r"cannot be .*: a value is a number"):
        ASKED[asked](path, given)


@pytest.mark.parametrize("given", ["1", [1, "2"]])
def test_no_item_of_a_list_is_passed_over(path: Path, given: object) -> None:
    """A list was swept without those of its items that are no numbers."""
    with pytest.raises(specgen.RequestError):
        specgen.load(path).whatif(sweep={"few": [[1, given]]})


def test_fractions_are_exact(path: Path) -> None:
    found = specgen.load(path).whatif(sweep={"W": [Fraction(1, 2)]}, quantities=["weights_bytes"])
    assert (
        found.document
        == specgen.load(path).whatif(sweep={"W": "1/2"}, quantities=["weights_bytes"]).document
    )
