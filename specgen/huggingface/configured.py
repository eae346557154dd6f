"""The table, variant and values that a released configuration means, and what they are with others.

Knows what the file says and what was given after it; nothing of how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING

from specgen.frontend.selection import Selection
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.frontend.opened import Opened
    from specgen.frontend.values import Override
    from specgen.ir.model import Program


@dataclass(frozen=True)
class Configured(Selection):
    """A selection that the configuration at `text` means, with params `given` after it.

    `said` is what both set.  Params that the file leaves open follow others, as in its table: so
    its values are no variant's where others are given, even if they are now.
    """

    text: str = field(default="", compare=False)  # where a file is found says nothing of it
    given: Mapping[str, Override] = field(default_factory=dict)
    said: Mapping[str, Override] = field(default_factory=dict)

    def changed(self, overrides: Mapping[str, Override]) -> Selection:
        """What the configuration means with parameters given after those that are.

        Raises:
            SpecError: it is no model with them.
        """
        if not overrides:
            return self
        from specgen.huggingface.recalled import recalled

        return recalled(self.text, {**self.given, **overrides})

    def asked(self) -> Opened:
        """`opened`, where each param that is not said is the table's own.

        Raises:
            SpecError: as `opened`.
        """
        from specgen.frontend.origin import TableOrigin

        name, own = (self.origin.name, self.origin.params) if self.origin else ("", frozenset())
        shown = self.overrides.keys() - own
        origin = TableOrigin(name, frozenset(self.said.keys() - shown), self.variant)
        return replace(self.opened(), variant=None, overrides=self.said, origin=origin)


@dataclass(frozen=True)
class Unfinished(Configured):
    """A configuration that is a model only with the params that are given after it."""

    def program(self) -> Program:
        """There is none.

        Raises:
            SpecError: why not.
        """
        from specgen.huggingface.recalled import recalled

        return recalled(self.text, {}).program()
