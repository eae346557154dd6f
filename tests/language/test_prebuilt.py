"""The parse tables beside the grammar are those of the grammar, on any machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lark.grammar import Rule

from specgen.language import prebuilt
from specgen.resources import folder

ROOT = Path(__file__).parents[2]
GRAMMAR = (folder("grammar") / prebuilt.GRAMMAR).read_text(encoding="utf-8")
STORED = (folder("grammar") / prebuilt.PREBUILT).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_stored_tables_are_current(seed: str) -> None:
    script = (
        "import sys\nfrom specgen.language.prebuilt import dumped\n"
        "sys.stdout.buffer.write(dumped(sys.stdin.buffer.read().decode()).encode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=GRAMMAR.encode(),
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == STORED, "run `python -m specgen.language.prebuilt`"


@pytest.mark.slow
def test_stored_tables_are_what_the_analysis_gives() -> None:
    stored, fresh = prebuilt.tables(), prebuilt.analysed(GRAMMAR)
    assert sorted(stored.terminals) == sorted(fresh.terminals)
    assert len(stored.parse_table.states) == len(fresh.parse_table.states)
    assert sorted(map(as_text, stored.rules)) == sorted(map(as_text, fresh.rules))


def as_text(rule: Rule) -> str:
    symbols = [(type(s).__name__, s.name, getattr(s, "filter_out", None)) for s in rule.expansion]
    options = rule.options
    flags = (options.keep_all_tokens, options.expand1, tuple(options.empty_indices))
    return repr((str(rule.origin.name), symbols, rule.alias, rule.order, flags))


def test_tables_of_another_grammar_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / prebuilt.GRAMMAR).write_text(GRAMMAR + "\n// changed\n", encoding="utf-8")
    (tmp_path / prebuilt.PREBUILT).write_text(STORED, encoding="utf-8")
    monkeypatch.setattr(prebuilt, "folder", lambda _: tmp_path)
    called = []
    monkeypatch.setattr(prebuilt, "analysed", called.append)
    prebuilt.tables()
    assert len(called) == 1
