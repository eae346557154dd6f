"""What cannot be counted is the table's fault, and is told as a diagnostic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.expr.evaluate import EvaluationError
from specgen.ir.model import Program


@contextmanager
def countable(program: Program) -> Iterator[None]:
    """Turns a size without a value into a diagnostic.

    Raises:
        SpecError: with E0801, where the body raises EvaluationError.
    """
    try:
        yield
    except EvaluationError as error:
        diagnostics = Diagnostics()
        diagnostics.report("E0801", None, spec=program.name, reason=error)
        diagnostics.raise_errors()
