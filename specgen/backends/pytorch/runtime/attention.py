"""Attention by the platform's kernels, as `scaled_dot_product_attention` is asked for it best."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from specgen.backends.pytorch.runtime.tables import NARROW


def attend(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None, scale: float) -> Tensor:
    """K key/value heads, each shared by G query heads; the lines of a table's own function.

    q: [B, S, K * G, D], k: [B, T, K, D], v: [B, T, K, E], visible: bool [B, S, T]
    -> [B, S, K * G, E]
    """
    if NARROW:
        width = v.size(3)
        if width < k.size(3):  # most kernels want one width
            v = F.pad(v, (0, k.size(3) - width))
    k, v = k.transpose(1, 2), v.transpose(1, 2)
    mask = None if visible is None else visible.unsqueeze(1)
    if q.size(1) == 1:  # heads that share keys are as many queries of one head
        q = q.unflatten(2, (k.size(1), -1)).squeeze(1)  # [B, K, G, D]
        mixed = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
        mixed = mixed.flatten(1, 2).unsqueeze(1)
    else:
        q = q.transpose(1, 2)  # [B, K * G, S, D]
        mixed = F.scaled_dot_product_attention(
            q, k, v, mask, is_causal=mask is None, scale=scale, enable_gqa=True
        )
        mixed = mixed.transpose(1, 2)
    if NARROW:
        return mixed[..., :width]
    else:
        return mixed
