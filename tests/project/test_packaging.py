"""What the project says of itself is true: dependencies, data, commands, habits."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import specgen
from specgen.cli.main import COMMANDS, MODULES
from specgen.resources import folder
from specgen.version import DISTRIBUTION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


#: What generated files are made of, which the compiler reads as text.
RUNTIME = ROOT / "specgen" / "backends" / "pytorch" / "runtime"
COMPILER = [path for path in (ROOT / "specgen").rglob("*.py") if path.parent != RUNTIME]


@cache
def imports(path: Path) -> set[str]:
    """The top-level packages that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_import_is_a_declared_dependency_and_back() -> None:
    declared = {re.split(r"[<>=\[]", d)[0] for d in PROJECT["project"]["dependencies"]}
    used = set().union(*(imports(path) for path in COMPILER))
    extras = PROJECT["project"]["optional-dependencies"]
    asked = {re.split(r"[<>=\[]", d)[0] for name in ("plot", "parquet") for d in extras[name]}
    assert used - sys.stdlib_module_names - {"specgen"} == declared | asked


def test_the_compiler_never_imports_what_only_tests_have() -> None:
    for path in COMPILER:
        assert not imports(path) & {"torch", "transformers", "onnxruntime", "pickle"}, path


def test_nothing_is_evaluated() -> None:
    for path in (ROOT / "specgen").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                assert name not in {"eval", "exec", "sympify", "parse_expr", "S"}, path


def test_what_people_are_told_to_install_is_this_project() -> None:
    """`specgen` on the index is somebody else's; extras that are named exist."""
    extras = PROJECT["project"]["optional-dependencies"]
    assert PROJECT["project"]["name"] == DISTRIBUTION
    texts = [ROOT / "README.md"]
    for name in ("specgen", "docs", "templates", "generated"):
        texts += (p for p in (ROOT / name).rglob("*") if p.suffix in {".py", ".md", ".j2", ".js"})
    told = [
        (path.name, name.replace("{DISTRIBUTION}", DISTRIBUTION), extra)
        for path in texts
        for name, extra in re.findall(
            r"pip install '?([A-Za-z{][\w{}-]*)(?:\[(\w+)\])?", path.read_text(encoding="utf-8")
        )
    ]
    assert {name for _, name, _ in told if name.startswith("specgen")} == {DISTRIBUTION}
    assert {extra for _, name, extra in told if name == DISTRIBUTION} <= {"", *extras}


def test_the_data_folders_are_in_the_wheel() -> None:
    mapped = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert mapped == {n: f"specgen/_data/{n}" for n in ("grammar", "specs", "templates")}
    for name in mapped:
        assert folder(name).is_dir()


def test_every_command_has_its_module_and_no_other_is_there() -> None:
    shared = {"__init__", "main", "arguments", "output"}
    modules = {path.stem for path in (ROOT / "specgen" / "cli").glob("*.py")}
    assert modules - shared == {MODULES.get(name, name) for name in COMMANDS}


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", makefile, re.M)
    assert phony is not None
    documented = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.M))
    assert set(phony[1].replace("\\\n", " ").split()) == documented


def test_ci_runs_the_readmes_command() -> None:
    command = "make check"
    assert f"\n```sh\n{command}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"exec {command}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_version_has_one_place() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "specgen", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"specgen {specgen.__version__}\n"
