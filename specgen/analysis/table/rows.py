"""The table of tensors: every stored row, folded, with its closed-form multiplicity.

Rows come from the IR's instance tree; layers and experts stay one row with index ranges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from specgen.analysis.quantities.faults import countable
from specgen.analysis.table.cases import Case, Folder, Index, Indexed, Site
from specgen.analysis.table.instances import OWN, Instance, descend, environment, join, root
from specgen.expr.evaluate import (
    EvaluationError,
    Value,
    evaluate_int,
    expression,
)
from specgen.expr.node import Expr, conjunction, product, substitute
from specgen.expr.printing import to_text
from specgen.ir.model import Program, Template, Tensor
from specgen.records import dataclass

if TYPE_CHECKING:
    import sympy

__all__ = ["OWN", "Index", "Row", "StoredRow", "TableEntry", "entries", "fold", "rows"]


@dataclass(frozen=True, slots=True)
class Row(Indexed):
    """One folded row, its expressions in the names of the model (root scope, lets kept).

    `name` is the table's path, indices in braces (`layers.{layer}.attn.wq_a`), `path` the same
    without them; `released` maps a naming scheme to the checkpoint's name template (expressions
    over indices and params).  `kind` is map, array, bias or scale; `shape` is the stored order,
    [out, in] for a map.  `shared` is "copy" for a second stored copy of `target` (stored, not
    counted), "tied" for a row that is not stored, else None.  `format` is the storage format
    that the row is stored in or, for a scale, belongs to; `fixed` tells whether the table gives
    the row a dtype of its own.  Where conditions on an index give a
    row several shapes, it is several rows of one name.
    """

    name: str
    released: Mapping[str, Template]
    kind: str
    shape: tuple[Expr, ...]
    dims: tuple[int, ...]
    dtype: str
    indices: tuple[Index, ...]
    multiplicity: Expr
    instances: int
    shared: str | None = None
    target: str | None = None
    description: str | None = None
    path: str = ""
    format: str | None = None
    own: Template = ()
    values: Mapping[str, Value] = field(default_factory=dict, repr=False, compare=False)
    fixed: bool = False

    @property
    def elements(self) -> int:
        """Elements over all instances."""
        return self.instances * self.size

    @property
    def size(self) -> int:
        """Elements of one instance."""
        count = 1
        for dim in self.dims:
            count *= dim
        return count

    @property
    def formula(self) -> Expr:
        """Elements over all instances, symbolic: multiplicity first, then the table's order."""
        return product(self.multiplicity, *self.in_out)

    @property
    def shape_sympy(self) -> tuple[sympy.Expr, ...]:
        """The shape as sympy expressions, in the model's params and lets."""
        from specgen.expr.sympy_bridge import to_sympy

        return tuple(map(to_sympy, self.shape))

    @property
    def multiplicity_sympy(self) -> sympy.Expr:
        from specgen.expr.sympy_bridge import to_sympy

        return to_sympy(self.multiplicity)

    @property
    def formula_sympy(self) -> sympy.Expr:
        from specgen.expr.sympy_bridge import to_sympy

        return to_sympy(self.formula)

    @property
    def in_out(self) -> tuple[Expr, ...]:
        """The shape in the order of the table: a map reads `in -> out`."""
        return self.shape[::-1] if self.kind == "map" else self.shape

    @property
    def in_out_dims(self) -> tuple[int, ...]:
        return self.dims[::-1] if self.kind == "map" else self.dims

    @property
    def counted(self) -> bool:
        """Whether its elements are parameters: no scales, and each shared tensor only once."""
        return self.shared is None and self.kind != "scale"

    @property
    def stored(self) -> bool:
        """Whether the checkpoint holds it under this name."""
        return self.shared != "tied"


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A tensor of the checkpoint that a table row stands for: its matrix, or a scale of it."""

    kind: str
    shape: tuple[Expr, ...]
    dtype: str
    names: Mapping[str, Template]


@dataclass(frozen=True, slots=True)
class TableEntry:
    """A tensor row in its place, not yet counted; its condition in the root's names."""

    instance: Instance
    tensor: Tensor
    stored: tuple[StoredRow, ...]
    condition: Expr

    @property
    def path(self) -> tuple[str, ...]:
        return (*self.instance.path, *self.tensor.name.split("."))


def rows(program: Program) -> tuple[Row, ...]:
    """Every row of the table in the order of the table, scales after their weights.

    Raises:
        SpecError: a size has no value, or a pattern over layers is beyond the limits.
    """
    with countable(program):
        folder = Folder(environment(program))
        return tuple(row for entry in entries(root(program)) for row in fold(entry, folder))


