"""Where the tokens of a step stand, and what hides some of them.

Four functions for what models differ in: whether they have caches, and whether their attention can
do without a mask where nothing is padded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from specgen.backends.pytorch.runtime.cache import Cache


def placed(
    tokens: Tensor,
    mask: Tensor | None,
    cache: Cache | None = None,
    *stretches: str,
    positions: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of new tokens, and the mask [B, T] of all, if one is needed."""
    check_tokens(tokens, mask)
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
    check_tokens(tokens, mask)
    batch, new = tokens.shape
    past, mask = cache.begin(batch, new, *stretches, mask=mask) if cache else (0, mask)
    return masked(tokens, past, mask, positions)


def placed_alone(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """The positions [B, S] of tokens, and their mask [B, S], if one is needed."""
    check_tokens(tokens, mask)
    if mask is None:  # each token sees itself and all before it
        if positions is None:
            positions = torch.arange(tokens.size(1), device=tokens.device).expand_as(tokens)
        return positions, None
    return masked(tokens, 0, mask, positions)


def placed_alone_with_mask(
    tokens: Tensor, mask: Tensor | None, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The positions [B, S] of tokens, and their mask [B, S] as booleans."""
    check_tokens(tokens, mask)
    return masked(tokens, 0, mask, positions)


def check_tokens(tokens: Tensor, mask: Tensor | None) -> None:
    """Refuses what is no text, and a mask of scores."""
    for name, given in (("tokens", tokens), ("mask", mask)):
        if given is not None and not isinstance(given, Tensor):
            raise TypeError(f"{name} must be a tensor, not {type(given).__name__}")
    if tokens.dim() != 2 or tokens.numel() == 0:
        raise ValueError(f"tokens must be [B, S] and not empty, not {list(tokens.shape)}")
    if mask is not None and mask.is_floating_point():
        raise ValueError(f"mask must be of booleans or whole numbers, not of {mask.dtype}")


def masked(
    tokens: Tensor, past: int, mask: Tensor | None, positions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Positions behind the real tokens among `past` and before, and the mask of all."""
    batch, new = tokens.shape
    if mask is None:
        mask = tokens.new_ones(batch, past + new, dtype=torch.bool)
    if mask.shape != (batch, past + new):
        raise ValueError(f"mask must be {[batch, past + new]}, not {list(mask.shape)}")
    mask = mask.bool()
    if positions is None:
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
    return positions, mask
