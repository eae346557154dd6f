"""Texts that are nearly specs: damaged, with words exchanged, or grammatical nonsense.

All choices come from a `random.Random` that hypothesis provides, so that every run is the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

from lark import Lark
from lark.grammar import Rule

from specgen.resources import folder

TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|[0-9][\w.]*|->|\*\*|[<>=!]=|\s+|#[^\n]*|.')
JUNK = (
    "{", "}", "(", ")", "[", "]", ":", "=", "->", ",", ".", "..", "×", "**", "-", "#", '"', "\n",
    "when", "else", "if", "return", "forward", "module", "names", "cache", "tied", "has",
    "“", "：", "−", "\0", "\x1b[2J", "\u202e", "é", "维", "1e5", "9" * 40, "0", "1e999", "\ufeff",
)  # fmt: skip

ROOT = Path(__file__).parents[2]
SPECS = sorted(folder("specs").rglob("*.dsv3"))
CASES = sorted((ROOT / "tests" / "errors" / "cases").glob("*.dsv3"))
SMALL = [path for path in (*SPECS, *CASES) if path.stat().st_size < 8000]


def damaged(text: str, random: Random) -> str:
    """One to four stretches deleted, doubled, cut off or replaced."""
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((1, 1, 2, 5, 20, 200)))
        match random.randrange(5):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:end] + text[start:]
            case 2:
                text = text[:start] + random.choice(JUNK) + text[start:]
            case 3:
                text = text[:start] + random.choice(JUNK) + text[end:]
            case _:
                text = text[:start] if random.random() < 0.1 else text[:start] + text[end:]
    return text


def exchanged(text: str, random: Random) -> str:
    """One to three words, numbers or signs replaced by others of their kind in the same text."""
    tokens = TOKEN.findall(text)
    places = [i for i, token in enumerate(tokens) if not token.isspace() and token[0] != "#"]
    for _ in range(random.randint(1, 3)):
        place = random.choice(places)
        alike = [tokens[i] for i in places if kind(tokens[i]) == kind(tokens[place])]
        tokens[place] = random.choice((*alike[:200], " "))
    return "".join(tokens)


def kind(token: str) -> str:
    if token[0].isalpha() or token[0] == "_":
        return "word"
    return "number" if token[0].isdigit() else "text" if token[0] == '"' else token


# ---- grammatical nonsense --------------------------------------------------------------

NAMES = (
    "dim", "n", "depth", "on", "kind", "rate", "half", "w", "v", "wide", "table", "norm", "layers",
    "x", "y", "B", "S", "T", "i", "cast", "split", "einsum", "sum", "softmax", "concat", "rearrange",
    "topk", "where", "has", "take", "append", "iota", "min", "ceil", "over", "f", "inner", "_",
)  # fmt: skip
TEXTS = ("a", "b", "b s d -> b d s", "b (s t) -> b s t", "{i}", "model.{layer}.w", "", "{", "'\\")

#: A model in which many of the names mean something.
FRAME = """\
language 1
use std.norm {{ rmsnorm }}
model m {{
  params {{
    dim : size = 8   n : size = 2   depth : count = 1   on : flag = true
    kind : "a" | "b" = "a"   rate : real = 0.5   norm_eps : real = 1e-6
  }}
  let {{ half = dim * 2 }}
  tensors {{ w : dim -> dim   v : [dim]   wide : dim -> half when on   table : [n, dim] }}
  parts {{ norm : rmsnorm(width = dim)   layers[i] : inner × n }}
  {section}
  module inner {{
    params {{ i : count }}
    tensors {{ u : [dim] when i % 2 == 0 }}
    {inner}
  }}
}}
function f(x: [B, S]) -> [B, S] {body}
"""


class Sentences:
    """Random derivations of the grammar, spelled with words that often mean something."""

    def __init__(self) -> None:
        text = (folder("grammar") / "dsv3.lark").read_text(encoding="utf-8")
        lark = Lark(text, parser="lalr", lexer="basic", start=["start", "expr"])
        self.spelling = {
            terminal.name: terminal.pattern.value
            for terminal in lark.terminals
            if terminal.pattern.type == "str"
        }
        self.rules: dict[str, list[Rule]] = {}
        for rule in lark.rules:
            self.rules.setdefault(rule.origin.name, []).append(rule)
        self.heights: dict[str, int] = {}
        while self.measure():
            pass

    def measure(self) -> bool:
        """One round of the least heights of derivations; whether any of them fell."""
        changed = False
        for name, rules in self.rules.items():
            least = min(self.height(rule) for rule in rules)
            if least < self.heights.get(name, 1000):
                self.heights[name] = least
                changed = True
        return changed

    def height(self, rule: Rule) -> int:
        below = (0 if s.is_term else self.heights.get(s.name, 1000) for s in rule.expansion)
        return 1 + max(below, default=0)

    def sentence(self, symbol: str, random: Random, depth: int) -> str:
        return " ".join(self.words(symbol, random, depth))

    def words(self, symbol: str, random: Random, depth: int) -> list[str]:
        rules = self.rules[symbol]
        fitting = [rule for rule in rules if self.height(rule) <= depth]
        if not fitting:
            fitting = [min(rules, key=self.height)]
        found: list[str] = []
        for part in random.choice(fitting).expansion:
            if part.is_term:
                found.append(self.terminal(part.name, random))
            else:
                found += self.words(part.name, random, depth - 1)
        return found

    def terminal(self, name: str, random: Random) -> str:
        if name in self.spelling:
            return self.spelling[name]
        choices: dict[str, Sequence[str]] = {
            "NAME": NAMES,
            "STRING": [f'"{text}"' for text in TEXTS],
            "INT": ("0", "1", "2", "7", "1000000", "9" * 30),
            "NUMBER": ("0.5", "1e-6", "1e300"),
            "PTYPE": ("size", "count", "real", "flag", "dtype", "counts", "reals"),
            "DTYPE": ("f32", "bf16", "i64", "bool", "f8e4m3"),
            "SHARED": ("tied", "copy"),
            "OVER": ("over",),
            "COMP": ("==", "!=", "<", ">="),
            "MUL": ("*", "×", "/", "%"),
            "_TIMES": ("×",),
        }
        return random.choice(choices[name])


@cache
def sentences() -> Sentences:
    return Sentences()


def nonsense(random: Random) -> str:
    """A file that follows the grammar, most of it."""
    made = sentences()
    deep = random.randint(6, 16)
    return FRAME.format(
        section="\n  ".join(made.sentence("section", random, deep) for _ in range(3)),
        inner=made.sentence("section", random, deep),
        body=made.sentence("body", random, deep),
    )
