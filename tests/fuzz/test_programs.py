"""Random tables that pass `check` are the same function in every layer.

Every seed is a table.  More of them, and from another seed on:

    SPECGEN_FUZZ_PROGRAMS=20000 SPECGEN_FUZZ_SEED=100000 pytest tests/fuzz/test_programs.py -m slow
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx.options import Options
from specgen.backends.refusal import Refusal
from specgen.ir.model import Program
from tests.agreement import EVERY, Layers, checked, differences
from tests.fuzz.programs.tables import table
from tests.fuzz.programs.values import PARAMS

#: How many tables the slow test tries, and the first of them.
PROGRAMS = int(os.environ.get("SPECGEN_FUZZ_PROGRAMS", "2000"))
SEED = int(os.environ.get("SPECGEN_FUZZ_SEED", "1000"))

#: The forms of mixtures that have no Loop, and what they meet.
MIXED = [
    Options(experts=experts, ops=ops, form=form)
    for ops, form in (("standard", "flat"), ("primitive", "functions"), ("ort", "functions"))
    for experts in ("dense", "gathered")
]

#: As many tests, for as many processes.
PARTS = 4


def failures(seeds: Iterable[int], forms: Sequence[Options], folder: Path) -> list[str]:
    """What is wrong with the tables of these seeds; each is tried in one form of model.onnx."""
    found = []
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        path = place / "t.dsv3"
        path.write_text(table(seed))
        try:
            program = checked(path)
            lines = disagreements(program, forms[seed % len(forms)], place, seed)
            if lines:  # float32 may fall on the other side of a threshold, but not twice
                lines = disagreements(program, forms[seed % len(forms)], place, ~seed & 0xFFFF)
            found += [f"{seed}: {line}" for line in lines]
        except Refusal as refusal:
            found.append(f"{seed}: {refusal.target} refuses it: {refusal.reason}")
        except Exception as error:  # any: the seed is what a reader needs
            found.append(f"{seed}: {type(error).__name__}: {error}")
        shutil.rmtree(place)
    return found


def disagreements(program: Program, form: Options, folder: Path, seed: int) -> list[str]:
    layers = Layers(program, folder, seed)
    return list(differences(layers, PARAMS["vocab_size"], [form], seed))


def mixing(seeds: Iterable[int]) -> list[int]:
    """Those whose tables have a mixture."""
    return [seed for seed in seeds if "mixture(" in table(seed)]


def test_a_seed_is_a_table() -> None:
    assert table(7) == table(7) != table(8)


def test_a_few_random_tables_agree(tmp_path: Path) -> None:
    assert failures(range(12), EVERY[:1], tmp_path) == []


def test_a_few_mixtures_without_control_flow_agree(tmp_path: Path) -> None:
    assert failures(mixing(range(16)), MIXED[:2], tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_mixtures_without_control_flow_agree(part: int, tmp_path: Path) -> None:
    seeds = mixing(range(SEED + part, SEED + PROGRAMS // 2, PARTS))
    for number, form in enumerate(MIXED):
        assert failures(seeds[number :: len(MIXED)], [form], tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_random_tables_agree(part: int, tmp_path: Path) -> None:
    assert failures(range(SEED + part, SEED + PROGRAMS, PARTS), EVERY, tmp_path) == []
