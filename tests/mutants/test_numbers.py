"""Mutants whose rows and sizes all fit: the logits of transformers tell them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the numbers of a mutant need torch")
pytest.importorskip("transformers", reason="the numbers of a mutant are held against transformers")

from tests.mutants.mutation import SPECS, Mutant, damaged
from tests.mutants.references import CONFIGS, reference, spec_of
from tests.mutants.running import distance
from tests.mutants.test_mutants import NUMERIC, codes

pytestmark = pytest.mark.slow

#: Rounding of float32 on these models stays below the first; what a mutant changes lies above
#: the second.
SAME, OTHER = 1e-4, 1e-3


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("references")


@pytest.mark.parametrize("shipped", [True, False], ids=["as built", "written out"])
@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_specs_compute_what_transformers_does(
    name: str, shipped: bool, weights: Path, tmp_path: Path
) -> None:
    found = distance(
        SPECS / f"{spec_of(name)}.dsv3", reference(name, weights), tmp_path, shipped=shipped
    )
    assert found < SAME


@pytest.mark.parametrize("mutant", NUMERIC, ids=lambda m: m.name)
def test_mutant_is_caught(mutant: Mutant, weights: Path, tmp_path: Path) -> None:
    specs = damaged(mutant, tmp_path / "specs")
    path = specs / f"{spec_of(mutant.caught)}.dsv3"
    assert codes(specs, path.stem) == set(), "caught earlier than the catalogue says"
    found = distance(path, reference(mutant.caught, weights), tmp_path)
    assert found > OTHER, "survived"
