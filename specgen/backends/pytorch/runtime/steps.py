"""Where the tokens of a step stand, and what hides some of them.

Four functions for what models differ in: whether they have caches, and whether their attention can
do without a mask where nothing is padded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from specgen.backends.pytorch.runtime.cache import Cache


def placed(
    tokens: Tensor, mask: Tensor | None, cache: Cache | None = None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of new tokens, and the mask [B, T] of all, if one is needed."""
    past = cache.length if cache else 0
    check_tokens(tokens, mask, past)
    if cache:
        mask = cache.begin(tokens.size(0), tokens.size(1), mask)
    if mask is None and (tokens.size(1) == 1 or past == 0):  # each sees itself and all before it
        usual = torch.arange(past, past + tokens.size(1), device=tokens.device).expand_as(tokens)
        return usual if positions is None else positions, None
    return masked(tokens, past, mask, positions)


def placed_with_mask(
    tokens: Tensor, mask: Tensor | None, cache: Cache | None = None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The positions [B, S] of new tokens, and the mask [B, T] of all as booleans."""
    past = cache.length if cache else 0
    check_tokens(tokens, mask, past)
    if cache:
        mask = cache.begin(tokens.size(0), tokens.size(1), mask)
    return masked(tokens, past, mask, positions)


def placed_alone(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of tokens, and their mask [B, S], if one is needed."""
    check_tokens(tokens, mask, 0)
    if mask is None:  # each token sees itself and all before it
        usual = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
        return usual if positions is None else positions, None
    return masked(tokens, 0, mask, positions)


def placed_alone_with_mask(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The positions [B, S] of tokens, and their mask [B, S] as booleans."""
    check_tokens(tokens, mask, 0)
    return masked(tokens, 0, mask, positions)


def check_tokens(tokens: Tensor, mask: Tensor | None, past: int) -> None:
    """Refuses what is no text behind `past` tokens, and what is no mask of it."""
    if not isinstance(tokens, Tensor):
        raise TypeError(f"tokens must be a tensor, not {type(tokens).__name__}")
    if tokens.dim() != 2 or tokens.numel() == 0:
        raise ValueError(f"tokens must be [B, S] and not empty, not {list(tokens.shape)}")
    if mask is not None:
        shaped_mask("mask", mask, tokens.size(0), past + tokens.size(1))


def shaped_mask(name: str, mask: Tensor, *shape: int) -> Tensor:
    """A mask that a forward is given, as booleans of this shape, in which -1 is any size."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(mask).__name__}")
    if mask.is_floating_point():
        raise ValueError(f"{name} must be of booleans or whole numbers, not of {mask.dtype}")
    found = mask.shape
    if len(found) != len(shape) or any(n not in (-1, size) for n, size in zip(shape, found)):
        raise ValueError(f"{name} must be {list(shape)}, not {list(found)}")
    return mask.bool()


def masked(
    tokens: Tensor, past: int, mask: Tensor | None, positions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Positions behind the real tokens among `past` and before, and the mask of all."""
    if mask is None:
        mask = tokens.new_ones(tokens.size(0), past + tokens.size(1), dtype=torch.bool)
    mask = mask.bool()
    usual = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
    return usual if positions is None else positions, mask


def begin(
    cache: Any, batch: int, new: int, total: int | None = None, mask: Tensor | None = None
) -> None:
    """Begins a step of a function that is given all that it needs: `total` tokens with the new."""
    if total is not None and total != cache.length + new:
        held = f"with {cache.length} in the cache"
        raise ValueError(f"T must be {cache.length + new}, {held}, not {total}")
    cache.begin(batch, new, mask)
