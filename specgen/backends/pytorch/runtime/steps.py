"""Where the tokens of a step stand, and what hides some of them.

Four functions for what models differ in: whether they have caches, and whether their attention can
do without a mask where nothing is padded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from specgen.backends.pytorch.runtime.cache import Cache, as_booleans


def placed(
    tokens: Tensor,
    mask: Tensor | None,
    cache: Cache | None = None,
    *stretches: str,
    positions: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of new tokens, and the mask [B, T] of all, if one is needed."""
    check_tokens(tokens)
    batch, new = tokens.shape
    past, mask = cache.begin(batch, new, *stretches, mask=mask) if cache else (0, mask)
    if mask is None and (new == 1 or past == 0):  # each token sees itself and all before it
        if positions is None:
            positions = torch.arange(past, past + new, device=tokens.device).expand(batch, -1)
        return positions, None
    return masked(tokens, past, mask, positions)


def placed_with_mask(
    tokens: Tensor,
    mask: Tensor | None,
    cache: Cache | None = None,
    *stretches: str,
    positions: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The positions [B, S] of new tokens, and the mask [B, T] of all as booleans."""
    check_tokens(tokens)
    batch, new = tokens.shape
    past, mask = cache.begin(batch, new, *stretches, mask=mask) if cache else (0, mask)
    return masked(tokens, past, mask, positions)


def placed_alone(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of tokens, and their mask [B, S], if one is needed."""
    check_tokens(tokens)
    if mask is None:  # each token sees itself and all before it
        if positions is None:
            positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
        return positions, None
    return masked(tokens, 0, mask, positions)


def placed_alone_with_mask(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The positions [B, S] of tokens, and their mask [B, S] as booleans."""
    check_tokens(tokens)
    return masked(tokens, 0, mask, positions)


def check_tokens(tokens: Tensor) -> None:
    """Refuses what is no text."""
    if not isinstance(tokens, Tensor):
        raise TypeError(f"tokens must be a tensor, not {type(tokens).__name__}")
    if tokens.dim() != 2 or tokens.numel() == 0:
        raise ValueError(f"tokens must be [B, S] and not empty, not {list(tokens.shape)}")


def masked(
    tokens: Tensor, past: int, mask: Tensor | None, positions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Positions behind the real tokens among `past` and before, and the mask of all."""
    batch, new = tokens.shape
    ones = tokens.new_ones(batch, past + new, dtype=torch.bool)
    mask = as_booleans("mask", ones if mask is None else mask)
    if mask.shape != (batch, past + new):
        raise ValueError(f"mask must be {[batch, past + new]}, not {list(mask.shape)}")
    if positions is None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
    return positions, mask


def shaped_mask(name: str, mask: Tensor, *shape: int) -> Tensor:
    """A mask that a forward is given, as booleans of this shape, in which -1 is any size."""
    mask = as_booleans(name, mask)
    found = mask.shape
    if len(found) != len(shape) or any(n not in (-1, size) for n, size in zip(shape, found)):
        raise ValueError(f"{name} must be {list(shape)}, not {list(found)}")
    return mask
