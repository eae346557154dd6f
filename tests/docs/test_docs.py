"""The documentation says what the code does: generated parts, examples, commands, links."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.expr.node import FUNCTIONS
from specgen.language.parser import parse
from tests.docs.console import hold

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LANGUAGE = (DOCS / "language.md").read_text(encoding="utf-8")
GRAMMAR = (ROOT / "grammar" / "dsv3.lark").read_text(encoding="utf-8")
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    ]
)


def examples(page: Path) -> list[str]:
    return re.findall(r"^```dsv3\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)


def faults(text: str) -> list[str]:
    """The syntax faults of a whole spec, or of sections of a model."""
    if not text.lstrip().startswith("language"):
        text = f"language 1\nmodel example {{\n{text}\n}}\n"
    diagnostics = Diagnostics()
    parse(Source("example", text), diagnostics)
    return [f"{d.code}: {d.message}" for d in diagnostics.all]


def test_generated_parts_are_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.pages().items():
        assert path.read_text(encoding="utf-8") == text, "run docs/generate.py (make accept)"


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=lambda page: page.name)
def test_examples_parse(page: Path) -> None:
    for example in examples(page):
        assert faults(example) == [], example


def test_a_wrong_example_would_be_seen() -> None:
    assert faults("params { dim size = 4 }")


def test_every_section_of_the_grammar_is_documented() -> None:
    rule = re.search(r"^\?section:(.*?)\n\n", GRAMMAR, re.DOTALL | re.M)
    assert rule is not None
    sections = set(re.findall(r"\w+", rule[1])) - {"module"}
    assert len(sections) > 10
    headings = set(re.findall(r"\w+", " ".join(re.findall(r"^### (.*)$", LANGUAGE, re.M))))
    assert sections - headings == set()


def test_every_dtype_and_type_of_the_grammar_is_documented() -> None:
    for terminal in ("DTYPE", "PTYPE"):
        pattern = re.search(rf"^{terminal}:\s*/\(([^)]*)\)", GRAMMAR, re.M)
        assert pattern is not None
        for word in pattern[1].split("|"):
            assert re.search(rf"`[^`]*\b{word}\b[^`]*`", LANGUAGE), word


def test_every_function_of_expressions_is_documented() -> None:
    for name in FUNCTIONS:
        assert f"`{name}`" in LANGUAGE, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"(?<!\\)\]\((?!https?:)([^)#]+)", prose):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:specgen|tests|specs|grammar|docs|templates)/[\w/.-]+)`", text)
    assert [n for n in named if "NAME" not in n and not (ROOT / n).exists()] == []


def test_every_room_is_described() -> None:
    """The contract of the arrows has all of them: it is exhaustive."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    rooms = {room for layer in contract["layers"] for room in layer.split(" | ")}
    told = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for room in rooms:
        assert re.search(rf"\b{room}\b", told), room


def test_every_decision_is_listed() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    for page in (DOCS / "decisions").glob("0*.md"):
        assert f"({page.name})" in index


@pytest.mark.slow
def test_the_tutorial_shows_what_its_commands_print(tmp_path: Path) -> None:
    hold(DOCS / "tutorial.md", tmp_path)
    pytest.importorskip("torch", reason="torch is not installed")
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    found = re.search(
        r"^```python\n(import torch\n.*?)^```.*?^```text\n(.*?)^```", text, re.S | re.M
    )
    assert found is not None
    done = subprocess.run(
        [sys.executable, "-c", found[1]],
        cwd=tmp_path / "out" / "tiny" / "larger",
        capture_output=True,
        text=True,
        check=True,
    )
    shown, printed = (
        [float(number) for number in re.findall(r"\d+\.\d+", said)]
        for said in (found[2], done.stdout)
    )
    assert len(printed) == 3
    assert printed == pytest.approx(shown, abs=2e-4)
    assert all(1 / 1000 < probability < 1 / 100 for probability in printed)


@pytest.mark.slow
def test_the_questions_are_answered_as_shown() -> None:
    hold(DOCS / "whatif.md", ROOT)


def test_the_readme_shows_what_its_commands_print() -> None:
    hold(ROOT / "README.md", ROOT)
