"""Which tensors of a checkpoint hold which parameters, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from specgen.backends.pytorch.runtime.narrow import narrowed
from specgen.backends.pytorch.runtime.tables import (
    COPIES,
    DTYPES,
    FORMATS,
    NAMES,
    NUMBERS,
    PACKED,
    WHERE,
    Kind,
)


class Stored(NamedTuple):
    """Tensors of the checkpoint, and the parameters, or rows of stacks, that are in them."""

    kinds: dict[str, Kind]
    rows: list[Tensor]
    unpack: Callable[..., list[Tensor]]  # the tensors -> the values of the rows
    pack: Callable[..., list[Tensor]] | None  # the rows -> the tensors, if that is known


def stored_tensors(model: Any) -> Iterator[Stored]:
    """All that the checkpoint holds, in the order of the tables."""
    parameters = model.state_dict()
    for released, own in NAMES:
        for name, row in called(released, own, parameters, model.config):
            stored = Stored({name: (None, tuple(row.shape))}, [row], as_they_are, as_they_are)
            if DTYPES:
                stored = in_dtype(stored, DTYPES.get(released))
            yield stored
    if FORMATS:
        for format in FORMATS:
            for released, own in format.names:
                for name, row in called(released, own, parameters, model.config):
                    kinds = {name + end: kind for end, kind in format.tensors(*row.shape).items()}
                    yield Stored(kinds, [row], format.restore, format.store)
    if PACKED:
        for entry in PACKED:
            together: dict[str, list[Tensor]] = {}
            for own in entry.parameters:
                for name, row in called(entry.name, own, parameters, model.config):
                    together.setdefault(name, []).append(row)
            for name, rows in together.items():
                sizes, count = entry.sizes(model.config), len(entry.parameters)
                shape, unpack, pack = entry.way(entry.pattern, sizes, rows, count)
                stored = Stored({name: (None, shape)}, rows, unpack, pack)
                if DTYPES:
                    stored = in_dtype(stored, DTYPES.get(entry.name))
                yield stored


def as_they_are(*tensors: Tensor) -> list[Tensor]:
    return list(tensors)


def in_dtype(stored: Stored, dtype: str | None) -> Stored:
    """Tensors that hold rows in a narrower dtype, if one is given."""
    if dtype is None:
        return stored
    kinds: dict[str, Kind] = {name: (dtype, shape) for name, (_, shape) in stored.kinds.items()}
    pack = stored.pack or as_they_are
    return stored._replace(
        kinds=kinds, pack=lambda *rows: [narrowed(tensor, dtype) for tensor in pack(*rows)]
    )


def called(
    released: str, own: str, parameters: Mapping[str, Tensor], config: Any
) -> Iterator[tuple[str, Tensor]]:
    """Each row that an own name stands for, behind what the checkpoint calls its tensor."""
    for row, index in instances(own, parameters):
        if WHERE:
            holds = WHERE.get((released, own))
            if holds is not None and not holds(config, index):
                continue
        if NUMBERS:
            yield numbered(released, index, config), row
        else:
            yield released.format(**index), row


def numbered(released: str, index: dict[str, int], config: Any) -> str:
    """A released name with its indices filled in, and numbers worked out from them."""
    for text, number in NUMBERS.items():
        if text in released:
            released = released.replace(text, str(number(config, index)))
    return released.format(**index)


def instances(own: str, named: Mapping[str, Any]) -> Iterator[tuple[Any, dict[str, int]]]:
    """What has a name with indices in braces, or is in a stack of it; and the indices."""
    path, _, stack = own.removesuffix("}]").partition("[{")
    regex = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>\\d+)", re.escape(path)))
    for name, found in named.items():
        if match := regex.fullmatch(name):
            index = {index: int(value) for index, value in match.groupdict().items()}
            for e, row in enumerate(found) if stack else [(0, found)]:
                yield row, {**index, stack: e}


def stored_copies(model: Any) -> Iterator[tuple[str, str]]:
    """The tensors that the checkpoint stores a second time, and those that they equal."""
    modules = dict(model.named_modules())
    for owner, copy, original in COPIES:
        for _, index in instances(owner, modules):
            if WHERE:
                holds = WHERE.get((copy, original))
                if holds is not None and not holds(model.config, index):
                    continue
            if NUMBERS:
                config = model.config
                yield numbered(copy, index, config), numbered(original, index, config)
            else:
                yield copy.format(**index), original.format(**index)
