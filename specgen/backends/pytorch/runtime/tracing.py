"""What torch.compile and torch.export need, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Step(nn.Module):
    """The model as a function of a cache's tensors, as torch.export needs it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Tensor, past: Sequence[Tensor] = (), mask: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """tokens: int64 [B, S] -> what Model gives for them, and the tensors with S more tokens.

        past: what this gave for the tokens before these; behind a mask, a mask is among it.
        """
        cache = self.model.new_cache(tokens.size(0))
        if past:
            cache.restore(past)
        return self.model(tokens, mask, cache), cache.tensors()


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
