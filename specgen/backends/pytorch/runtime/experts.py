"""Mixtures: of many instances of one module, each row of tokens goes through those chosen for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from specgen.backends.pytorch.runtime.tracing import traceable


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


def linear_rows(x: Tensor, w: Tensor) -> Tensor:
    """x: [..., I], w: [..., O, I] -> x @ w.mT; a few rows the other way round, which is faster."""
    if x.dim() > 2:
        return x @ w.mT
    if 1 < x.size(0) < 8 and x.is_contiguous() and w.is_contiguous():
        return w.mm(x.mT).mT
    return F.linear(x, w)
