"""What the parser wanted and what it found, in the words of somebody who writes tables.

Knows terminal names so that no message has to show one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from specgen.language.balance import SECTION_WORDS
from specgen.language.lexemes import SHOWN, Lexeme

#: Terminals that together mean "any expression can stand here".
EXPRESSION: Final = frozenset({"NAME", "INT", "NUMBER", "STRING", "TRUE", "LPAR", "MINUS"})
EXPRESSION_STARTS: Final = EXPRESSION | {
    "FALSE", "INF", "NULL", "NOT", "LSQB",
}  # fmt: skip
LITERALS: Final = frozenset({"INT", "NUMBER", "TRUE", "FALSE", "INF", "NULL"})
OPERATORS: Final = frozenset({"PLUS", "MINUS", "MUL", "POW", "COMP", "AND", "OR", "LPAR", "DOT"})
ITEMS: Final = frozenset({"MODEL", "MODULE", "FUNCTION"})
SECTIONS: Final = frozenset(word.upper() for word in SECTION_WORDS) - ITEMS

WORDS: Final[dict[str, str]] = {
    "NAME": "a name",
    "INT": "a whole number",
    "NUMBER": "a number",
    "STRING": "a text in double quotes",
    "DTYPE": "a dtype such as `f32`",
    "PTYPE": "a type (`size`, `count`, `real`, `flag`, `dtype`, `counts`, `reals`)",
    "SHARED": "`tied`",
    "OVER": "`over`",
    "_TIMES": "`×`",
    "COMP": "a comparison",
    "MUL": "`×`, `/` or `%`",
    "$END": "the end",
}

STATEMENT: Final = (
    "a statement reads: name = expression, return expression, or if condition { statements }"
)

#: What is said of an `if` that stands where an expression should.
CHOICE: Final = "one of two values is `a when condition else b`; `if` stands around statements"

#: How a row of each section reads; `if` and `forward` stand for the body of a forward.
ROWS: Final[dict[str, str]] = {
    "params": 'a row of `params` reads: name : size = 64 in tokens "description"',
    "let": 'a row of `let` reads: name = expression "description"',
    "require": 'a row of `require` reads: condition "reason"',
    "dtypes": "a row of `dtypes` reads: maps = bf16",
    "tensors": 'a row of `tensors` reads: name : in -> out when condition "description", '
    "or name : [a, b]",
    "parts": 'a row of `parts` reads: name : module(width = dim) when condition "description"',
    "cache": 'a row of `cache` reads: name : [B, T, width] along T "description"',
    "sharding": "a row of `sharding` reads: tensor over n_heads, n_kv_heads along n_heads",
    "names": 'a row of `names` reads: row -> "name in the checkpoint", '
    'or row, row -> "name" as rearrange("a b -> b a")',
    "config": 'a row of `config` reads: name -> "key in config.json" when condition',
    "report": 'a report reads: "heading" { "label" : path }',
    "variant": "a row of `variant` reads: name = value",
    "forward": STATEMENT,
    "function": STATEMENT,
    "if": STATEMENT,
    "else": STATEMENT,
}


def expected(
    accepts: Collection[str], spelling: Callable[[str], str | None], opens_row: bool
) -> str:
    """The terminals that could come next, as a phrase.

    `opens_row` says that a row may end here, so that the next one or `}` can follow.
    """
    left = set(accepts)
    phrases: list[str] = []
    if opens_row:
        left -= {"RBRACE", "NAME", "RETURN", "IF", "$END"}
        if "PARAMS" not in left:
            left -= {*EXPRESSION_STARTS} - {"STRING", "LPAR", "MINUS"}
    if left >= EXPRESSION:
        phrases.append("an expression")
        left -= EXPRESSION_STARTS
    elif left >= LITERALS:
        phrases.append("a name or value")
        left -= LITERALS | {"NAME", "STRING"}
    if left >= SECTIONS:
        phrases.append("a section such as `params {` or `tensors {`")
        left -= SECTIONS | ITEMS
    elif left >= ITEMS:
        phrases += "`model`", "`module`", "`function`"
        left -= ITEMS
    operator = left >= {"PLUS", "MUL"}
    if operator:
        left -= OPERATORS
    if "STRING" in left and opens_row and "PARAMS" not in left:
        left.discard("STRING")
        phrases.append("a description")
    phrases += sorted(
        {WORDS.get(name) or f"`{spelling(name) or name.lower()}`" for name in left},
        key=lambda phrase: (not phrase.startswith("`"), phrase),
    )
    if operator:
        phrases.append("an operator")
    if opens_row and "PARAMS" in accepts:
        phrases.append("`}`")
    elif opens_row and "MODEL" not in accepts and "RBRACE" in accepts:
        phrases.append("the next row")
    return listed(phrases)


def listed(phrases: list[str], last_word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`."""
    if not phrases:
        return "nothing more"
    *most, last = phrases
    return f"{', '.join(most)} {last_word} {last}" if most else last


def found(lexeme: Lexeme) -> str:
    """A lexeme in a message."""
    shown = lexeme.text if len(lexeme.text) <= SHOWN else lexeme.text[: SHOWN - 1] + "…"
    if lexeme.text.startswith('"'):
        return f"the text {shown}"
    return f"`{shown}`"
