"""The parse tables beside the grammar are those of the grammar, on any machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert prebuilt.tables() == prebuilt.analysed(GRAMMAR)


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
