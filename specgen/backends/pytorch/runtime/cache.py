"""What a model keeps of the tokens that it has read; steps add to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class CacheRow:
    """A tensor that is filled along `axis` from its start, and grows where it has no room."""

    def __init__(self, values: Tensor, axis: int, stretch: Stretch) -> None:
        self.values, self.axis, self.stretch = values, axis, stretch

    def append(self, new: Tensor) -> Tensor:
        """What is held, and `new` behind it: held, too, once all of the step has ended well.

        Where gradients are kept, in tensors of its own: backward needs what steps have read.
        """
        start, count = self.stretch.length, new.size(self.axis)
        frozen = not torch.compiler.is_compiling() and self.values.is_inference()
        if frozen and not torch.is_inference_mode_enabled():
            self.values = self.values.clone()  # made in that mode, it could not be written to
        if torch.is_grad_enabled() or start + count > self.values.size(self.axis):
            self.values = torch.cat([self.held, new], dim=self.axis)
        else:
            self.values.narrow(self.axis, start, count).copy_(new)
        return self.values.narrow(self.axis, 0, start + count)

    @property
    def held(self) -> Tensor:
        return self.values.narrow(self.axis, 0, self.stretch.length)

    def kind(self, values: Tensor) -> tuple[list[Any], torch.dtype, str]:
        """What values for this row have in common, however many tokens they are of."""
        shape = ["T" if axis == self.axis else n for axis, n in enumerate(values.shape)]
        return shape, values.dtype, str(values.device)


class Stretch:
    """Cache rows that hold the same tokens: a step adds its own to all of them, or to none."""

    def __init__(self, cache: Cache) -> None:
        self.batch, self.capacity = cache.batch, cache.capacity
        self.like = next(cache.model.parameters(), torch.empty(0))
        self.length = 0  # tokens that are held
        self.mask: Tensor | None = None  # bool [B, length], false for padding, if one was given
        self.rows: list[CacheRow] = []

    def row(self, *shape: int, axis: int = 1) -> CacheRow:
        self.rows.append(CacheRow(self.like.new_zeros(shape), axis, self))
        return self.rows[-1]

    def rows_of(self, module: Any) -> Rows:
        """What a cache holds for a module."""
        return module.cache_rows(self)


Rows = Any  # the cache rows of a module by name; of its parts, if it has none of its own


def named_rows(rows: Rows, *path: object) -> Iterator[tuple[str, CacheRow]]:
    """All cache rows, with the names and numbers that lead to them, such as 0.key."""
    if isinstance(rows, CacheRow):
        yield ".".join(map(str, path)), rows
        return
    for key, inner in rows.items() if isinstance(rows, dict) else enumerate(rows):
        yield from named_rows(inner, *path, key)


class Cache:
    """What the layers keep of the tokens so far, with room for `capacity` of each sequence.

    Without room it grows, and takes all that it keeps into new tensors.  A step that fails
    leaves what was held before it, so that it can be tried again.  Padding stays padding: a
    later step needs no mask.
    """

    def __init__(self, model: nn.Module, batch: int, capacity: int) -> None:
        for name, count in (("batch", batch), ("length", capacity)):
            if type(count) not in (int, torch.SymInt) or count < 0:
                raise ValueError(f"{name} must be a whole number from 0 on, not {count!r}")
        self.model, self.batch, self.capacity = model, batch, capacity
        self.rows: Rows = None
        self.stretches: dict[str, Stretch] = {}
        self.step: dict[str, tuple[int, Tensor | None]] = {}  # length and mask after this step

    @property
    def length(self) -> int:
        """How many tokens are there; of several stretches, in the first."""
        return next(iter(self.stretches.values())).length

    def stretch(self, name: str) -> Stretch:
        return self.stretches.setdefault(name, Stretch(self))

    def begin(
        self,
        batch: int,
        new: int,
        *stretches: str,
        total: int | None = None,
        mask: Tensor | None = None,
    ) -> tuple[int, Tensor | None]:
        """How many tokens are there, to which a step adds `new`, so that there are `total`.

        And the mask [B, T] of all of them: None if neither this step nor one before has any.
        """
        first, *others = [self.stretches[name] for name in stretches or self.stretches]
        past = first.length
        if batch != self.batch:
            raise ValueError(f"the cache is for {self.batch} sequences, not for {batch}")
        if any(other.length != past for other in others):
            lengths = [other.length for other in others]
            raise ValueError(f"the cache holds {past} and {lengths} tokens where it needs as many")
        if 0 < self.capacity < past + new:
            raise ValueError(
                f"the cache has room for {self.capacity} tokens: {past} are there, {new} do not fit"
            )
        if total is not None and total != past + new:
            raise ValueError(f"T must be {past + new}, with {past} in the cache, not {total}")
        if mask is None and any(other.mask is not first.mask for other in others):
            raise ValueError("the cache holds tokens with several masks: give the mask of all")
        if mask is not None:
            mask = as_booleans("mask", mask).clone()  # the caller's may change
        elif first.mask is not None:
            mask = torch.cat([first.mask, first.mask.new_ones(batch, new)], dim=1)
        self.step = dict.fromkeys(stretches or self.stretches, (past + new, mask))
        return past, mask

    def commit(self) -> None:
        """The step has ended: what it appended is held."""
        for name, (length, mask) in self.step.items():
            self.stretches[name].length, self.stretches[name].mask = length, mask

    def tensors(self) -> list[Tensor]:
        """All that is kept, to give it to another cache: rows, and behind them a mask if any."""
        return [
            tensor
            for stretch in self.stretches.values()
            for tensor in [*(row.held for row in stretch.rows), stretch.mask]
            if tensor is not None
        ]

    def restore(self, tensors: Sequence[Tensor]) -> None:
        """Keeps what another cache kept.

        Raises:
            ValueError: it is not what a cache for this batch keeps; nothing has changed.
        """
        rest, found = list(tensors), []
        for stretch in self.stretches.values():
            own, rest = rest[: len(stretch.rows)], rest[len(stretch.rows) :]
            mask = rest.pop(0) if rest and rest[0].dtype == torch.bool else None
            found.append((stretch, own, mask))
        count = sum(len(stretch.rows) for stretch in self.stretches.values())
        if rest or sum(len(own) for _, own, _ in found) != count:
            raise ValueError(f"{count} rows are needed, and masks behind them: not {len(tensors)}")
        lengths = [self.compared(*one) for one in found]
        for (stretch, own, mask), length in zip(found, lengths):
            stretch.length, stretch.mask = length, mask
            for row, values in zip(stretch.rows, own):
                row.values = values

    def compared(self, stretch: Stretch, tensors: list[Tensor], mask: Tensor | None) -> int:
        """The length of what a stretch is to keep; refuses what it cannot be."""
        for row, values in zip(stretch.rows, tensors):
            wanted, kind = row.kind(row.values), row.kind(values)
            if kind != wanted:
                name = next(name for name, one in named_rows(self.rows) if one is row)
                raise ValueError(f"cache row {name} must be {wanted}, not {kind}")
        lengths = [values.size(row.axis) for row, values in zip(stretch.rows, tensors)] or [0]
        if any(length != lengths[0] for length in lengths):
            raise ValueError(f"rows that grow together must be as long as each other: {lengths}")
        if 0 < self.capacity < lengths[0]:
            raise ValueError(f"the cache has room for {self.capacity} tokens, not {lengths[0]}")
        if mask is not None and mask.shape != (self.batch, lengths[0]):
            raise ValueError(f"mask must be {[self.batch, lengths[0]]}, not {list(mask.shape)}")
        return lengths[0]

    def rows_of(self, model: nn.Module) -> Rows:
        if model is not self.model:
            raise ValueError("the cache is another model's: model.new_cache makes one for this")
        return self.rows


def as_booleans(name: str, mask: Tensor) -> Tensor:
    """A mask as booleans; refuses one of scores."""
    if not isinstance(mask, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(mask).__name__}")
    if mask.is_floating_point():
        raise ValueError(f"{name} must be of booleans or whole numbers, not of {mask.dtype}")
    return mask.bool()


def committed(cache: Cache | None, results: Any) -> Any:
    """What a step gives that has ended; the cache holds what it appended."""
    if cache:
        cache.commit()
    return results


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
