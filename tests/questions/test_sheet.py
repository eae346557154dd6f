"""Every format has the exact numbers, and no text of a table opens markup in any of them."""

from __future__ import annotations

import csv
import io
import json
import sys
from fractions import Fraction

import pytest

from specgen.questions.sheet import (
    SHOWN,
    MissingPackage,
    Sheet,
    to_csv,
    to_markdown,
    to_parquet,
    to_records,
    to_text,
)

BIG = 2**80 + 1
SHEET = Sheet(
    {"dim": [64, 7168], "flag": [True, False], "kind": ["a|b", "=1+1"], "parameters": [BIG, None]},
    frozenset({"dim"}),
    ("2 rows",),
)


def test_text() -> None:
    assert to_text(SHEET) == (
        " dim  flag   kind                         parameters\n"
        "  64  true   a|b   1,208,925,819,614,629,174,706,177\n"
        "7168  false  =1+1                                  -\n"
        "2 rows\n"
    )


def test_markdown_quotes() -> None:
    text = to_markdown(SHEET)
    assert "a&#124;b" in text
    assert f"{BIG:,}" in text


def test_csv_is_exact_and_no_formula() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(SHEET))))
    assert rows == [
        ["dim", "flag", "kind", "parameters"],
        ["64", "true", "a|b", str(BIG)],
        ["7168", "false", "'=1+1", ""],
    ]


def test_records_are_json() -> None:
    found = json.loads(json.dumps(to_records(SHEET)))
    assert found[0] == {"dim": 64, "flag": True, "kind": "a|b", "parameters": BIG}
    listed = to_records(Sheet({"a": [(1, 2)], "w": [Fraction(1, 2)]}))
    assert listed == [{"a": [1, 2], "w": "1/2"}]


def test_terminal_codes_do_not_pass() -> None:
    assert "\x1b" not in to_text(Sheet({"a": ["\x1b[2J"]}))


def test_texts_for_people_say_what_they_leave_out() -> None:
    sheet = Sheet({"n": list(range(SHOWN + 5))})
    assert "and 5 rows more: --format csv has them all" in to_text(sheet)
    assert len(to_csv(sheet).splitlines()) == SHOWN + 6


def test_no_rows() -> None:
    sheet = Sheet({"dim": [], "parameters": []}, remarks=("no configuration is left of 3",))
    assert to_text(sheet) == "no configuration is left of 3\n"
    assert to_csv(sheet) == "dim,parameters\n"
    assert to_records(sheet) == []


def test_parquet_without_pyarrow_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"pip install 'specgen-llm\[parquet\]'"):
        to_parquet(SHEET, {})


def test_parquet_is_exact() -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    columns = {**SHEET.columns, "small": [2**63 - 1, -5], "real": [0.5, None], "list": [(1,), ()]}
    data = to_parquet(Sheet(columns), {"spec": "x"})
    found = parquet.read_table(io.BytesIO(data))
    rows = found.to_pydict()
    assert rows["small"] == [2**63 - 1, -5]
    assert [None if v is None else int(v) for v in rows["parameters"]] == [BIG, None]
    assert (rows["flag"], rows["real"]) == ([True, False], [0.5, None])
    assert rows["list"] == ["[1]", "[]"]
    assert found.schema.metadata[b"spec"] == b"x"
