"""Every report in the compiler names a registered code and fills its whole template."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from specgen.diagnostics.codes import CODES

PACKAGE = Path(__file__).resolve().parents[2] / "specgen"
PASSED_ON = {"labels", "notes", "help", "fixes"}


def reports() -> Iterator[tuple[str, int, str, set[str | None]]]:
    """(file, line, code, keywords) of every call with a literal diagnostic code."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("report", "fail") or not node.args:
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                keywords = {keyword.arg for keyword in node.keywords}
                yield path.name, node.lineno, first.value, keywords


@pytest.mark.parametrize(("file", "line", "code", "keywords"), list(reports()))
def test_report_fills_its_template(
    file: str, line: int, code: str, keywords: set[str | None]
) -> None:
    assert code in CODES, f"{file}:{line} reports the unknown code {code}"
    fields = {name for _, name, _, _ in Formatter().parse(CODES[code].template) if name}
    if None in keywords:  # **values: decided at run time
        return
    assert fields <= keywords, f"{file}:{line} leaves {fields - keywords} of {code} open"
    unknown = keywords - fields - PASSED_ON
    assert not unknown, f"{file}:{line} gives {unknown}, which {code} does not show"


def test_every_code_is_reported_somewhere() -> None:
    text = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    unused = [code for code in CODES if text.count(f'"{code}"') < 2]
    assert unused == []


def test_explanations_are_whole() -> None:
    for code, entry in CODES.items():
        assert entry.title, code
        assert "wrong: " in entry.explanation, code
        assert "right: " in entry.explanation, code
        assert "{{" not in entry.explanation, code
