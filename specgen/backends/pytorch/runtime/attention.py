"""Attention by the platform's kernels, as `scaled_dot_product_attention` is asked for it best."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def prefill_attention(
    q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None, scale: float
) -> Tensor:
    """Each query reads the keys that are visible to it; those up to its own, if that is all.

    q: [B, S, K * G, D], k: [B, T, K, D], v: [B, T, K, E], visible: bool [B, S, T]
    -> [B, S, K * G, E]
    """
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    mask = None if visible is None else visible.unsqueeze(1)
    mixed = F.scaled_dot_product_attention(
        q, k, v, mask, is_causal=mask is None, scale=scale, enable_gqa=True
    )
    return mixed.transpose(1, 2)


def decode_attention(
    q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None, scale: float
) -> Tensor:
    """A single query: its heads that share keys are as many queries of one head.

    q: [B, 1, K * G, D], k: [B, T, K, D], v: [B, T, K, E], visible: bool [B, 1, T]
    -> [B, 1, K * G, E]
    """
    q = q.unflatten(2, (k.size(2), -1)).squeeze(1)  # [B, K, G, D]
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    mask = None if visible is None else visible.unsqueeze(1)
    mixed = F.scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=True)
    return mixed.flatten(1, 2).unsqueeze(1)
