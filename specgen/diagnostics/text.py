"""Diagnostics for people: the message, the lines it is about with carets below, and the fix.

Nothing that a spec or path contains reaches the terminal raw: control characters, direction
overrides and the like are shown as escapes.  Knows no codes and judges nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostic, Fix
from specgen.diagnostics.source import Source, Span
from specgen.records import dataclass
from specgen.text.printable import safe

TAB: Final = 4
#: Columns of a source line that are shown around a span; the released tables stay below.
LINE_WIDTH: Final = 160

BOLD: Final = "\x1b[1m"
RED: Final = "\x1b[1;31m"
YELLOW: Final = "\x1b[1;33m"
BLUE: Final = "\x1b[1;34m"
GREEN: Final = "\x1b[32m"
RESET: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Paint:
    """Colours, or none."""

    color: bool

    def __call__(self, style: str, text: str) -> str:
        return f"{style}{text}{RESET}" if self.color and text else text


@dataclass(frozen=True, slots=True)
class Highlight:
    """A stretch of one source to underline, and what to say about it."""

    span: Span
    message: str
    primary: bool


def render(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """Every diagnostic in the order given, and their number; "" where there is none."""
    found = list(diagnostics)
    if not found:
        return ""
    paint = Paint(color)
    blocks = ["\n".join(diagnostic_lines(diagnostic, paint)) + "\n" for diagnostic in found]
    return "\n".join(blocks) + "\n" + paint(BOLD, count(found)) + "\n"


def count(diagnostics: list[Diagnostic]) -> str:
    """`2 errors, 1 warning`."""
    errors = sum(diagnostic.severity == "error" for diagnostic in diagnostics)
    numbers = ((errors, "error"), (len(diagnostics) - errors, "warning"))
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in numbers if n)


def diagnostic_lines(diagnostic: Diagnostic, paint: Paint) -> Iterator[str]:
    style = RED if diagnostic.severity == "error" else YELLOW
    head = paint(style, f"{diagnostic.severity}[{diagnostic.code}]")
    yield f"{head}{paint(BOLD, ': ' + safe(diagnostic.message))}"
    marks = [Highlight(label.span, label.message, False) for label in diagnostic.labels]
    if diagnostic.span is not None:
        marks.insert(0, Highlight(diagnostic.span, "", True))
    shown = [mark.span for mark in marks] + [fix.span for fix in diagnostic.fixes]
    gutter = len(str(max((span.line for span in shown), default=1)))
    for position, (source, own) in enumerate(by_source(marks)):
        arrow = "-->" if position == 0 else ":::"
        line, column = source.position(own[0].span.start)
        place = f"{safe(source.name)}:{line}:{column}"
        yield f"{' ' * gutter}{paint(BLUE, arrow)} {place}"
        yield from snippet(source, own, gutter, style, paint)
    side = " " * gutter + paint(BLUE, " = ")
    for note in diagnostic.notes:
        yield from said(side, "note", note, gutter, paint)
    if diagnostic.help is not None:
        yield from said(side, "help", diagnostic.help, gutter, paint)
    for fix in diagnostic.fixes:
        yield from said(side, "fix", fix.description, gutter, paint)
        yield from mended(fix, gutter, paint)


def by_source(marks: list[Highlight]) -> list[tuple[Source, list[Highlight]]]:
    groups: list[tuple[Source, list[Highlight]]] = []
    for mark in marks:
        for source, own in groups:
            if source is mark.span.source:
                own.append(mark)
                break
        else:
            groups.append((mark.span.source, [mark]))
    return groups


def snippet(
    source: Source, marks: list[Highlight], gutter: int, style: str, paint: Paint
) -> Iterator[str]:
    """The lines that the marks start on, each with its underlines."""
    bar = paint(BLUE, "|")
    empty = f"{' ' * gutter} {bar}"
    yield empty
    lines = sorted({mark.span.line for mark in marks})
    for before, number in zip([None, *lines], lines, strict=False):
        if before is not None and number > before + 1:
            yield paint(BLUE, "...")
        own = [mark for mark in marks if mark.span.line == number]
        row = TextRow.around(source, number, min(mark.span.column for mark in own) - 1)
        yield f"{paint(BLUE, f'{number:>{gutter}}')} {bar} {row.text}".rstrip()
        for mark in own:
            start, width = row.place(mark.span)
            underline = paint(style if mark.primary else BLUE, "^-"[not mark.primary] * width)
            message = f" {safe(mark.message)}" if mark.message else ""
            yield f"{empty} {' ' * start}{underline}{message}"


@dataclass(frozen=True, slots=True)
class TextRow:
    """A source line as it is shown, and the column at which each of its characters starts."""

    text: str
    columns: tuple[int, ...]
    offset: int

    @classmethod
    def around(cls, source: Source, number: int, focus: int, line: str | None = None) -> TextRow:
        """A line of the source, or `line` in its place, cut to a window that holds `focus`."""
        raw = source.line(number) if line is None else line
        first = max(0, focus - LINE_WIDTH // 2) if len(raw) > LINE_WIDTH else 0
        window = raw[first : first + LINE_WIDTH]
        pieces = ["…"] if first else []
        columns = []
        width = len(pieces)
        for char in window:
            columns.append(width)
            piece = " " * (TAB - width % TAB) if char == "\t" else safe(char)
            pieces.append(piece)
            width += sum(map(char_width, piece))
        if first + LINE_WIDTH < len(raw):
            pieces.append("…")
        return cls("".join(pieces), (*columns, width), first)

    def place(self, span: Span) -> tuple[int, int]:
        """The column and width of a span's part on this line; at least one column wide."""
        length = span.end - span.start
        first = min(max(span.column - 1 - self.offset, 0), len(self.columns) - 1)
        last = min(first + max(length, 0), len(self.columns) - 1)
        return self.columns[first], max(self.columns[last] - self.columns[first], 1)


def said(side: str, word: str, text: str, gutter: int, paint: Paint) -> Iterator[str]:
    first, *more = text.split("\n")
    yield f"{side}{paint(BOLD, word)}: {safe(first)}"
    for line in more:
        yield f"{' ' * (gutter + 5 + len(word))}{safe(line)}"


def mended(fix: Fix, gutter: int, paint: Paint) -> Iterator[str]:
    """The line as it would read after the fix."""
    source, number = fix.span.source, fix.span.line
    if source.position(fix.span.end)[0] != number or "\n" in fix.replacement:
        return
    line = source.line(number)
    start = fix.span.column - 1
    line = line[:start] + fix.replacement + line[start + fix.span.end - fix.span.start :]
    row = TextRow.around(source, number, start, line)
    yield f"{paint(BLUE, f'{number:>{gutter}}')} {paint(GREEN, '~')} {row.text}".rstrip()


def char_width(char: str) -> int:
    """Columns that a terminal gives a character."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
