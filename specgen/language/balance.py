"""Makes brackets match: supplies the missing ones and drops the extra ones, each reported.

Works on lexemes alone, by two signs that survive a lost bracket: section words, which are
reserved and stand only in modules, and the indentation of lines.  A file whose brackets match
is left as it is, however it is laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from difflib import get_close_matches
from typing import Final

from specgen.diagnostics.diagnostic import Fix, Label
from specgen.diagnostics.source import Source, Span
from specgen.language.faults import Faults
from specgen.language.lexemes import Lexeme
from specgen.records import dataclass

CLOSING: Final = {"{": "}", "(": ")", "[": "]"}
OPENING: Final = {closing: opening for opening, closing in CLOSING.items()}

SECTION_WORDS: Final = frozenset({
    "params", "let", "require", "dtypes", "tensors", "parts", "cache", "sharding", "forward",
    "names", "config", "report", "variant", "module", "function", "model",
})  # fmt: skip
#: What opens a block of sections, and how near to it a slip is.
MODULES: Final = ("module", "model")
SLIP: Final = 0.74
#: Words that cannot stand between parentheses.
STATEMENT_WORDS: Final = frozenset({"return", "use", "language"})


def opens_section(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether a section starts here: its word opens a row and what follows fits."""
    word = lexemes[index]
    if word.text not in SECTION_WORDS or index + 1 == len(lexemes):
        return False
    if not word.first and index > 0 and lexemes[index - 1].text not in ("{", "}"):
        return False
    after = lexemes[index + 1].text
    return after in ("{", "(") or after[0].isalpha() or after[0] in '_"'


def opens_module(lexemes: Sequence[Lexeme], index: int) -> bool:
    """Whether the `{` at the index is that of a module: `module NAME "title" {`."""
    heads = [lexemes[i] for i in (index - 2, index - 3) if i >= 0]
    return any(head.text in MODULES for head in heads) or any(
        head.first and get_close_matches(head.text, MODULES, n=1, cutoff=SLIP) for head in heads
    )


@dataclass(slots=True)
class OpenBracket:
    """A bracket that waits for its counterpart; `indent` is that of the row it stands in."""

    lexeme: Lexeme
    index: int
    indent: int
    holds_sections: bool


def balance(source: Source, lexemes: list[Lexeme], faults: Faults) -> list[Lexeme]:
    """The lexemes with matching brackets."""
    if is_balanced(lexemes):
        return lexemes
    return Repair(source, lexemes, faults).run()


def is_balanced(lexemes: list[Lexeme]) -> bool:
    open_brackets: list[tuple[str, bool]] = []
    for index, lexeme in enumerate(lexemes):
        word = lexeme.text
        if word in CLOSING:
            open_brackets.append((CLOSING[word], word == "{" and opens_module(lexemes, index)))
        elif word in OPENING:
            if not open_brackets or open_brackets.pop()[0] != word:
                return False
        elif (
            word in SECTION_WORDS
            and open_brackets
            and not open_brackets[-1][1]
            and opens_section(lexemes, index)
        ):
            return False
    return not open_brackets


