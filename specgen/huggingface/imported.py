"""The answer to a configuration: quantities, the variant that it is, and the shipped one nearest.

Documents as plain data and as text.  What a file says is quoted as JSON; the variant block has
names and values of the table alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from specgen.analysis.quantities.ledger import ledger
from specgen.diagnostics.diagnostic import Diagnostics, RequestError
from specgen.documents.params_listing import list_remarks
from specgen.expr.evaluate import describe, plain
from specgen.frontend import values as bind
from specgen.frontend.given import read_all_given
from specgen.frontend.modules.module import ModuleViews
from specgen.frontend.origin import TableOrigin
from specgen.frontend.values import Override
from specgen.huggingface.binding import Bound, BoundTable, load_table
from specgen.huggingface.binding import bind as bind_to
from specgen.huggingface.choosing import choose, read_as
from specgen.huggingface.configuration import read, shown, shown_text
from specgen.huggingface.configured import Configured
from specgen.huggingface.select import called, select
from specgen.ir.model import ParamValue
from specgen.records import dataclass
from specgen.text.json_text import json_text

#: Numbers of a list that stand on one line of a variant block.
PER_LINE: Final = 8

#: What is said of keys that set nothing, by what became of them.
HEADINGS: Final = {
    "no effect": "without effect",
    "unsaid": "as without the key",
    "not counted": "says how weights are stored, which is not counted",
    "outside": "of the model around it, which is not read",
    "ignored": "ignored",
}

#: What the block calls the variant.
VARIANT: Final = "imported"


@dataclass(frozen=True, slots=True)
class Nearest:
    """The shipped variant with the fewest other values: name -> its value and the file's."""

    variant: str
    differs: Mapping[str, tuple[ParamValue, ParamValue]]


def import_configuration(
    path: str,
    spec: str | None = None,
    ignore: Sequence[str] = (),
    overrides: Mapping[str, Override] | None = None,
) -> dict[str, Any]:
    """What a released config.json means, as `document` says it; `spec` is the table to read it as,
    `ignore` are keys that are passed over.

    Raises:
        RequestError: the table is given with a variant.
        SpecError: the file is of no table, or says what its table cannot say.
    """
    found = read(path)
    if spec is None:
        table, found = choose(found)
    else:
        chosen = select(spec)
        if chosen.variant is not None:
            raise RequestError("--spec takes a table without a variant: the file says the values")
        table = load_table(chosen.path)
        found = read_as(table, found)
    given = read_all_given(overrides or {})
    return document(bind_to(table, found, ignore, given), path)


def document(bound: Bound, path: str) -> dict[str, Any]:
    """Everything that is said of a configuration, as plain data.

    Raises:
        SpecError: the model cannot be counted.
    """
    program = replace(bound.program, stored_otherwise=bound.stored)
    found = ledger(program).quantities.values()
    close = nearest(bound)
    absent = {q.name: q.absent for q in found if q.absent is not None}
    return {
        "file": path,
        "inside": bound.inside or None,
        "spec": bound.program.name,
        "stored": bound.stored or None,
        "equals": close.variant if close and not close.differs else None,
        "closest": close
        and {
            "variant": close.variant,
            "differs": {n: [plain(v) for v in pair] for n, pair in close.differs.items()},
        },
        "params": {name: plain(value) for name, value in bound.program.values.items()},
        "variant_block": block(bound),
        "quantities": {q.name: q.value for q in found if q.value is not None},
        "absent": absent,
        "remarks": {q.name: q.remark for q in found if q.remark},
        "assumed": {key: finite(value) for key, value in bound.assumed.items()},
        "keys": [
            {"key": use.key, "value": finite(use.value), "use": use.how, "why": use.reason}
            for use in bound.uses
        ],
    }


def finite(value: object) -> object:
    """A value of the file as JSON can hold it: NaN and infinities as texts."""
    match value:
        case float() if value - value != 0:
            return shown(value)
        case list():
            return [finite(item) for item in value]
        case dict():
            return {key: finite(item) for key, item in value.items()}
        case _:
            return value


def to_json(found: Mapping[str, Any]) -> bytes:
    """One JSON document; what is no character stays an escape."""
    return json_text(found).encode("utf-8", "backslashreplace")


