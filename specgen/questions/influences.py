"""What `sensitivity` found, as text, Markdown, CSV and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from specgen.expr.evaluate import Value, describe, plain
from specgen.ir.model import Program
from specgen.questions.sensitivity import Influence, Sensitivity
from specgen.questions.sheet import Sheet, to_csv, to_markdown, to_text
from specgen.records import dataclass
from specgen.text import markdown
from specgen.text.json_text import json_text

#: Figures behind the point of an elasticity for readers; JSON has the fraction too.
PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class SensitivityAnswer:
    """The influences on a quantity of a program, and the variables that were given."""

    found: Sensitivity
    program: Program
    variables: Mapping[str, Value]

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it; an elasticity is a number and, in full, a
        fraction as text."""
        found = self.found
        used = {one.name for one in found.influences}
        return {
            "spec": self.program.name,
            "variant": self.program.variant,
            "quantity": found.quantity,
            "value": plain(found.value),
            "variables": {name: plain(v) for name, v in self.variables.items() if name in used},
            "step": str(found.relative),
            "influences": [describe_influence(one, found) for one in found.influences],
            "without_influence": list(found.without),
            "no_numbers": list(found.other),
        }

    @property
    def sheet(self) -> Sheet:
        """The strongest influence first, with what has to be said below."""
        found = self.found
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
                "elasticity": [write_elasticity(one.elasticity) for one in rows],
                "how": [say_how(one) for one in rows],
                "step to": [None if one.step is None else one.step.to for one in rows],
                "change": [find_change(one, found) for one in rows],
                "in percent": [write_percentage(one, found) for one in rows],
            },
            labels=frozenset({"value", "step to"}),
            remarks=tuple(remarks),
        )

    @property
    def heading(self) -> str:
        used = {one.name for one in self.found.influences}
        given = [f"{n} = {describe(v)}" for n, v in self.variables.items() if n in used]
        at = f", with {', '.join(given)}" if given else ""
        return f"{self.found.quantity} of {self.program.label} = {self.found.value:,}{at}"

    def render(self, form: str) -> bytes:
        """The answer as text, Markdown, CSV or JSON."""
        match form:
            case "json":
                text = json_text(self.document)
            case "csv":
                text = to_csv(self.sheet)
            case "md":
                text = f"# {markdown.quote(self.heading)}\n\n{to_markdown(self.sheet)}"
            case _:
                text = f"{markdown.visible(self.heading)}\n{to_text(self.sheet)}"
        return text.encode()


def write_elasticity(number: Fraction | None) -> str | None:
    return None if number is None else f"{float(number):.{PLACES}f}"


def say_how(one: Influence) -> str:
    if one.elasticity is None:
        return "-"
    return "exact" if one.exact else "by the step"


def find_change(one: Influence, found: Sensitivity) -> Fraction | int | None:
    return None if one.step is None else one.step.quantity - found.value


def write_percentage(one: Influence, found: Sensitivity) -> str | None:
    gap = find_change(one, found)
    return None if gap is None else f"{float(Fraction(gap) / found.value):+.4%}"


def describe_influence(one: Influence, found: Sensitivity) -> dict[str, Any]:
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
            "change": plain(find_change(one, found)),
        },
        "follow": list(one.follow),
    }
