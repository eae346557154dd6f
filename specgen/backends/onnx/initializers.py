"""The initializers that hold a row: the tensor itself, a stack of them, or pieces of a checkpoint.

Says what each is called, its shape, and where its bytes come from; reads and adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product as combinations
from math import prod

from specgen.analysis.table.cases import Index
from specgen.analysis.table.rows import Row
from specgen.analysis.table.stored import StoredTensor
from specgen.backends.onnx.expert_shards import ExpertShard, overlays
from specgen.backends.onnx.options import Options
from specgen.dtypes import bytes_of
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate
from specgen.expr.node import Expr, symbols
from specgen.expr.printing import to_text
from specgen.huggingface.safetensors import ByteRange
from specgen.ir.model import Template
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class StoredInitializer:
    """An initializer: `pattern` is the released name, stacked indices in braces, and `stacked`
    says which instances of each of them it holds.  An expert alone has no `pattern`: there are
    many of them, and its own name is the released one.

    `sources` are the places of its tensors in the checkpoint, if there is one: one after the
    other they are its bytes, and from the first of them it reaches over all.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    pattern: str
    stacked: tuple[tuple[str, str], ...] = ()
    sources: tuple[ByteRange, ...] = ()

    @property
    def bytes(self) -> int:
        return bytes_of(self.dtype, prod(self.shape))


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A row that is looked for: `path` and `values` are those of its instance in the table.

    `outside` are the indices of mixtures that its tensor has an instance for each value of.
    """

    tensor: StoredTensor
    row: Row
    path: str
    values: Mapping[str, int]
    outside: tuple[Index, ...]

    @property
    def stack(self) -> str:
        """The released name without the indices of mixtures."""
        names = frozenset(index.name for index in self.outside)
        name = without(self.tensor.name, names) if names else self.tensor.name
        return written(name, self.row.values, self.values)

    @property
    def pattern(self) -> str:
        """The released name with the indices of mixtures in braces."""
        names = frozenset(index.name for index in self.outside)
        return written(self.tensor.name, self.row.values, self.values, names)

    def released(self) -> list[str]:
        """The released names of all instances, in the order of their indices."""
        return self._each(self.tensor.name)

    def own(self) -> list[str]:
        """The paths of all instances in the table."""
        return self._each(self.row.own)

    def _each(self, name: Template) -> list[str]:
        """The name of every instance: there may be thousands, whatever can be is done once."""
        indices = [index.name for index in self.outside]
        scope = {**self.row.values, **self.values}
        template = settled(name, scope, frozenset(indices))
        found = []
        for chosen in combinations(*(range(index.size) for index in self.outside)):
            scope.update(zip(indices, chosen, strict=True))
            texts = (p if isinstance(p, str) else describe(evaluate(p, scope)) for p in template)
            found.append("".join(texts))
        return found


def initializers(
    place: RowPlace, options: Options, checkpoint: Mapping[str, ByteRange]
) -> Iterator[tuple[ExpertShard, StoredInitializer]]:
    """What holds a row, or all instances of a row of a mixture.

    Raises:
        EvaluationError: its tensors cannot be put together, or have to be and lie in a checkpoint.
    """
    beside = bool(checkpoint) and options.beside_checkpoint
    if not place.outside or (not options.apart and not beside):
        yield ExpertShard(place.path), whole(place, checkpoint)
        return
    if len(place.outside) > 1:
        raise EvaluationError(f"`{place.row.name}`: experts of experts are one stack or nothing")
    names, paths = place.released(), place.own()
    sources = [checkpoint[name] for name in names] if checkpoint else []
    if options.apart or not beside:
        for instance in range(len(names)):
            yield single(place, names, paths, sources, instance)
        return
    found = list(overlays(sources, as_bytes=options.experts == "gathered"))
    for number, held in enumerate(found):
        if isinstance(held, int):
            yield single(place, names, paths, sources, held)
        else:
            name = place.stack if len(found) == 1 else f"{place.stack}.{number}"
            piece = ExpertShard(f"{place.path}.{number}", held)
            yield piece, overlay(place, name, held, sources)


def whole(place: RowPlace, checkpoint: Mapping[str, ByteRange]) -> StoredInitializer:
    """A tensor, or the stack of all instances."""
    sources = tuple(checkpoint[name] for name in place.released()) if checkpoint else ()
    dtypes = {source.dtype for source in sources} or {place.tensor.dtype}
    if len(dtypes) > 1:
        found = ", ".join(sorted(dtypes))
        raise EvaluationError(f"`{place.row.name}` has several dtypes ({found}) in the checkpoint")
    shape = (*(index.size for index in place.outside), *place.tensor.dims)
    ranges = tuple((index.name, f"0..{index.size - 1}") for index in place.outside)
    name = place.stack
    pattern = place.pattern if place.outside else name
    return StoredInitializer(name, dtypes.pop(), shape, pattern, ranges, sources)


def single(
    place: RowPlace, names: list[str], paths: list[str], sources: list[ByteRange], instance: int
) -> tuple[ExpertShard, StoredInitializer]:
    """One instance, under its released name."""
    name = names[instance]
    dtype = sources[instance].dtype if sources else place.tensor.dtype
    source = (sources[instance],) if sources else ()
    stored = StoredInitializer(name, dtype, place.tensor.dims, "", (), source)
    return ExpertShard(paths[instance], only=instance), stored


def overlay(
    place: RowPlace, name: str, held: Mapping[int, int], sources: list[ByteRange]
) -> StoredInitializer:
    """Several instances in one file, and what lies between them."""
    (index,) = place.outside
    lies = ",".join(f"{instance}@{at}" for instance, at in held.items())
    found = tuple(sources[instance] for instance in held)
    shape = (max(held.values()) + 1, *place.tensor.dims)
    return StoredInitializer(
        name, found[0].dtype, shape, place.pattern, ((index.name, lies),), found
    )


def without(name: Template, indices: frozenset[str]) -> Template:
    """The name without the pieces that hold an index, and without the dot before each."""
    kept: list[str | Expr] = []
    for piece in name:
        if isinstance(piece, str) or indices.isdisjoint(symbols(piece)):
            kept.append(piece)
        elif kept and isinstance(kept[-1], str):
            kept[-1] = kept[-1].removesuffix(".")
    return tuple(kept)


def settled(name: Template, scope: Mapping[str, Value], open_: frozenset[str]) -> Template:
    """The name with the values of its expressions, but for those of `open_` indices."""
    return tuple(
        piece
        if isinstance(piece, str) or not open_.isdisjoint(symbols(piece))
        else describe(evaluate(piece, scope))
        for piece in name
    )


def written(
    name: Template,
    env: Mapping[str, Value],
    values: Mapping[str, int],
    open_: frozenset[str] = frozenset(),
) -> str:
    """The name with its expressions' values; those of `open_` indices stay, in braces."""
    pieces = settled(name, {**env, **values}, open_)
    return "".join(p if isinstance(p, str) else f"{{{to_text(p)}}}" for p in pieces)
