"""The tensors of a checkpoint, folded: each with its name, its shape and the rows that it holds.

A table's rows are `rows`' business; here it is what lies in the file, under one naming scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from itertools import product as combinations
from math import prod
from typing import Final

from specgen.analysis.quantities.faults import countable
from specgen.analysis.table.cases import Folder, Index, Repeated, Site
from specgen.analysis.table.instances import OWN, Instance, descend, environment, join, root
from specgen.analysis.table.rows import WEIGHT, Row, TableEntry, entries, fold, pattern, row
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate, evaluate_int
from specgen.expr.node import ONE, Apply, Const, Expr, Sym, product, symbols, total
from specgen.expr.normal import tidy
from specgen.ir.model import Packing, Program, Rearrangement, Template
from specgen.records import dataclass

#: The naming scheme of released checkpoints, where a table has several.
PREFERRED: Final = "hf"

#: Tensors of one folded tensor that are listed one by one.
MAX_LISTED: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class StoredTensor(Repeated):
    """A tensor of the checkpoint for each choice of its `indices`.

    It holds one of `rows`, or several: see Note [Packing] in the IR.  `stacked` are the indices
    whose instances lie in it; `name` leaves them out, and the rows have them besides `indices`.
    `rearrangement` gives the size of every axis, in the names of the model; None where rows are
    joined along their first dim, or one is stored as it is.
    """

    name: Template
    rows: tuple[Row, ...]
    indices: tuple[Index, ...]
    stacked: tuple[Index, ...]
    rearrangement: Rearrangement | None
    shape: tuple[Expr, ...]
    dims: tuple[int, ...]

    @property
    def first(self) -> Row:
        """The row that it stands for in the order of the table."""
        return self.rows[0]

    @property
    def dtype(self) -> str:
        return self.first.dtype

    @property
    def packed(self) -> bool:
        """Whether it is anything but one row as the row itself is."""
        return len(self.rows) > 1 or bool(self.stacked) or self.rearrangement is not None

    @property
    def elements(self) -> int:
        """Elements over all instances."""
        return sum(row.elements for row in self.rows)


def scheme_of(program: Program) -> str:
    """The naming scheme of the checkpoint; a table without one is stored in its own names."""
    schemes = program.model.names
    if PREFERRED in schemes:
        return PREFERRED
    return min(schemes) if schemes else OWN


def stored(program: Program, scheme: str) -> tuple[StoredTensor, ...]:
    """Every tensor that a checkpoint of this variant holds, in the order of the table.

    `scheme` is a naming scheme of the model, or OWN, in which each row is a tensor.  Where a
    table has no naming scheme, OWN names what a checkpoint holds, and a map's tensor is its name
    and `.weight`.

    Raises:
        KeyError: the table has no such naming scheme.
        SpecError: a size has no value, or a pattern over layers is beyond the limits.
    """
    with countable(program):
        model = root(program)
        return tuple(held(model, tuple(entries(model)), scheme, Folder(environment(program))))


def expand(tensor: StoredTensor) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The name and index values of each instance of a folded tensor.

    Raises:
        SpecError: an expression in the name has no value, or there are too many of them.
    """
    diagnostics = Diagnostics()
    if tensor.instances > MAX_LISTED:
        found = {"count": f"{tensor.instances:,}", "limit": f"{MAX_LISTED:,}"}
        diagnostics.report_values("E0804", None, {"name": tensor.first.name, **found})
        diagnostics.raise_errors()
    indices = tuple(index.name for index in tensor.indices)
    values = [sorted(v for chosen in index.values for v in chosen) for index in tensor.indices]
    try:
        pieces = [writer(piece, indices, values, tensor.first.values) for piece in tensor.name]
        for chosen in combinations(*values):
            text = "".join([piece(chosen) for piece in pieces])
            yield text, dict(zip(indices, chosen, strict=True))
    except EvaluationError as error:
        diagnostics.report("E0803", None, name=pattern(tensor.name), reason=error)
        diagnostics.raise_errors()


def writer(
    piece: str | Expr,
    indices: tuple[str, ...],
    values: list[list[int]],
    env: Mapping[str, Value],
) -> Callable[[tuple[int, ...]], str]:
    """What writes a piece of a name; one that depends on one index is written once per value."""
    if isinstance(piece, str):
        return lambda chosen: piece
    held = [i for i, index in enumerate(indices) if index in symbols(piece)]
    if not held:
        text = describe(evaluate(piece, env))
        return lambda chosen: text
    if len(held) == 1:
        at = held[0]
        index = indices[at]
        if piece == Sym(index):
            return lambda chosen: str(chosen[at])
        texts = {v: describe(evaluate(piece, {**env, index: v})) for v in values[at]}
        return lambda chosen: texts[chosen[at]]
    return lambda chosen: describe(
        evaluate(piece, {**env, **dict(zip(indices, chosen, strict=True))})
    )


def held(
    model: Instance, table: Sequence[TableEntry], scheme: str, folder: Folder
) -> Iterator[StoredTensor]:
    """`stored`, of entries that are known already.

    Raises:
        EvaluationError: a size has no value, or a tensor ends within a byte.
    """
    is_listing = scheme == OWN and bool(model.program.model.names)  # no file has these names
    for tensor in folded(model, table, scheme, folder):
        if not is_listing:
            check_bytes(tensor)
        yield tensor


def folded(
    model: Instance, table: Sequence[TableEntry], scheme: str, folder: Folder
) -> Iterator[StoredTensor]:
    groups = packed(model, table, scheme)
    done: set[int] = set()
    for entry in table:
        group = groups.get(id(entry))
        if group is None:
            yield from (plain(row, scheme) for row in fold(entry, folder) if row.stored)
        elif id(group) not in done:
            done.add(id(group))
            yield from group.fold(scheme, folder)


