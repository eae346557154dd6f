"""Leaves out what is only the consequence of a row that could not be read.

A row with a syntax fault declares nothing, so its names are missing everywhere.  To say so at
each use would bury the one fault that matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics
from specgen.language import tree

WORD: Final = re.compile(r"[A-Za-z_]\w*")
#: What separates the names that a row declares from what it says of them.
SEPARATOR: Final = re.compile(r"->|[:=]")
#: Heads of blocks declare all that they name: a forward its arguments.
HEADS: Final = ("forward", "function", "use")
#: Faults that something is never used: the use may have been in a row that was left out.
UNUSED: Final = frozenset({"E0404", "E0512"})


def without_consequences(diagnostics: Diagnostics, files: Iterable[tree.FileSyntax]) -> Diagnostics:
    """The diagnostics but for those about names that a left out row may have declared."""
    damaged = [span.text for file in files for span in file.damaged]
    if not damaged:
        return diagnostics
    declared = {word for row in damaged for word in WORD.findall(declaration(row))}
    mentioned = {word for row in damaged for word in WORD.findall(row)}
    kept = Diagnostics()
    for diagnostic in diagnostics.all:
        if not follows(diagnostic, declared, mentioned):
            kept.add(diagnostic)
    return kept


def declaration(row: str) -> str:
    """The part of a row that names what it declares; all of it where that cannot be told."""
    return row if row.startswith(HEADS) else SEPARATOR.split(row, maxsplit=1)[0]


def follows(diagnostic: Diagnostic, declared: set[str], mentioned: set[str]) -> bool:
    if diagnostic.span is None or diagnostic.code.startswith("E01"):
        return False
    words = mentioned if diagnostic.code in UNUSED else declared
    return not words.isdisjoint(WORD.findall(diagnostic.span.text))
