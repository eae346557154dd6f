"""`make check-pythons`: the fast tests that need the core alone, under each Python there is.

A release is an interpreter on the PATH, one of pyenv's, or one that uv fetches where it is
installed and reaches its server.  What cannot be had is skipped, and said; a skip is no failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEEDED = ("lark", "jinja2", "sympy", "numpy", "platformdirs", "rich")
TESTS = (
    "tests/language", "tests/errors", "tests/expr", "tests/output",
    "tests/project/test_comprehensions.py",
)  # fmt: skip
TESTING = ("pytest", "hypothesis", "interegular")


def interpreters(release: str) -> list[str]:
    """Where an interpreter of the release may lie, the likeliest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = [str(path / "bin" / "python") for path in sorted(pyenv.glob(f"{release}*"))]
    found += [path for path in (shutil.which(f"python{'.'.join(release.split('.')[:2])}"),) if path]
    uv = shutil.which("uv")
    if uv is not None:
        subprocess.run([uv, "python", "install", release], capture_output=True, check=False)
        asked = subprocess.run(
            [uv, "python", "find", release], capture_output=True, text=True, check=False
        )
        found += asked.stdout.split("\n")[:1]
    return [path for path in found if path]


def version(interpreter: str) -> str:
    """The release of an interpreter; "" where it does not run."""
    code = "import platform; print(platform.python_version())"
    try:
        asked = subprocess.run(
            [interpreter, "-c", code], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return asked.stdout.strip()


def passes(interpreter: str, found: str) -> bool:
    """Whether the tests pass; in an environment of their own, kept for the next time."""
    place = ROOT / ".venv-pythons" / found
    python = place / "bin" / "python"
    if not (place / ".installed").exists():
        subprocess.run([interpreter, "-m", "venv", str(place)], check=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        subprocess.run([python, "-m", "pip", "install", *quiet, *NEEDED, *TESTING], check=True)
        (place / ".installed").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(place / "cache")}
    built = subprocess.run(
        [python, "-m", "specgen", "build", "llama@llama3_8b", "-o", str(place / "built")],
        env=environment,
        check=False,
    )
    tests = subprocess.run(
        [python, "-m", "pytest", "-q", "-m", "not slow", *TESTS],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    return built.returncode == tests.returncode == 0


def main(releases: list[str]) -> int:
    failed = []
    seen: set[str] = set()
    for release in releases:
        for interpreter in interpreters(release):
            found = version(interpreter)
            if found == release or found.startswith(f"{release}."):
                break
        else:
            print(f"Python {release}: skipped, no interpreter here and none that uv can fetch")
            continue
        if found in seen:
            continue
        seen.add(found)
        print(f"Python {found}: {interpreter}", flush=True)
        if not passes(interpreter, found):
            failed.append(found)
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(sorted(seen))}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