def entries(model: Instance) -> Iterator[TableEntry]:
    """The tensor rows in the order of the table; the model's own come after its parts."""
    for instance in descend(model):
        if instance is not model:
            yield from (entry(instance, tensor) for tensor in instance.module.tensors)
    yield from (entry(model, tensor) for tensor in model.module.tensors)


def fold(entry: TableEntry, folder: Folder) -> Iterator[Row]:
    """The rows that an entry is, scales after their weights; none if it never occurs."""
    dims = tuple(dim for stored in entry.stored for dim in stored.shape)
    site = Site(entry.instance.indices, entry.condition, dims)
    for case in folder.fold(site):
        start = 0
        for stored in entry.stored:
            stop = start + len(stored.shape)
            yield row(entry, stored, case, case.amounts[start:stop], folder.env)
            start = stop


def row(
    entry: TableEntry,
    stored: StoredRow,
    case: Case,
    shape: tuple[Expr, ...],
    env: Mapping[str, Value],
) -> Row:
    tensor = entry.tensor
    own = stored.names[OWN]
    dims = tuple(evaluate_int(dim, env) for dim in shape)
    if any(dim < 0 for dim in dims):
        raise EvaluationError(f"`{pattern(own)}` has a negative size: {list(dims)}")
    return Row(
        name=pattern(own),
        released={scheme: name for scheme, name in stored.names.items() if scheme != OWN},
        kind=stored.kind,
        shape=shape,
        dims=dims,
        dtype=stored.dtype,
        indices=case.indices,
        multiplicity=case.multiplicity,
        instances=case.instances,
        shared=tensor.shared,
        target=tensor.target,
        description=tensor.description,
        path=".".join(entry.path),
        format=tensor.format.module if tensor.format else None,
        own=own,
        values=env,
        fixed=tensor.fixed,
    )


def entry(instance: Instance, tensor: Tensor) -> TableEntry:
    """The tensors that a row of the module stores here."""
    program = instance.program
    shape = tuple(instance.resolve(dim) for dim in tensor.shape)
    condition = conjunction(instance.condition, instance.resolve(tensor.condition))
    names = {scheme: template(instance, tensor, scheme) for scheme in instance.prefixes}
    if tensor.format is None:
        dtype = tensor.dtype or program.activation_dtype
        whole = {
            s: instance.packed.get((s, (tensor.name,)), complete(name, tensor, s))
            for s, name in names.items()
        }
        return TableEntry(
            instance, tensor, (StoredRow(tensor.kind, shape, dtype, whole),), condition
        )
    module = program.formats[tensor.format.module]
    inner: dict[str, Expr] = {
        p.name: expression(p.value) for p in module.params if p.value is not None
    }
    inner |= dict(zip(("R", "C"), shape, strict=False))
    inner |= {k: instance.resolve(v) for k, v in tensor.format.arguments.items()}
    for let in module.lets:
        inner[let.name] = substitute(let.expr, inner)
    stored = []
    for held in sorted(module.tensors, key=lambda t: t.name != WEIGHT):
        weight = held.name == WEIGHT
        stored.append(
            StoredRow(
                tensor.kind if weight else "scale",
                tuple(substitute(dim, inner) for dim in held.shape),
                held.dtype or program.activation_dtype,
                {
                    s: complete(name, tensor, s) if weight else join(name, (held.name,))
                    for s, name in names.items()
                },
            )
        )
    return TableEntry(instance, tensor, tuple(stored), condition)


#: The tensor of a storage format that holds the values; its others are scales.
WEIGHT = "weight"


def template(instance: Instance, tensor: Tensor, scheme: str) -> Template:
    """The name of a row in a scheme, before what a map or a format adds to it."""
    given = instance.released(scheme, tensor.name)
    if given is not None:
        return given
    if tensor.kind == "bias":
        base = tensor.name.rpartition(".")[0]
        given = instance.released(scheme, base)
        if given is not None:
            return join(given, ("bias",))
    return join(instance.prefixes[scheme], (tensor.name,))


def complete(name: Template, tensor: Tensor, scheme: str) -> Template:
    """The complete name of the tensor itself: released maps are called `<row>.weight`."""
    return join(name, (WEIGHT,)) if tensor.kind == "map" and scheme != OWN else name


def pattern(name: Template) -> str:
    """The template as text, its expressions in braces."""
    return "".join(p if isinstance(p, str) else f"{{{to_text(p)}}}" for p in name)
