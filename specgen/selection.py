"""Which table is meant: a file, a variant and overrides, as given on the command line.

Knows the notation `FILE@VARIANT` and where shipped tables lie; nothing of what is in them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.resources import folder

if TYPE_CHECKING:
    from specgen.elaborate.bind import Override
    from specgen.elaborate.opened import Opened
    from specgen.ir.model import Program

SUFFIX = ".dsv3"
VARIANT = re.compile(r"(?P<file>.+)@(?P<variant>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)


@dataclass(frozen=True)
class Selection:
    """One variant of one table, with parameters overridden after it."""

    path: Path
    variant: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)

    def program(self) -> Program:
        """The table, checked and typed.

        Raises:
            SpecError: the table, the variant or an override is at fault.
        """
        from specgen.elaborate.load import load_program

        return load_program(self.path, self.variant, self.overrides)

    def opened(self) -> Opened:
        """The files of the table, loaded for more than one `program()`.

        Raises:
            SpecError: syntax faults, unknown imports, or a file without exactly one model.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.elaborate.load import load_model
        from specgen.elaborate.opened import Opened

        loaded, model = load_model(self.path, Diagnostics())
        return Opened(loaded, model, self.variant, self.overrides)

    def programs(self) -> list[Program]:
        """Every variant of the table, in its order; the defaults where it has none.

        Raises:
            SpecError: as `program`.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.elaborate.load import build_program, load_model

        loaded, model = load_model(self.path, Diagnostics())
        names = [variant.name for variant in model.tree.variants]
        return [build_program(loaded, model, name, self.overrides) for name in names or (None,)]


def select(text: str, overrides: Mapping[str, Override] | None = None) -> Selection:
    """What `FILE` or `FILE@VARIANT` means.

    FILE is a path; where there is no such file, a name without a folder (`llama`) means the
    table of that name that is shipped with specgen.
    """
    found = None if Path(text).exists() else VARIANT.fullmatch(text)
    name, variant = (found["file"], found["variant"]) if found else (text, None)
    path = Path(name)
    if not path.exists() and path.name == name:
        shipped = folder("specs") / (name if path.suffix == SUFFIX else name + SUFFIX)
        path = shipped if shipped.is_file() else path
    return Selection(path, variant, dict(overrides or {}))
