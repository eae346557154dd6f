"""Random tables that pass `check` are the same function in every layer.

Every seed is a table.  More of them, and from another seed on:

    SPECGEN_FUZZ_PROGRAMS=20000 SPECGEN_FUZZ_SEED=100000 pytest tests/fuzz/test_programs.py -m slow
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx.build import StaticStep, build
from specgen.backends.onnx.options import Options, StaticLengths
from specgen.backends.refusal import Refusal
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from tests.agreement import EVERY, Layers, checked, differences, steps, unequal
from tests.fuzz.programs.tables import table
from tests.fuzz.programs.values import PARAMS
from tests.onnx.session import fill, ort, parsed
from tests.onnx.test_static import CACHES

#: How many tables the slow test tries, and the first of them.
PROGRAMS = int(os.environ.get("SPECGEN_FUZZ_PROGRAMS", "2000"))
SEED = int(os.environ.get("SPECGEN_FUZZ_SEED", "1000"))

#: The forms of mixtures that have no Loop, and what they meet.
MIXED = [
    Options(experts=experts, ops=ops, onnx_form=form)
    for ops, form in (("standard", "flat"), ("primitive", "functions"), ("ort", "functions"))
    for experts in ("dense", "gathered")
]

#: Further forms of model.onnx: opsets between those of the levels, the oldest with mixtures among them.
OPSETS = (
    Options(opset=16),
    Options(opset=16, ops="primitive", onnx_form="functions"),
    Options(opset=20, ops="ort"),
    Options(opset=23, onnx_form="functions"),
    Options(opset=27),
)

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


# ---- static graphs ---------------------------------------------------------------------

#: As many slots as there are, new tokens among them; the slot of the first one in a ring.
CONTEXT, START = 7, 5


def static_failures(seeds: Iterable[int], folder: Path) -> list[str]:
    """Where a static graph, given a cache, does not what the graph with symbolic dims does."""
    found = []
    for seed in seeds:
        path = folder / f"{seed}.dsv3"
        path.write_text(table(seed))
        try:
            layers = Layers(checked(path), folder / str(seed), seed)
            if not is_language_model(layers.program.model.forwards[0]):
                continue
            for number, (cache, new) in enumerate((c, n) for c in CACHES for n in (1, 3)):
                opset = (None, 13, 17, 24)[(seed + number) % 4]
                form = Options(
                    static=StaticLengths(2, new, CONTEXT),
                    cache=cache,
                    opset=opset,
                    ops=("standard", "primitive")[seed % 2],
                    index=("i64", "i32")[number % 2],
                )
                try:
                    reason = against_symbolic(layers, form, new)
                except Refusal as refusal:
                    named = "use `--cache shift`" in str(refusal.reason) and cache != "shift"
                    named = named or "use a later `--opset`" in str(refusal.reason)
                    reason = None if named else str(refusal.reason)
                if reason:
                    found.append(f"{seed}, {cache}, {new} new, opset {opset}: {reason}")
        except Exception as error:  # any: the seed is what a reader needs
            found.append(f"{seed}: {type(error).__name__}: {error}")
        shutil.rmtree(folder / str(seed), ignore_errors=True)
    return found


def against_symbolic(layers: Layers, form: Options, new: int) -> str | None:
    before, step = steps(PARAMS["vocab_size"], (CONTEXT - new, new), layers.seed, padding=2)
    session = layers.session()
    names = [value.name for value in session.get_outputs()]
    pasts = {v.name: v.shape for v in session.get_inputs() if v.name.startswith("past_")}
    given = {name: np.zeros([{"batch": 2, "past": 0}.get(d, d) for d in shape], np.float32)
             for name, shape in pasts.items()}  # fmt: skip
    results: dict[str, Any] = {}
    for taken in (before, step):
        older = dict(given)
        feeds = {"input_ids": taken.tokens, "position_ids": taken.positions}
        feeds["attention_mask"] = taken.mask.astype(np.int64)
        known = {**feeds, **older}
        feeds = {value.name: known[value.name] for value in session.get_inputs()}
        results = dict(zip(names, session.run(names, feeds), strict=True))
        given = {name: results[name.replace("past_key_values", "present")] for name in pasts}
    place = layers.folder / f"static-{form.cache}-{new}"
    place.mkdir()
    assert form.lengths is not None
    graph = StaticStep("prefill.onnx", new, form.lengths)
    path = fill(build(layers.program, form, step=graph), layers.weights, place)
    settings = ort.SessionOptions()
    settings.intra_op_num_threads, settings.log_severity_level = 1, 3
    static = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    mask = step.mask.astype(np.int64)
    feeds = {"input_ids": step.tokens, "position_ids": step.positions}

    def placed(rows: Any, axis: int, wanted: Any = None) -> Any:
        """Older rows, and what is to be among them or behind, as the cache has them."""
        if form.cache == "new":
            return np.roll(rows, START, axis)
        held = np.zeros((*rows.shape[:axis], new, *rows.shape[axis + 1 :]), rows.dtype) + 77
        if form.cache == "shift":
            parts = (held, rows) if wanted is None else (rows, wanted)
            return np.concatenate(parts, axis)
        return np.roll(np.concatenate([rows, held if wanted is None else wanted], axis),
                       START - (CONTEXT - new), axis)  # fmt: skip

    axes = {name: shape.index("past") for name, shape in pasts.items()}
    old, last = mask[:, : CONTEXT - new], mask[:, CONTEXT - new :]
    feeds["attention_mask"] = (
        np.concatenate([placed(old, 1), last], 1) if form.cache == "new" else placed(old, 1, last)
    )
    feeds["cache_position"] = np.array([START])
    feeds = {
        key: array.astype({"i64": np.int64, "i32": np.int32}[form.index])
        for key, array in feeds.items()
    }
    feeds |= {name: placed(older[name], axis) for name, axis in axes.items()}
    feeds = {v.name: feeds[v.name] for v in static.get_inputs()}
    names = [value.name for value in static.get_outputs()]
    found = dict(zip(names, static.run(names, feeds), strict=True))
    wanted = {"logits": results["logits"]}
    for name, axis in axes.items():
        own = name.replace("past_key_values", "present")
        rows = np.split(results[own], [CONTEXT - new], axis)
        wanted[own] = rows[1] if form.cache == "new" else placed(rows[0], axis, rows[1])
    for name, array in wanted.items():
        reason = unequal([found[name]], [array])
        if reason:
            return f"{name}: {reason}"
    return None


def cache_names(data: bytes) -> list[str]:
    return [v.name for v in parsed(data).graph.input if v.name.startswith("past_key_values.")]


@pytest.mark.parametrize("seed", [86, 96, 1, 10])  # the first two: stacks in a stack
def test_a_cache_has_one_name_however_a_graph_is_made(seed: int, tmp_path: Path) -> None:
    """Repeated or walked, with symbolic dims, for a prompt or for a token."""
    path = tmp_path / "t.dsv3"
    path.write_text(table(seed))
    program = checked(path)
    assert build(program) == build(program, repeat=False)
    expected = cache_names(build(program))
    assert len(set(expected)) == len(expected) > 1
    form = Options(static=StaticLengths(2, 3, CONTEXT), cache="shift")
    assert form.lengths is not None
    for new in (1, 3):
        for repeat in (True, False):
            graph = StaticStep("prefill.onnx", new, form.lengths)
            assert cache_names(build(program, form, repeat=repeat, step=graph)) == expected


def test_a_few_random_tables_are_static_graphs(tmp_path: Path) -> None:
    assert static_failures(range(4), tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_random_tables_are_static_graphs(part: int, tmp_path: Path) -> None:
    assert static_failures(range(SEED + part, SEED + PROGRAMS // 4, PARTS), tmp_path) == []


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
    assert failures(range(SEED + part, SEED + PROGRAMS, PARTS), EVERY + OPSETS, tmp_path) == []
