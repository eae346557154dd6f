"""The Pareto front against its definition, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.questions.pareto import find_front

CELL = st.one_of(st.none(), st.integers(0, 6), st.sampled_from([2**63, 2**63 + 1, 2**80]))
ROWS = st.lists(st.tuples(CELL, CELL), max_size=25)


def by_definition(rows: list[tuple[int | None, int | None]], most: tuple[bool, bool]) -> set[int]:
    def beats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    known = {
        i: tuple(-v if m else v for v, m in zip(row, most, strict=True))
        for i, row in enumerate(rows)
        if None not in row
    }
    return {i for i, row in known.items() if not any(beats(other, row) for other in known.values())}


def column(values: list[int | None]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    if all(v is not None and v < 2**63 for v in values) and values:
        return found.astype(np.int64)
    return found


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(ROWS, st.tuples(st.booleans(), st.booleans()))
def test_by_definition(rows: list[tuple[int | None, int | None]], most: tuple[bool, bool]) -> None:
    found = find_front(column([a for a, _ in rows]), column([b for _, b in rows]), most)
    assert set(found.tolist()) == by_definition(rows, most)
    assert len(found) == len(set(found.tolist()))


def test_in_order_of_the_first_column() -> None:
    found = find_front(np.array([5, 1, 3, 4]), np.array([1, 9, 4, 4]))
    assert found.tolist() == [1, 2, 0]
    found = find_front(np.array([5, 1, 3, 4]), np.array([1, 9, 4, 4]), (True, False))
    assert found.tolist() == [0]


def test_floats() -> None:
    assert find_front(np.array([0.5, 0.25]), np.array([1, 2])).tolist() == [1, 0]
