"""The ledger of a table: its rows and all its quantities.

Counts come from the rows, costs and caches from the dataflow; a table without a forward has
only the former.  No sympy here: it would cost more time than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.costs import choices, costs
from specgen.analysis.dataflow.peak import activation_peak
from specgen.analysis.dataflow.products import walked
from specgen.analysis.dataflow.reach import reached
from specgen.analysis.quantities.active import active, touched
from specgen.analysis.quantities.caches import CacheRow, cache_quantities, cached
from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.memory import training, weights
from specgen.analysis.quantities.terms import (
    CONVENTIONS,
    OF_TOKENS,
    STORED,
    STORED_OTHERWISE,
    Quantity,
    Term,
    evaluated,
    quantity,
)
from specgen.analysis.table.cases import Folder, Site
from specgen.analysis.table.instances import Instance, descend, environment, root
from specgen.analysis.table.rows import Row, entries, fold
from specgen.analysis.table.stored import StoredTensor, held, scheme_of
from specgen.dtypes import DTYPES, bytes_of
from specgen.expr.evaluate import Value, expression
from specgen.expr.node import ONE, Apply, Expr, Sym, conjunction, negation, product, symbols
from specgen.expr.normal import settled
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model

__all__ = [
    "CONVENTIONS", "NO_CACHE", "NO_DATAFLOW", "NO_TOKENS", "CacheRow", "Ledger", "Quantity", "Storage",
    "evaluated", "ledger", "quantities",
]  # fmt: skip

NO_DATAFLOW: Final = "the table has no forward"
NO_CACHE: Final = "the forward keeps no cache"
NO_TOKENS: Final = "the forward is no language model's: it gives no logits"


@dataclass(frozen=True, slots=True)
class Storage:
    """What the checkpoint holds of one dtype."""

    dtype: str
    tensors: int
    elements: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is counted of a program.

    `rows` are the table's, `stored` the tensors of the checkpoint that holds them.
    `decode_forwards` names the forward that modules with several decode with.  `decided` are
    the conditions on params under which the table has these rows and no others, as they hold.
    `storage` is empty where the release is stored otherwise than the table says.
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
    chosen = choices(model, folder)
    forwards = {module: choice.forward for module, choice in chosen.items()}
    known = [*counts(rows, stored), weights(rows)]
    known.append(training(known[0]))
    if program.has_dataflow:
        walk = walked(model, {})
        main, decoding = walk.products, walked(model, forwards).products
        known += active(program, touched(table, places), folder)
        known += cache_quantities(caches, main, program.activation_dtype, folder)
        known += costs(main, decoding, chosen.values(), folder)
        known.append(activation_peak(model, folder))
        known = [with_limits(one, walk.limits) for one in known]
    found = {quantity.name: with_own(quantity, folder.env) for quantity in known}
    forward = program.model.forward
    spoken = forward is None or is_language_model(forward)
    for name, (unit, convention) in CONVENTIONS.items():
        absent = None
        if name not in found:
            absent = NO_CACHE if program.has_dataflow else NO_DATAFLOW
            if program.has_dataflow and name == "parameters_active_no_vocabulary":
                absent = NO_TOKENS
        elif program.stored_otherwise and name.startswith(STORED):
            absent = STORED_OTHERWISE.format(way=program.stored_otherwise)
        elif taken := [v for v in found[name].variables if v in program.values]:
            absent = f"the table has a param `{taken[0]}`, which is a variable of this quantity"
        elif not spoken:
            found[name] = occurring(found[name], folder.env)
        if absent is not None:
            found[name] = Quantity(name, unit, convention, None, None, absent=absent)
    return Ledger(
        program,
        rows,
        stored,
        {name: found[name] for name in CONVENTIONS},
        () if program.stored_otherwise else storage(stored),
        caches,
        forwards,
        decided(program, places, folder),
        folder.env,
    )


def with_own(quantity: Quantity, env: Mapping[str, Value]) -> Quantity:
    """A quantity with all of its variables: the forward may have others than B, S and T."""
    if quantity.expr is None or not quantity.variables:
        return quantity
    own = sorted(symbols(quantity.expr) - env.keys() - {*quantity.variables})
    return replace(quantity, variables=(*quantity.variables, *own)) if own else quantity


def occurring(quantity: Quantity, env: Mapping[str, Value]) -> Quantity:
    """A quantity with the variables that its formula has: other forwards need not have them all."""
    if quantity.expr is None or not quantity.variables:
        return quantity
    kept = tuple(name for name in quantity.variables if name in symbols(quantity.expr))
    value = None if kept else evaluated(quantity, env)
    return replace(quantity, variables=kept, value=value)


def with_limits(quantity: Quantity, limits: tuple[Expr, ...]) -> Quantity:
    """The quantity, which says where it counts tokens that a query may not see."""
    return replace(quantity, limits=limits) if quantity.name.startswith(OF_TOKENS) else quantity


def decided(program: Program, places: Iterable[Instance], folder: Folder) -> tuple[Expr, ...]:
    """What conditions and storage formats were decided to be, in the model's names, each once.

    What was left out because it does not occur for these values is decided as well.
    """
    found = {
        settled(instance.resolve(condition)): None
        for instance in places
        for condition in instance.module.decided
    }
    for instance in descend(root(program)):
        known = {*folder.env, *(index for index, _ in instance.indices)}
        for condition in map(instance.resolve, instance.module.bounded):
            if symbols(condition) <= known:
                never = conjunction(instance.condition, negation(condition))
                folder.fold(Site(instance.indices, never, ()))
    found.update((settled(condition), None) for condition in folder.absent)
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
            scale = DTYPES[row.dtype].bytes if factor is None else factor
            yield Term(
                row.multiplicity,
                product(expression(scale), *row.in_out),
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
    found = [Storage(d, tensors[d], elements[d], bytes_of(d, elements[d])) for d in tensors]
    return tuple(sorted(found, key=lambda s: (-s.bytes, s.dtype)))
