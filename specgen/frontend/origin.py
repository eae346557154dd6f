"""What the values of a program are of, where they are those of no variant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from specgen.ir.model import Program
from specgen.records import dataclass


@dataclass(frozen=True)
class TableOrigin:
    """A released configuration by its `name`, which gave the values of these `params`.

    One whose values are those of a `variant` needs no name.
    """

    name: str
    params: frozenset[str]
    variant: str | None = None

    def but_for(self, others: Iterable[str]) -> TableOrigin:
        """The same, where others were given a value after it."""
        return replace(self, params=self.params - set(others))

    def marked(self, program: Program) -> Program:
        """The program, which says whose values it has, and which are not."""
        overridden = tuple(name for name in program.overridden if name not in self.params)
        variant = self.variant or program.variant
        return replace(program, origin=self.name, variant=variant, overridden=overridden)
