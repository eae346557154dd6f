"""What a diagnostic code is: severity, title, message template and explanation."""

from __future__ import annotations

from inspect import cleandoc
from typing import Literal

from specgen.records import dataclass

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Code:
    """`title` names the fault in general; `template` says what happened this time."""

    severity: Severity
    title: str
    template: str
    explanation: str


def error(title: str, template: str, explanation: str) -> Code:
    return Code("error", title, template, cleandoc(explanation))


def warning(title: str, template: str, explanation: str) -> Code:
    return Code("warning", title, template, cleandoc(explanation))
