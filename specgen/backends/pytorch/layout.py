"""Python expressions as trees, and how they are laid out on lines of at most 100 columns.

The layout is ruff's: flat where it fits, else split at the last bracket that lets the first and
the last line fit, else in parentheses.  Knows Python's precedences and nothing of models.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, assert_never

from specgen.records import dataclass

WIDTH: Final = 100
INDENT: Final = "    "

#: Precedences of Python, from the loosest.
TERNARY, OR, AND, NOT, COMPARE, BIT_OR, BIT_AND, SUM, PRODUCT, SIGN, POWER, ATOM = range(12)

LEVELS: Final = {
    "or": OR, "and": AND, "not": NOT, "|": BIT_OR, "&": BIT_AND, "~": SIGN,
    "==": COMPARE, "!=": COMPARE, "<": COMPARE, "<=": COMPARE, ">": COMPARE, ">=": COMPARE, "in": COMPARE, "is": COMPARE,
    "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "//": PRODUCT, "%": PRODUCT, "@": PRODUCT, "**": POWER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Atom:
    """A name, a number or a literal: text that is never broken."""

    text: str


@dataclass(frozen=True, slots=True)
class Attribute:
    value: Node
    name: str


@dataclass(frozen=True, slots=True)
class KeywordArgument:
    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of a dict with its value."""

    key: str
    value: Node


@dataclass(frozen=True, slots=True)
class Bracketed:
    """Items in brackets, behind `head` where it is a call or a subscript."""

    head: Node | None
    opening: str  # "(", "[" or "{"
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Ternary:
    then: Node
    test: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Comprehension:
    """`element for target in source`, which stands alone between brackets."""

    element: Node
    target: str
    source: Node


Node = Atom | Attribute | Bracketed | Unary | Binary | Ternary | Comprehension

#: What stands between brackets.
Item = Node | KeywordArgument | Pair


def call(function: str | Node, *arguments: Node | KeywordArgument) -> Bracketed:
    return Bracketed(Atom(function) if isinstance(function, str) else function, "(", arguments)


def method(value: Node, name: str, *arguments: Node | KeywordArgument) -> Bracketed:
    """`value.name(arguments)`."""
    return Bracketed(Attribute(value, name), "(", arguments)


def subscript(value: Node, *items: Node) -> Bracketed:
    return Bracketed(value, "[", items)


def number(value: int) -> Node:
    return Atom(str(value)) if value >= 0 else Unary("-", Atom(str(-value)))


def listing(items: Sequence[Node]) -> Bracketed:
    return Bracketed(None, "[", tuple(items))


def mapping(entries: Mapping[str, Node]) -> Bracketed:
    """A dict with texts for keys, which must be safe in double quotes."""
    return Bracketed(None, "{", tuple(Pair(f'"{key}"', value) for key, value in entries.items()))


def grouping(items: Sequence[Node]) -> Bracketed:
    """A tuple."""
    return Bracketed(None, "(", tuple(items))


def level(node: Node) -> int:
    match node:
        case Binary(operator=operator) | Unary(operator=operator):
            return SIGN if isinstance(node, Unary) and operator == "-" else LEVELS[operator]
        case Ternary() | Comprehension():
            return TERNARY
        case Atom() | Attribute() | Bracketed():
            return ATOM
    assert_never(node)


def operand(node: Node, least: int) -> str:
    text = flat(node)
    return f"({text})" if level(node) < least else text


