"""The formulas back end: formulas.json, the closed form of each quantity in the spec's params.

Formulas are texts in Python's notation with exact division; `//` and rounding never occur,
`ceil` and `floor` do.  Needs no dataflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.variables import VARIABLES, meaning
from specgen.analysis.table.instances import definitions
from specgen.documents.params import describe_quantity
from specgen.expr.evaluate import Value, plain
from specgen.expr.node import Expr, substitute
from specgen.expr.printing import to_text
from specgen.ir.model import Let, Param, Program
from specgen.text.json_text import json_text


def emit(program: Program, counts: Ledger | None = None) -> Mapping[str, bytes]:
    """formulas.json, the same bytes for the same program; `counts` is its ledger, if there.

    Raises:
        SpecError: the table cannot be counted.
    """
    return {"formulas.json": json_text(document(counts or ledger(program))).encode()}


def document(found: Ledger) -> dict[str, Any]:
    """Params, lets, requirements and quantities as plain data."""
    program = found.program
    lets = definitions(program)
    return {
        "spec": program.name,
        "variant": program.variant,
        "params": {param.name: param_document(param) for param in program.model.params},
        "let": {
            let.name: let_document(let, lets, found.values.get(let.name))
            for let in program.model.lets
        },
        "require": [
            {"condition": to_text(demand.condition), "reason": demand.reason}
            for demand in program.model.requires
        ],
        "decided": [to_text(substitute(condition, lets)) for condition in found.decided],
        "decode_forwards": dict(found.decode_forwards),
        "variables": {n: meaning(n, program) for n in (*VARIABLES, *own_variables(found))},
        "quantities": {
            quantity.name: describe_quantity(quantity, lets)
            for quantity in found.quantities.values()
        },
    }


def own_variables(found: Ledger) -> list[str]:
    """The shape variables that the table's forward has beside those of all."""
    used = {name for quantity in found.quantities.values() for name in quantity.variables}
    return sorted(used - VARIABLES.keys())


def param_document(param: Param) -> dict[str, Any]:
    found: dict[str, Any] = {"type": param.kind, "value": plain(param.value)}
    if param.unit is not None:
        found["unit"] = param.unit
    if param.description is not None:
        found["describes"] = param.description
    return found


def let_document(let: Let, lets: Mapping[str, Expr], value: Value) -> dict[str, Any]:
    found: dict[str, Any] = {
        "definition": to_text(let.expr),
        "formula": to_text(lets[let.name]),
        "value": plain(value),
    }
    if let.unit is not None:
        found["unit"] = let.unit
    if let.description is not None:
        found["describes"] = let.description
    return found
