"""Splits a spec into words, numbers, texts and signs, and mends characters that only look right.

Knows the shape of tokens and no grammar: which terminal a lexeme is depends on the parser's
state (`size` is a type after a colon and a name elsewhere).  Linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from specgen.diagnostics.diagnostic import Fix
from specgen.diagnostics.source import Source, Span
from specgen.language.faults import Faults, UnreadableError
from specgen.records import dataclass

BRACKET_DEPTH: Final = 64
LEXEMES: Final = 100_000
SHOWN: Final = 40

#: Characters of other keyboards and their ASCII counterpart, of the same length.
LOOKALIKES: Final[dict[str, str]] = {
    **{chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F)},
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("\u00a0\u2007\u202f\u3000\u200b\u2060\ufeff", " "),
    **dict.fromkeys("“”„‟«»", '"'),
    **dict.fromkeys("✕✖⨯", "×"),
    "、": ",",
    "。": ".",
    "∗": "*",
    "∕": "/",
    "「": '"',
    "」": '"',
    "【": "[",
    "】": "]",
}

#: Signs of other languages and notations, and what they are here; "" is left out.
FOREIGN: Final[dict[str, str]] = {
    "&&": "and", "||": "or", "!": "not", "^": "**", "//": "/", ":=": "=", "=>": "->", ";": "",
    "→": "->", "≤": "<=", "≥": ">=", "≠": "!=", "…": "...", "·": "×", "⋅": "×", "÷": "/",
    "∧": "and", "∨": "or", "¬": "not", "∞": "inf",
}  # fmt: skip

QUOTES: Final = "“”„‟«»＂「」"

OUTSIDE: Final = re.compile(
    rf'"[^"\n]*"|#[^\n]*|(?P<text>["{QUOTES}][^"{QUOTES}\n]*["{QUOTES}])|(?P<other>[^\x00-\x7f×])'
)

LEXEME: Final = re.compile(
    r"""
      (?P<space>[ \t\r\n]+)
    | (?P<comment>\#[^\n]*)
    | (?P<text>"[^"\n]*"?)
    | (?P<single>'[^'"\n]*')
    | (?P<word>[^\W\d]\w*)
    | (?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![\w.]))
    | (?P<malformed>[0-9](?:[eE][+-](?=[0-9])|[\w.])*)
    | (?P<foreign>&&|\|\||//|:=|=>|[!^;→≤≥≠…·⋅÷∧∨¬∞](?!=)|[≤≥≠→])
    | (?P<sign>->|\*\*|==|!=|<=|>=|\.\.\.|[-+*/%×<>=:,.|(){}\[\]])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A word or sign.  `column` is its column if it is the first of its line, else -1.

    `supplied` marks one that is not in the file and was put in to mend a fault.
    """

    text: str
    start: int
    end: int
    column: int
    supplied: bool = False

    @property
    def first(self) -> bool:
        return self.column >= 0


@dataclass(frozen=True, slots=True)
class Lexed:
    lexemes: list[Lexeme]
    comments: tuple[Span, ...]


def lex(source: Source, start: int, end: int, faults: Faults) -> Lexed:
    """The lexemes of a stretch of a source.

    Raises:
        UnreadableError: brackets nest too deeply, or there are too many lexemes or faults.
    """
    text = source.text
    if not text.isascii():
        text = without_lookalikes(source, start, end, faults)
    lexemes: list[Lexeme] = []
    comments: list[Span] = []
    column = 0
    depth = 0
    for match in LEXEME.finditer(text, start, end):
        kind = match.lastgroup
        word = match.group()
        if kind == "space":
            newline = word.rfind("\n")
            if newline >= 0:
                column = len(word) - newline - 1
            elif column >= 0:
                column += len(word)
            continue
        span = Span(source, match.start(), match.end())
        if kind == "comment":
            comments.append(span)
            continue
        if kind == "sign":
            depth += (word in "([{") - (word in ")]}")
            if depth > BRACKET_DEPTH:
                raise faults.refuse(span, "this bracket", BRACKET_DEPTH)
        elif kind != "word" or not word.isascii():
            word = mended(kind or "", word, span, faults)
        if word:
            if len(lexemes) >= LEXEMES:
                faults.report("E0114", span, limit=LEXEMES, what="words and signs in a file")
                raise UnreadableError
            lexemes.append(Lexeme(word, match.start(), match.end(), column))
        column = -1
    return Lexed(lexemes, tuple(comments))


def without_lookalikes(source: Source, start: int, end: int, faults: Faults) -> str:
    """The text with look-alike characters replaced outside texts and comments, each reported."""
    text = source.text
    pieces: list[str] = []
    done = 0
    for match in OUTSIDE.finditer(text, start, end):
        found = match.group()
        if match["text"]:
            better = f'"{found[1:-1]}"'
        elif match["other"] and found in LOOKALIKES:
            better = LOOKALIKES[found]
        else:
            continue
        pieces += text[done : match.start()], better
        done = match.end()
        if found == "\ufeff" and match.start() == 0:
            continue  # a byte order mark
        span = Span(source, match.start(), match.end())
        if match["text"]:
            quote = character(next(char for char in found if char in QUOTES))
            fix = Fix(span, better, 'use `"`')
            faults.report(
                "E0108", span, found=quote, meant='; texts stand between `"`', fixes=[fix]
            )
        else:
            shown = "a space" if better == " " else f"`{better}`"
            fix = Fix(span, better, f"use {shown}")
            faults.report(
                "E0108", span, found=character(found), meant=f"; use {shown}", fixes=[fix]
            )
    pieces.append(text[done:])
    return "".join(pieces)


def mended(kind: str, word: str, span: Span, faults: Faults) -> str:
    """The lexeme to go on with, after a report if it is none of the language; "" for nothing."""
    match kind:
        case "number":
            return word
        case "text":
            if len(word) > 1 and word.endswith('"'):
                return word
            kept = word.rstrip(" \t")
            where = Span(span.source, span.start, span.start + len(kept))
            fix = Fix(Span(span.source, where.end, where.end), '"', 'close it with `"`')
            faults.report("E0109", where, fixes=[fix])
            faults.lost.append(span.start)
            return kept + '"'
        case "single":
            fix = Fix(span, f'"{word[1:-1]}"', 'use `"`')
            faults.report(
                "E0108", span, found="`'`", meant='; texts stand between `"`', fixes=[fix]
            )
            return f'"{word[1:-1]}"'
        case "word":
            faults.report(
                "E0108",
                span,
                found=f"`{word[:SHOWN]}`",
                meant="; names are of ASCII letters, digits and `_`, texts may have any script",
            )
            return word
        case "malformed":
            faults.report("E0110", span, text=word[:SHOWN], reason=number_fault(word))
            return "1"
        case "foreign":
            return foreign(word, span, faults)
        case _:
            faults.report("E0108", span, found=character(word), meant="")
            faults.lost.append(span.start)
            return ""


def foreign(word: str, span: Span, faults: Faults) -> str:
    """What a sign of another language is in this one."""
    better = FOREIGN[word]
    if word == "//":
        meant = "comments start with `#`, a quotient rounded down is `floor(a / b)`"
        faults.report("E0118", span, found=word, meant=meant)
    elif word == ";":
        fix = Fix(span, "", "remove it")
        faults.report(
            "E0118", span, found=word, meant="rows need no sign at their end", fixes=[fix]
        )
    else:
        fix = Fix(span, better, f"use `{better}`")
        faults.report("E0118", span, found=word, meant=f"use `{better}`", fixes=[fix])
    return better


def number_fault(word: str) -> str:
    if "." in word and re.search(r"\.(?![0-9])", word):
        return "a decimal point stands between two digits"
    if word.count(".") > 1:
        return "it has two decimal points"
    return "a name cannot start with a digit"


def character(char: str) -> str:
    """A character with its name, so that look-alikes and invisible ones can be told apart."""
    name = unicodedata.name(char, "")
    point = f"U+{ord(char):04X}"
    if not char.isprintable() or char.isspace():
        return f"the character {point}" + (f" ({name.lower()})" if name else "")
    return f"`{char}` ({point}{' ' + name.lower() if name else ''})"
