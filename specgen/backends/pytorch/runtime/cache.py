"""What a model keeps of the tokens that it has read; steps add to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class CacheRow:
    """A tensor that a module fills along `axis` from its start; it grows where it has no room."""

    path: str
    axis: int
    values: Tensor

    def kind(self, values: Tensor) -> tuple[list[Any], torch.dtype, str]:
        """What values for this row have in common, however many tokens they are of."""
        shape = ["T" if axis == self.axis else n for axis, n in enumerate(values.shape)]
        return shape, values.dtype, str(values.device)


class Cache:
    """What modules keep of the tokens so far: their `cache_rows`, with room for `room` tokens.

    Without room rows grow, into new tensors.  A step that fails leaves what was held before it, so
    that it can be tried again.  Padding stays padding: a later step needs no mask.
    """

    def __init__(self, model: nn.Module, batch: int, room: int) -> None:
        for name, count in (("batch", batch), ("length", room)):
            if type(count) not in (int, torch.SymInt) or count < 0:
                raise ValueError(f"{name} must be a whole number from 0 on, not {count!r}")
        self.batch, self.room = batch, room
        self.length = 0  # tokens that are held
        self.mask: Tensor | None = None  # bool [B, length], false for padding, if one was given
        self.step: tuple[int, Tensor | None] = (0, None)  # both after this step
        self.rows: dict[tuple[nn.Module, str], CacheRow] = {}
        like = next(model.parameters(), torch.empty(0))
        for path, module in model.named_modules():
            for name, shape in getattr(module, "cache_rows", {}).items():
                values = like.new_zeros([{"B": batch, "T": room}.get(n, n) for n in shape])
                row = CacheRow(f"{path}.{name}".lstrip("."), shape.index("T"), values)
                self.rows[module, name] = row

    def begin(self, batch: int, new: int, mask: Tensor | None = None) -> Tensor | None:
        """Begins a step of `new` tokens: the mask [B, T] of all, None if no step had any."""
        if batch != self.batch:
            raise ValueError(f"the cache is for {self.batch} sequences, not for {batch}")
        if 0 < self.room < self.length + new:
            there = f"{self.length} are there, {new} do not fit"
            raise ValueError(f"the cache has room for {self.room} tokens: {there}")
        if mask is not None:
            mask = mask.to(torch.bool, copy=True)  # the caller's may change
        elif self.mask is not None:
            mask = torch.cat([self.mask, self.mask.new_ones(batch, new)], dim=1)
        self.step = self.length + new, mask
        return mask

    def append(self, module: nn.Module, name: str, new: Tensor) -> Tensor:
        """What a row holds, and `new` behind it: held, too, once all of the step has ended well.

        Where gradients are kept, in tensors of its own: backward needs what steps have read.
        """
        if (module, name) not in self.rows:
            raise ValueError("the cache is another model's: model.new_cache makes one for this")
        row = self.rows[module, name]
        axis, start, count = row.axis, self.length, new.size(row.axis)
        is_writable = torch.compiler.is_compiling() or torch.is_inference_mode_enabled()
        if not is_writable and row.values.is_inference():
            row.values = row.values.clone()  # made in that mode, it could not be written to
        if torch.is_grad_enabled() or start + count > row.values.size(axis):
            row.values = torch.cat([row.values.narrow(axis, 0, start), new], axis)
        else:
            row.values.narrow(axis, start, count).copy_(new)
        return row.values.narrow(axis, 0, start + count)

    def commit(self) -> None:
        """The step has ended: what it appended is held."""
        self.length, self.mask = self.step

    def tensors(self) -> list[Tensor]:
        """All that is kept, to give it to another cache: rows, and behind them a mask if any."""
        rows = [row.values.narrow(row.axis, 0, self.length) for row in self.rows.values()]
        return rows if self.mask is None else [*rows, self.mask]

    def restore(self, tensors: Sequence[Tensor]) -> None:
        """Keeps what another cache kept.

        Raises:
            ValueError: it is not what a cache for this batch keeps; nothing has changed.
        """
        rows, mask = list(self.rows.values()), tensors[len(self.rows) :]
        if len(tensors) < len(rows) or [tensor.dtype for tensor in mask] not in ([], [torch.bool]):
            raise ValueError(f"{len(rows)} rows are needed, then a mask if any: not {len(tensors)}")
        for row, values in zip(rows, tensors):
            wanted, kind = row.kind(row.values), row.kind(values)
            if kind != wanted:
                raise ValueError(f"cache row {row.path} must be {wanted}, not {kind}")
        lengths = [values.size(row.axis) for row, values in zip(rows, tensors)] or [0]
        if any(length != lengths[0] for length in lengths):
            raise ValueError(f"rows that grow together must be as long as each other: {lengths}")
        if 0 < self.room < lengths[0]:
            raise ValueError(f"the cache has room for {self.room} tokens, not {lengths[0]}")
        if mask and mask[0].shape != (self.batch, lengths[0]):
            raise ValueError(f"mask must be {[self.batch, lengths[0]]}, not {list(mask[0].shape)}")
        self.length, self.mask = lengths[0], mask[0] if mask else None
        for row, values in zip(rows, tensors):
            behind = [0, 0] * (values.dim() - 1 - row.axis)  # the axes that do not grow
            room = max(self.room - self.length, 0)
            row.values = nn.functional.pad(values, [*behind, 0, room]) if room else values


class Caches:
    """Caches of parts that read different tokens, each under the name of its first part."""

    def __init__(self, parts: Mapping[str, Cache]) -> None:
        self.parts = dict(parts)

    @classmethod
    def of(cls, model: nn.Module, batch: int, room: int, *parts: Sequence[str]) -> Caches:
        """A cache for those parts of a model, and own rows of it, that are named together."""
        whole, found = Cache(model, batch, room), dict[str, Cache]()
        for names in parts:
            found[names[0]] = copy(whole)
            rows = whole.rows.items()
            found[names[0]].rows = {k: row for k, row in rows if row.path.split(".")[0] in names}
        return cls(found)

    def __getitem__(self, names: str | tuple[str, ...]) -> Any:
        """The cache of a part; those to which one step appends, as one."""
        if isinstance(names, str):
            return self.parts[names]
        return Caches({name: self.parts[name] for name in names})

    @property
    def length(self) -> int:
        """How many tokens are held; of parts that hold different ones, in the first."""
        return next(iter(self.parts.values())).length

    def begin(self, batch: int, new: int, mask: Tensor | None = None) -> Tensor | None:
        """As of one cache."""
        first, *others = self.parts.values()
        lengths = [part.length for part in self.parts.values()]
        if any(length != first.length for length in lengths):
            raise ValueError(f"the cache holds {lengths} tokens where it needs as many")
        if mask is None and any(other.mask is not first.mask for other in others):
            raise ValueError("the cache holds tokens with several masks: give the mask of all")
        mask = first.begin(batch, new, mask)
        for other in others:
            other.step = first.step
        return mask

    def commit(self) -> None:
        """As of one cache."""
        for part in self.parts.values():
            part.commit()

    def tensors(self) -> list[Tensor]:
        """As of one cache: those of the first, those of the next."""
        return [tensor for part in self.parts.values() for tensor in part.tensors()]

    def restore(self, tensors: Sequence[Tensor]) -> None:
        """As of one cache."""
        rest, own = list(tensors), dict[str, list[Tensor]]()
        for name, part in self.parts.items():
            count = len(part.rows)
            count += count < len(rest) and rest[count].dtype == torch.bool
            own[name], rest = rest[:count], rest[count:]
        needed = sum(len(part.rows) for part in self.parts.values())
        if rest or len(tensors) < needed:
            raise ValueError(f"{needed} rows are needed, with masks if any: not {len(tensors)}")
        restored = {name: copy(part) for name, part in self.parts.items()}
        for name, part in restored.items():
            part.rows = {key: copy(row) for key, row in part.rows.items()}
            part.restore(own[name])
        self.parts = restored
