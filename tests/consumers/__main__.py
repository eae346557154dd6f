"""Who takes the static graphs: `python -m tests.consumers` tries each family in each runtime.

Every runtime has an environment of its own below .venv-consumers, made with pip when it is first
asked for.  The table goes to docs/consumers.md, with the versions that were tried.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.consumers.cases import CONTEXT, DECODED, FAMILIES, PROMPT, write_case

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
ENVIRONMENTS = REPOSITORY / ".venv-consumers"
PAGE = REPOSITORY / "docs" / "consumers.md"

#: What a difference to transformers may be.
LIMIT = 1e-4

#: Seconds for a runtime to compile and to run one family.
PATIENCE = 1800


def main(words: Sequence[str]) -> int:
    """Tries what is asked for; 1 where a cell is not as runtimes.toml says that it is."""
    runtimes = tomllib.loads((HERE / "runtimes.toml").read_text())
    parser = argparse.ArgumentParser(prog="python -m tests.consumers", description=__doc__)
    parser.add_argument("--runtime", nargs="*", default=list(runtimes), choices=list(runtimes))
    parser.add_argument("--family", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    asked = parser.parse_args(words)
    cells: dict[str, dict[str, Any]] = {}
    unlike = []
    with tempfile.TemporaryDirectory() as folder:
        for runtime in asked.runtime:
            settings = runtimes[runtime]
            python = environment(runtime, settings["packages"], settings.get("npm", []))
            for family in asked.family:
                options = settings.get("options", {}) | settings.get(family, {})
                place = Path(folder) / f"{family}-{'-'.join(map(str, options.values()))}"
                if not place.exists():
                    write_case(family, options, place)
                cell = tried(python, runtime, place)
                cells.setdefault(runtime, {})[family] = cell
                print(f"{runtime:12} {family:12} {shown(cell)}", flush=True)
                if passes(cell) == (family in settings.get("refuses", {})):
                    unlike.append(f"{runtime} {family}")
    if asked.runtime == list(runtimes) and asked.family == list(FAMILIES):
        PAGE.write_text(page(runtimes, cells), encoding="utf-8")
    if unlike:
        print("not as tests/consumers/runtimes.toml says:", ", ".join(unlike), file=sys.stderr)
    return bool(unlike)


def environment(runtime: str, packages: Sequence[str], npm: Sequence[str]) -> Path:
    """The Python of a runtime's own environment, which packages of Node.js lie in, too."""
    folder = ENVIRONMENTS / runtime
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = "\n".join([*packages, *npm])
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        for one in packages:  # one after the other: torch is pinned before what would fetch another
            command = [python, "-m", "pip", "install", "--quiet", *one.split()]
            subprocess.run(command, check=True)
        if npm:
            command = ["npm", "install", "--silent", "--ignore-scripts", "--prefix", folder, *npm]
            subprocess.run(command, check=True)
        done.write_text(wanted)
    return python


def tried(python: Path, runtime: str, case: Path) -> dict[str, Any]:
    """What drive.py says of a runtime on a case."""
    command = [python, HERE / "drive.py", runtime, case]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return {"refused": f"nothing after {PATIENCE} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = done.stderr.strip().splitlines()[-1:] or ["without a word"]
        return {"refused": f"ended with {done.returncode}: {last[0][:300]}"}
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def passes(cell: Mapping[str, Any]) -> bool:
    return "refused" not in cell and max(cell["differences"].values()) <= LIMIT


def shown(cell: Mapping[str, Any]) -> str:
    if "refused" in cell:
        return f"refused: {cell['refused']}"
    return ", ".join(f"{name} {value:.1e}" for name, value in cell["differences"].items())


def page(runtimes: Mapping[str, Any], cells: Mapping[str, Mapping[str, Any]]) -> str:
    """docs/consumers.md."""
    lines = [
        "# Who takes the graphs",
        "",
        "Written by `make check-consumers`, which tries small random models of each family in each",
        f"runtime: static graphs in f32, a prefill of {PROMPT} tokens and {DECODED} decoded ones with a cache",
        f"of {CONTEXT}. A cell is the largest difference to transformers' logits, of the prefill and of the",
        f"decoded tokens; at most {LIMIT:.0e} counts as the same. tinygrad needs clang on the machine, and",
        "onnxruntime-node Node.js with npm.",
        "",
        f"| runtime | options | {' | '.join(FAMILIES)} |",
        f"|{'---|' * (2 + len(FAMILIES))}",
    ]
    notes = []
    for runtime, row in cells.items():
        settings = runtimes[runtime]
        found = next((cell["versions"] for cell in row.values() if "versions" in cell), {})
        versions = ", ".join(f"{name} {number}" for name, number in found.items()) or runtime
        options = " ".join(
            f"--{name} {value}" for name, value in settings.get("options", {}).items()
        )
        texts = []
        for family in FAMILIES:
            if passes(row[family]):
                texts.append(" / ".join(f"{v:.0e}" for v in row[family]["differences"].values()))
            else:
                reason = settings.get("refuses", {}).get(family, shown(row[family]))
                notes.append(f"- {runtime}, {family}: {reason}")
                texts.append("no")
        lines.append(f"| {versions} | `{options}` | {' | '.join(texts)} |")
    return "\n".join([*lines, "", *notes, ""]).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
