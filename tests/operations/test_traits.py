"""What records say of ops, held against what the ops compute in uses that ENTRIES has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specgen.frontend.load import load_program
from specgen.ir import interpret
from specgen.ir.model import Op
from specgen.ir.numpy import evaluated
from specgen.ops.record import Trait, never
from specgen.ops.registry import OPERATORS, OPS
from tests.operations.entries import ENTRIES, Entry, table

Array = np.ndarray


@dataclass(frozen=True)
class Use:
    """One evaluation of an op."""

    op: Op
    args: Sequence[Any]
    results: Sequence[Array]
    env: Mapping[str, Any]

    def again(self, *args: Any) -> Array:
        """The first result for other operands."""
        return np.asarray(evaluated(self.op, args, self.env)[0])

    @property
    def rounds(self) -> bool:
        """Whether it is a cast to a dtype that has not all numbers of its operand."""
        return self.op.name == "cast" and self.op.types[0].dtype in ("i64", "i32", "bool")


def uses(op: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Use]:
    """Every evaluation of the op in a table of a third of its entries."""
    found: list[Use] = []

    def noted(value: Op, args: Sequence[Any], env: Mapping[str, Any]) -> list[Array]:
        results = evaluated(value, args, env)
        if value.name == op:
            found.append(Use(value, args, results, dict(env)))
        return results

    monkeypatch.setattr(interpret, "evaluated", noted)
    for entries in pieces(ENTRIES[op][::3]):
        path = folder / "t.dsv3"
        path.write_text(table(op, entries))
        program = load_program(path)
        given = {"tokens": np.array([[1, 2, 3], [5, 4, 8]]), "mask": np.ones((2, 3), np.bool_)}
        random = np.random.default_rng(0)
        instance = interpret.EvaluatedInstance(program, program.model, program.values, random)
        forward = program.model.forward
        assert forward is not None
        args = [given[arg.name] for arg in forward.args]
        instance.call(forward, args, {"B": 2, "S": 3, "T": 3})
    return found


def pieces(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    for start in range(0, len(entries), 90):
        yield entries[start : start + 90]


def numbers(values: Any) -> list[float]:
    return sorted(np.ravel(np.asarray(values, np.float64)))


def occurs(results: Any, operands: Sequence[Any], key: Callable[[float], float]) -> bool:
    there = {key(number) for operand in operands for number in numbers(operand)}
    return {key(number) for number in numbers(results)} <= there


def compares(use: Use) -> bool:
    return use.results[0].dtype == np.bool_ and use.op.args[0].types[0].dtype != "bool"


def scales(use: Use) -> bool:
    return np.allclose(use.again(3 * use.args[0], use.args[1]), 3 * use.results[0])


def contracts(use: Use) -> bool:
    return np.allclose(use.again(3 * use.args[0], *use.args[1:]), 3 * use.results[0])


def sums(use: Use) -> bool:
    return np.allclose(use.again(use.args[0] + 1), use.results[0] + use.again(use.args[0] * 0 + 1))


def polynomial(use: Use) -> bool:
    floats = [np.asarray(arg, np.float64) for arg in use.args]
    return np.array_equal(use.again(*floats), use.results[0])


def looks_up(use: Use) -> bool:
    rows = np.array(use.args[0], np.float64)
    rows[~np.isin(np.arange(len(rows)), use.args[1])] = np.nan
    return np.array_equal(use.again(rows, use.args[1]), use.results[0])


#: What holds in each use of an op that has the trait.
MEANS: Mapping[Trait, Callable[[Use], bool]] = {
    Trait.COMPARES: compares,
    Trait.CONTRACTS: contracts,
    Trait.LOOKS_UP: looks_up,
    Trait.PICKS: lambda use: occurs(use.results[0], use.args[:1], float),
    Trait.POLYNOMIAL: polynomial,
    Trait.REFORMS: lambda use: use.rounds or occurs(use.results[0], use.args, abs),
    Trait.RENAMES: lambda use: use.rounds or numbers(use.results[0]) == numbers(use.args[0]),
    Trait.SCALES: scales,
    Trait.SUMS: sums,
}

WITH_TRAITS = [op for op, record in OPS.items() if record.traits]


def test_every_trait_is_tried() -> None:
    assert set(MEANS) == set(Trait) == {trait for op in OPS.values() for trait in op.traits}


@pytest.mark.parametrize("op", WITH_TRAITS)
def test_trait_is_true_of_the_op(op: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = uses(op, tmp_path, monkeypatch)
    assert found
    for trait in OPS[op].traits:
        wrong = [use for use in found if not MEANS[trait](use)]
        if trait is Trait.COMPARES:  # truths are compared too
            wrong = [use for use in wrong if use.op.args[0].types[0].dtype != "bool"]
        assert not wrong, trait


@pytest.mark.parametrize("trait", [Trait.SCALES, Trait.COMPARES])
def test_operators_without_the_trait_are_otherwise(
    trait: Trait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in OPERATORS.values():
        if trait not in record.traits and len(record.written.split()) == 3:
            found = uses(record.name, tmp_path, monkeypatch)
            assert not all(map(MEANS[trait], found)), record.name


@pytest.mark.parametrize("op", ["rearrange", "repeat"])
def test_pattern_is_a_view_where_numpy_needs_no_copy(
    op: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of axes that have more than one element; others may stand anywhere."""
    found = set()
    for use in uses(op, tmp_path, monkeypatch):
        whole, is_view = np.ascontiguousarray(use.args[0]), OPS[op].view(use.op, str)
        assert np.shares_memory(use.again(whole), whole) == is_view
        found.add(is_view)
    assert found == {True, False}


@pytest.mark.parametrize("op", [op for op, record in OPS.items() if record.view is not never])
def test_view_has_numbers_of_its_operand(
    op: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = [use for use in uses(op, tmp_path, monkeypatch) if OPS[op].view(use.op, str)]
    assert views
    for use in views:
        assert all(occurs(result, use.args[:1], float) for result in use.results)
