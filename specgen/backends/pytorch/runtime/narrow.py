"""Floats narrower than those that are computed with, in and out of what files hold."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from specgen.backends.pytorch.runtime.tables import FOURS, WHOLES

OTHERS = {"I64": "int64", "I32": "int32", "I8": "int8", "U8": "uint8", "BOOL": "bool"}

HALVES = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])  # what three bits of 4 stand for


def widened(tensor: Tensor) -> Tensor:
    """Two floats of 4 bits a byte as float32, twice as long; all others as they are."""
    if tensor.dtype != torch.float4_e2m1fn_x2:
        return tensor
    pairs = tensor.view(torch.uint8).unsqueeze(-1)
    codes = torch.cat([pairs & 15, pairs >> 4], dim=-1).flatten(-2).long()
    return torch.cat([HALVES, -HALVES])[codes]


def narrowed(values: Tensor, dtype: str) -> Tensor:
    """Values in a dtype of safetensors: each the nearest that there is, at most the largest."""
    if FOURS:
        if dtype == "F4":
            return paired(values)
    if WHOLES:
        if dtype in OTHERS:
            return values.to(getattr(torch, OTHERS[dtype]))
    return values.float().clamp(-448, 448).to(torch.float8_e4m3fn)


def paired(values: Tensor) -> Tensor:
    """Values as floats of 4 bits, two a byte.

    Raises:
        ValueError: they do not come in pairs.
    """
    if values.dim() == 0 or values.size(-1) % 2:
        raise ValueError(f"F4 holds pairs of values, not {list(values.shape)}")
    size, bounds = values.float().abs(), (HALVES[1:] + HALVES[:-1]) / 2
    low, high = (torch.bucketize(size, bounds, right=right) for right in (False, True))
    codes = torch.where(low % 2 == 0, low, high) + 8 * values.signbit()  # ties to even
    first, second = codes.to(torch.uint8).unflatten(-1, (-1, 2)).unbind(-1)
    return (first | second << 4).view(torch.float4_e2m1fn_x2)


def scaled(matrix: Tensor, tile: tuple[int, int], dtype: str) -> list[Tensor]:
    """A matrix over the scales of its tiles, by which the largest of each is the dtype's; and those.

    matrix: [R, C] -> dtype [R, C], f32 [ceil(R / tile[0]), ceil(C / tile[1])]
    """
    rows, columns = matrix.shape
    sizes = matrix.float().abs().unsqueeze(0)
    largest = F.max_pool2d(sizes, tile, tile, ceil_mode=True).squeeze(0)
    scale = torch.where(largest > 0, largest / (6 if dtype == "F4" else 448), 1)
    spread = scale.repeat_interleave(tile[0], 0).repeat_interleave(tile[1], 1)
    return [narrowed(matrix / spread[:rows, :columns], dtype), scale]
