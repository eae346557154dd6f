"""Tensors that hold several rows, or one in another order."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from specgen.backends.pytorch.runtime.tables import Packing


def joined(pattern: str, sizes: dict[str, int], rows: list[Tensor], kinds: int) -> Packing:
    """Rows one behind the other along the axis `*`; instances of each stacked in front."""
    shape, each = rows[0].shape, len(rows) // kinds  # so many instances of each kind of row
    axis = pattern.split().index("*")
    lead = (each,) * (len(pattern.split()) - len(shape))
    own = axis - len(lead)
    lengths = [row.size(own) for row in rows[::each]]

    def unpack(tensor: Tensor) -> list[Tensor]:
        parts = tensor.split(lengths, axis)
        return [row for part in parts for row in (part.unbind(0) if lead else [part])]

    def pack(*rows: Tensor) -> list[Tensor]:
        parts = [rows[start : start + each] for start in range(0, len(rows), each)]
        return [torch.cat([torch.stack(part) if lead else part[0] for part in parts], axis)]

    return Packing((*lead, *shape[:own], sum(lengths), *shape[own + 1 :]), unpack, pack)


def rearranged(pattern: str, sizes: dict[str, int], rows: list[Tensor], kinds: int) -> Packing:
    """Rows stacked, their axes taken apart, put in another order and together again."""
    shape, each = rows[0].shape, len(rows) // kinds  # so many instances of each kind of row
    before, after = (
        [group.strip("()").split() for group in re.findall(r"\(.*?\)|\S+", side)]
        for side in pattern.split("->")
    )
    depth = len(before) - len(shape)  # axes for kinds of rows, and for instances
    for group, dim in zip(before[depth:], shape):
        known = math.prod(sizes.get(axis, 1) for axis in group)
        sizes |= {axis: dim // known for axis in group if axis not in sizes}
    sizes |= zip([group[0] for group in before[:depth]], (kinds, each) if kinds > 1 else (each,))
    own = [axis for group in before for axis in group]
    axes = [axis for group in after for axis in group]
    whole = tuple(math.prod(sizes[axis] for axis in group) for group in after)

    def unpack(tensor: Tensor) -> list[Tensor]:
        apart = tensor.reshape([sizes[axis] for axis in axes])
        return list(apart.permute([axes.index(axis) for axis in own]).reshape(-1, *shape))

    def pack(*rows: Tensor) -> list[Tensor]:
        apart = torch.stack(rows).reshape([sizes[axis] for axis in own])
        return [apart.permute([own.index(axis) for axis in axes]).reshape(whole)]

    return Packing(whole, unpack, pack)
