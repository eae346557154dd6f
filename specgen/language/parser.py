"""Reads a spec file and parses it: text to syntax tree, every fault a diagnostic.

lark supplies the LALR(1) tables.  Tokens come from our own scan (`lexemes.py`), because bracket
repair and row-by-row recovery need the whole list of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostics, Fix
from specgen.diagnostics.source import Source, Span, with_plain_ends
from specgen.language import tree
from specgen.language.balance import balance
from specgen.language.faults import Faults, UnreadableError
from specgen.language.lexemes import Lexeme, lex
from specgen.language.recovery import Reading
from specgen.regular_files import TooLarge, read_regular, reason_of

FILE_BYTES: Final = 1 << 20


def read_source(path: str | Path, display_name: str, diagnostics: Diagnostics) -> Source | None:
    """The text of a spec file, or None after a report."""
    try:
        return decode(read_regular(path, FILE_BYTES), display_name, diagnostics)
    except TooLarge as fault:  # not read: a checkpoint given by mistake has gigabytes
        size, limit = f"{fault.size:,}", f"{fault.limit:,}"
        diagnostics.report("E0102", None, path=display_name, size=size, limit=limit)
    except OSError as fault:
        diagnostics.report("E0101", None, path=display_name, reason=reason_of(fault))
    return None


def decode(data: bytes, display_name: str, diagnostics: Diagnostics) -> Source | None:
    """The text of a file's bytes: without a byte order mark, lines ended by line feeds."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        reason = f"byte 0x{data[fault.start]:02x} at offset {fault.start:,}, in line {line}"
        diagnostics.report("E0103", None, path=display_name, reason=reason)
        return None
    nul = text.find("\0")
    if nul >= 0:
        offset = data.index(0)
        line = text.count("\n", 0, nul) + 1
        reason = f"a NUL byte at offset {offset:,}, in line {line}"
        diagnostics.report("E0103", None, path=display_name, reason=reason)
        return None
    return Source(display_name, with_plain_ends(text))


def parse(source: Source, diagnostics: Diagnostics) -> tree.FileSyntax | None:
    """The tree of a file, without the rows that have faults; None where nothing can be used."""
    faults = Faults(diagnostics)
    try:
        lexed = lex(source, 0, len(source.text), faults)
        lexemes = with_edition(source, lexed.lexemes, faults)
        reading = Reading(source, balance(source, lexemes, faults), faults)
        file = reading.run("start")
    except UnreadableError:
        return None
    if not isinstance(file, tree.FileSyntax):
        return None
    return replace(file, comments=lexed.comments, damaged=tuple(reading.damaged))


def parse_expression(
    source: Source, span: Span | None, diagnostics: Diagnostics
) -> tree.Expression | None:
    """The expression that fills a stretch of a source (all of it, without a span).

    None after any fault: there is no row to leave out and go on.
    """
    start, end = (span.start, span.end) if span else (0, len(source.text))
    faults = Faults(diagnostics)
    try:
        lexemes = balance(source, lex(source, start, end, faults).lexemes, faults)
        expression: tree.Expression = Reading(source, lexemes, faults, end).run("expr")
    except UnreadableError:
        return None
    return None if faults.found else expression


def with_edition(source: Source, lexemes: list[Lexeme], faults: Faults) -> list[Lexeme]:
    """The lexemes, opened by `language 1` if the file does not say so itself."""
    words = [lexeme.text for lexeme in lexemes[:2]]
    is_numbered = len(words) == 2 and words[1].isdigit() and not lexemes[1].first
    if is_numbered and words[0] == "language":
        return lexemes
    first = lexemes[0] if lexemes else Lexeme("", 0, 0, 0)
    fix = Fix(Span(source, 0, 0), "language 1\n\n", "add it")
    faults.report(
        "E0104",
        Span(source, first.start, first.end),
        problem="a spec opens with the edition of its language",
        help="write `language 1` as the first line",
        fixes=[] if is_numbered or words[:1] == ["language"] else [fix],
    )
    if is_numbered:  # a misspelt `language`
        given = 2
    elif words[:1] == ["language"]:  # and something that is no number
        given = 1 if len(words) < 2 or lexemes[1].first else 2
    else:
        given = 0
    supplied = [Lexeme(word, first.start, first.start, -1) for word in ("language", "1")]
    return supplied + lexemes[given:]
