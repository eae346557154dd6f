"""The ledger of a table: its rows and all its quantities.

Counts come from the rows, costs and caches from the dataflow; a table without a forward has
only the former.  No sympy here: it would cost more time than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from specgen.analysis.active import active, touched
from specgen.analysis.cases import Folder, Site
from specgen.analysis.costs import Costs, cheapest
from specgen.analysis.faults import countable
from specgen.analysis.instances import Instance, environment, root
from specgen.analysis.reach import Reach, reached
from specgen.analysis.rows import Row, entries, fold, pattern
from specgen.analysis.stored import StoredTensor, held, scheme_of
from specgen.analysis.terms import CONVENTIONS, Quantity, Term, evaluated, quantity
from specgen.ir.model import ACTIVATION, Program
from specgen.sizes.evaluate import Value, evaluate_int, expression
from specgen.sizes.expr import (
    FALSE,
    ONE,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    product,
    substitute,
    symbols,
    transform,
)
from specgen.sizes.normal import settled

__all__ = [
    "BYTES", "CONVENTIONS", "NO_CACHE", "NO_DATAFLOW", "CacheRow", "Ledger", "Quantity", "Storage", "evaluated", "ledger",
    "quantities",
]  # fmt: skip

#: Bytes of one element.
BYTES: Final[Mapping[str, int]] = {
    "f64": 8, "f32": 4, "f16": 2, "bf16": 2, "f8e4m3": 1,
    "i64": 8, "i32": 4, "i8": 1, "u8": 1, "bool": 1,
}  # fmt: skip

NO_DATAFLOW: Final = "the table has no forward"
NO_CACHE: Final = "the forward keeps no cache"


@dataclass(frozen=True, slots=True)
class Storage:
    """What the checkpoint holds of one dtype."""

    dtype: str
    tensors: int
    elements: int
    bytes: int


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


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is counted of a program.

    `rows` are the table's, `stored` the tensors of the checkpoint that holds them.
    `decode_forwards` names the forward that modules with several decode with.  `decided` are
    the conditions on params under which the table has these rows and no others, as they hold.
    `values` are those of the params and of the model's lets.
    """

    program: Program
    rows: tuple[Row, ...]
    stored: tuple[StoredTensor, ...]
    quantities: Mapping[str, Quantity]
    storage: tuple[Storage, ...]
    caches: tuple[CacheRow, ...]
    decode_forwards: Mapping[str, str]
    decided: tuple[Expr, ...]
    values: Mapping[str, Value]

    def value(self, name: str) -> int:
        """The value of a quantity that has one."""
        value = self.quantities[name].value
        if value is None:
            raise KeyError(name)
        return value


def ledger(program: Program) -> Ledger:
    """Counts everything.

    Raises:
        SpecError: a size has no value, or a pattern over layers is beyond the limits.
    """
    with countable(program):
        return counted(program)


def counted(program: Program) -> Ledger:
    """`ledger`, before its faults are diagnostics."""
    model = root(program)
    folder = Folder(environment(program))
    table = tuple(entries(model))
    rows = tuple(row for entry in table for row in fold(entry, folder))
    stored = tuple(held(model, table, scheme_of(program), folder))
    places = {place.instance: place for place in reached(model)}
    caches = tuple(cached(places.values(), folder))
    chosen = cheapest(model, folder)
    found = {quantity.name: quantity for quantity in counts(rows, stored)}
    if program.has_dataflow:
        for quantity in (
            *active(program, touched(table, places), folder),
            *cache_quantities(caches),
            *costs(model, folder, chosen),
        ):
            found[quantity.name] = quantity
    for name, (unit, convention) in CONVENTIONS.items():
        if name not in found:
            absent = NO_CACHE if program.has_dataflow else NO_DATAFLOW
            found[name] = Quantity(name, unit, convention, None, None, absent=absent)
    return Ledger(
        program,
        rows,
        stored,
        {name: found[name] for name in CONVENTIONS},
        storage(stored),
        caches,
        chosen,
        decided(program, places),
        folder.env,
    )


def decided(program: Program, places: Iterable[Instance]) -> tuple[Expr, ...]:
    """What conditions and storage formats were decided to be, in the model's names, each once."""
    found = {
        settled(instance.resolve(condition)): None
        for instance in places
        for condition in instance.module.decided
    }
    formats = [
        Apply("==", (Sym(param.name), expression(param.value)))
        for param in program.model.params
        if param.kind == "dtype"
    ]
    return (*(condition for condition in found if symbols(condition)), *formats)


