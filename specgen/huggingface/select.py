"""What a text means that stands for a table: a file, a name, or a released configuration.

Knows the notation `FILE@VARIANT`; nothing of what is in the files.  A released config.json stands
for the table, the variant and the overrides that it is imported as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.frontend.given import read_all_given
from specgen.frontend.lookup import find, is_name, missing
from specgen.frontend.selection import Selection
from specgen.huggingface.configuration_file import CONFIGURATIONS, is_configuration
from specgen.regular_files import exists, is_folder
from specgen.text.printable import safe

if TYPE_CHECKING:
    from specgen.diagnostics.diagnostic import SpecError
    from specgen.frontend.values import Override

VARIANT = re.compile(r"(?P<file>.+)@(?P<variant>[A-Za-z_][A-Za-z0-9_]*)", re.DOTALL)


def select(text: str, overrides: Mapping[str, Override] | None = None) -> Selection:
    """What `FILE`, `NAME`, `FILE@VARIANT` or `NAME@VARIANT` means.

    What holds a separator of folders, or leads to a file, is a path; anything else is the name of
    a table (`specgen.frontend.lookup`), even where a folder is called so.  A config.json, or a folder that
    holds one and is no table's name, means what it is imported as.

    Raises:
        SpecError: there is no such file or table; or a configuration is of no table, or says what
            its table cannot say.
    """
    given = read_all_given(overrides or {})
    if means_configuration(text):
        from specgen.huggingface.recalled import recalled

        return recalled(text, given)
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
    return Selection(path, variant, given)


def select_base(text: str, changes: Mapping[str, Override]) -> Selection:
    """`select`, of what is asked about; a configuration may need some of the changes to be a model.

    Raises:
        SpecError: as `select`.
    """
    from specgen.diagnostics.diagnostic import SpecError

    try:
        return select(text)
    except SpecError:
        # What begins with a capital is a variable.
        params = {name: value for name, value in changes.items() if not name[0].isupper()}
        if not params or not means_configuration(text):
            raise
        from specgen.huggingface.configured import Unfinished
        from specgen.huggingface.recalled import recalled

        whole = recalled(text, params)
        return Unfinished(whole.path, stored=whole.stored, text=text)


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
