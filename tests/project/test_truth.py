"""The proof travels with the repository: no test reads, or skips for want of, what lies outside."""

from __future__ import annotations

import re

from tests.families import VARIANTS
from tests.references import REPOSITORY, SPECS, sizes
from tests.truth import outside


def test_no_test_looks_outside_of_the_repository() -> None:
    """By name: a folder beside the repository, or a way up from its root."""
    wanted = re.compile(r"REPOSITORY\.parent|\.\./" + "shared|[\"']" + "shared[\"'] */")
    found = [
        path.relative_to(REPOSITORY).as_posix()
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        if wanted.search(path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_every_model_has_its_facts() -> None:
    facts = outside.totals()
    assert facts.keys() == VARIANTS.keys()
    assert outside.listed().keys() == {*VARIANTS, "deepseek-v3 release"}
    for name, row in facts.items():
        assert len(outside.checkpoint(name, dtypes=False)) == int(row["n_ckpt_tensors"])
        assert outside.config(name)["model_type"]
    assert sizes().keys() == SPECS.keys()


def test_facts_are_small() -> None:
    assert sum(file.stat().st_size for file in outside.DATA.iterdir()) <= 250_000
