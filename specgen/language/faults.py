"""The syntax faults of one file: counted, so that a file that is no spec is not argued with.

Knows no syntax; every stage of reading reports here.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any, Final

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Span
from specgen.records import dataclass

LIMIT: Final = 100


class UnreadableError(Exception):
    """Reading stops, after a report: what follows this place cannot be trusted."""


@dataclass(slots=True)
class Faults:
    """`lost` are offsets at which text was left out or made up: more faults in such a row are
    the consequence of the first.
    """

    diagnostics: Diagnostics
    lost: list[int] = field(default_factory=list)
    found: set[tuple[str, int]] = field(default_factory=set)

    def report(self, code: str, span: Span, **values: Any) -> None:
        """As Diagnostics.report.

        Raises:
            UnreadableError: too many; said once.
        """
        if len(self.found) == LIMIT and (code, span.start) not in self.found:
            self.diagnostics.report("E0115", span)
            raise UnreadableError
        self.found.add((code, span.start))
        self.diagnostics.report(code, span, **values)

    def refuse(self, span: Span, what: str, limit: int) -> UnreadableError:
        """Reports a nesting that passes a limit; to be raised."""
        self.diagnostics.report("E0113", span, what=what, limit=limit)
        return UnreadableError()
