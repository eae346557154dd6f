"""Mixtures: of many instances of one module, each row of tokens goes through those chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def mixture(
    expert: Callable[[Any, Tensor], Tensor], count: int, x: Tensor, weights: Tensor, index: Tensor
) -> Tensor:
    """x: [..., D], weights: [..., K], index: i64 [..., K] -> sum_k weights_k * expert(index_k, x).

    `expert` evaluates the instance of a number below `count`, or several at once on rows of their
    own: those of a tensor of numbers, or all of them for a slice.
    """
    if torch.compiler.is_compiling():
        outputs = traceable(expert, count, x, index)  # [..., K, D]
    elif index.numel() == index.size(-1):
        rows = x.flatten(0, -2)  # a single one
        outputs = torch.cat([expert(e, rows) for e in index.flatten().tolist()])  # [K, D]
    else:  # pairs of row and number, sorted, so that each instance runs once, on all of its rows
        chosen, order = index.flatten().sort(stable=True)  # [N * K], for N rows of x
        sorted_rows = x.flatten(0, -2).index_select(0, order // index.size(-1))
        counts = chosen.bincount().tolist()
        groups = enumerate(zip(counts, sorted_rows.split(counts)))
        outputs = torch.cat([expert(e, rows) for e, (n, rows) in groups if n])
        outputs = outputs.index_select(0, order.argsort()).unflatten(0, index.shape)
    return (weights.unsqueeze(-2) @ outputs).squeeze(-2)


def traceable(
    expert: Callable[[Any, Tensor], Tensor], count: int, x: Tensor, index: Tensor
) -> Tensor:
    """The outputs [..., K, D] of a mixture in operations that do not depend on what is chosen."""
    if x.size(-2) == 1:  # few rows: each with the instances that it has chosen
        return expert(index, x[..., None, None, :]).squeeze(-2)
    # As many rows for every instance as for the one that most have chosen.
    chosen = index.flatten()  # [N * K]
    hits = F.one_hot(chosen, count)  # [N * K, count]
    place = (hits.cumsum(0) * hits).sum(-1) - 1
    room: Any = hits.sum(0).max().clamp(min=2).item()
    torch._check(room >= 2)
    rows = x.new_zeros(count, room, x.size(-1))
    rows[chosen, place] = x.flatten(0, -2).repeat_interleave(index.size(-1), dim=0)
    return expert(slice(None), rows)[chosen, place].unflatten(0, index.shape)


def linear_rows(x: Tensor, w: Tensor) -> Tensor:
    """x: [..., I], w: [..., O, I] -> x @ w.mT; a few rows the other way round, which is faster."""
    if x.dim() > 2:
        return x @ w.mT
    if 1 < x.size(0) < 8 and x.is_contiguous() and w.is_contiguous():
        return w.mm(x.mT).mT
    return F.linear(x, w)
