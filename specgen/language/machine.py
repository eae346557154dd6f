"""The LALR(1) machine of the language, over the tables that lark makes of grammar/dsv3.lark.

Knows terminals and parser states, and how to go back to one; knows no recovery.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from threading import Lock
from typing import Any, Final

from specgen.diagnostics.source import Source
from specgen.language.builder import Builder
from specgen.language.expressions import Token
from specgen.language.faults import Faults
from specgen.language.lexemes import Lexeme
from specgen.language.prebuilt import Tables, tables
from specgen.records import dataclass

END: Final = "$END"


class UnexpectedLexeme(Exception):
    """No row of the grammar goes on with it."""


class Items(list[Any]):
    """What a repetition has read so far: the longer one grows out of the shorter, in place."""


class Reduction:
    """A rule of the grammar: how many symbols it ends, and what becomes of their values.

    `taken` are those that the tree keeps: their places, whether they are items to be spread, and
    how many values of what is absent stand before them; `absent` are those behind the last.
    """

    def __init__(self, data: Sequence[Any], builder: Builder) -> None:
        origin, symbols, _, alias, keeps_tokens, single, empty = data
        self.origin: str = origin
        self.size = len(symbols)
        self.single = single and not alias
        self.method: Callable[..., Any] | None = getattr(builder, alias or origin, None)
        gaps = [0]  # absent values before each symbol, and behind the last
        for is_absent in empty or [False] * self.size:
            if is_absent:
                gaps[-1] += 1
            else:
                gaps.append(0)
        self.taken: list[tuple[int, bool, int]] = []
        waiting = 0
        for place, name in enumerate(symbols):
            waiting += gaps[place]
            if keeps_tokens or not name.startswith("-"):
                self.taken.append((place, name.startswith("_"), waiting))
                waiting = 0
        self.absent = waiting + gaps[-1]
        self.whole = len(self.taken) == self.size and not any(
            spread or gap for _, spread, gap in self.taken
        )

    def build(self, values: list[Any]) -> Any:
        """The node for the values of the symbols, or the items of a repetition."""
        kept = values if self.whole else self.chosen(values)
        if self.absent:
            kept = [*kept, *[None] * self.absent]
        if self.single and len(kept) == 1:
            return kept[0]
        if self.method is None:
            return kept if isinstance(kept, Items) else Items(kept)
        return self.method(*kept)

    def chosen(self, values: list[Any]) -> list[Any]:
        kept: list[Any] = []
        for place, spread, gap in self.taken:
            if gap:
                kept += [None] * gap
            if not spread:
                kept.append(values[place])
            elif kept:
                kept += values[place]
            else:
                kept = values[place]
        return kept


class Machine:
    """The tables, the builder whose methods reductions call, and the terminals a lexeme may be.

    Whoever parses holds the lock: the builder knows one source at a time.
    """

    def __init__(self, found: Tables, builder: Builder) -> None:
        self.lock = Lock()
        self.builder = builder
        self.actions: list[dict[str, int]] = found["states"]
        self.starts: dict[str, int] = found["starts"]
        self.ends = frozenset(found["ends"].values())
        self.reductions = [Reduction(rule, builder) for rule in found["rules"]]
        self._spelling: dict[str, str] = {}
        self._patterns: list[tuple[str, re.Pattern[str]]] = []
        for name, text, is_pattern in found["terminals"]:
            if is_pattern:
                self._patterns.append((name, re.compile(text)))
            else:
                self._spelling[name] = text
        self._known: dict[str, tuple[str, ...]] = {}
        # NAME last: a soft keyword such as `size` is one wherever the parser can take it so.
        self._patterns.sort(key=lambda pattern: (pattern[0] == "NAME", pattern[0]))

    def begin(self, start: str, source: Source, faults: Faults) -> MachineState:
        """A parser in its first state, building nodes of that source."""
        self._known.clear()
        self.builder.begin(source, faults)
        return MachineState(self, [self.starts[start]], [])

    def spelling(self, terminal: str) -> str | None:
        """The text of a terminal that has only one."""
        return self._spelling.get(terminal)

    def is_reserved(self, text: str) -> bool:
        """Whether a word can never be a name."""
        return text.isidentifier() and text.isascii() and "NAME" not in self.terminals(text)

    def terminals(self, text: str) -> tuple[str, ...]:
        """Every terminal that a text can be, the most special first."""
        if text[0] == '"':
            text = '""'  # what it says does not matter
        found = self._known.get(text)
        if found is None:
            signs = tuple(name for name, word in self._spelling.items() if word == text)
            found = signs + tuple(n for n, pattern in self._patterns if pattern.fullmatch(text))
            found = found or ("NAME",)  # a word of another script, reported when it was read
            if not text[0].isdigit():
                self._known[text] = found
        return found

    def terminal(self, text: str, choices: Collection[str]) -> str:
        """What the text is where these can come next: the terminal that fits, if one does."""
        terminals = self.terminals(text)
        if len(terminals) > 1:
            return next((name for name in terminals if name in choices), terminals[0])
        return terminals[0]


class MachineState:
    """A parser between two tokens: its states, and the values behind all but the first of them.

    Without values it builds nothing, to try what fits.
    """

    def __init__(self, machine: Machine, states: list[int], values: list[Any] | None) -> None:
        self._machine = machine
        self._states = states
        self._values = values

    @property
    def choices(self) -> Collection[str]:
        """Terminals with an entry in the table here; a few of them fail after a reduction."""
        return self._machine.actions[self._states[-1]]

    @property
    def height(self) -> int:
        """States on the parser's stack."""
        return len(self._states)

    @property
    def completes_row(self) -> bool:
        """Whether what was read may end here: its block or the file could."""
        return any(end in self.choices and self.survives(end) for end in ("RBRACE", END))

    def feed(self, lexeme: Lexeme) -> None:
        """Advances by a lexeme.

        Raises:
            UnexpectedLexeme: it does not fit; the state may have been reduced and is spent.
            UnreadableError: an expression nests too deeply.
        """
        self.advance(lexeme)
        self._machine.builder.end = lexeme.end

    def advance(self, lexeme: Lexeme) -> None:
        """As `feed`, for a trial, which builds nothing."""
        terminal = self._machine.terminal(lexeme.text, self.choices)
        self._shift(terminal, None if self._values is None else Token.of(lexeme))

    def finish(self) -> Any:
        """The result, at the end of the text.  Raises as `feed` does."""
        self._shift(END, None)
        return self._values[-1] if self._values else None

    def accepts(self) -> set[str]:
        """The terminals that can really come next."""
        return {
            terminal for terminal in self.choices if terminal.isupper() and self.survives(terminal)
        }

    def survives(self, terminal: str) -> bool:
        try:
            self.trial()._shift(terminal, None)
        except UnexpectedLexeme:
            return False
        return True

    def trial(self, lexemes: Iterable[Lexeme] = ()) -> MachineState:
        """A copy that builds nothing, advanced by the lexemes.  Raises UnexpectedLexeme."""
        trial = MachineState(self._machine, [*self._states], None)
        for lexeme in lexemes:
            trial.advance(lexeme)
        return trial

    def fits(self, lexemes: Iterable[Lexeme]) -> bool:
        """Whether the lexemes could come next."""
        try:
            self.trial(lexemes)
        except UnexpectedLexeme:
            return False
        return True

    def mark(self) -> Mark:
        values = self._values or []
        lengths = [len(value) if isinstance(value, Items) else 0 for value in values]
        return Mark(self._machine, [*self._states], [*values], lengths, self._machine.builder.end)

    def _shift(self, terminal: str, value: Any) -> None:
        """Reduces as long as the terminal asks for it, then takes its value; all at the end."""
        actions, reductions = self._machine.actions, self._machine.reductions
        states, values = self._states, self._values
        while True:
            action = actions[states[-1]].get(terminal)
            if action is None:
                raise UnexpectedLexeme
            if action >= 0:
                states.append(action)
                if values is not None:
                    values.append(value)
                return
            rule = reductions[-1 - action]
            if rule.size:
                del states[-rule.size :]
            if values is not None:
                rest = len(values) - rule.size
                children = values[rest:]
                del values[rest:]
                values.append(rule.build(children))
            states.append(actions[states[-1]][rule.origin])
            if terminal == END and states[-1] in self._machine.ends:
                return


@dataclass(frozen=True, slots=True)
class Mark:
    """A state to come back to.

    Items grow in place, also where a copy shares them, so going back cuts them to the length
    that they had.
    """

    machine: Machine
    states: list[int]
    values: list[Any]
    lengths: list[int]
    end: int

    def restore(self) -> MachineState:
        for value, length in zip(self.values, self.lengths, strict=True):
            if isinstance(value, Items):
                del value[length:]
        self.machine.builder.end = self.end
        return MachineState(self.machine, [*self.states], [*self.values])

    def trial(self, lexemes: Iterable[Lexeme] = ()) -> MachineState:
        """See State.trial."""
        return MachineState(self.machine, self.states, None).trial(lexemes)


@cache
def machine() -> Machine:
    """The machine of this process."""
    return Machine(tables(), Builder())
