"""The cache rows that a forward writes, folded: what one token adds to each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from specgen.analysis.dataflow.reach import Reach
from specgen.analysis.table.cases import Folder, Index, Site
from specgen.analysis.table.rows import pattern
from specgen.expr.evaluate import evaluate_int
from specgen.expr.node import FALSE, Expr, Sym, conjunction
from specgen.ir.model import stored_dtype
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class CountedCache:
    """A cache row that the forward writes; `shape` is what one token adds to one instance."""

    name: str
    shape: tuple[Expr, ...]
    dims: tuple[int, ...]
    dtype: str
    multiplicity: Expr
    instances: int

    @property
    def elements(self) -> int:
        count = self.instances
        for dim in self.dims:
            count *= dim
        return count


def cached(places: Iterable[Reach], folder: Folder) -> Iterable[CountedCache]:
    """The cache rows that the forward writes, for one token of one sequence."""
    return (row for _, row, _ in written(places, folder))


def written(
    places: Iterable[Reach], folder: Folder
) -> Iterator[tuple[Reach, CountedCache, tuple[Index, ...]]]:
    """The cache rows that the forward writes, with the places that do and their indices."""
    for place in places:
        instance = place.instance
        for cache in instance.module.caches:
            condition = place.cache(cache.name)
            if condition == FALSE:
                continue
            outer = {"B", cache.along}
            shape = tuple(
                instance.resolve(dim)
                for dim in cache.shape
                if not (isinstance(dim, Sym) and dim.name in outer)
            )
            site = Site(instance.indices, conjunction(instance.condition, condition), shape)
            dtype = stored_dtype(instance.program, cache.dtype)
            for case in folder.fold(site):
                row = CountedCache(
                    pattern((*instance.prefixes["own"], ".", cache.name)),
                    case.amounts,
                    tuple(evaluate_int(dim, folder.env) for dim in case.amounts),
                    dtype,
                    case.multiplicity,
                    case.instances,
                )
                yield place, row, case.indices