def quantities(program: Program) -> Mapping[str, Quantity]:
    """Every quantity by name; see `ledger` for the errors."""
    return ledger(program).quantities


# ---- counts ----------------------------------------------------------------------------


def counts(rows: tuple[Row, ...], tensors: tuple[StoredTensor, ...]) -> Iterable[Quantity]:
    """The quantities that need the table only.

    Elements and bytes are the same whether rows are packed or not: they are the rows' own.
    """
    stored = [row for row in rows if row.stored]

    def of(chosen: Iterable[Row], factor: int | None = None) -> Iterable[Term]:
        for row in chosen:
            scale = BYTES[row.dtype] if factor is None else factor
            yield Term(
                row.multiplicity,
                product(Const(scale), *row.in_out),
                Fraction(row.elements * scale),
                row.assumptions,
                row.closed,
            )

    yield quantity("parameters", of((row for row in rows if row.counted), 1))
    yield quantity(
        "stored_tensors",
        (
            Term(held.multiplicity, ONE, Fraction(held.instances), held.assumptions, held.closed)
            for held in tensors
        ),
    )
    yield quantity("stored_elements", of(stored, 1))
    yield quantity("stored_scales", of((row for row in stored if row.kind == "scale"), 1))
    yield quantity(
        "stored_copies", of((row for row in stored if row.shared and row.kind != "scale"), 1)
    )
    yield quantity("stored_bytes", of(stored))


def storage(stored: tuple[StoredTensor, ...]) -> tuple[Storage, ...]:
    """What is stored of each dtype, most bytes first."""
    tensors: dict[str, int] = {}
    elements: dict[str, int] = {}
    for tensor in stored:
        tensors[tensor.dtype] = tensors.get(tensor.dtype, 0) + tensor.instances
        elements[tensor.dtype] = elements.get(tensor.dtype, 0) + tensor.elements
    found = [Storage(d, tensors[d], elements[d], elements[d] * BYTES[d]) for d in tensors]
    return tuple(sorted(found, key=lambda s: (-s.bytes, s.dtype)))


# ---- caches and costs ------------------------------------------------------------------


def cached(places: Iterable[Reach], folder: Folder) -> Iterable[CacheRow]:
    """The cache rows that the forward writes, for one token of one sequence."""
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
                yield CacheRow(
                    pattern((*instance.prefixes["own"], ".", cache.name)),
                    case.amounts,
                    tuple(evaluate_int(dim, folder.env) for dim in case.amounts),
                    dtype,
                    case.multiplicity,
                    case.instances,
                )


def stored_dtype(program: Program, dtype: str) -> str:
    """The dtype that is stored where a row follows the working precision."""
    return program.activation_dtype if dtype == ACTIVATION else dtype


def cache_quantities(caches: tuple[CacheRow, ...]) -> Iterable[Quantity]:
    """What a token adds to the caches; a forward without caches has no such quantity."""
    if not caches:
        return
    for name, sized in (("cache_elements_per_token", False), ("cache_bytes_per_token", True)):
        terms = []
        for row in caches:
            scale = BYTES[row.dtype] if sized else 1
            terms.append(
                Term(
                    row.multiplicity,
                    product(Const(scale), *row.shape),
                    Fraction(row.elements * scale),
                )
            )
        yield quantity(name, terms)


def costs(model: Instance, folder: Folder, chosen: Mapping[str, str]) -> Iterable[Quantity]:
    """The operations of a prefill and of one step of decoding."""
    prefill: Mapping[str, Expr] = {"T": Sym("S")}
    decode: Mapping[str, Expr] = {"S": ONE}
    for name, forwards, fixed, variables in (
        ("flops_prefill", {}, prefill, ("B", "S")),
        ("flops_decode", chosen, decode, ("B", "T")),
    ):
        terms = []
        for site in Costs(forwards).sites(model):
            for case in folder.fold(site):
                operations = transform(substitute(case.amounts[0], fixed), without_ones)
                terms.append(
                    Term(
                        case.multiplicity,
                        operations,
                        Fraction(0),
                        tuple(a for index in case.indices for a in index.assumptions),
                        all(index.closed for index in case.indices),
                    )
                )
        yield quantity(name, terms, variables)


def without_ones(expr: Expr) -> Expr:
    """A product without a factor of 1."""
    match expr:
        case Apply(op="*", args=args):
            return product(*args)
        case _:
            return expr