class PartialByte(EvaluationError):
    """A tensor ends within a byte, which no file can hold."""


def check_bytes(tensor: StoredTensor) -> None:
    """Raises PartialByte where a tensor is no whole number of bytes."""
    bits = DTYPES[tensor.dtype].bits
    if bits < 8 and bits * prod(tensor.dims) % 8:
        shape = " × ".join(map(str, tensor.dims))
        raise PartialByte(
            f"`{tensor.first.name}` is {shape} elements of {bits} bits, which is no whole number of bytes"
        )


def plain(row: Row, scheme: str) -> StoredTensor:
    name = stored_name({OWN: row.own, **row.released}, row.kind, scheme)
    return StoredTensor(name, (row,), row.indices, (), None, row.shape, row.dims)


def stored_name(names: Mapping[str, Template], kind: str, scheme: str) -> Template:
    """What a checkpoint calls a tensor that the schemes give these names.

    Own names are complete as they are, but where checkpoints go by them for want of others.
    """
    if kind == "map" and scheme == OWN and set(names) == {OWN}:
        return join(names[OWN], (WEIGHT,))
    return names[scheme]


@dataclass(frozen=True, slots=True)
class PackedGroup:
    """Entries that one packing puts together; `instance` is the module that states it."""

    instance: Instance
    packing: Packing
    entries: tuple[TableEntry, ...]

    def fold(self, scheme: str, folder: Folder) -> Iterator[StoredTensor]:
        """The tensors that the entries are stored in."""
        first, whole = self.entries[0], self.packing.rearrangement
        name = first.stored[0].names[scheme]
        used = {n for piece in name if isinstance(piece, Expr) for n in symbols(piece)}
        stated = {} if whole is None else whole.sizes
        amounts = [dim for entry in self.entries for dim in entry.stored[0].shape]
        amounts += map(self.instance.resolve, stated.values())
        for case in folder.fold(Site(first.instance.indices, first.condition, tuple(amounts))):
            found = iter(case.amounts)
            rows = tuple(
                row(entry, stored, case, tuple(islice(found, len(stored.shape))), folder.env)
                for entry in self.entries
                for stored in entry.stored
            )
            below = case.indices[len(self.instance.indices) :]
            stacked = tuple(index for index in below if index.name not in used)
            kept = tuple(index for index in case.indices if index not in stacked)
            shape: tuple[Expr, ...]
            if whole is None:
                arranged = None
                shape = joined(rows, stacked)
            else:
                sizes = dict(zip(stated, found, strict=True))
                arranged = replace(whole, sizes=axes(whole, rows, stacked, sizes))
                shape = tuple(
                    tidy(product(*(arranged.sizes[axis] for axis in group)))
                    for group in arranged.outputs
                )
            dims = tuple(evaluate_int(dim, folder.env) for dim in shape)
            yield StoredTensor(name, rows, kept, stacked, arranged, shape, dims)


def joined(rows: Sequence[Row], stacked: Sequence[Index]) -> tuple[Expr, ...]:
    """The shape of rows one after the other, and of all instances of that."""
    counts = tuple(index.count for index in stacked)
    shape = rows[0].shape
    first = tuple(tidy(total(*(row.shape[0] for row in rows))) for _ in shape[:1])
    return (*counts, *first, *shape[1:])


def axes(
    whole: Rearrangement, rows: Sequence[Row], stacked: Sequence[Index], stated: Mapping[str, Expr]
) -> Mapping[str, Expr]:
    """The size of every axis: one axis of each dim follows from the others."""
    sizes = dict(stated)
    several = (Const(len(rows)),) if len(rows) > 1 else ()
    dims = (*several, *(index.count for index in stacked), *rows[0].shape)
    for group, dim in zip(whole.inputs, dims, strict=True):
        known = product(*(sizes[axis] for axis in group if axis in sizes))
        for axis in group:
            if axis not in sizes:
                sizes[axis] = dim if known == ONE else tidy(Apply("/", (dim, known)))
    return sizes


def packed(model: Instance, table: Sequence[TableEntry], scheme: str) -> Mapping[int, PackedGroup]:
    """The groups of entries that the scheme packs, by the id of each entry, which is no key.

    Raises:
        EvaluationError: a module names some rows of a packing that a module inside it states.
    """
    by_row: dict[tuple[Instance, str], list[TableEntry]] = {}
    for entry in table:
        by_row.setdefault((entry.instance, entry.tensor.name), []).append(entry)
    groups: dict[int, PackedGroup] = {}
    for instance in descend(model):  # outer modules first: see Instance.packed
        for packing in instance.module.packings.get(scheme, ()):
            rows = [
                [entry for place, row in leaves(instance, path) for entry in by_row[place, row]]
                for path in packing.rows
            ]
            taken = {id(entry) in groups for found in rows for entry in found}
            if taken == {True}:
                continue
            if True in taken:
                name = pattern(packing.template)
                raise EvaluationError(f"a module around `{name}` names some of its rows, not all")
            for first in rows[0]:
                entries = (next(e for e in r if e.condition == first.condition) for r in rows)
                group = PackedGroup(instance, packing, tuple(entries))
                groups.update((id(entry), group) for entry in group.entries)
    return groups


def leaves(instance: Instance, path: tuple[str, ...]) -> Iterator[tuple[Instance, str]]:
    """The modules that a path leads to, and the name of the row there."""
    if len(path) > 1:
        for child in instance.children:
            if child.path[-1] == path[0]:
                yield from leaves(child, path[1:])
    elif instance.module.tensors_named(path[0]):
        yield instance, path[0]
