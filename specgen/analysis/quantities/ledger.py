"""The ledger of a table: its rows and all its quantities.

Counts come from the rows, costs and caches from the dataflow; a table without a forward has
only the former.  No sympy here: it would cost more time than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from specgen.analysis.dataflow.cache_rows import CountedCache
from specgen.analysis.quantities.context import CountingContext, taken_apart
from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.record import NO_DATAFLOW, QuantityRecord
from specgen.analysis.quantities.registry import GROUPS, QUANTITIES
from specgen.analysis.quantities.terms import STORED_OTHERWISE, Quantity, absent, evaluated
from specgen.analysis.quantities.variables import IS_LENGTH, no_bytes
from specgen.analysis.table.cases import Folder, Site
from specgen.analysis.table.instances import Instance, descend, root
from specgen.analysis.table.rows import Row
from specgen.analysis.table.stored import StoredTensor
from specgen.dtypes import bytes_of
from specgen.expr.evaluate import Value, expression
from specgen.expr.node import Apply, Expr, Sym, conjunction, negation, symbols
from specgen.expr.normal import settled
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from specgen.records import dataclass

__all__ = ["Ledger", "Quantity", "Storage", "evaluated", "ledger", "quantities"]


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
    caches: tuple[CountedCache, ...]
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
    context = taken_apart(program)
    env = context.folder.env
    found: dict[str, Quantity] = {}
    for group in GROUPS:
        known: Mapping[str, Quantity] = {}
        if program.has_dataflow or not group.need_forward:
            known = {one.name: one for one in group.count(context)}
        for record in group.records:
            one = known.get(record.name)
            found[record.name] = (
                absent(record, group.lacking if program.has_dataflow else NO_DATAFLOW)
                if one is None
                else completed(one, record, context)
            )
    return Ledger(
        program,
        context.rows,
        context.stored,
        {name: found[name] for name in QUANTITIES},
        () if program.stored_otherwise else storage(context.stored),
        context.caches,
        context.decode_forwards,
        decided(program, context.places, context.folder),
        env,
    )


def completed(found: Quantity, record: QuantityRecord, context: CountingContext) -> Quantity:
    """A quantity with what its record does not say: its own variables, and limits of sight."""
    program, env = context.program, context.folder.env
    if record.of_tokens:
        found = replace(found, limits=context.limits)
    found = with_own(found, env)
    if program.stored_otherwise and record.of_storage:
        return absent(record, STORED_OTHERWISE.format(way=program.stored_otherwise))
    if taken := [name for name in found.variables if name in env]:
        kind = "param" if taken[0] in program.values else "let"
        return absent(
            record, f"the table has a {kind} `{taken[0]}`, which is a variable of this quantity"
        )
    if mixed := [name for name in no_bytes(program) if name in record.variables]:
        return absent(record, IS_LENGTH.format(name=mixed[0]))
    forward = program.model.forward
    is_spoken = forward is None or is_language_model(forward)
    return found if is_spoken else occurring(found, env)


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


def storage(stored: tuple[StoredTensor, ...]) -> tuple[Storage, ...]:
    """What is stored of each dtype, most bytes first."""
    tensors: dict[str, int] = {}
    elements: dict[str, int] = {}
    for tensor in stored:
        tensors[tensor.dtype] = tensors.get(tensor.dtype, 0) + tensor.instances
        elements[tensor.dtype] = elements.get(tensor.dtype, 0) + tensor.elements
    found = [Storage(d, tensors[d], elements[d], bytes_of(d, elements[d])) for d in tensors]
    return tuple(sorted(found, key=lambda s: (-s.bytes, s.dtype)))
