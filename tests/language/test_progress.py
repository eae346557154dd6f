"""Recovery makes progress: every fault uses up text, so no text keeps the parser busy for long."""

from __future__ import annotations

import contextlib
import time
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language.balance import balance
from specgen.language.faults import Faults, UnreadableError
from specgen.language.lexemes import lex
from specgen.language.parser import with_edition
from specgen.language.recovery import MENDED, Reading
from tests.fuzz.bounds import bounded
from tests.fuzz.generate import SPECS, damaged, exchanged

WORDS = (
    "{", "}", "(", ")", "[", "]", ":", "=", "->", ",", ".", "×", "-", "\n", "when", "else", "if",
    "elif", "return", "params", "tensors", "let", "names", "hf", "tied", "a", "b", "c", "w", "size",
    "count", "1", '"t"', "of", "as", "in", "x", "retrun", "wehn", "dim", "**", "==", "|",
)  # fmt: skip


def steps(text: str) -> tuple[int, int]:
    """Faults that recovery dealt with, and lexemes of the text."""
    source, faults = Source("t", text), Faults(Diagnostics())
    try:
        lexemes = balance(
            source, with_edition(source, lex(source, 0, len(text), faults).lexemes, faults), faults
        )
    except UnreadableError:
        return 0, 0
    reading = Reading(source, lexemes, faults)
    with contextlib.suppress(UnreadableError):
        reading.run("start")
    return reading.steps, len(lexemes)


def progresses(text: str) -> None:
    with bounded(10):
        taken, lexemes = steps(text)
    assert taken <= (MENDED + 1) * (lexemes + 1)


@pytest.mark.parametrize(
    "row",
    [
        "a : count\n (b c)",  # `,` was put in for one fault, and taken out for the next
        "a : count\n (b c d) e",
        "a (b c",
        "a : size = (1 2)",
        "a = = b",
        "a , , b c : d",
        "when when when",
        "elif a elif b",
        "a : b : c = d -> e f",
    ],
)
@pytest.mark.parametrize("section", ["params", "tensors", "let", "names hf", "forward"])
def test_repairs_do_not_undo_each_other(section: str, row: str) -> None:
    progresses(f"language 1\nmodel m {{\n  {section} {{\n    {row}\n  }}\n}}\n")


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=40),
    st.sampled_from(["params", "tensors", "let", "forward()->[]", "names hf"]),
)
def test_any_words_are_read_in_as_many_steps(words: list[str], section: str) -> None:
    progresses(f"language 1\nmodel m {{\n  {section} {{\n    {' '.join(words)}\n  }}\n}}\n")


@pytest.mark.slow
@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(SPECS), st.randoms(use_true_random=False), st.sampled_from((damaged, exchanged))
)
def test_damaged_tables_are_read_in_as_many_steps(path, random: Random, slip) -> None:  # type: ignore[no-untyped-def]
    progresses(slip(path.read_text(encoding="utf-8"), random))


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    ["x = " + "a + " * 20_000 + ")", "x = [" + "a, " * 20_000 + ": :", "x : " + "a b " * 10_000,
     "x : " + "a -> " * 10_000, "w : d -> d " * 8_000, "(a b) " * 5_000, "a = 1 b c = 2 " * 5_000],
    ids=lambda row: row[:12],
)  # fmt: skip
@pytest.mark.parametrize("section", ["let", "tensors"])
def test_a_long_line_with_faults_is_read_in_seconds(section: str, row: str) -> None:
    started = time.process_time()
    with bounded(30):
        steps(f"language 1\nmodel m {{\n  {section} {{\n    {row}\n  }}\n}}\n")
    assert time.process_time() - started < 5
