"""Which table is meant: a file, a variant and overrides, as given on the command line.

Knows the notation `FILE@VARIANT`; nothing of what is in the files.  A
released config.json stands for the table, the variant and the overrides that it is imported as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.lookup import SUFFIX, find, is_name, missing
from specgen.printable import safe
from specgen.regular_files import exists, is_folder

if TYPE_CHECKING:
    from specgen.diagnostics.diagnostic import SpecError
    from specgen.elaborate.bind import Override
    from specgen.elaborate.opened import Opened
    from specgen.elaborate.origin import Origin
    from specgen.ir.model import Program

__all__ = ["SUFFIX", "Selection", "is_configuration", "means_configuration", "select"]

#: What a released configuration ends in, and what it is called in a folder.
CONFIGURATION = ".json"
CONFIGURATIONS = "config.json"

#: The file beside it in which a tool says instead how the weights are quantised.
BESIDE = "hf_quant_config.json"

#: Bytes of either: no released one is near.
MAX_CONFIGURATION = 4_000_000
VARIANT = re.compile(r"(?P<file>.+)@(?P<variant>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)


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
    origin: Origin | None = None

    def program(self) -> Program:
        """The table, checked and typed.

        Raises:
            SpecError: the table, the variant or an override is at fault.
        """
        from specgen.elaborate.load import load_program

        return self.marked(load_program(self.path, self.variant, self.overrides))

    def marked(self, program: Program) -> Program:
        """The program, which says what it is of, and where that is stored otherwise."""
        program = self.origin.marked(program) if self.origin is not None else program
        return replace(program, stored_otherwise=self.stored) if self.stored else program

    def changed(self, overrides: Mapping[str, Override]) -> Selection:
        """The same, with parameters overridden after those that are."""
        origin = self.origin.but_for(overrides) if self.origin is not None else None
        return replace(self, overrides={**self.overrides, **overrides}, origin=origin)

    def opened(self) -> Opened:
        """The files of the table, loaded for more than one `program()`.

        Raises:
            SpecError: syntax faults, unknown imports, or a file without exactly one model.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.elaborate.load import load_model
        from specgen.elaborate.opened import Opened

        loaded, model = load_model(self.path, Diagnostics())
        return Opened(loaded, model, self.variant, self.overrides, self.stored, self.origin)

    def programs(self) -> list[Program]:
        """Every variant of the table, in its order; the defaults where it has none.

        Raises:
            SpecError: as `program`.
        """
        from specgen.diagnostics.diagnostic import Diagnostics
        from specgen.elaborate.load import build_program, load_model

        loaded, model = load_model(self.path, Diagnostics())
        names = [variant.name for variant in model.tree.variants]
        return [
            self.marked(build_program(loaded, model, name, self.overrides))
            for name in names or (None,)
        ]


def select(text: str, overrides: Mapping[str, Override] | None = None) -> Selection:
    """What `FILE`, `NAME`, `FILE@VARIANT` or `NAME@VARIANT` means.

    What holds a separator of folders, or leads to a file, is a path; anything else is the name of
    a table (`specgen.lookup`), even where a folder is called so.  A config.json, or a folder that
    holds one and is no table's name, means what it is imported as.

    Raises:
        SpecError: there is no such file or table; or a configuration is of no table, or says what
            its table cannot say.
    """
    if means_configuration(text):
        from specgen.cache.configurations import recalled

        return recalled(text, overrides or {})
    is_file = exists(text) and not is_folder(text)
    found = None if is_file else VARIANT.fullmatch(text)
    name, variant = (found["file"], found["variant"]) if found else (text, None)
    path = Path(name)
    if is_name(name) and not is_file:
        path = find(name) or path
    if is_missing(path):
        raise missing(name, variant)
    if is_folder(path):
        raise unreadable(name, variant is not None and is_configuration(path))
    return Selection(path, variant, dict(overrides or {}))


def called(path: Path) -> str:
    """What a configuration is called: its folder, or the file where it has a name of its own."""
    named = path.parent if path.name == CONFIGURATIONS else path
    return safe(named.resolve().name or path.name)


def means_configuration(text: str) -> bool:
    """Whether a released configuration is meant: one is there, and no table has that name."""
    path = Path(text)
    is_named = is_folder(path) and is_name(text) and find(text) is not None
    return is_configuration(path) and not is_named


def unreadable(name: str, is_released: bool) -> SpecError:
    """What is said of a folder that stands where a table should."""
    from specgen.diagnostics.diagnostic import Diagnostics, SpecError

    what = "of one model, without variants" if is_released else f"without a {CONFIGURATIONS}"
    diagnostics = Diagnostics()
    diagnostics.report("E0101", None, path=name, reason=f"it is a folder {what}")
    return SpecError(diagnostics.all)


def is_missing(path: Path) -> bool:
    """Whether nothing is there; of what may not be looked at, who reads it says why."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return False


def is_configuration(path: Path) -> bool:
    """Whether a released configuration is there, and no table."""
    if path.suffix.lower() == CONFIGURATION:
        return exists(path)
    return exists(path / CONFIGURATIONS)
