"""Every mutant is caught, by what the catalogue says catches it, and by nothing earlier."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.analysis.table.config import config
from specgen.documents.params import describe_program
from specgen.frontend.load import check_file, load_program
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutation import Mutant, damaged

#: What is counted and listed; each shows something that the others do not.
VARIANTS = {
    "deepseek_v3": ("v3_671b_mtp", "v2_236b", "v2_lite_16b"),
    "llama": ("llama3_8b", "llama32_1b"),
    "dsv3_table": (None,),
}

#: A few layers show all that many do; tests/truth lists them all.
FEW = {"n_layers": 5}

STATIC = [m for m in MUTANTS if m.caught.startswith("E") or m.caught in ("tensors", "config")]
NUMERIC = [m for m in MUTANTS if m not in STATIC]


def codes(specs: Path, model: str) -> set[str]:
    """The diagnostics of a spec."""
    return {d.code for d in check_file(specs / f"{model}.dsv3").all}


def artefacts(specs: Path, model: str) -> dict[str, list[object]]:
    """Of some variants: the stored tensors in the order of their names, counts, config.json."""
    found: dict[str, list[object]] = {"tensors": [], "config": []}
    for variant in VARIANTS[model]:
        program = load_program(specs / f"{model}.dsv3", variant, FEW)
        listed = describe_program(program, "hf" if program.model.names else "own")
        found["tensors"] += [listed["quantities"]["parameters"]]
        found["tensors"] += sorted((t["name"], t["shape"], t["dtype"]) for t in listed["tensors"])
        found["config"] += [config(program, scheme) for scheme in program.configs]
    return found


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return damaged(None, tmp_path_factory.mktemp("healthy") / "specs")


@pytest.fixture(scope="session")
def released(healthy: Path) -> dict[str, dict[str, list[object]]]:
    """Of the shipped specs; tests/truth holds these against the releases."""
    return {model: artefacts(healthy, model) for model in VARIANTS}


@pytest.mark.parametrize("model", VARIANTS)
def test_shipped_specs_have_no_fault(healthy: Path, model: str) -> None:
    assert codes(healthy, model) == set()


def test_there_are_enough_mutants_and_no_two_are_the_same() -> None:
    assert len(MUTANTS) >= 40
    assert len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", STATIC, ids=lambda m: m.name)
def test_mutant_is_caught(
    mutant: Mutant, tmp_path: Path, released: dict[str, dict[str, list[object]]]
) -> None:
    specs = damaged(mutant, tmp_path / "specs")
    found = codes(specs, mutant.model)
    if mutant.caught.startswith("E"):
        assert mutant.caught in found
    else:
        assert found == set(), "caught earlier than the catalogue says"
        changed, right = artefacts(specs, mutant.model), released[mutant.model]
        different = [kind for kind in right if changed[kind] != right[kind]]
        assert different[:1] == [mutant.caught], different or "survived"
