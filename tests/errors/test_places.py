"""What a diagnostic shows beside its own place, and that one fault is one error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.diagnostics.diagnostic import Diagnostic
from specgen.diagnostics.text import render
from specgen.frontend.load import check_file
from specgen.language.balance import SECTION_WORDS
from specgen.resources import folder
from tests.errors.test_cases import CASES, found

#: Codes of faults between two places of a file: each shows the other one, too.
OF_TWO_PLACES = {
    "E0203", "E0207", "E0302", "E0315", "E0319", "E0403", "E0405", "E0407", "E0443", "E0510",
    "E0511", "E0611", "E0702", "E0709", "E0710", "E0713", "E0714",
}  # fmt: skip

#: Where such a fault has no second place in the file.
ALONE = {"pack_indices_of_one_name"}


def of_two(path: Path) -> list[Diagnostic]:
    return [d for d in found(path) if d.code in OF_TWO_PLACES]


@pytest.mark.parametrize("path", [p for p in CASES if of_two(p)], ids=lambda path: path.stem)
def test_a_fault_between_two_places_shows_both(path: Path) -> None:
    for diagnostic in of_two(path):
        if path.stem not in ALONE:
            assert diagnostic.labels, diagnostic.message
        for label in diagnostic.labels:
            assert label.span != diagnostic.span
            assert label.message in render([diagnostic])


def test_every_such_code_has_a_case() -> None:
    assert {d.code for path in CASES for d in of_two(path)} == OF_TWO_PLACES


def test_an_unknown_section_lists_those_there_are(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text("language 1\nmodel m {\n  weights { w : [2] }\n  tensors { v : [2] }\n}\n")
    (fault,) = check_file(path).all
    assert fault.code == "E0112"
    named = set(re.findall(r"`(\w+)`", fault.help or ""))
    assert named == SECTION_WORDS - {"model"}


# ---- one fault, one error --------------------------------------------------------------

TABLES = [p for p in sorted(folder("specs").glob("*.dsv3")) if "forward(" in p.read_text()]

#: What a head of a forward or a function may have wrong: the pattern, and what stands there then.
SLIPS = {
    "an unknown name in a shape": (r"\[([^\]\n]*)\]", r"[\1, unheard]"),
    "no colon": (r"(\w+)\s*:\s", r"\1 "),
    "no arrow": (r"->", " "),
    "an unknown dtype": (r"(\w+): \[", r"\1: f17 ["),
    "a bracket not closed": (r"\)\s*->", " ->"),
}

HEAD = re.compile(r"^[ ]*(?:forward|function)[^\n{]*\{", re.MULTILINE)


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str, str]:
    """A table with one slip in one head: its name, its text and the head as it is then."""
    path = draw(st.sampled_from(TABLES))
    text = path.read_text(encoding="utf-8")
    heads = list(HEAD.finditer(text))
    head = draw(st.sampled_from(heads))
    pattern, instead = draw(st.sampled_from(sorted(SLIPS.values())))
    mended = re.sub(pattern, instead, head[0], count=1)
    return path.stem, text[: head.start()] + mended + text[head.end() :], mended


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(slip=slips())
def test_one_slip_in_a_head_is_one_error(
    tmp_path_factory: pytest.TempPathFactory, slip: tuple[str, str, str]
) -> None:
    """Whoever calls it says nothing: what is wrong is said where it stands."""
    name, text, head = slip
    path = tmp_path_factory.mktemp("slip") / f"{name}.dsv3"
    path.write_text(text, encoding="utf-8")
    faults = check_file(path).errors
    start, end = text.index(head), text.index(head) + len(head)
    within = [f for f in faults if f.span is not None and start <= f.span.start <= end]
    assert set(faults) == set(within), f"{head}\n{render(faults)}"
