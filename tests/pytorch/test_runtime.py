"""What is taken from the runtime: complete, no more than needed, and what the modules define."""

from __future__ import annotations

import ast
import builtins
import itertools

import pytest

from specgen.backends.pytorch.quoting import function_name
from specgen.backends.pytorch.sources import ELSEWHERE, imported, runtime, taken
from specgen.resources import PACKAGE

FOLDER = PACKAGE / "backends" / "pytorch" / "runtime"

PYTHON = {*dir(builtins), "__file__", "__name__"}

TABLES = (
    "BESIDES",
    "CACHED",
    "COPIES",
    "DTYPES",
    "FLAGS",
    "FORMATS",
    "FOURS",
    "LITERALS",
    "NARROW",
    "NUMBERS",
    "PACKED",
    "RESPELLINGS",
    "TEXTS",
    "TUPLES",
    "WHERE",
    "WHOLES",
)


def test_every_module_is_read() -> None:
    """A definition that no build could take would be dead."""
    found = {
        name
        for path in FOLDER.glob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(name := getattr(node, "name", None), str)
    }
    assert found <= set(runtime().definitions)


def test_no_function_of_a_table_hides_what_files_have() -> None:
    """Names at the top of the files are reserved: definitions and imports of the runtime."""
    for name in (*runtime().definitions, *runtime().imports):
        if "." not in name:
            assert function_name(name) != name, name


@pytest.mark.parametrize("name", sorted(runtime().definitions))
def test_taken_with_all_that_it_needs(name: str) -> None:
    """Whatever tables there are, each name that is read is defined, imported or Python's own."""
    for count in (0, 1, len(TABLES)):
        for have in itertools.combinations(TABLES, count):
            imports, texts = taken(name, have)
            assert name in texts
            lines = "\n".join([*imports, *texts.values()])
            tree = compile(lines, name, "exec", ast.PyCF_ONLY_AST)
            known = {
                n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)
            }
            known |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
            known |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and stored(n)}
            known |= {n for n, _ in imported(tree)} | set(TABLES)
            known |= {n.name for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and n.name}
            read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            assert read <= known | PYTHON, read - known


def stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def test_nothing_is_taken_that_is_not_needed() -> None:
    """`placed` of a model without caches needs no cache; a variable is no function of its name."""
    _, texts = taken("placed_alone")
    assert set(texts) == {"placed_alone", "check_tokens", "shaped_mask", "masked"}
    _, texts = taken("def forward(load):\n    save = load\n    return save, x.shapes")
    assert texts == {}


def test_tests_of_tables_are_decided() -> None:
    text = {have: taken("load", have)[1]["load"] for have in ((), ("COPIES",))}
    assert "copies" not in text[()]
    assert "    copies = dict(stored_copies(model))" in text[("COPIES",)].splitlines()
    assert not any("if COPIES" in t or "if DTYPES" in t for t in text.values())


def test_tables_of_python_import_as_python_does() -> None:
    names = {name for name, _ in imported(ast.parse(ELSEWHERE))}
    assert {"torch", "F", "nn", "math", "dataclass"} <= names


def test_the_modules_say_what_is_taken() -> None:
    """Without tables to decide, a definition is the text of its module, to the letter."""
    for path in FOLDER.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        for name, definition in runtime().definitions.items():
            if f"\ndef {name}(" in text or f"\nclass {name}(" in text:
                assert "\n".join(definition.lines) in text
