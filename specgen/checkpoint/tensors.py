"""tensors.json: every stored tensor, folded: a name pattern with the ranges of its indices.

What stands in braces is an index, or an expression of indices alone.
"""

from __future__ import annotations

from typing import Any

from specgen.analysis.instances import OWN
from specgen.analysis.rows import Row, pattern, rows
from specgen.ir.model import Program, Template
from specgen.sizes.expr import Const, substitute


def document(program: Program) -> dict[str, Any]:
    """The rows that a checkpoint of this variant stores.

    Raises:
        SpecError: the table cannot be counted.
    """
    stored = [row for row in rows(program) if row.stored]
    return {
        "spec": program.name,
        "variant": program.variant,
        "stored_tensors": sum(row.instances for row in stored),
        "tensors": [tensor(row) for row in stored],
    }


def tensor(row: Row) -> dict[str, Any]:
    """One folded row; the ranges are [start, stop, step] with stop left out."""
    names = {OWN: row.own, **row.released}
    found: dict[str, Any] = {
        "names": {scheme: pattern(numbered(name, row)) for scheme, name in names.items()},
        "indices": {
            index.name: [[values.start, values.stop, values.step] for values in index.values]
            for index in row.indices
        },
        "shape": list(row.dims),
        "dtype": row.dtype,
        "count": row.instances,
        "kind": row.kind,
    }
    if row.shared is not None:
        found["shared"] = row.shared
        found["target"] = row.target
    return found


def numbered(name: Template, row: Row) -> Template:
    """The name with its params as numbers, so that only indices are left."""
    known = {n: Const(v) for n, v in row.values.items() if isinstance(v, int | str)}
    return tuple(p if isinstance(p, str) else substitute(p, known) for p in name)
