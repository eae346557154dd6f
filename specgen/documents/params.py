"""The document of `params`: rows and quantities of one variant as plain data, ready for JSON.

The other formats are renderings of it, in `params_listing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from specgen.analysis.quantities.ledger import Ledger, Quantity, ledger
from specgen.analysis.table.instances import OWN, definitions
from specgen.analysis.table.rows import Row, pattern
from specgen.analysis.table.stored import expand, stored
from specgen.diagnostics.diagnostic import UnknownName, suggestion
from specgen.expr.evaluate import plain
from specgen.expr.node import Expr, substitute
from specgen.expr.printing import to_text
from specgen.ir.model import Program
from specgen.text.json_text import json_text
from specgen.text.printable import safe_json

#: A document of JSON: dicts, lists, texts, numbers.
Document = dict[str, Any]

#: The naming schemes that every table has, whatever it declares.
ALWAYS: Final = (OWN,)


def list_schemes(program: Program) -> tuple[str, ...]:
    """The naming schemes that tensors can be listed under."""
    return (*ALWAYS, *program.model.names)


def describe_program(program: Program, tensors: str | None = None) -> Document:
    """Rows and quantities; with `tensors`, every stored tensor under that naming scheme.

    Raises:
        SpecError: the table cannot be counted.
        KeyError: the table has no such naming scheme.
    """
    found = ledger(program)
    lets = definitions(program)
    shared = [row for row in found.rows if row.shared is not None]
    result: Document = {
        "spec": program.name,
        "variant": program.variant,
        **({"origin": program.origin} if program.origin else {}),
        **({"stored_otherwise": program.stored_otherwise} if program.stored_otherwise else {}),
        "params": {name: plain(value) for name, value in program.values.items()},
        "quantities": {q.name: q.value for q in found.quantities.values() if q.value is not None},
        "functions": describe_functions(found, lets),
        "absent": {q.name: q.absent for q in found.quantities.values() if q.absent is not None},
        "remarks": {q.name: q.remark for q in found.quantities.values() if q.remark},
        "rows": [describe_row(row, lets) for row in found.rows if row.shared is None],
        "shared": [describe_row(row, lets) for row in shared],
    }
    if tensors is not None:
        result["names"] = tensors
        result["tensors"] = list(list_tensors(program, tensors))
    return result


def describe_functions(found: Ledger, lets: Mapping[str, Expr]) -> Document:
    """The quantities with free variables: which, and the closed form in params."""
    return {
        q.name: {"variables": list(q.variables), "formula": to_text(substitute(q.expr, lets))}
        for q in found.quantities.values()
        if q.variables and q.expr is not None
    }


def describe_quantity(quantity: Quantity, lets: Mapping[str, Expr]) -> dict[str, Any]:
    """One quantity; its formula holds for all params under which the assumptions hold."""
    found: dict[str, Any] = {"unit": quantity.unit, "convention": quantity.convention}
    if quantity.expr is None:
        return {**found, "absent": quantity.absent}
    found["formula"] = to_text(substitute(quantity.expr, lets))
    found["with_lets"] = to_text(quantity.expr)
    found["assumes"] = [to_text(substitute(a, lets)) for a in quantity.assumptions]
    if quantity.remark:
        found["remark"] = quantity.remark
    if not quantity.closed:
        found["closed"] = False
    if quantity.variables:
        found["variables"] = list(quantity.variables)
        if quantity.recipes:
            found["recipes"] = {
                recipe.name: {"values": dict(recipe.values), "describes": recipe.description}
                for recipe in quantity.recipes
            }
    else:
        found["value"] = quantity.value
    return found


def describe_row(row: Row, lets: Mapping[str, Expr]) -> Document:
    """One row: sizes in the table's own names, its formula in params."""
    found: Document = {
        "name": row.name,
        "shape": list(row.dims),
        "shape_expr": [to_text(dim) for dim in row.shape],
        "in_out": list(row.in_out_dims),
        "dtype": row.dtype,
        "multiplicity": row.instances,
        "multiplicity_expr": to_text(row.multiplicity),
        "elements": row.elements,
        "formula": to_text(substitute(row.formula, lets)),
        "kind": row.kind,
        "describes": row.description,
        "released": {scheme: pattern(name) for scheme, name in row.released.items()},
    }
    if row.assumptions:
        found["assumes"] = [to_text(assumption) for assumption in row.assumptions]
    if not row.closed:
        found["closed"] = False
    if row.shared is not None:
        found["shared"] = row.shared
        found["target"] = row.target
    return found


def list_tensors(program: Program, scheme: str) -> Iterator[Document]:
    """Every stored tensor in the order of the table, repeated ones by their indices."""
    for tensor in stored(program, scheme):
        shape = list(tensor.dims)
        for name, _ in expand(tensor):
            yield {"name": name, "shape": shape, "dtype": tensor.dtype}


def to_json(documents: Document | Sequence[Document]) -> str:
    """A document, or a list of them, as one JSON text; long lists of tensors stay compact."""
    found = [documents] if isinstance(documents, dict) else documents
    if any("tensors" in document for document in found):
        return safe_json(json.dumps(documents, ensure_ascii=False, separators=(",", ":"))) + "\n"
    return json_text(documents)


def render(
    programs: Sequence[Program], form: str, scheme: str | None = None, *, is_list: bool = False
) -> bytes:
    """The documents of programs in a format (text, md, json, csv); `is_list` asks for a list even of
    one.

    Raises:
        UnknownName: a table has no such naming scheme.
        SpecError: a table cannot be counted.
    """
    for program in programs:
        require_scheme(program, scheme)
    documents = [describe_program(program, scheme) for program in programs]
    if form == "json":
        return to_json(documents if is_list else documents[0]).encode()
    from specgen.documents import params_listing as listing

    renderers = {"text": listing.to_terminal, "md": listing.to_markdown, "csv": listing.to_csv}
    return renderers[form](documents).encode()


def require_scheme(program: Program, scheme: str | None) -> None:
    """Refuses a naming scheme that the table does not have."""
    known = list_schemes(program)
    if scheme is not None and scheme not in known:
        close = suggestion(scheme, known) or ", ".join(known)
        raise UnknownName(f"`{program.name}` has no naming scheme `{scheme}`; it has {close}")
