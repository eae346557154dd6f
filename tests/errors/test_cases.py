"""One small spec a fault: exactly the diagnostics that its `# expect:` comments name.

`# expect: E0105 5:12` is a code and the line and column at which it is reported.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from specgen.diagnostics import jsonlines, text
from specgen.diagnostics.codes import CODES
from specgen.diagnostics.diagnostic import Diagnostic, Fix
from specgen.frontend.load import check_file

CASES = sorted((Path(__file__).parent / "cases").glob("*.dsv3"), key=lambda path: path.name)
EXPECT = re.compile(r"# expect: ([EW]\d{4}) (\d+:\d+)$", re.MULTILINE)

#: Faults that a case file cannot have, with the reason; tests/language/test_reading.py has them.
NOT_IN_FILES = {
    "E0101": "no file",
    "E0102": "a large file",
    "E0103": "not text",
    "E0114": "a long file",
    "E0115": "a hundred faults",
    "E0119": "a chain of a thousand params",
}


@cache
def found(path: Path) -> tuple[Diagnostic, ...]:
    return check_file(path).all


def places(diagnostics: tuple[Diagnostic, ...]) -> list[tuple[str, str]]:
    return sorted(
        (d.code, f"{d.span.line}:{d.span.column}" if d.span else "0:0") for d in diagnostics
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case_reports_what_it_expects(path: Path) -> None:
    wanted = sorted(EXPECT.findall(path.read_text(encoding="utf-8")))
    assert wanted, f"{path.name} expects nothing"
    assert places(found(path)) == wanted, text.render(found(path))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case_can_be_shown(path: Path) -> None:
    diagnostics = found(path)
    assert text.render(diagnostics).count("--> ") >= len(diagnostics)
    assert jsonlines.render(diagnostics).count("\n") == len(diagnostics)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_fix_mends_its_fault(path: Path, tmp_path: Path) -> None:
    for diagnostic in found(path):
        for number, fix in enumerate(diagnostic.fixes):
            mended = tmp_path / f"{number}-{path.name}"
            mended.write_text(applied(fix), encoding="utf-8")
            assert diagnostic.span is not None
            before = places(found(path)).count(places((diagnostic,))[0])
            after = places(check_file(mended).all).count(places((diagnostic,))[0])
            assert after < before, f"{fix} leaves {diagnostic.message}"


def applied(fix: Fix) -> str:
    whole = fix.span.source.text
    return whole[: fix.span.start] + fix.replacement + whole[fix.span.end :]


def test_every_syntax_code_has_a_case() -> None:
    covered = {code for path in CASES for code, _ in EXPECT.findall(path.read_text("utf-8"))}
    syntax = {code for code in CODES if code.startswith("E01")}
    assert syntax - covered == set(NOT_IN_FILES)
