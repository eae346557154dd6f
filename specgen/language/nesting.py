"""Room on the stack for what nests as deep as the language allows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Frames that the deepest expression and what works on it take: some ten for each of its 200 levels.
#: Python has 1,000 unless it is told otherwise.
FRAMES: Final = 4000


@contextmanager
def nesting() -> Iterator[None]:
    """While this lasts, calls may nest FRAMES deep at least."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