@dataclass(slots=True)
class Repair:
    source: Source
    lexemes: list[Lexeme]
    faults: Faults
    stack: list[OpenBracket] = field(default_factory=list)
    #: What to insert before an index, and what stands at an index instead of what was read.
    supplied: dict[int, list[Lexeme]] = field(default_factory=dict)
    replaced: dict[int, Lexeme | None] = field(default_factory=dict)
    #: No bracket is supplied before one that was supplied for something inside of it.
    latest: int = 0

    def run(self) -> list[Lexeme]:
        indent = 0
        for index, lexeme in enumerate(self.lexemes):
            word = lexeme.text
            if lexeme.first and not self.inside("(", "["):
                indent = lexeme.column
            section = opens_section(self.lexemes, index)
            if section or word in STATEMENT_WORDS or word in ("{", "}"):
                while self.inside("(", "["):
                    self.close_missing(index)
            if section:
                while self.stack and not self.stack[-1].holds_sections:
                    self.close_missing(index)
            if word in CLOSING:
                module = word == "{" and opens_module(self.lexemes, index)
                self.stack.append(OpenBracket(lexeme, index, indent, module))
            elif word == "}":
                self.close_brace(index)
            elif word in OPENING:
                self.close_bracket(index)
        while self.stack:
            self.close_missing(len(self.lexemes))
        return self.mended()

    def inside(self, *brackets: str) -> bool:
        return bool(self.stack) and self.stack[-1].lexeme.text in brackets

    def close_brace(self, index: int) -> None:
        lexeme = self.lexemes[index]
        if lexeme.first and self.stack:
            if any(waiting.indent == lexeme.column for waiting in self.stack):
                while self.stack[-1].indent > lexeme.column:
                    self.close_missing(index)
            elif self.stack[-1].indent < lexeme.column:
                return self.drop(index)
        if self.stack:
            self.stack.pop()
            return None
        return self.drop(index)

    def close_bracket(self, index: int) -> None:
        """A `)` or `]`: of the innermost bracket, or of one around an unclosed one, or wrong."""
        wanted = OPENING[self.lexemes[index].text]
        if self.inside(wanted):
            self.stack.pop()
        elif not self.inside("(", "["):
            self.drop(index)
        elif (
            len(self.stack) > 1
            and self.stack[-2].lexeme.text == wanted
            and [x.text for x in self.lexemes[index + 1 : index + 2]] != [CLOSING[wanted]]
        ):
            self.close_missing(index)
            self.stack.pop()
        else:
            self.swap(index, self.stack.pop())

    def close_missing(self, index: int) -> None:
        """Reports the innermost open bracket and supplies its counterpart."""
        waiting = self.stack.pop()
        bracket = waiting.lexeme.text
        place = max(self.place(waiting, index), self.latest)
        if bracket != "{" and self.is_description(place - 1) and place - 1 > waiting.index:
            place -= 1
        self.latest = place
        before = self.lexemes[place - 1]
        if place < len(self.lexemes):
            stop = self.lexemes[place]
            label = Label(self.span(stop), "this cannot stand inside it")
        else:
            end = len(self.source.text.rstrip())
            label = Label(Span(self.source, end, end), "the file ends here")
        closing = CLOSING[bracket]
        fix = Fix(Span(self.source, before.end, before.end), closing, f"add `{closing}`")
        self.faults.report(
            "E0106",
            self.span(waiting.lexeme),
            bracket=bracket,
            labels=[label],
            fixes=[fix] if bracket != "{" else [],
        )
        if bracket != "{":
            self.faults.lost.append(before.end)
        supplied = Lexeme(closing, before.end, before.end, -1, supplied=True)
        self.supplied.setdefault(place, []).append(supplied)

    def place(self, waiting: OpenBracket, index: int) -> int:
        """Where the bracket should have been closed: before the first line not indented deeper.

        A `{` whose body is not indented says nothing, and is closed where it must be.
        """
        lines = [i for i in range(waiting.index + 1, index) if self.lexemes[i].first]
        is_flat = lines and self.lexemes[lines[0]].column <= waiting.indent
        if waiting.lexeme.text == "{" and is_flat:
            return index
        return next((i for i in lines if self.lexemes[i].column <= waiting.indent), index)

    def is_description(self, index: int) -> bool:
        """Whether a text ends a row rather than being an item of a list."""
        before = self.lexemes[index - 1].text
        return self.lexemes[index].text.startswith('"') and before not in (",", "(", "[", "=")

    def drop(self, index: int) -> None:
        lexeme = self.lexemes[index]
        span = self.span(lexeme)
        fix = Fix(span, "", "remove it")
        self.faults.report("E0107", span, bracket=lexeme.text, fixes=[fix])
        self.faults.lost.append(lexeme.start)
        self.replaced[index] = None

    def swap(self, index: int, waiting: OpenBracket) -> None:
        lexeme = self.lexemes[index]
        span = self.span(lexeme)
        closing = CLOSING[waiting.lexeme.text]
        label = Label(self.span(waiting.lexeme), f"this is closed by `{closing}`")
        fix = Fix(span, closing, f"use `{closing}`")
        self.faults.report("E0107", span, bracket=lexeme.text, labels=[label], fixes=[fix])
        self.replaced[index] = Lexeme(closing, lexeme.start, lexeme.end, lexeme.column)

    def span(self, lexeme: Lexeme) -> Span:
        return Span(self.source, lexeme.start, lexeme.end)

    def mended(self) -> list[Lexeme]:
        result: list[Lexeme] = []
        for index, lexeme in enumerate(self.lexemes):
            result += self.supplied.get(index, ())
            kept = self.replaced.get(index, lexeme)
            if kept is not None:
                result.append(kept)
        return result + self.supplied.get(len(self.lexemes), [])
