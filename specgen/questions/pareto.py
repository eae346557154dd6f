"""The Pareto front of two columns: the rows that no other row beats in both.

Exact: values are compared as the integers that they are.
"""

from __future__ import annotations

import numpy as np

from specgen.expr.columns.exact import Array


def find_front(first: Array, second: Array, most: tuple[bool, bool] = (False, False)) -> Array:
    """The rows on the front, in order of `first` from its best: positions into the columns.

    Less is better, or more where `most` says so.  Rows that are equal in both columns are all on
    the front or none; rows with None in a column are not.
    """
    known = (
        np.array(
            [a is not None and b is not None for a, b in zip(first, second, strict=True)],
            dtype=np.bool_,
        )
        if object in (first.dtype, second.dtype)
        else np.ones(len(first), dtype=np.bool_)
    )
    rows = np.flatnonzero(known)
    if not rows.size:
        return rows
    a, b = (
        rank_values(column[rows], reverse)
        for column, reverse in zip((first, second), most, strict=True)
    )
    order = np.lexsort((b, a))
    a, b, rows = a[order], b[order], rows[order]
    # Sorted by `first`, a row is on the front if its `second` is less than that of every row
    # whose `first` is better, and the least among those whose `first` is its own.
    starts = np.flatnonzero(np.r_[True, a[1:] != a[:-1]])
    group = np.cumsum(np.r_[False, a[1:] != a[:-1]])
    least = b[starts]  # each group is sorted by `second`
    before = np.r_[np.iinfo(np.int64).max, np.minimum.accumulate(least)[:-1]]
    chosen: Array = rows[(b == least[group]) & (b < before[group])]
    return chosen


def rank_values(column: Array, reverse: bool) -> Array:
    """The values as small numbers in the same order, whatever their size; the best is the least."""
    _, ranks = np.unique(column, return_inverse=True)
    ranks = ranks.astype(np.int64).reshape(-1)
    return -ranks if reverse else ranks
