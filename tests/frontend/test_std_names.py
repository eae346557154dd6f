"""What std has and a file does not use is suggested, and the suggestion, followed, is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from specgen.frontend.files import std_definitions
from specgen.frontend.load import check_file

#: Where a name of std can be missing, by what it is; `{}` stands for it.
PLACES = {
    "module": (
        "model m {{ params {{ n : size = 4 }} parts {{ p : {}(unheard = 1) }} }}",
        "model m {{ params {{ n : size = 4 }} tensors {{ w : n -> n as {} }} }}",
        "model m {{ params {{ n : size = 4  f : dtype = {} }} tensors {{ w : [n] }} }}",
        "model m {{ params {{ n : size = 4 }} dtypes {{ maps = {} }} tensors {{ w : n -> n }} }}",
        "use std.{other} {{ {} }}\nmodel m {{ params {{ n : size = 4 }} tensors {{ w : [n] }} }}",
    ),
    "function": (
        "model m {{ params {{ n : size = 4 }} forward(x: [B, n]) -> [B, n] {{ return {}(x) }} }}",
        "use std.{other} {{ {} }}\nmodel m {{ params {{ n : size = 4 }} tensors {{ w : [n] }} }}",
    ),
}

#: Faults that say that a name is nothing.
UNKNOWN = {"E0205", "E0301", "E0442", "E0503", "E0601"}


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, at) for name, (kind, _) in std_definitions().items() for at in PLACES[kind]],
)
def test_a_missing_use_is_suggested_and_mends_it(name: str, place: str, tmp_path: Path) -> None:
    _, file = std_definitions()[name]
    other = "norm" if file != "norm" else "rope"
    path = tmp_path / "t.dsv3"
    body = place.format(name, other=other)
    path.write_text(f"language 1\n{body}\n")
    unknown = [fault for fault in check_file(path).all if fault.code in UNKNOWN]
    assert [fault.help for fault in unknown] == [f"std has it: add `use std.{file} {{ {name} }}`"]
    (use,) = re.findall(r"`(use [^`]*)`", unknown[0].help or "")
    rest = re.sub(r"^use .*\n", "", body)
    path.write_text(f"language 1\n{use}\n{rest}\n")
    assert not [fault for fault in check_file(path).all if fault.code in UNKNOWN]
