"""One snapshot a renderer, of samples that hold every trap; refreshed by `make accept`."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from specgen.diagnostics import jsonlines, text
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, SpecError
from specgen.diagnostics.source import Source, Span
from tests.diagnostics.samples import SAMPLES

HERE = Path(__file__).parent

RENDERERS: dict[str, Callable[[], str]] = {
    "plain.txt": lambda: text.render(SAMPLES),
    "color.txt": lambda: text.render(SAMPLES, color=True).replace("\x1b", "␛"),
    "lines.jsonl": lambda: jsonlines.render(SAMPLES),
}


@pytest.mark.parametrize("name", RENDERERS)
def test_snapshot(name: str, accept: bool) -> None:
    shown = RENDERERS[name]()
    if accept:
        (HERE / name).write_text(shown, encoding="utf-8")
    assert shown == (HERE / name).read_text(encoding="utf-8")


def test_nothing_that_moves_a_cursor_gets_through() -> None:
    shown = text.render(SAMPLES)
    kinds = {unicodedata.category(char) for char in shown if char != "\n"}
    assert kinds.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    assert jsonlines.render(SAMPLES).isascii()


def test_carets_stand_below_what_they_mean() -> None:
    for sample in SAMPLES:
        if sample.span is None or sample.labels or sample.span.end - sample.span.start > 6:
            continue
        lines = text.render([sample]).split("\n")
        below = next(line for line in lines if "^" in line)
        above = lines[lines.index(below) - 1]
        first, width = below.index("^"), below.count("^")
        covered, column = "", 0
        for char in above:
            if first <= column < first + width:
                covered += char
            column += text.char_width(char)
        wanted = text.safe(sample.span.text.replace("\n", ""))
        assert covered == wanted or not wanted


def test_every_json_line_is_an_object_with_the_same_keys() -> None:
    found = [json.loads(line) for line in jsonlines.render(SAMPLES).splitlines()]
    keys = {"code", "severity", "message", "file", "line", "column", "end_line", "end_column",
            "labels", "notes", "help", "fixes"}  # fmt: skip
    assert all(set(entry) == keys for entry in found)
    assert (found[1]["line"], found[1]["column"], found[1]["end_column"]) == (4, 14, 16)
    assert found[0]["file"] is None


def test_nothing_to_say() -> None:
    assert text.render([]) == jsonlines.render([]) == ""


@pytest.mark.parametrize(
    ("codes", "count"),
    [(["E0101"], "1 error"), (["E0101", "E0102"], "2 errors"), (["W0404"], "1 warning"),
     (["E0101", "W0404", "W0404"], "1 error, 2 warnings")],
)  # fmt: skip
def test_count(codes: list[str], count: str) -> None:
    shown = text.render([Diagnostic(code, str(i)) for i, code in enumerate(codes)])
    assert shown.endswith(f"\n{count}\n")


def test_lone_surrogates_of_a_path_can_be_printed() -> None:
    name = b"caf\xe9.dsv3".decode("utf-8", "surrogateescape")
    source = Source(name, "x")
    shown = text.render([Diagnostic("E0105", f"in {name}", Span(source, 0, 1))])
    assert shown.encode("utf-8")
    assert "caf\\u{dce9}.dsv3:1:1" in shown


def test_diagnostics_are_sorted_by_place_and_said_once() -> None:
    source = Source("x", "abc")
    found = Diagnostics()
    for place in (2, 0, 2, 1):
        found.report("E0105", Span(source, place, 3), expected="a", found="b")
    assert [d.span.start for d in found.all if d.span] == [0, 1, 2]
    with pytest.raises(SpecError, match="expected a, found b") as caught:
        found.raise_errors()
    assert str(caught.value) == text.render(found.all)
