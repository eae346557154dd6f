"""Names and texts of a table in generated Python: harmless, readable, never confused."""

from __future__ import annotations

import ast
import keyword
import subprocess
import sys
import tokenize
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specgen.backends.pytorch.definitions import docstring
from specgen.backends.pytorch.quoting import (
    MODULE_ATTRIBUTES,
    attribute,
    class_name,
    function_name,
    literal,
    quote,
    variable,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True) | st.sampled_from(
    [*keyword.kwlist, *MODULE_ATTRIBUTES.split(), "max", "torch", "F", "self", "__init__", "_"]
)

HOSTILE = [
    '"""; import os; """',
    'ends in a quote"',
    "ends in a backslash\\",
    "\\",
    '\\"""\\',
    "{{ 1 + 1 }} {% raw %} {# #}",
    "{config} %s {0}",
    "line\u2028separator\u2029paragraph\x85next\x0bvertical\x0cfeed\x1cfile",
    "bell\x07 null\x00 escape\x1b[31m delete\x7f",
    "bidi \u202e override \u2066 isolate \u200f mark",
    "zero\u200bwidth \ufeff mark",
    "lone \ud800 surrogate",
    "tab\tand\u00a0no-break",
    "名词：中文说明，保持可读",
    "# noqa: E501  # type: ignore",
    "-*- coding: latin-1 -*-",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts(text: str) -> None:
    assert_harmless(text)


@given(st.text())
def test_any_text(text: str) -> None:
    assert_harmless(text)


def assert_harmless(text: str) -> None:
    """On its own line, in a docstring and in a literal the text is one token and one line."""
    quoted = quote(text)
    assert len(quoted.splitlines()) <= 1
    assert quoted.isprintable()
    source = f'"""{quoted}"""\n# {quoted}\nx = {literal(text)}  # {quoted}\n'
    tokens = [t.type for t in tokenize.generate_tokens(StringIO(source).readline)]
    assert tokens.count(tokenize.STRING) == 2
    assert tokens.count(tokenize.COMMENT) == 2
    docstring, assignment = ast.parse(source).body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(assignment, ast.Assign)
    assert ast.literal_eval(docstring.value) == text
    assert ast.literal_eval(assignment.value) == text


def test_letters_stay_readable() -> None:
    text = "注意力层: Größe d × k, λ ≤ 2"
    assert quote(text) == text


@given(NAMES)
def test_names_are_identifiers(name: str) -> None:
    upper = class_name(name, f"({name.upper()})")
    for written in (variable(name), attribute(name), function_name(name), class_name(name), upper):
        assert written.isidentifier()
        assert not keyword.iskeyword(written)
    assert attribute(name) not in MODULE_ATTRIBUTES.split()
    assert not attribute(name).startswith("__") or attribute(name).endswith("___")


@given(st.lists(NAMES, unique=True, max_size=20), st.sets(NAMES, max_size=4))
def test_different_names_stay_different(names: list[str], taken: set[str]) -> None:
    for written in (
        [variable(name, taken) for name in names],
        [attribute(name) for name in names],
        [function_name(name) for name in names],
    ):
        assert len(set(written)) == len(names)


@given(NAMES, st.sets(NAMES, max_size=4))
def test_variables_avoid_what_is_taken(name: str, taken: set[str]) -> None:
    assert name.startswith("__") or variable(name, taken) not in taken


def test_ordinary_names_are_not_touched() -> None:
    for name in ("wq_a", "norm", "head", "index", "weights", "query", "half", "gate", "dim"):
        assert variable(name) == name
    for name in ("wq_a", "norm", "head", "weight", "bias", "layers", "experts", "query"):
        assert attribute(name) == name
    assert class_name("mtp_head") == "MtpHead"
    assert class_name("mtp_head", "Multi-token prediction (MTP) head") == "MTPHead"
    assert class_name("rmsnorm", "Root-mean-square normalisation (RMSNorm)") == "RMSNorm"
    assert class_name("config", "The CONFIG") == "CONFIG"
    assert class_name("names", "NAMES") == "NAMES_"


@given(st.text(), NAMES)
def test_any_title(title: str, name: str) -> None:
    """A title changes the case of a class's name and nothing else."""
    written = class_name(name, title)
    assert written.isidentifier()
    assert not keyword.iskeyword(written)
    assert written.lower().rstrip("_") == class_name(name).lower().rstrip("_")


@given(st.text(max_size=400) | st.sampled_from([text * 20 for text in HOSTILE]))
def test_docstrings_of_any_text(text: str) -> None:
    """However it is broken into lines, it is one docstring that says the text."""
    lines = docstring(quote(text), 1, "x: [B] -> [B]")
    (found,) = ast.parse("def f():\n" + "\n".join(lines)).body
    assert isinstance(found, ast.FunctionDef)
    assert len(found.body) == 1
    said = ast.get_docstring(found, clean=False) or ""
    assert "".join(said.split()) == "".join(f"{text}x: [B] -> [B]".split())


@pytest.mark.slow
def test_every_attribute_of_a_torch_module_is_known() -> None:
    """In a process of its own: other libraries add attributes."""
    pytest.importorskip("torch", reason="torch is not installed")
    program = "import torch; print(*dir(torch.nn.Module()))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    known = {name for name in done.stdout.split() if not name.startswith("__")}
    assert known <= set(MODULE_ATTRIBUTES.split())
