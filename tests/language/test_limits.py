"""What would take for ever, or all memory, is refused by size; nothing recurses without bound."""

from __future__ import annotations

import sys
import time

import pytest

from specgen.diagnostics import text as renderer
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language.expressions import EXPRESSION_DEPTH, ITEMS, LIST_ITEMS
from specgen.language.faults import LIMIT
from specgen.language.lexemes import BRACKET_DEPTH, LEXEMES
from specgen.language.machine import machine
from specgen.language.parser import parse, parse_expression
from tests.work import calls

MILLION = 10**6
LET = "language 1\nmodel m {{ let {{ x = {} }} }}"

HOSTILE = {
    "parentheses": (LET.format("(" * MILLION + "1" + ")" * MILLION), "E0113"),
    "open brackets": ("language 1 [" + "[" * MILLION, "E0113"),
    "open modules": ("language 1" + " module a {" * 10**5, "E0113"),
    "nots": (LET.format("not " * 90_000 + "true"), "E0113"),
    "signs": (LET.format("- " * 90_000 + "1"), "E0113"),
    "powers": (LET.format("2 ** " * 40_000 + "2"), "E0113"),
    "conditions": (LET.format("1 when x else " * 24_000 + "1"), "E0113"),
    "sums": (LET.format("1 + " * 40_000 + "1"), "E0113"),
    "else ifs": (
        "language 1 function f() -> [] { if a { } " + "else if b { } " * 18_000 + "}",
        "E0113",
    ),
    "words": (LET.format("1 " * MILLION), "E0114"),
    "empty texts": (LET.format('"" ' * 300_000), "E0114"),
    "digits": (LET.format("9" * MILLION), "E0110"),
    "exponent": (LET.format("1e" + "9" * MILLION), "E0110"),
    "faulty rows": ("language 1 model m { let {" + "\n x : : 1" * 24_000 + "}}", "E0115"),
    "rows cut short": ("language 1 model m { let {" + "\n x =" * 24_000 + "}}", "E0115"),
    "closing brackets": ("language 1" + ")" * 90_000, "E0115"),
    "controls": ("language 1" + "\x01\x02" * 90_000, "E0115"),
    "look-alikes": ("language 1" + "：" * 90_000, "E0115"),
    "texts not closed": ("language 1" + '\n"' * 90_000, "E0115"),
    "long word": ("language 1 " + "x" * MILLION, "E0105"),
    "long line": ("language 1 " + " " * MILLION + "}", "E0107"),
    "spaces": ("language 1" + " \n" * 500_000 + "}", "E0107"),
}


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    machine()


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_answered_soon(name: str) -> None:
    text, code = HOSTILE[name]
    diagnostics = Diagnostics()
    before = time.perf_counter()
    parse(Source("x", text), diagnostics)
    shown = renderer.render(diagnostics.all)
    assert time.perf_counter() - before < 30  # a bound on hanging, not a measurement
    assert code in {diagnostic.code for diagnostic in diagnostics.all}
    assert len(diagnostics.all) <= LIMIT + 1
    assert len(shown) < 200_000


def test_a_million_brackets_are_not_parsed() -> None:
    source = Source("x", HOSTILE["parentheses"][0])
    assert calls(lambda: parse(source, Diagnostics())) < 1_000


def nested(count: int) -> str:
    return "(" * count + "1" + ")" * count


def numbers(count: int) -> str:
    return "[" + "1, " * count + "]"


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (nested(BRACKET_DEPTH), True),
        (nested(BRACKET_DEPTH + 1), False),
        ("not " * EXPRESSION_DEPTH + "true", True),
        ("not " * (EXPRESSION_DEPTH + 1) + "true", False),
        ("1 + " * EXPRESSION_DEPTH + "1", True),
        ("1 + " * (EXPRESSION_DEPTH + 1) + "1", False),
        ("1 when x else " * EXPRESSION_DEPTH + "1", True),
        ("1 when x else " * (EXPRESSION_DEPTH + 1) + "1", False),
        ("f(a = " * BRACKET_DEPTH + "1" + ")" * BRACKET_DEPTH, True),
        ("9" * 30, True),
        ("9" * 31, False),
        ("1_" * 30, True),
        ("1e308", True),
        ("1e309", False),
        (numbers(LIST_ITEMS), True),
        (numbers(LIST_ITEMS + 1), False),
        ("f(" + "1, " * ITEMS + ")", True),
        ("f(" + "1, " * (ITEMS + 1) + ")", False),
        ("+".join("(" * 60 + "1" + " + 1)" * 60 for _ in range(20)), True),
    ],
)
def test_limits_are_where_they_are_said_to_be(text: str, fits: bool) -> None:
    diagnostics = Diagnostics()
    found = parse_expression(Source("x", text), None, diagnostics)
    assert (found is not None) is fits, diagnostics.all


@pytest.mark.slow
def test_many_short_lived_groups_do_not_add_up() -> None:
    # Depths are kept by the ids of nodes: an id given out again must not bring its depth along.
    rows = "\n".join(f"x{i} = ((((1 + 2) + 3) + 4) + {i})" for i in range(3000))
    diagnostics = Diagnostics()
    file = parse(Source("x", f"language 1 model m {{ let {{ {rows} }} }}"), diagnostics)
    assert diagnostics.all == ()
    assert file is not None
    assert len(file.modules[0].lets) == 3000


@pytest.mark.slow
def test_just_below_the_limit_of_words() -> None:
    rows = (LEXEMES - 20) // 3
    source = Source("x", "language 1 model m { let {" + "\n x = 1" * rows + "}}")
    diagnostics = Diagnostics()
    file = parse(source, diagnostics)
    assert file is not None
    assert len(file.modules[0].lets) == rows


def test_the_deepest_tree_is_safe_to_recurse_over() -> None:
    # Consumers recurse; three frames a level must fit into half of Python's limit.
    assert 0.7 * sys.getrecursionlimit() >= 3 * EXPRESSION_DEPTH
