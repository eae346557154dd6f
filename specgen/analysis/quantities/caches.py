"""What a token leaves in the caches, and what it would leave without their compression.

Joins the cache rows that the forward writes with the products that read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.cache_rows import CountedCache
from specgen.analysis.dataflow.products import Operand, Product
from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import Quantity, Term, absent, quantity
from specgen.analysis.table.cases import Case, Folder, Site
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import evaluate_int, expression
from specgen.expr.node import Expr, Sym, product, symbols

#: Why a table has no expanded cache though it has caches.
UNMET: Final = "no product reads the caches token by token"


CACHE_ELEMENTS_PER_TOKEN: Final = QuantityRecord(
    "cache_elements_per_token",
    "elements",
    title={"en": "Cache elements per token", "zh": "每个 token 的缓存元素"},
    convention={
        "en": "what one more token of one sequence adds to the caches of all layers",
        "zh": "一个序列多一个 token 时各层缓存增加的元素数",
    },
    of_tokens=True,
)

CACHE_BYTES_PER_TOKEN: Final = QuantityRecord(
    "cache_bytes_per_token",
    "bytes",
    title={"en": "Cache per token", "zh": "每个 token 的缓存"},
    convention={
        "en": "cache_elements_per_token in the cache's dtype",
        "zh": "按缓存的数据类型计的 cache_elements_per_token",
    },
    of_tokens=True,
)

CACHE_ELEMENTS_PER_TOKEN_EXPANDED: Final = QuantityRecord(
    "cache_elements_per_token_expanded",
    "elements",
    title={"en": "Expanded cache elements per token", "zh": "每个 token 的缓存元素，展开"},
    convention={
        "en": (
            "what one more token adds where a runtime keeps, instead of the caches, the keys "
            "and values that the main forward computes from them: all that depends on the "
            "caches and on no new token, and meets a new token in a product"
        ),
        "zh": (
            "若不存缓存而存主前向由它算出的 key 与 value，每多一个 token 增加的元素数：凡只取"
            "决于缓存、与新 token 无关，且在乘积中与新 token 相遇的值"
        ),
    },
    of_tokens=True,
)

CACHE_BYTES_PER_TOKEN_EXPANDED: Final = QuantityRecord(
    "cache_bytes_per_token_expanded",
    "bytes",
    title={"en": "Expanded cache per token", "zh": "每个 token 的缓存，展开"},
    convention={
        "en": "cache_elements_per_token_expanded in the dtype in which they meet the new token",
        "zh": "按与新 token 相遇时的数据类型计的 cache_elements_per_token_expanded",
    },
    of_tokens=True,
)

CACHE_BYTES: Final = QuantityRecord(
    "cache_bytes",
    "bytes",
    title={"en": "Cache", "zh": "缓存"},
    convention={
        "en": (
            "the caches of B sequences of T tokens, in the cache's dtype; a layer with a "
            "window counts all T of them, though it reads only those in its window"
        ),
        "zh": (
            "B 个长度为 T 的序列的缓存，按缓存的数据类型；带窗口的层也计全部 T 个，虽然只读窗口内的"
        ),
    },
    variables=("B", "T"),
    of_tokens=True,
)


def count(context: CountingContext) -> Iterable[Quantity]:
    """What the caches hold; a forward without caches has no such quantity."""
    caches, folder = context.caches, context.folder
    if not caches:
        return
    yield quantity(CACHE_ELEMENTS_PER_TOKEN, (term(row, sized=False) for row in caches))
    yield quantity(CACHE_BYTES_PER_TOKEN, (term(row, sized=True) for row in caches))
    yield quantity(CACHE_BYTES, (term(row, sized=True, outer=TOKENS) for row in caches))
    kept = tuple(operands(context.products))
    activations = context.program.activation_dtype
    for record, dtype in (
        (CACHE_ELEMENTS_PER_TOKEN_EXPANDED, None),
        (CACHE_BYTES_PER_TOKEN_EXPANDED, activations),
    ):
        if not kept or any(shape is None for _, shape, _ in kept):
            yield absent(record, UNMET)
        else:
            yield quantity(record, expanded(kept, dtype, folder))


#: All tokens of all sequences.
TOKENS: Final = (Sym("B", "axis"), Sym("T", "axis"))


def term(row: CountedCache, *, sized: bool, outer: tuple[Expr, ...] = ()) -> Term:
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


GROUP: Final = QuantityGroup(
    (
        CACHE_ELEMENTS_PER_TOKEN,
        CACHE_BYTES_PER_TOKEN,
        CACHE_ELEMENTS_PER_TOKEN_EXPANDED,
        CACHE_BYTES_PER_TOKEN_EXPANDED,
        CACHE_BYTES,
    ),
    count,
)
