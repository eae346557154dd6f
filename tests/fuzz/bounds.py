"""Runs something in bounded time, and the command line in this process."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from specgen.cli.main import main


class Late(BaseException):
    """The time is over.  No OSError, as TimeoutError is: commands answer those."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raises `Late` inside of what runs longer."""

    def late(_: int, __: FrameType | None) -> NoReturn:
        raise Late(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def command(name: str, path: Path, seconds: float) -> tuple[int, str]:
    """Exit status and stderr of a command on a file."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with bounded(seconds), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        status = main([name, str(path)])
    err.seek(0)
    return status, err.read()
