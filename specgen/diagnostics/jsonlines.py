"""Diagnostics for programs: one JSON object a line.

Lines and columns count from 1 and in characters; an end is the first place behind.  Pure ASCII,
so that no reader's encoding matters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from specgen.diagnostics.diagnostic import Diagnostic
from specgen.diagnostics.source import Span


def render(diagnostics: Iterable[Diagnostic]) -> str:
    """Every diagnostic in the order given, each on its line; "" where there is none."""
    return "".join(json.dumps(as_object(diagnostic)) + "\n" for diagnostic in diagnostics)


def as_object(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **place(diagnostic.span),
        "labels": [{"message": label.message, **place(label.span)} for label in diagnostic.labels],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "fixes": [
            {"description": fix.description, "replacement": fix.replacement, **place(fix.span)}
            for fix in diagnostic.fixes
        ],
    }


def place(span: Span | None) -> dict[str, object]:
    """Where a span lies; every value null where there is none."""
    if span is None:
        return dict.fromkeys(("file", "line", "column", "end_line", "end_column"))
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
    }
