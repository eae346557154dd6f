"""The grammar: conflict-free, wholly built into trees, and in step with the code around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lark import Lark, Tree
from lark.exceptions import UnexpectedInput

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language import balance, expected, recovery
from specgen.language.builder import Builder
from specgen.language.faults import Faults
from specgen.language.lexemes import FOREIGN, lex
from specgen.language.machine import Machine, machine
from specgen.language.parser import parse
from specgen.language.prebuilt import STARTS, tables
from specgen.resources import folder

TEXT = (folder("grammar") / "dsv3.lark").read_text(encoding="utf-8")
SPECS = sorted(folder("specs").rglob("*.dsv3"))
CONSTRUCTS = Path(__file__).with_name("constructs.dsv3")
CASES = sorted((Path(__file__).parents[1] / "errors" / "cases").glob("*.dsv3"))


@pytest.fixture(scope="module")
def reference() -> Lark:
    """The grammar as lark reads it by itself, with its own contextual lexer."""
    return Lark(TEXT, parser="lalr", start=list(STARTS), maybe_placeholders=True)


def test_there_is_no_conflict() -> None:
    pytest.importorskip("interegular", reason="lark's strict mode needs it")
    Lark(TEXT, parser="lalr", start=list(STARTS), maybe_placeholders=True, strict=True)


def test_reserved_words_are_the_words_of_the_grammar() -> None:
    name = re.search(r"^NAME:\s*/\(\?!\(\?:([a-z|0-9]+)\)", TEXT, re.MULTILINE)
    assert name is not None
    rules = re.sub(r"//[^\n]*", "", TEXT[: TEXT.index("// ---- terminals")])
    terminals = re.findall(r"^[A-Z]+: +\"([a-z]+)\"", TEXT, re.MULTILINE)
    words = set(re.findall(r'"([a-z]+)"', rules)) | set(terminals) | {"tied", "copy"}
    assert set(name[1].split("|")) == words
    assert all(machine().is_reserved(word) for word in words)


def test_every_rule_builds_a_node(reference: Lark) -> None:
    for rule in reference.rules:
        origin = str(rule.origin.name)
        name = rule.alias or origin
        if origin.startswith("_") or (rule.options.expand1 and not rule.alias):
            continue
        assert name in dir(Builder), f"no method for `{name}`"


def test_constructs_use_every_rule(reference: Lark) -> None:
    wanted = {
        str(rule.alias or rule.origin.name)
        for rule in reference.rules
        if not str(rule.origin.name).startswith("_") and (rule.alias or not rule.options.expand1)
    }
    found = reference.parse(CONSTRUCTS.read_text(encoding="utf-8"), start="start")
    used = {str(node.data) for node in found.iter_subtrees()}
    assert wanted - used == set()


@pytest.mark.parametrize("path", [CONSTRUCTS, *SPECS], ids=lambda path: path.stem)
def test_lark_alone_accepts_what_we_accept(path: Path, reference: Lark) -> None:
    tree: Tree[Any] = reference.parse(path.read_text(encoding="utf-8"), start="start")
    assert tree.data == "start"


class Shown:
    """A builder that gives for each rule its name and its children, as text and lists."""

    end = 0

    def begin(self, source: Source, faults: Faults) -> None:
        pass

    def __getattr__(self, rule: str) -> Callable[..., Any]:
        if rule.startswith("_"):
            raise AttributeError(rule)
        return lambda *children: [rule, *(str(c) if isinstance(c, str) else c for c in children)]


def shown(node: Any) -> Any:
    if isinstance(node, Tree):
        return [str(node.data), *map(shown, node.children)]
    return node if node is None else str(node)


@pytest.mark.parametrize("path", [CONSTRUCTS, *SPECS], ids=lambda path: path.stem)
def test_our_machine_builds_what_lark_builds(path: Path, reference: Lark) -> None:
    source = Source("x", path.read_text(encoding="utf-8"))
    faults = Faults(Diagnostics())
    builder: Any = Shown()
    state = Machine(tables(), builder).begin("start", source, faults)
    for lexeme in lex(source, 0, len(source.text), faults).lexemes:
        state.feed(lexeme)
    assert state.finish() == shown(reference.parse(source.text, start="start"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_lark_alone_rejects_what_we_reject(path: Path, reference: Lark) -> None:
    text = path.read_text(encoding="utf-8")
    diagnostics = Diagnostics()
    parse(Source("x", text), diagnostics)
    # Faults that are not the grammar's: numbers, depth, the edition, arguments.
    own = {"E0104", "E0110", "E0113", "E0116"}
    faults = {diagnostic.code for diagnostic in diagnostics.all}
    try:
        reference.parse(text, start="start")
    except UnexpectedInput:
        assert faults, "accepted against the grammar"
    else:
        assert faults <= own


def test_section_words_are_those_of_the_grammar(reference: Lark) -> None:
    names = {
        symbol.name
        for rule in reference.rules
        if str(rule.origin.name) in ("section", "item")
        for symbol in rule.expansion
    }
    assert names == balance.SECTION_WORDS


def test_words_of_recovery_are_words_of_the_language() -> None:
    words = recovery.HEAD_WORDS | recovery.INNER_WORDS | set(recovery.SPARE_HEADS)
    assert all(machine().is_reserved(word) for word in words)
    known = {terminal.name for terminal in Lark(TEXT, parser="lalr", lexer="basic").terminals}
    assert set(expected.WORDS) - {"$END"} <= known
    assert known >= expected.EXPRESSION_STARTS | expected.OPERATORS | expected.SECTIONS
    for word in FOREIGN.values():
        assert word == "" or machine().terminals(word), word
