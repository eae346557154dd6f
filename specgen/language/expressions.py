"""Builds expressions of the syntax tree, bottom-up: the methods for those rules of the grammar.

Knows spans and the limits on numbers and depth; resolves no name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import Any, Final, TypeVar

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source, Span
from specgen.language import tree
from specgen.language.faults import Faults
from specgen.language.lexemes import Lexeme
from specgen.text.reals import read_real

#: A chain `a + b + c` of n terms nests n - 1 deep.
EXPRESSION_DEPTH: Final = 200
INTEGER_DIGITS: Final = 30
#: Dims, arguments and rows together are nested pair by pair where they are multiplied or added.
ITEMS: Final = 100
#: Numbers of a list: one for each layer, or for each pair of rotated features.
LIST_ITEMS: Final = 512

CONSTANTS: Final = {"true": True, "false": False, "null": None, "inf": inf}


class Token(str):
    """A lexeme as a method of the builder is given it: its text, and where that stands."""

    __slots__ = ("end_pos", "start_pos")
    start_pos: int
    end_pos: int

    @classmethod
    def of(cls, lexeme: Lexeme) -> Token:
        made = cls(lexeme.text)
        made.start_pos, made.end_pos = lexeme.start, lexeme.end
        return made


Node = TypeVar("Node", bound=tree.Expression | tree.KeywordSyntax | tree.IfSyntax)


class ExpressionBuilder:
    """State of one parse: the source, where the last token ended, and how deep nodes are.

    A method is called with the children of its rule: terminals that the grammar names, nodes,
    and None for an absent `[...]`.
    """

    def __init__(self) -> None:
        self.begin(Source("", ""), Faults(Diagnostics()))

    def begin(self, source: Source, faults: Faults) -> None:
        """Forgets the last parse; `source` is what the spans of the next one point into."""
        self.source = source
        self.faults = faults
        # A rule is reduced after the token behind it was seen and before it is shifted, so the
        # end of the last shifted token is where the rule ends.
        self.end = 0
        # By id; the node is held too, because the id of a dead one is given out again.
        self.depths: dict[int, tuple[int, Any]] = {}

    # ---- places and depth --------------------------------------------------------------

    def at(self, token: Token) -> Span:
        return Span(self.source, token.start_pos, token.end_pos)

    def since(self, first: Any) -> Span:
        """From the first child of a rule, a token or a node, to the end of the rule."""
        start = first.start_pos if isinstance(first, Token) else first.span.start
        return Span(self.source, start, self.end)

    def deepen(self, node: Node, children: Iterable[Any]) -> Node:
        """Notes how deep a node nests.

        Raises:
            UnreadableError: deeper than consumers can recurse.
        """
        depth = 1 + max(map(self.depth, children), default=0)
        if depth > EXPRESSION_DEPTH:
            raise self.faults.refuse(node.span, "this expression", EXPRESSION_DEPTH)
        self.depths[id(node)] = depth, node
        return node

    def depth(self, node: object) -> int:
        return self.depths.get(id(node), (0, None))[0]

    # ---- expressions -------------------------------------------------------------------

    def operation(self, op: str, operands: tuple[tree.Expression, ...], span: Span) -> Any:
        return self.deepen(tree.OperationSyntax(op, operands, span), operands)

    def cond(self, then: Any, test: tree.Expression, otherwise: tree.Expression) -> Any:
        return self.operation("cond", (test, then, otherwise), self.since(then))

    def binary(self, left: tree.Expression, op: Token, right: tree.Expression) -> Any:
        return self.operation("*" if op == "×" else str(op), (left, right), self.since(left))

    def prefix(self, op: Token, operand: tree.Expression) -> Any:
        return self.operation("neg" if op == "-" else str(op), (operand,), self.since(op))

    def group(self, opening: Token, inner: tree.Expression) -> tree.Expression:
        grouped = replace(inner, span=self.since(opening))
        self.depths[id(grouped)] = self.depth(inner), grouped
        return grouped

    def list(self, opening: Token, *rest: tree.Expression | None) -> tree.ListOfSyntax:
        given = tuple(item for item in rest if item is not None)
        items = self.bounded(given, "items of a list", LIST_ITEMS)
        return self.deepen(tree.ListOfSyntax(items, self.since(opening)), items)

    def call(self, function: tree.PathSyntax, arguments: tuple[Any, ...] | None) -> tree.CallSyntax:
        places: list[tree.Expression] = []
        names: list[tree.KeywordSyntax] = []
        for argument in arguments or ():
            if isinstance(argument, tree.KeywordSyntax):
                names.append(argument)
                continue
            if names:
                self.faults.report(
                    "E0116",
                    argument.span,
                    problem="an argument by place cannot follow one given by name",
                )
            places.append(argument)
        node = tree.CallSyntax(function, tuple(places), tuple(names), self.since(function))
        return self.deepen(node, arguments or ())

    def arguments(self, *arguments: Any) -> tuple[Any, ...]:
        return self.bounded(arguments, "arguments of a call")

    def bounded(self, items: tuple[Any, ...], what: str, limit: int = ITEMS) -> tuple[Any, ...]:
        """The items, without those that pass the limit."""
        if len(items) > limit:
            self.faults.report("E0114", items[limit].span, limit=limit, what=what)
        return items[:limit]

    def keyword(self, name: Token, value: tree.Expression) -> tree.KeywordSyntax:
        return self.deepen(tree.KeywordSyntax(str(name), value, self.since(name)), (value,))

    def path(self, *names: Token) -> tree.PathSyntax:
        return tree.PathSyntax(tuple(map(str, names)), self.since(names[0]))

    def integer(self, token: Token) -> tree.LiteralSyntax:
        digits = token.replace("_", "")
        if len(digits) > INTEGER_DIGITS:
            reason = f"a whole number has at most {INTEGER_DIGITS} digits"
            return self.malformed(token, reason)
        return tree.LiteralSyntax(int(digits), self.at(token))

    def number(self, token: Token) -> tree.LiteralSyntax:
        try:
            return tree.LiteralSyntax(read_real(token.replace("_", "")), self.at(token))
        except ValueError as error:
            return self.malformed(token, str(error))

    def malformed(self, token: Token, reason: str) -> tree.LiteralSyntax:
        shown = str(token) if len(token) <= 40 else token[:37] + "…"
        self.faults.report("E0110", self.at(token), text=shown, reason=reason)
        return tree.LiteralSyntax(1, self.at(token))

    def string(self, token: Token) -> tree.LiteralSyntax:
        return tree.LiteralSyntax(quoted(token), self.at(token))

    def constant(self, token: Token) -> tree.LiteralSyntax:
        return tree.LiteralSyntax(CONSTANTS[str(token)], self.at(token))


def quoted(token: Token) -> str:
    """What a text says; the language has no escapes."""
    return str(token)[1:-1]


def text(token: Token | None) -> str | None:
    return None if token is None else quoted(token)
