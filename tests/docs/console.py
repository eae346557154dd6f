"""Runs the console blocks of a page and holds their output against what the page says.

A block that follows `<!-- file: NAME -->` is written to that file.  In a ```console block each
line `$ COMMAND`, with those that it goes on in, is run and followed by what it printed, and by
`[STATUS]` where that is not 0.
With SPECGEN_ACCEPT set, the page is rewritten with today's output.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"<!-- file: (?P<file>\S+) -->\n```\w+\n(?P<text>.*?)^```"
    r"|^```console\n(?P<console>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


def outcome(command: str, cwd: Path) -> str:
    """What a command prints, stderr included, and its status."""
    program, *arguments = shlex.split(command.replace("\\\n", ""))
    if program == "ls":
        return "\n".join(sorted(os.listdir(cwd / arguments[0]))) + "\n"
    assert program == "specgen", command
    done = subprocess.run(
        [sys.executable, "-m", "specgen", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    status = f"[{done.returncode}]\n" if done.returncode else ""
    return done.stdout.decode() + status


def replayed(text: str, cwd: Path) -> str:
    """The page with the output that its commands have today."""

    def replay(block: re.Match[str]) -> str:
        if block["file"]:
            (cwd / block["file"]).write_text(block["text"], encoding="utf-8")
            return block[0]
        commands = re.findall(r"^\$ (.*(?:(?<=\\)\n.*)*)", block["console"], re.MULTILINE)
        shown = "".join(f"$ {command}\n{outcome(command, cwd)}" for command in commands)
        return f"```console\n{shown}```"

    return BLOCK.sub(replay, text)


def hold(page: Path, cwd: Path) -> None:
    """Fails where a command of the page prints something else today."""
    text = page.read_text(encoding="utf-8")
    today = replayed(text, cwd)
    if os.environ.get("SPECGEN_ACCEPT"):
        page.write_text(today, encoding="utf-8")
    else:
        assert text == today, f"{page.name} shows other output; `make accept` rewrites it"
