"""tensors.json: every stored tensor, folded: a name pattern with the ranges of its indices.

What stands in braces is an index, or an expression of indices alone.
"""

from __future__ import annotations

from typing import Any

from specgen.analysis.table.instances import OWN
from specgen.analysis.table.rows import Row, pattern
from specgen.analysis.table.stored import StoredTensor, scheme_of, stored
from specgen.expr.evaluate import evaluate_int
from specgen.expr.node import Const, substitute
from specgen.ir.model import Program, Rearrangement, Template


def document(program: Program) -> dict[str, Any]:
    """The tensors that a checkpoint of this variant holds.

    Raises:
        SpecError: the table cannot be counted.
    """
    scheme = scheme_of(program)
    found = stored(program, scheme)
    counted: dict[str, Any] = {"stored_tensors": sum(tensor.instances for tensor in found)}
    if program.stored_otherwise:
        counted = {"stored_otherwise": program.stored_otherwise}  # these are the table's tensors
    return {
        "spec": program.name,
        "variant": program.variant,
        **counted,
        "tensors": [entry(tensor, scheme) for tensor in found],
    }


def entry(tensor: StoredTensor, scheme: str) -> dict[str, Any]:
    """One folded tensor; the ranges are [start, stop, step] with stop left out."""
    row = tensor.first
    apart = {} if tensor.packed else {OWN: row.own, **row.released}
    names = {**apart, scheme: tensor.name}
    found: dict[str, Any] = {
        "names": {which: pattern(numbered(name, row)) for which, name in names.items()},
        "indices": {
            index.name: [[values.start, values.stop, values.step] for values in index.values]
            for index in tensor.indices
        },
        "shape": list(tensor.dims),
        "dtype": row.dtype,
        "count": tensor.instances,
        "kind": row.kind,
    }
    if tensor.packed:
        found["rows"] = [row.name for row in tensor.rows]
        found["stacked"] = {index.name: index.size for index in tensor.stacked}
        found["arrangement"] = arrangement(tensor.rearrangement, row)
    if row.shared is not None:
        found["shared"] = row.shared
        found["target"] = row.target
    return found


def arrangement(whole: Rearrangement | None, row: Row) -> dict[str, Any] | None:
    """How rows lie in a tensor: the pattern and the size of each axis; null: joined."""
    if whole is None:
        return None
    sides = (" ".join(map(group, side)) for side in (whole.inputs, whole.outputs))
    return {
        "pattern": " -> ".join(sides),
        "sizes": {axis: evaluate_int(size, row.values) for axis, size in whole.sizes.items()},
    }


def group(axes: tuple[str, ...]) -> str:
    """The axes of one dim, as a pattern writes them."""
    return axes[0] if len(axes) == 1 else f"({' '.join(axes)})" if axes else "1"


def numbered(name: Template, row: Row) -> Template:
    """The name with its params as numbers, so that only indices are left."""
    known = {n: Const(v) for n, v in row.values.items() if isinstance(v, int | str)}
    return tuple(p if isinstance(p, str) else substitute(p, known) for p in name)
