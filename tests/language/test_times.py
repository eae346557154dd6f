"""The letter x for the sign of times, wherever a table has one: one fault, whose fix mends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language.parser import parse
from specgen.resources import folder

TABLES = sorted(folder("specs").rglob("*.dsv3"))
SKIPPED = re.compile(r'"[^"\n]*"|#[^\n]*')


@pytest.mark.parametrize("letter", ["x", "X"])
@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_letter_for_the_sign_is_one_fault(table: Path, letter: str) -> None:
    text = table.read_text(encoding="utf-8")
    hidden = SKIPPED.sub(lambda found: "_" * len(found[0]), text)
    signs = [found.start() for found in re.finditer(" × ", hidden)]
    for at in signs[:: max(1, len(signs) // 3)]:
        diagnostics = Diagnostics()
        parse(Source("t", f"{text[:at]} {letter} {text[at + 3 :]}"), diagnostics)
        (fault,) = diagnostics.all
        assert fault.code == "E0118", text[at - 30 : at + 30]
        (fix,) = fault.fixes
        assert (fix.span.start, fix.span.text, fix.replacement) == (at + 1, letter, "×")