def flat(node: Item) -> str:
    """The expression on one line."""
    match node:
        case Atom(text=text):
            return text
        case Attribute(value=value, name=name):
            return f"{receiver(value)}.{name}"
        case KeywordArgument(name=name, value=value):
            return f"{name}={flat(value)}"
        case Pair(key=key, value=value):
            return f"{key}: {flat(value)}"
        case Bracketed(head=head, opening=opening, items=items):
            inner = ", ".join(map(flat, items))
            if head is None and opening == "(" and len(items) == 1:
                inner += ","
            return f"{'' if head is None else receiver(head)}{opening}{inner}{closing(opening)}"
        case Unary(operator=operator, operand=inner_node):
            space = " " if operator == "not" else ""
            return f"{operator}{space}{operand(inner_node, level(node))}"
        case Binary(operator="**", left=left, right=right):
            # ruff hugs the operator between simple operands
            hugged = simple(right) and simple(left) and not isinstance(left, Unary)
            space = "" if hugged else " "
            return f"{operand(left, ATOM)}{space}**{space}{operand(right, SIGN)}"
        case Binary(operator=operator, left=left, right=right):
            own = LEVELS[operator]
            first = operand(left, own + 1 if own == COMPARE else own)
            associative = operator in ("+", "*", "and", "or", "&", "|")
            chained = isinstance(right, Binary) and right.operator == operator and associative
            return f"{first} {operator} {operand(right, own if chained else own + 1)}"
        case Ternary(then=then, test=test, otherwise=otherwise):
            return f"{operand(then, OR)} if {operand(test, OR)} else {flat(otherwise)}"
        case Comprehension(element=element, target=target, source=source):
            return f"{flat(element)} for {target} in {flat(source)}"
    assert_never(node)


def receiver(node: Node) -> str:
    """The text in front of a dot or a bracket; a number needs parentheses there."""
    text = operand(node, ATOM)
    return f"({text})" if text[:1].isdigit() else text


def closing(opening: str) -> str:
    return {"(": ")", "[": "]", "{": "}"}[opening]


def simple(node: Node) -> bool:
    """Whether ruff writes `**` without spaces next to it."""
    match node:
        case Atom():
            return True
        case Attribute(value=value):
            return simple(value)
        case Unary(operator="-", operand=inner):
            return isinstance(inner, Atom | Attribute) and simple(inner)
        case _:
            return False


# ---- lines -----------------------------------------------------------------------------


def lines(prefix: str, node: Node, indent: int, suffix: str = "") -> list[str]:
    """A statement `prefix node suffix`, indented by `indent` steps."""
    return [INDENT * indent + line for line in laid_out(prefix, node, suffix, indent)]


def remarked(lines: list[str], remark: str | None, indent: int) -> list[str]:
    """The lines with a remark behind the first, or above it where it does not fit.

    A remark too long for a line of its own is broken at its spaces.
    """
    if remark is None:
        return lines
    is_open = len(lines) == 1 or lines[0][-1] in "([{"
    if is_open and len(lines[0]) + len(remark) + 4 <= WIDTH:
        return [f"{lines[0]}  # {remark}", *lines[1:]]
    margin = INDENT * indent + "# "
    return [*(margin + line for line in textwrap.wrap(remark, WIDTH - len(margin))), *lines]


def fits(text: str, indent: int) -> bool:
    return len(INDENT) * indent + len(text) <= WIDTH


def laid_out(
    prefix: str, node: Item, suffix: str, indent: int, enclosed: bool = False
) -> list[str]:
    """The lines of `prefix node suffix`; `enclosed` says that brackets stand around it already."""
    line = prefix + flat(node) + suffix
    if fits(line, indent):
        return [line]
    if isinstance(node, KeywordArgument):
        return laid_out(f"{prefix}{node.name}=", node.value, suffix, indent, enclosed)
    if isinstance(node, Pair):
        return laid_out(f"{prefix}{node.key}: ", node.value, suffix, indent, enclosed)
    pieces = links(node)
    if len(pieces) > 2 and all(fits(piece, indent + 1) for piece in pieces):
        if enclosed:
            return [prefix + pieces[0], *pieces[1:-1], pieces[-1] + suffix]
        return [f"{prefix}(", *(INDENT + piece for piece in pieces), f"){suffix}"]
    parts = chained(node)
    if len(parts) <= 2 and not (enclosed and len(parts) == 2):
        for before, items, opening, after in brackets(node):
            head, tail = prefix + before + opening, closing(opening) + after + suffix
            if items and fits(head, indent) and fits(tail, indent):
                return [head, *inside(items, indent + 1), tail]
    if not enclosed:
        return [f"{prefix}(", *inside([node], indent + 1), f"){suffix}"]
    if len(parts) == 1:
        return [line]
    lines = [line for start, part in parts for line in operand_lines(start, part, node, indent)]
    return [prefix + lines[0], *lines[1:-1], lines[-1] + suffix]


