"""No text at all makes specgen fail in any other way than by saying what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.diagnostics import jsonlines, text
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language.parser import parse, parse_expression
from tests.fuzz.bounds import bounded, command
from tests.fuzz.generate import SMALL, SPECS, damaged, exchanged, nonsense, sentences

randoms = st.randoms(use_true_random=False)

FAST = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
SECONDS = 60


def read(source: str) -> Diagnostics:
    """Parses and shows; a tree or a reason must come of it."""
    diagnostics = Diagnostics()
    with bounded(SECONDS):
        file = parse(Source("fuzz", source), diagnostics)
        assert file is not None or diagnostics.errors
        assert file is None or not file.damaged or diagnostics.errors
        for diagnostic in diagnostics.all:
            assert diagnostic.span is not None
            assert 0 <= diagnostic.span.start <= diagnostic.span.end <= len(source)
        text.render(diagnostics.all)
        jsonlines.render(diagnostics.all)
    return diagnostics


def survive(source: str, folder: Path) -> None:
    """`check` and `params` end with an answer; faults give status 1 and a reason."""
    path = folder / "fuzz.dsv3"
    path.write_text(source, encoding="utf-8")
    for name in ("check", "params"):
        status, said = command(name, path, SECONDS)
        assert status in (0, 1), said
        assert "Traceback" not in said
        assert status == 0 or "error[E" in said


@pytest.mark.slow
@settings(FAST, max_examples=80)
@given(st.sampled_from(SPECS), randoms)
def test_damaged_specs_are_read(path: Path, random: Random) -> None:
    read(damaged(path.read_text(encoding="utf-8"), random))


@pytest.mark.slow
@settings(FAST, max_examples=60)
@given(randoms)
def test_damaged_nonsense_is_read(random: Random) -> None:
    read(damaged(nonsense(random), random))


@pytest.mark.slow
@settings(FAST, max_examples=80)
@given(randoms)
def test_grammatical_text_has_no_syntax_faults(random: Random) -> None:
    # But for what the grammar cannot say: numbers, lengths, the order of arguments.
    found = {diagnostic.code for diagnostic in read(nonsense(random)).all}
    assert found <= {"E0110", "E0114", "E0116"}


@settings(FAST, max_examples=100)
@given(randoms, st.integers(4, 14))
def test_expressions_of_the_grammar(random: Random, depth: int) -> None:
    source = Source("-D x", sentences().sentence("expr", random, depth))
    diagnostics = Diagnostics()
    with bounded(SECONDS):
        found = parse_expression(source, None, diagnostics)
    assert (found is None) == bool(diagnostics.errors)


@pytest.mark.slow
@settings(FAST, max_examples=150)
@given(st.text(max_size=200))
def test_any_text_is_read(source: str) -> None:
    read(source)
    parse_expression(Source("fuzz", source), None, Diagnostics())


@pytest.mark.slow
@settings(FAST, max_examples=80)
@given(st.sampled_from(SMALL), randoms)
def test_damaged_files_are_answered(
    tmp_path_factory: pytest.TempPathFactory, path: Path, random: Random
) -> None:
    source = damaged(path.read_text(encoding="utf-8"), random)
    survive(source, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(FAST, max_examples=120)
@given(st.sampled_from(SMALL), randoms)
def test_exchanged_words_are_answered(
    tmp_path_factory: pytest.TempPathFactory, path: Path, random: Random
) -> None:
    source = exchanged(path.read_text(encoding="utf-8"), random)
    survive(source, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(FAST, max_examples=80)
@given(randoms)
def test_nonsense_is_answered(tmp_path_factory: pytest.TempPathFactory, random: Random) -> None:
    survive(nonsense(random), tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(FAST, max_examples=120)
@given(st.sampled_from(SPECS), randoms, st.sampled_from((damaged, exchanged)))
def test_released_specs_with_a_slip_are_answered(
    tmp_path_factory: pytest.TempPathFactory, path: Path, random: Random, slip: object
) -> None:
    assert callable(slip)
    source = slip(path.read_text(encoding="utf-8"), random)
    survive(source, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@settings(FAST, max_examples=500)
@given(randoms)
def test_much_nonsense_is_answered(
    tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    survive(nonsense(random), tmp_path_factory.getbasetemp())
