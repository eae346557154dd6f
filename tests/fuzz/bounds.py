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
def bounded(seconds: float, *, of_cpu: bool = False) -> Iterator[None]:
    """Raises `Late` inside of what runs longer, or takes more time of the CPU."""

    def late(_: int, __: FrameType | None) -> NoReturn:
        raise Late(f"more than {seconds} s{' of CPU time' if of_cpu else ''}")

    alarm, timer = (
        (signal.SIGPROF, signal.ITIMER_PROF) if of_cpu else (signal.SIGALRM, signal.ITIMER_REAL)
    )
    before = signal.signal(alarm, late)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(alarm, before)


def command(name: str, path: Path, seconds: float) -> tuple[int, str]:
    """Exit status and stderr of a command on a file."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with bounded(seconds), contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        status = main([name, str(path)])
    err.seek(0)
    return status, err.read()
