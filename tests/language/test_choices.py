"""An `if` where a value stands, as other languages have it: one fault, which says how a value is chosen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language.parser import parse
from specgen.resources import folder

TABLES = sorted(folder("specs").rglob("*.dsv3"))

#: What stands behind a value's `if`.
CONDITIONS = ("dim > 3 { a } else { b }", "a == b { a } else { b }", "f(a) { a }", "not a { b }")

#: Where a statement's value begins.
VALUES = re.compile(r"^    \w+(?:, \w+)* = (?=\w)[^\n{}]*$", re.MULTILINE)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_value_is_no_if(table: Path) -> None:
    text = table.read_text(encoding="utf-8")
    rows = list(VALUES.finditer(text))
    for number, row in enumerate(rows[:: max(1, len(rows) // 4)]):
        name, condition = row[0].partition(" = ")[0], CONDITIONS[number % len(CONDITIONS)]
        diagnostics = Diagnostics()
        changed = f"{text[: row.start()]}{name} = if {condition}{text[row.end() :]}"
        parse(Source("t", changed), diagnostics)
        (fault,) = diagnostics.all
        assert fault.code == "E0105", fault.message
        assert fault.span is not None
        assert (fault.span.start, fault.span.text) == (row.start() + len(name) + 3, "if")
        assert "`a when condition else b`" in (fault.help or "")
        assert not fault.fixes


def test_a_word_is_renamed_where_the_row_reads_on() -> None:
    for row in ("copy = x + 1", "y = x + copy * 2", "let, b = f(x)"):
        diagnostics = Diagnostics()
        parse(
            Source(
                "t", f"language 1\nmodule m {{ forward(x: [B]) -> [B] {{\n {row}\n return y }} }}"
            ),
            diagnostics,
        )
        assert [fault.code for fault in diagnostics.all] == ["E0111"], row
        assert diagnostics.all[0].fixes
