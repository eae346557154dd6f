"""Which table is meant: a file, a variant and overrides; nothing of what is in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.frontend.given import read_all_given
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.frontend.opened import Opened
    from specgen.frontend.origin import TableOrigin
    from specgen.frontend.values import Override
    from specgen.ir.model import Program


@dataclass(frozen=True)
class Selection:
    """One variant of one table, with parameters overridden after it.

    `stored` is how a release stores its weights, where it was chosen by one and its table does
    not say so: then nothing is counted as stored, since it would be the table's.  `origin` is a
    configuration whose values are those of no variant.
    """

    path: Path
    variant: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    stored: str = ""
    origin: TableOrigin | None = None

    def program(self) -> Program:
        """The table, checked and typed.

        Raises:
            SpecError: the table, the variant or an override is at fault.
        """
        from specgen.frontend.load import load_program

        return self.marked(load_program(self.path, self.variant, self.overrides))

    def marked(self, program: Program) -> Program:
        """The program, which says what it is of, and where that is stored otherwise."""
        program = self.origin.marked(program) if self.origin is not None else program
        return replace(program, stored_otherwise=self.stored) if self.stored else program

    def changed(self, overrides: Mapping[str, Override]) -> Selection:
        """The same, with parameters overridden after those that are."""
        origin = self.origin.but_for(overrides) if self.origin is not None else None
        given = read_all_given(overrides)
        return replace(self, overrides={**self.overrides, **given}, origin=origin)

    def asked(self) -> Opened:
        """`opened`, for questions about other values: a param follows others here just as it does
        where those are overridden.

        Raises:
            SpecError: as `opened`.
        """
        return self.opened()

    def opened(self) -> Opened:
        """The files of the table, loaded for more than one `program()`.

        Raises:
            SpecError: syntax faults, unknown imports, or a file without exactly one model.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.frontend.load import load_model
        from specgen.frontend.opened import Opened

        loaded, model = load_model(self.path, Diagnostics())
        return Opened(loaded, model, self.variant, self.overrides, self.stored, self.origin)

    def programs(self) -> list[Program]:
        """Every variant of the table, in its order; the defaults where it has none.

        Raises:
            SpecError: as `program`.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.frontend.load import build_program, load_model

        loaded, model = load_model(self.path, Diagnostics())
        names = [variant.name for variant in model.tree.variants]
        return [
            self.marked(build_program(loaded, model, name, self.overrides))
            for name in names or (None,)
        ]
