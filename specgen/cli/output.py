"""What commands print: results on stdout as they are, diagnostics on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from specgen.text.printable import safe, safe_lines

if TYPE_CHECKING:
    from specgen.diagnostics.diagnostic import Diagnostic

#: What errors of stdout have as their file.
STDOUT: Final = "<stdout>"


def show(diagnostics: Sequence[Diagnostic], form: str) -> None:
    """Prints diagnostics on stderr, for people or as JSON lines."""
    if form == "json":
        from specgen.diagnostics.jsonlines import render as render_json

        text = render_json(diagnostics)
    else:
        from specgen.diagnostics.text import render

        text = render(diagnostics, color=wants_color())
    if text:
        print(text.rstrip("\n"), file=sys.stderr)


def remark(text: str) -> None:
    """Prints a line on stderr, escaped: it may hold what the user wrote."""
    print(safe(text), file=sys.stderr)


def wants_color() -> bool:
    """Colours are for terminals whose user has not said no (https://no-color.org)."""
    return (
        sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    )


def emit(data: bytes, *, is_text: bool = True) -> None:
    """Prints a result, whatever the locale says about encodings; of a text nothing is raw."""
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(safe_lines(data.decode()).encode() if is_text else data)
    except OSError as error:
        error.filename = STDOUT  # what could not be written is not kept: no later flush tells
        raise