def links(node: Node) -> list[str]:
    """A chain of calls in pieces: each method that is called on what a call gave begins one."""
    match node:
        case Bracketed(head=head, opening=opening, items=items) if head is not None:
            *before, last = links(head)
            return [*before, f"{last}{opening}{', '.join(map(flat, items))}{closing(opening)}"]
        case Attribute(value=value, name=name):
            *before, last = links(value)
            if isinstance(value, Bracketed):
                return [*before, last, f".{name}"]
            return [*before, f"{last}.{name}"]
        case _:
            return [operand(node, ATOM)]


def operand_lines(start: str, part: Node, whole: Node, indent: int) -> list[str]:
    """One operand of a broken chain with the operator before it."""
    if level(part) <= level(whole):
        line = f"{start}({flat(part)})"
        if fits(line, indent):
            return [line]
        return [f"{start}(", *inside([part], indent + 1), ")"]
    return laid_out(start, part, "", indent, enclosed=True)


def inside(items: Sequence[Item], indent: int) -> list[str]:
    """What stands between brackets: on one line, or one item a line."""
    joined = ", ".join(map(flat, items))
    if fits(joined, indent):
        return [INDENT + joined]
    alone = len(items) == 1 and isinstance(items[0], Binary | Ternary | Comprehension)
    comma = "" if alone else ","
    return [INDENT + line for item in items for line in laid_out("", item, comma, indent, True)]


def brackets(node: Node) -> Iterator[tuple[str, Sequence[Item], str, str]]:
    """The brackets at which a line can be split, from the last: before, items, bracket, after."""
    match node:
        case Bracketed(head=head, opening=opening, items=items):
            yield "" if head is None else receiver(head), items, opening, ""
            if head is not None:
                inner = f"{opening}{', '.join(map(flat, items))}{closing(opening)}"
                for before, within, bracket, after in operand_brackets(head, ATOM):
                    yield before, within, bracket, after + inner
        case Attribute(value=value, name=name):
            for before, within, bracket, after in operand_brackets(value, ATOM):
                yield before, within, bracket, f"{after}.{name}"
        case Unary(operator=operator, operand=inner_node):
            sign = f"{operator} " if operator == "not" else operator
            for before, within, bracket, after in operand_brackets(inner_node, level(node)):
                yield sign + before, within, bracket, after
        case Binary(operator=operator, left=left, right=right):
            text, own = flat(node), LEVELS[operator]
            last = operand(right, SIGN if operator == "**" else own + 1)
            first = operand(left, ATOM if operator == "**" else own)
            for before, within, bracket, after in operand_brackets(right, own + 1):
                yield text[: len(text) - len(last)] + before, within, bracket, after
            if isinstance(right, Bracketed) and right.opening == "[" and right.head is not None:
                return  # ruff breaks no call before an index
            for before, within, bracket, after in operand_brackets(left, own):
                yield before, within, bracket, after + text[len(first) :]
        case Atom() | Ternary() | Comprehension():
            return
        case _:
            assert_never(node)


def operand_brackets(node: Node, least: int) -> Iterator[tuple[str, Sequence[Item], str, str]]:
    """The brackets of an operand: its own, or the parentheses that it needs."""
    if level(node) < least:
        yield "", [node], "(", ""
    else:
        yield from brackets(node)


def chained(node: Node) -> list[tuple[str, Node]]:
    """The operands of the loosest operators, each with the operator before it."""
    match node:
        case Binary(operator=operator, left=left, right=right) if operator != "**":
            same = level(left) == LEVELS[operator] or (operator == "or" and logical(left))
            first = chained(left) if same else [("", left)]
            last = chained(right) if operator == "or" and logical(right) else [("", right)]
            return [*first, (f"{operator} ", last[0][1]), *last[1:]]
        case Ternary(then=then, test=test, otherwise=otherwise):
            return [("", then), ("if ", test), ("else ", otherwise)]
        case Comprehension(element=element, target=target, source=source):
            return [*chained_element(element), (f"for {target} in ", source)]
        case _:
            return [("", node)]


def logical(node: Node) -> bool:
    """Whether a node is an `and`, which breaks together with an `or` around it."""
    return isinstance(node, Binary) and node.operator == "and"


def chained_element(element: Node) -> list[tuple[str, Node]]:
    """The element of a comprehension; a choice is broken with it."""
    return chained(element) if isinstance(element, Ternary) else [("", element)]