def to_text(found: Mapping[str, Any]) -> bytes:
    """The same for a terminal."""
    inside = f" is a model whose `{found['inside']}`" if found["inside"] else ""
    lines = [f"{shown_text(found['file'])}{inside} is {found['spec']}{relation(found)}", ""]
    if found["stored"]:
        lines[1:1] = [f"its weights are stored otherwise than the table says: {found['stored']}"]
    lines += [found["variant_block"], ""]
    width = max(map(len, found["quantities"]), default=0)
    values = {name: f"{value:,}" for name, value in found["quantities"].items()}
    digits = max(map(len, values.values()), default=0)
    lines += [f"{name:<{width}}  {value:>{digits}}" for name, value in values.items()]
    lines += [f"{name:<{width}}  - ({why})" for name, why in found["absent"].items()]
    remarks = list_remarks(found)
    if found["assumed"]:
        said = ", ".join(f"{shown_text(k)} {shown(v)}" for k, v in found["assumed"].items())
        remarks.append(f"not in the file, and therefore: {said}")
    for how, heading in HEADINGS.items():
        keys = [shown_text(use["key"]) for use in found["keys"] if use["use"] == how]
        remarks += [f"{heading}: {', '.join(keys)}"] if keys else []
    lines += ["", *remarks] if remarks else []
    return ("\n".join(lines) + "\n").encode()


def relation(found: Mapping[str, Any]) -> str:
    """How the model stands to the variants of its table."""
    close = found["closest"]
    if close is None:
        return ""
    if not close["differs"]:
        return f"@{close['variant']}"
    changes = ", ".join(
        f"{name} {shown(old)} → {shown(new)}" for name, (old, new) in close["differs"].items()
    )
    return f"; the closest variant is {close['variant']}, which differs by {changes}"


def nearest(bound: Bound) -> Nearest | None:
    """The variant of the table that has the most values in common; None where it has none.

    What the file leaves open makes no difference.
    """
    ours = bound.program.values
    found: Nearest | None = None
    for variant in bound.table.definition.tree.variants:
        theirs = values(bound.table, variant.name, {})
        named = ours.keys() - bound.silent
        differs = {
            n: (theirs.get(n), ours[n]) for n in ours if n in named and theirs.get(n) != ours[n]
        }
        if found is None or len(differs) < len(found.differs):
            found = Nearest(variant.name, differs)
    return found


def selection(path: str, overrides: Mapping[str, Override]) -> Configured:
    """The table, variant and overrides that a released configuration means, and `overrides` after.

    Raises:
        SpecError: it is of no table, or says what its table cannot say.
    """
    table, found = choose(read(path))
    bound = bind_to(table, found, (), overrides)
    close = nearest(bound)
    variant = close.variant if close is not None else None
    differs = differing(bound, variant)
    origin = None
    if differs.keys() - overrides.keys():  # it is no variant, and named after none
        variant, differs = None, differing(bound, None)
        origin = TableOrigin(called(Path(path)), frozenset(differs)).but_for(overrides)
    return Configured(
        table.path, variant, differs, bound.stored, origin, path, dict(overrides), bound.overrides
    )


def differing(bound: Bound, variant: str | None) -> dict[str, Override]:
    """What makes of a variant, or of the table's defaults, the model that the file means.

    A param that follows another is set too, where the other is no longer the variant's.
    """
    wanted = {n: v for n, v in bound.program.values.items() if v is not None}
    differs: dict[str, Override] = {}
    while True:
        made = values(bound.table, variant, differs)
        more = {n: v for n, v in wanted.items() if n not in differs and v != made.get(n)}
        if not more:
            return differs
        differs |= more


def values(
    table: BoundTable, variant: str | None, overrides: Mapping[str, Override]
) -> dict[str, ParamValue]:
    """The params of a variant, without building it."""
    diagnostics = Diagnostics()
    scope = ModuleViews(diagnostics).of(table.definition).scope
    return bind.values(table.definition, scope, variant, overrides, diagnostics)


def block(bound: Bound) -> str:
    """The variant block that makes the same model: no row more than it takes."""
    wanted = bound.program.values
    kept: dict[str, Override] = {
        name: value
        for name, value in wanted.items()
        if value is not None and value != bound.table.program.values[name]
    }
    # A param that follows from others needs no row, nor does one that is the default again.
    for name in list(wanted):
        if name in kept:
            fewer = {n: v for n, v in kept.items() if n != name}
            if values(bound.table, None, fewer) == wanted:
                kept = fewer
        elif values(bound.table, None, kept) != wanted and (value := wanted[name]) is not None:
            kept[name] = value
    width = max(map(len, kept), default=0)
    kinds = {param.name: param.kind for param in bound.program.model.params}
    rows = [
        f"  {name:<{width}} = {literal(kept[name], kinds[name])}" for name in wanted if name in kept
    ]
    return "\n".join([f"variant {VARIANT} {{", *rows, "}"]) if rows else f"variant {VARIANT} {{ }}"


def literal(value: Override, kind: str) -> str:
    """A value as a table writes it."""
    if isinstance(value, str):
        return value if kind == "dtype" else describe(value)
    if isinstance(value, int | float):
        return describe(value)
    items = [describe(item) for item in value]
    if len(items) <= PER_LINE:
        return f"[{', '.join(items)}]"
    lines = [", ".join(items[i : i + PER_LINE]) for i in range(0, len(items), PER_LINE)]
    return "[\n    " + ",\n    ".join(lines) + "\n  ]"
