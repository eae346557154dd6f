"""What a token leaves in the caches, and what it would leave without their compression.

Joins the cache rows that the forward writes with the products that read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.products import Operand, Product
from specgen.analysis.dataflow.reach import Reach
from specgen.analysis.quantities.terms import (
    CONVENTIONS,
    Quantity,
    Term,
    quantity,
    stored_dtype,
)
from specgen.analysis.table.cases import Case, Folder, Index, Site
from specgen.analysis.table.rows import pattern
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import evaluate_int, expression
from specgen.expr.node import FALSE, Expr, Sym, conjunction, product, symbols

#: Why a table has no expanded cache though it has caches.
UNMET: Final = "no product reads the caches token by token"


@dataclass(frozen=True, slots=True)
class CacheRow:
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


def cached(places: Iterable[Reach], folder: Folder) -> Iterable[CacheRow]:
    """The cache rows that the forward writes, for one token of one sequence."""
    return (row for _, row, _ in written(places, folder))


def written(
    places: Iterable[Reach], folder: Folder
) -> Iterator[tuple[Reach, CacheRow, tuple[Index, ...]]]:
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
                row = CacheRow(
                    pattern((*instance.prefixes["own"], ".", cache.name)),
                    case.amounts,
                    tuple(evaluate_int(dim, folder.env) for dim in case.amounts),
                    dtype,
                    case.multiplicity,
                    case.instances,
                )
                yield place, row, case.indices


def cache_quantities(
    caches: tuple[CacheRow, ...], products: tuple[Product, ...], activations: str, folder: Folder
) -> Iterable[Quantity]:
    """What the caches hold; a forward without caches has no such quantity.

    `products` are those of the main forwards, `activations` the dtype that `act` stands for.
    """
    if not caches:
        return
    yield quantity("cache_elements_per_token", (term(row, sized=False) for row in caches))
    yield quantity("cache_bytes_per_token", (term(row, sized=True) for row in caches))
    yield quantity(
        "cache_bytes", (term(row, sized=True, outer=TOKENS) for row in caches), ("B", "T")
    )
    kept = tuple(operands(products))
    for name, sized in (
        ("cache_elements_per_token_expanded", False),
        ("cache_bytes_per_token_expanded", True),
    ):
        if not kept or any(shape is None for _, shape, _ in kept):
            unit, convention = CONVENTIONS[name]
            yield Quantity(name, unit, convention, None, None, absent=UNMET)
            continue
        yield quantity(name, expanded(kept, activations if sized else None, folder))


#: All tokens of all sequences.
TOKENS: Final = (Sym("B", "axis"), Sym("T", "axis"))


def term(row: CacheRow, *, sized: bool, outer: tuple[Expr, ...] = ()) -> Term:
    scale = DTYPES[row.dtype].bytes if sized else 1
    amount = product(expression(scale), *outer, *row.shape)
    return Term(row.multiplicity, amount, Fraction(row.elements * scale))


#: Where a kept operand is, its shape for one token of one sequence, and its dtype.
Kept = tuple[Product, tuple[Expr, ...] | None, str]


def operands(products: Iterable[Product]) -> Iterator[Kept]:
    """The old values that meet new ones, each once however often it does."""
    seen: set[int] = set()
    for found in products:
        for operand in found.kept:
            if operand.key not in seen:
                seen.add(operand.key)
                yield found, of_one_token(operand), operand.dtype


def of_one_token(operand: Operand) -> tuple[Expr, ...] | None:
    """The dims without those of sequences and tokens; None where these are no dims of their own."""
    shape = tuple(dim for dim in operand.dims if dim not in TOKENS)
    whole = operand.dims.count(Sym("T")) == 1
    return shape if whole and not any({"B", "T"} & symbols(dim) for dim in shape) else None


def expanded(kept: Iterable[Kept], activations: str | None, folder: Folder) -> Iterator[Term]:
    """Elements, or with the dtype of activations bytes, of the operands in all their places."""
    for found, shape, dtype in kept:
        place = found.site
        stored = dtype if dtype in DTYPES else activations
        scale = 1 if activations is None or stored is None else DTYPES[stored].bytes
        amount = product(expression(scale), *(shape or ()))
        for case in folder.fold(Site(place.indices, place.condition, (amount,))):
            yield whole(case, folder)


def whole(case: Case, folder: Folder) -> Term:
    """All instances of a case."""
    value = evaluate_int(case.amounts[0], folder.env) * case.instances
    return Term(
        case.multiplicity,
        case.amounts[0],
        Fraction(value),
        case.assumptions,
        case.closed,
    )
