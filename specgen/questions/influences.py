"""What `sensitivity` found, as text, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final

from specgen.expr.evaluate import Value, describe, plain
from specgen.ir.model import Program
from specgen.questions.sensitivity import Influence, Sensitivity
from specgen.questions.sheet import Sheet, to_csv, to_markdown, to_text
from specgen.text import markdown
from specgen.text.json_text import json_text

#: Figures behind the point of an elasticity for readers; JSON has the fraction too.
PLACES: Final = 6


def title(program: Program) -> str:
    return program.label


def heading(found: Sensitivity, program: Program, variables: Mapping[str, Value]) -> str:
    used = {one.name for one in found.influences} & variables.keys()
    at = ", ".join(f"{name} = {describe(variables[name])}" for name in variables if name in used)
    given = f", with {at}" if at else ""
    return f"{found.quantity} of {title(program)} = {found.value:,}{given}"


def rounded(number: Fraction | None) -> str | None:
    return None if number is None else f"{float(number):.{PLACES}f}"


def how(one: Influence) -> str:
    if one.elasticity is None:
        return "-"
    return "exact" if one.exact else "by the step"


def change(one: Influence, found: Sensitivity) -> Fraction | int | None:
    return None if one.step is None else one.step.quantity - found.value


def percentage(one: Influence, found: Sensitivity) -> str | None:
    gap = change(one, found)
    return None if gap is None else f"{float(Fraction(gap) / found.value):+.4%}"


def sheet(found: Sensitivity) -> Sheet:
    """The influences as columns, with what has to be said below them."""
    rows = found.influences
    remarks = [
        f"{one.name}: {', '.join(one.follow)} {'follow' if len(one.follow) > 1 else 'follows'}"
        for one in rows
        if one.follow
    ]
    if found.without:
        remarks.append(f"without influence: {', '.join(found.without)}")
    if found.other:
        remarks.append(f"no numbers: {', '.join(found.other)}")
    return Sheet(
        {
            "parameter": [one.name for one in rows],
            "value": [one.value for one in rows],
            "elasticity": [rounded(one.elasticity) for one in rows],
            "how": [how(one) for one in rows],
            "step to": [None if one.step is None else one.step.to for one in rows],
            "change": [change(one, found) for one in rows],
            "in percent": [percentage(one, found) for one in rows],
        },
        labels=frozenset({"value", "step to"}),
        remarks=tuple(remarks),
    )


def as_text(found: Sensitivity, program: Program, variables: Mapping[str, Value]) -> str:
    """The strongest influence first."""
    return f"{markdown.visible(heading(found, program, variables))}\n{to_text(sheet(found))}"


def as_markdown(found: Sensitivity, program: Program, variables: Mapping[str, Value]) -> str:
    return f"# {markdown.quote(heading(found, program, variables))}\n\n{to_markdown(sheet(found))}"


def as_csv(found: Sensitivity, program: Program, variables: Mapping[str, Value]) -> str:
    return to_csv(sheet(found))


def as_json(found: Sensitivity, program: Program, variables: Mapping[str, Value]) -> str:
    """One JSON document; an elasticity is a number and, in full, a fraction as text."""
    used = {one.name for one in found.influences}
    document: dict[str, Any] = {
        "spec": program.name,
        "variant": program.variant,
        "quantity": found.quantity,
        "value": plain(found.value),
        "variables": {name: plain(v) for name, v in variables.items() if name in used},
        "step": str(found.relative),
        "influences": [influence_document(one, found) for one in found.influences],
        "without_influence": list(found.without),
        "no_numbers": list(found.other),
    }
    return json_text(document)


def influence_document(one: Influence, found: Sensitivity) -> dict[str, Any]:
    step = one.step
    return {
        "name": one.name,
        "value": plain(one.value),
        "elasticity": None if one.elasticity is None else float(one.elasticity),
        "fraction": None if one.elasticity is None else str(one.elasticity),
        "exact": one.exact,
        "step": None
        if step is None
        else {
            "to": plain(step.to),
            "quantity": plain(step.quantity),
            "change": plain(change(one, found)),
        },
        "follow": list(one.follow),
    }


FORMATS: Final[Mapping[str, Callable[[Sensitivity, Program, Mapping[str, Value]], str]]] = {
    "text": as_text,
    "md": as_markdown,
    "csv": as_csv,
    "json": as_json,
}
