"""The LALR(1) machine of the language: lark's driver over the tables of grammar/dsv3.lark.

Knows terminals and parser states, and how to go back to one; knows no recovery.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from threading import Lock
from typing import Any, Final

from lark import Token, Tree
from lark.exceptions import UnexpectedToken
from lark.parse_tree_builder import ParseTreeBuilder
from lark.parsers.lalr_parser_state import ParseConf, ParserState

from specgen.diagnostics.source import Source
from specgen.language.builder import Builder
from specgen.language.faults import Faults
from specgen.language.lexemes import Lexeme
from specgen.language.prebuilt import STARTS, Tables, tables
from specgen.records import dataclass

END: Final = "$END"


@dataclass(frozen=True, slots=True)
class Inlined:
    """The builder as lark calls it: with one list, where our methods name each child."""

    builder: Builder

    def __getattr__(self, rule: str) -> Callable[[list[Any]], Any]:
        method = getattr(self.builder, rule)
        return lambda children: method(*children)


class Machine:
    """lark's tables, the builder that they call, and the terminals a lexeme may be.

    Whoever parses holds the lock: the builder knows one source at a time.
    """

    def __init__(self, found: Tables) -> None:
        self.lock = Lock()
        self.builder = Builder()
        self._table = found.parse_table
        rules = ParseTreeBuilder(found.rules, Tree, maybe_placeholders=True)
        self._callbacks = rules.create_callback(Inlined(self.builder))
        # Without callbacks, to try what fits.
        self.dry = {start: ParseConf(found.parse_table, {}, start) for start in STARTS}
        self._spelling: dict[str, str] = {}
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for name, text, is_pattern in found.terminals:
            if is_pattern:
                self._patterns.append((name, re.compile(text)))
            else:
                self._spelling[name] = text
        self._known: dict[str, tuple[str, ...]] = {}
        # NAME last: a soft keyword such as `size` is one wherever the parser can take it so.
        self._patterns.sort(key=lambda pattern: (pattern[0] == "NAME", pattern[0]))

    def begin(self, start: str, source: Source, faults: Faults) -> State:
        """A parser in its first state, building nodes of that source."""
        self._known.clear()
        self.builder.begin(source, faults)
        conf = ParseConf(self._table, self._callbacks, start)
        no_lexer: Any = None  # lexemes are fed one by one
        return State(self, ParserState(conf, no_lexer))

    def spelling(self, terminal: str) -> str | None:
        """The text of a terminal that has only one."""
        return self._spelling.get(terminal)

    def is_reserved(self, text: str) -> bool:
        """Whether a word can never be a name."""
        return text.isidentifier() and text.isascii() and "NAME" not in self.terminals(text)

    def terminals(self, text: str) -> tuple[str, ...]:
        """Every terminal that a text can be, the most special first."""
        found = self._known.get(text)
        if found is None:
            signs = tuple(name for name, word in self._spelling.items() if word == text)
            found = signs + tuple(n for n, pattern in self._patterns if pattern.fullmatch(text))
            found = found or ("NAME",)  # a word of another script, reported when it was read
            if text[0] != '"' and not text[0].isdigit():
                self._known[text] = found
        return found

    def token(self, lexeme: Lexeme, choices: Collection[str]) -> Token:
        """The lexeme as the terminal that fits the parser's state, if one does."""
        terminals = self.terminals(lexeme.text)
        terminal = terminals[0]
        if len(terminals) > 1:
            terminal = next((name for name in terminals if name in choices), terminal)
        return Token(terminal, lexeme.text, start_pos=lexeme.start, end_pos=lexeme.end)


class State:
    """A parser between two tokens."""

    def __init__(self, machine: Machine, parser: ParserState[int]) -> None:
        self._machine = machine
        self._parser = parser

    @property
    def choices(self) -> Collection[str]:
        """Terminals with an entry in the table here; a few of them fail after a reduction."""
        return self._parser.parse_conf.states[self._parser.position]

    @property
    def height(self) -> int:
        """States on the parser's stack."""
        return len(self._parser.state_stack)

    @property
    def completes_row(self) -> bool:
        """Whether what was read may end here: its block or the file could."""
        return any(end in self.choices and self.survives(end) for end in ("RBRACE", END))

    def feed(self, lexeme: Lexeme) -> None:
        """Advances by a lexeme.

        Raises:
            UnexpectedToken: it does not fit; the state may have been reduced and is spent.
            UnreadableError: an expression nests too deeply.
        """
        self.advance(lexeme)
        self._machine.builder.end = lexeme.end

    def advance(self, lexeme: Lexeme) -> None:
        """As `feed`, for a trial, which builds nothing."""
        self._parser.feed_token(self._machine.token(lexeme, self.choices))

    def finish(self, end: int) -> Any:
        """The result, at the end of the text.  Raises as `feed` does."""
        return self._parser.feed_token(Token(END, "", start_pos=end, end_pos=end), True)

    def accepts(self) -> set[str]:
        """The terminals that can really come next."""
        return {
            terminal for terminal in self.choices if terminal.isupper() and self.survives(terminal)
        }

    def survives(self, terminal: str) -> bool:
        trial = self.trial()
        try:
            trial._parser.feed_token(Token(terminal, ""), terminal == END)
        except UnexpectedToken:
            return False
        return True

    def trial(self, lexemes: Iterable[Lexeme] = ()) -> State:
        """A copy that builds nothing, advanced by the lexemes.  Raises UnexpectedToken."""
        parser = self._parser
        conf = self._machine.dry[parser.parse_conf.start]
        trial = State(
            self._machine,
            ParserState(
                conf, parser.lexer, [*parser.state_stack], [None] * len(parser.value_stack)
            ),
        )
        for lexeme in lexemes:
            trial.advance(lexeme)
        return trial

    def fits(self, lexemes: Iterable[Lexeme]) -> bool:
        """Whether the lexemes could come next."""
        try:
            self.trial(lexemes)
        except UnexpectedToken:
            return False
        return True

    def mark(self) -> Mark:
        parser = self._parser
        lengths = [len(v.children) if isinstance(v, Tree) else 0 for v in parser.value_stack]
        end = self._machine.builder.end
        return Mark(self._machine, parser.copy(deepcopy_values=False), lengths, end)


@dataclass(frozen=True, slots=True)
class Mark:
    """A state to come back to.

    lark appends to the children of a repetition in place, also where a copy shares them, so
    going back cuts them to the length they had.
    """

    machine: Machine
    parser: ParserState[int]
    lengths: list[int]
    end: int

    def restore(self) -> State:
        for value, length in zip(self.parser.value_stack, self.lengths, strict=True):
            if isinstance(value, Tree):
                del value.children[length:]
        self.machine.builder.end = self.end
        return State(self.machine, self.parser.copy(deepcopy_values=False))

    def trial(self, lexemes: Iterable[Lexeme] = ()) -> State:
        """See State.trial."""
        return State(self.machine, self.parser).trial(lexemes)


@cache
def machine() -> Machine:
    """The machine of this process."""
    return Machine(tables())
