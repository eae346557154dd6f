"""Runs the parser over a list of lexemes and, at a fault, mends the row or leaves it out.

Invariant: brackets match (see balance.py).  Every row start is marked, so a row that cannot be
mended costs that row and nothing around it.

Note [Progress]: a fault ends in one of two ways.  A row that is left out, or whose head is replaced
by a plain one, never comes back: each such step uses up lexemes of the file.  A row that is mended
is read again, and mends could undo each other for ever (a sign put in is a sign too many
for the next), so no sign that was put in is taken out, and one place of the text is mended
`MENDED` times at most.  So there are no more steps than a fixed number for each lexeme.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final

from specgen.diagnostics.diagnostic import Fix
from specgen.diagnostics.source import Source, Span
from specgen.language.balance import CLOSING, OPENING, SECTION_WORDS, SLIP
from specgen.language.expected import CHOICE, ROWS, expected, found, listed
from specgen.language.expressions import EXPRESSION_DEPTH
from specgen.language.faults import Faults
from specgen.language.lexemes import Lexeme
from specgen.language.machine import MachineState, UnexpectedLexeme, machine

#: States on the parser's stack; what the limits on brackets and expressions allow stays below.
STACK: Final = 4000

#: Slips that are mended at one place of the text; each is one step, see Note [Progress].
MENDED: Final = 3

#: What is read behind a word before it is taken for a name.
AHEAD: Final = 4

#: Words that a row or its middle may be misspelt for.
HEAD_WORDS: Final = frozenset({"return", "if", "use"}) | SECTION_WORDS
INNER_WORDS: Final = frozenset({
    "when", "else", "as", "in", "along", "of", "tied", "copy", "and", "or", "not", "true",
    "false", "null", "inf",
})  # fmt: skip
#: How a row that opens a block can go on when its own head is lost, so that the block is read.
SPARE_HEADS: Final[dict[str, str]] = {
    "forward": "( ) -> [ ]",
    "function": "_ ( ) -> [ ]",
    "model": "_",
    "module": "_",
    "names": "_",
    "config": "_",
    "report": '_ ""',
    "variant": "_",
    "if": "true",
    **dict.fromkeys(
        ("params", "let", "require", "dtypes", "tensors", "parts", "cache", "sharding"), ""
    ),
}


class Reading:
    """One pass over the lexemes of a file (start "start") or expression (start "expr").

    `damaged` are, in the end, the rows that were left out.
    """

    def __init__(
        self,
        source: Source,
        lexemes: Sequence[Lexeme],
        faults: Faults,
        end: int | None = None,
    ) -> None:
        self.source = source
        self.lexemes = list(lexemes)
        self.faults = faults
        self.end = len(source.text) if end is None else end
        self.damaged: list[Span] = []
        self.machine = machine()
        self.mended: dict[int, int] = {}  # offset -> times
        self.steps = 0

    def run(self, start: str) -> Any:
        """The tree of what could be read; None where that is nothing.

        Raises:
            UnreadableError: see Faults.
        """
        with self.machine.lock:
            return self.read(start)

    def read(self, start: str) -> Any:
        self.state = self.machine.begin(start, self.source, self.faults)
        # A file opens with its edition, see with_edition; rows start behind it.
        self.start = 2 if start == "start" else 0
        for lexeme in self.lexemes[: self.start]:
            self.state.feed(lexeme)
        self.mark = self.state.mark()
        # Parentheses and brackets open since the mark.
        self.depth = 0
        index = self.start
        while index < len(self.lexemes):
            lexeme = self.lexemes[index]
            if not self.depth and self.starts_row(index) and self.state.completes_row:
                self.begin_row(index)
            try:
                self.state.feed(lexeme)
            except UnexpectedLexeme:
                index = self.recover(index)
            else:
                self.depth += (lexeme.text in ("(", "[")) - (lexeme.text in (")", "]"))
                index += 1
                if self.state.height > STACK:
                    raise self.faults.refuse(
                        self.span(index - 1), "this expression or statement", EXPRESSION_DEPTH
                    )
        try:
            return self.state.finish()
        except UnexpectedLexeme:
            if not self.damaged and not self.faults.lost:
                self.report_unexpected(index)
            return None

    # ---- rows --------------------------------------------------------------------------

    def begin_row(self, index: int) -> None:
        self.start = index
        self.mark = self.state.mark()
        self.depth = 0

    def again(self) -> int:
        """Back to the start of the row."""
        self.state = self.mark.restore()
        self.depth = 0
        return self.start

    def starts_row(self, index: int) -> bool:
        """Whether a row may well start here: at a line, after a brace, or before `:` or `=`."""
        if self.lexemes[index].first or index == 0:
            return True
        if self.lexemes[index - 1].text in ("{", "}"):
            return True
        if not self.lexemes[index].text[0].isalpha() or index + 1 >= len(self.lexemes):
            return False
        return self.lexemes[index + 1].text in (":", "=")

    def opens_line(self, index: int) -> bool:
        """Whether a line starts here that is indented no deeper than this row."""
        this, head = self.lexemes[index], self.lexemes[self.start]
        return this.first and (this.column <= head.column or not head.first)

    def before(self, index: int) -> MachineState:
        """The state in front of a lexeme of this row, for questions only."""
        return self.mark.trial(self.lexemes[self.start : index])

    # ---- recovery ----------------------------------------------------------------------

    def recover(self, index: int) -> int:
        """Reports the fault at a lexeme, mends the row or leaves it out; where to go on."""
        self.steps += 1
        if self.is_reported(index):
            return self.leave_out(index)
        line = self.cut_short(index)
        if line is not None:  # a row that stops short is not mended with the next row's text
            self.report_unexpected(line)
            return self.leave_out(line)
        if self.mend(index):
            return self.again()
        self.report_unexpected(index)
        return self.leave_out(index)

    def is_reported(self, index: int) -> bool:
        """Whether text of this row was lost, so that a fault in it says nothing new."""
        start, end = self.lexemes[self.start].start, self.lexemes[index].end
        for lexeme in self.lexemes[index + 1 :]:
            if lexeme.first:
                break
            end = lexeme.end
        return any(start <= offset <= end for offset in self.faults.lost)

    def cut_short(self, index: int) -> int | None:
        """The first lexeme of the next row, where this row ended too early and ran into it."""
        depth = 0
        for line in range(self.start, index + 1):
            text = self.lexemes[line].text
            if line > self.start and depth == 0 and self.opens_line(line):
                return None if self.before(line).completes_row else line
            depth += (text in ("(", "[")) - (text in (")", "]"))
        return None

    def mend(self, index: int) -> bool:
        """Tries the usual slips on the lexemes, each only if the text goes on well after it."""
        place = self.lexemes[index].start
        if self.mended.get(place, 0) == MENDED:
            return False
        self.mended[place] = self.mended.get(place, 0) + 1
        return (
            self.mend_separator(index)
            or self.mend_condition(index)
            or self.mend_times(index)
            or self.mend_spelling(index)
            or self.mend_reserved(index)
            or self.mend_missing(index)
            or self.mend_needless(index)
        )

    def fits(self, index: int, *words: str, skip: int = 1) -> bool:
        """Whether the words can stand in place of `skip` lexemes, with what follows them."""
        start = self.lexemes[index].start
        supplied = [Lexeme(word, start, start, -1) for word in words]
        rest = self.lexemes[index + skip : index + 2]
        return self.before(index).fits([*supplied, *rest])

    def replace(self, index: int, word: str) -> bool:
        old = self.lexemes[index]
        self.lexemes[index] = Lexeme(word, old.start, old.end, old.column)
        return True

    def mend_separator(self, index: int) -> bool:
        """`=` for `:` and the reverse."""
        text = self.lexemes[index].text
        if text not in (":", "=") or index == 0:
            return False
        other = "=" if text == ":" else ":"
        if not self.fits(index, other):
            return False
        self.faults.report(
            "E0117",
            self.span(index),
            expected=other,
            what=found(self.lexemes[index - 1]),
            found=text,
            help=self.row_form(),
            fixes=[Fix(self.span(index), other, f"use `{other}`")],
        )
        return self.replace(index, other)

    def mend_condition(self, index: int) -> bool:
        """`a if c else b`, and `elif`."""
        head = self.lexemes[self.start]
        if head.text == "elif" and self.before(self.start).survives("ELSE"):
            span = self.span(self.start)
            fix = Fix(span, "else if", "use `else if`")
            self.faults.report("E0118", span, found="elif", meant="use `else if`", fixes=[fix])
            self.lexemes[self.start : self.start + 1] = [
                Lexeme(word, head.start, head.end, -1) for word in ("else", "if")
            ]
            return True
        if self.lexemes[index].text != "if" or not self.fits(index, "when"):
            return False
        self.faults.report(
            "E0118",
            self.span(index),
            found="if",
            meant="`a if c else b` is `a when c else b`",
            fixes=[Fix(self.span(index), "when", "use `when`")],
        )
        return self.replace(index, "when")

    def mend_times(self, index: int) -> bool:
        """The letter x for the sign: the lexeme itself, or before it where it read as a name."""
        for place in (index, index - 1):
            if place <= self.start or self.lexemes[place].text not in ("x", "X"):
                continue
            rest = self.lexemes[place + 1 : index + 2]
            times = Lexeme("×", self.lexemes[place].start, self.lexemes[place].end, -1)
            if self.lexemes[place].first or not self.before(place).fits([times, *rest]):
                continue
            span = self.span(place)
            fix = Fix(span, "×", "use `×`")
            meant = "times is `×` or `*`"
            self.faults.report("E0118", span, found=span.text, meant=meant, fixes=[fix])
            return self.replace(place, "×")
        return False

    def mend_spelling(self, index: int) -> bool:
        """A word of the language with a slip in it: the lexeme itself or the one before."""
        for place in (index, index - 1):
            lexeme = self.lexemes[place]
            if place < self.start or self.machine.terminals(lexeme.text)[-1] != "NAME":
                continue
            words = HEAD_WORDS if place == self.start else INNER_WORDS
            state = self.before(place)
            possible = sorted(w for w in words if set(self.machine.terminals(w)) & state.accepts())
            rest = self.lexemes[place + 1 : index + 2]
            for word in get_close_matches(lexeme.text, possible, n=1, cutoff=SLIP):
                if not state.fits([Lexeme(word, lexeme.start, lexeme.end, -1), *rest]):
                    continue
                span = self.span(place)
                fix = Fix(span, word, f"use `{word}`")
                if word in SECTION_WORDS:
                    self.faults.report(
                        "E0112", span, word=lexeme.text, help=f"did you mean `{word}`?", fixes=[fix]
                    )
                else:
                    self.faults.report(
                        "E0105", span, expected=f"`{word}`", found=found(lexeme), fixes=[fix]
                    )
                return self.replace(place, word)
        return False

    def mend_reserved(self, index: int) -> bool:
        """A word of the language where a name is wanted."""
        text = self.lexemes[index].text
        name = text + "_"
        if not self.machine.is_reserved(text) or not self.fits(index, name):
            return False
        # What is a name for the next lexeme alone may be read on: `y = if a > b`.
        renamed = Lexeme(name, self.lexemes[index].start, self.lexemes[index].end, -1)
        if not self.before(index).fits([renamed, *self.lexemes[index + 1 : index + AHEAD]]):
            return False
        span = self.span(index)
        fix = Fix(span, name, f"name it `{name}`")
        self.faults.report("E0111", span, word=text, fixes=[fix])
        return self.replace(index, name)

    def mend_missing(self, index: int) -> bool:
        """A sign that was left out in front of the lexeme, which starts no line of its own."""
        if index == 0 or (index == self.start and self.lexemes[index].first):
            return False
        for sign in (",", ":", "=", "->"):
            if self.fits(index, sign, skip=0):
                place = self.lexemes[index - 1].end
                padded = sign if sign == "," else f" {sign}"
                fix = Fix(Span(self.source, place, place), padded, f"add `{sign}`")
                self.report_unexpected(index, fix, None if sign == "," else f"`{sign}`")
                self.lexemes.insert(index, Lexeme(sign, place, place, -1, supplied=True))
                return True
        return False

    def mend_needless(self, index: int) -> bool:
        """A sign at the end of a row."""
        if self.lexemes[index].text not in (",", ".") or self.lexemes[index].supplied:
            return False
        if index + 1 < len(self.lexemes) and not self.starts_row(index + 1):
            return False
        if not self.fits(index):
            return False
        fix = Fix(self.span(index), "", "remove it")
        self.report_unexpected(index, fix)
        del self.lexemes[index]
        return True

    def leave_out(self, index: int) -> int:
        """Goes back to the start of the row and on to the next one, not before the lexeme."""
        head = self.lexemes[self.start]
        depth = 0
        end = len(self.lexemes)
        for place in range(self.start, len(self.lexemes)):
            text = self.lexemes[place].text
            if depth == 0 and place > self.start and place >= index and self.resumes(place, index):
                end = place
                break
            if text == "{" and depth == 0 and place >= index and self.read_block(place):
                return self.again()
            if text in OPENING:
                if depth == 0:
                    end = max(place, self.start + 1)
                    break
                depth -= 1
            depth += text in CLOSING
        last = self.lexemes[end - 1]
        self.damaged.append(Span(self.source, head.start, last.end))
        del self.lexemes[self.start : end]
        return self.again()

    def resumes(self, place: int, fault: int) -> bool:
        """Whether the row after a faulty one starts here."""
        if self.lexemes[place].text in OPENING or self.lexemes[place].text == "else":
            return False
        if self.opens_line(place) or self.lexemes[place - 1].text == "}":
            return True
        return place > fault and self.starts_row(place) and not self.lexemes[place].first

    def read_block(self, brace: int) -> bool:
        """Puts a plain head in front of a block whose own head has a fault, if that makes it fit."""
        head = self.lexemes[self.start]
        if head.text not in SPARE_HEADS:
            return False
        plain = [
            head,
            *(Lexeme(word, head.end, head.end, -1) for word in SPARE_HEADS[head.text].split()),
        ]
        if not self.before(self.start).fits([*plain, self.lexemes[brace]]):
            return False
        self.damaged.append(Span(self.source, head.start, self.lexemes[brace].start))
        self.lexemes[self.start : brace] = plain
        return True

    # ---- reports -----------------------------------------------------------------------

    def span(self, index: int) -> Span:
        if index >= len(self.lexemes):
            return Span(self.source, self.end, self.end)
        return Span(self.source, self.lexemes[index].start, self.lexemes[index].end)

    def report_unexpected(
        self, index: int, fix: Fix | None = None, wanted: str | None = None
    ) -> None:
        """Says what could stand at a lexeme and what does."""
        if fix is None:
            index = self.stray(index)
        state = self.before(index)
        span = self.span(index)
        if index >= len(self.lexemes):
            what = "the end"
        elif index > self.start and self.ends_row(index):
            what = "the end of the row"
            end = self.lexemes[index - 1].end
            span = Span(self.source, end, end)
        else:
            what = found(self.lexemes[index])
        accepts = state.accepts()
        word = self.lexemes[index].text if index < len(self.lexemes) else ""
        if "PARAMS" in accepts and self.machine.terminals(word or "{") == ("NAME",):
            there = (w for w in SPARE_HEADS if w in SECTION_WORDS and w.upper() in accepts)
            sections = listed([f"`{section}`" for section in there], "and")
            self.faults.report("E0112", span, word=word, help=f"the sections are {sections}")
            return
        help_ = CHOICE if what == "`if`" and "LPAR" in accepts else self.row_form()
        self.faults.report(
            "E0105",
            span,
            expected=wanted or expected(accepts, self.machine.spelling, state.completes_row),
            found=what,
            help=help_ if fix is None else None,
            fixes=[] if fix is None else [fix],
        )

    def stray(self, index: int) -> int:
        """The name in the middle of this line that was taken for the start of a row, if any."""
        depth = 0
        state = self.mark.trial()
        for place in range(self.start, min(index, len(self.lexemes))):
            text = self.lexemes[place].text
            is_name = self.machine.terminals(text) == ("NAME",) and place > self.start
            is_inside = depth > 0 or self.starts_row(place)
            if is_name and not is_inside and state.completes_row:
                return place
            state.advance(self.lexemes[place])
            depth += (text in ("(", "[")) - (text in (")", "]"))
        return index

    def ends_row(self, index: int) -> bool:
        """Whether the row before a lexeme ended too early, at its line or its block."""
        return self.opens_line(index) or self.lexemes[index].text == "}"

    def row_form(self) -> str | None:
        """How a row of the section around this row reads."""
        depth = 0
        for place in range(min(self.start, len(self.lexemes)) - 1, -1, -1):
            text = self.lexemes[place].text
            depth += (text == "}") - (text == "{")
            if depth >= 0:
                continue
            for before in range(place - 1, -1, -1):
                text = self.lexemes[before].text
                if text in ROWS:
                    return ROWS[text]
                if text in ("{", "}", "module", "model"):
                    break
            is_heading = self.lexemes[place - 1].text.startswith('"') and text in ("{", "}")
            return ROWS["report"] if is_heading else None
        return None
