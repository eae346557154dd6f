"""What a diagnostic's code means."""

from __future__ import annotations

from specgen.diagnostics.codes import CODES
from specgen.diagnostics.diagnostic import UnknownName, suggestion


def explain(code: str) -> str:
    """A code's meaning, with a short wrong and right example.

    Raises:
        UnknownName: there is no such code.
    """
    name = code.upper()
    found = CODES.get(name)
    if found is None:
        close = suggestion(name, CODES)
        hint = f"; did you mean `{close}`?" if close else ""
        raise UnknownName(f"there is no code `{code}`{hint}")
    return f"{name} ({found.severity}): {found.title}\n\n{found.explanation}\n"
