"""Which table is meant: a file, a variant and overrides, as given on the command line.

Knows the notation `FILE@VARIANT` and where shipped tables lie; nothing of what is in them.  A
released config.json stands for the table, the variant and the overrides that it is imported as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.regular_files import exists
from specgen.resources import folder

if TYPE_CHECKING:
    from specgen.elaborate.bind import Override
    from specgen.elaborate.opened import Opened
    from specgen.ir.model import Program

SUFFIX = ".dsv3"

#: What a released configuration ends in, and what it is called in a folder.
CONFIGURATION = ".json"
CONFIGURATIONS = "config.json"
VARIANT = re.compile(r"(?P<file>.+)@(?P<variant>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)


@dataclass(frozen=True)
class Selection:
    """One variant of one table, with parameters overridden after it.

    `stored` is how a release stores its weights, where it was chosen by one and its table does
    not say so: then what is counted as stored is the table's, and not the release's.
    """

    path: Path
    variant: str | None = None
    overrides: Mapping[str, Override] = field(default_factory=dict)
    stored: str = ""

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
    table of that name that is shipped with specgen.  A config.json, or a folder that holds one,
    means what it is imported as.

    Raises:
        SpecError: a configuration is of no table, or says what its table cannot say.
    """
    if is_configuration(Path(text)):
        from specgen.checkpoint.imported import selection

        return selection(text, overrides or {})
    found = None if exists(text) else VARIANT.fullmatch(text)
    name, variant = (found["file"], found["variant"]) if found else (text, None)
    path = Path(name)
    if not exists(path) and path.name == name:
        shipped = folder("specs") / (name if path.suffix == SUFFIX else name + SUFFIX)
        path = shipped if exists(shipped) else path
    return Selection(path, variant, dict(overrides or {}))


def is_configuration(path: Path) -> bool:
    """Whether a released configuration is there, and no table."""
    if path.suffix.lower() == CONFIGURATION:
        return exists(path)
    return exists(path / CONFIGURATIONS)
