"""Room on the stack for what nests as deep as the language allows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Frames that the deepest expression and what works on it take: some ten for each of its 200 levels.
#: Python has 1,000 unless it is told otherwise.
FRAMES: Final = 6000

#: Frames in which a table has to be checked.  Counting and back ends take up to six times as many
#: for definitions that lead to one another, so that what was checked is answered.
CHECKED: Final = 1000


@contextmanager
def nesting() -> Iterator[None]:
    """While this lasts, calls may nest FRAMES deep at least."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@contextmanager
def checking() -> Iterator[None]:
    """While this lasts, calls that nest deeper than CHECKED raise RecursionError."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(CHECKED)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
