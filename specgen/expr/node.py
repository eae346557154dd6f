"""Compile-time expressions: sizes, counts, conditions and constants of a table.

Invariant: an expression is built node by node from the syntax tree, never from text, and
carries no source span, so that equal expressions compare and hash equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, TypeVar, assert_never

from specgen.records import dataclass

Kind = Literal[
    "size", "count", "real", "flag", "choice", "dtype", "counts", "reals", "index", "axis",
    "unknown",
]  # fmt: skip

#: Kinds whose values are lists of numbers.
LISTS: frozenset[str] = frozenset({"counts", "reals"})

Operator = Literal[
    "+", "-", "*", "/", "%", "**", "neg",
    "==", "!=", "<", "<=", ">", ">=",
    "and", "or", "not", "cond", "list", "contains", "length",
    "ceil", "floor", "ln", "exp", "sqrt", "min", "max", "cos", "sin", "tanh", "abs",
]  # fmt: skip

#: Functions that an expression may call, with the number of arguments each takes.
FUNCTIONS: Mapping[str, int] = {
    "ceil": 1, "floor": 1, "ln": 1, "exp": 1, "sqrt": 1, "cos": 1, "sin": 1, "tanh": 1,
    "abs": 1, "min": 2, "max": 2, "contains": 2, "length": 1,
}  # fmt: skip

#: Each comparison, and the one that holds where it does not.
OPPOSITE: Mapping[str, Operator] = {
    "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">",
}  # fmt: skip

COMPARISONS = frozenset(OPPOSITE)


@dataclass(frozen=True, slots=True)
class Const:
    """A literal: an int, a float, a flag, a text (choice or dtype name) or null."""

    value: int | float | bool | str | None

    def __eq__(self, other: object) -> bool:  # True is not 1, and 1 is not 1.0
        return (
            isinstance(other, Const)
            and type(self.value) is type(other.value)
            and self.value == other.value
        )

    def __hash__(self) -> int:
        return hash(self.value)


@dataclass(frozen=True, slots=True)
class Sym:
    """A name: a parameter, a `let`, a layer index, or a shape variable such as B or T.

    Two symbols of the same name are the same symbol; `kind` only informs printing and domains.
    """

    name: str
    kind: Kind = "unknown"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sym) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Hashed:
    """Room for what is worked out of a whole tree: its hash, its names and text, its normal form,
    its bounds, and whether it is exact.

    The last three follow the kinds of symbols, which equality leaves out: they are kept with the
    tree itself, not under it.
    """

    __slots__ = ("_exact", "_extent", "_hash", "_normal", "_symbols", "_text")
    _hash: int
    _symbols: frozenset[str]
    _text: str
    _normal: object
    _exact: bool
    _extent: object


@dataclass(frozen=True, slots=True)
class Apply(Hashed):
    """An operator or function applied to arguments.

    `cond` is (condition, then, otherwise), `list` the numbers of a list, `contains` whether a
    list has a number; `and` and `or` take two arguments or more.
    """

    op: Operator
    args: tuple[Expr, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and self.op == other.op and self.args == other.args

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash((self.op, self.args)))
            return self._hash

    def __repr__(self) -> str:
        try:
            return self._text
        except AttributeError:
            object.__setattr__(self, "_text", f"Apply(op={self.op!r}, args={self.args!r})")
            return self._text


Expr = Const | Sym | Apply

Worked = TypeVar("Worked")


def remembered(expr: Expr, slot: str, work: Callable[[Expr], Worked]) -> Worked:
    """What `work` gives for a tree, worked out once and kept in that slot of `Hashed`."""
    if not isinstance(expr, Apply):
        return work(expr)
    try:
        found: Worked = getattr(expr, slot)
    except AttributeError:
        found = work(expr)
        object.__setattr__(expr, slot, found)
    return found


NO_NAMES: frozenset[str] = frozenset()

ZERO = Const(0)
ONE = Const(1)
TRUE = Const(True)
FALSE = Const(False)


def product(*factors: Expr) -> Expr:
    """The product of the factors, without the ones; 1 when nothing is left."""
    kept = [factor for factor in factors if factor != ONE]
    if not kept:
        return ONE
    result = kept[0]
    for factor in kept[1:]:
        result = Apply("*", (result, factor))
    return result


def total(*terms: Expr) -> Expr:
    """The sum of the terms, without the zeros; 0 when nothing is left."""
    kept = [term for term in terms if term != ZERO]
    if not kept:
        return ZERO
    result = kept[0]
    for term in kept[1:]:
        result = Apply("+", (result, term))
    return result


def conjunction(*conditions: Expr) -> Expr:
    """All of the conditions, without the true ones; `true` when nothing is left."""
    result: Expr = TRUE
    for condition in conditions:
        if condition == FALSE:
            return FALSE
        if condition != TRUE:
            result = condition if result == TRUE else Apply("and", (result, condition))
    return result


def disjunction(*conditions: Expr) -> Expr:
    """Any of the conditions, without the false ones; `false` when nothing is left."""
    result: Expr = FALSE
    for condition in conditions:
        if condition == TRUE:
            return TRUE
        if condition != FALSE:
            result = condition if result == FALSE else Apply("or", (result, condition))
    return result


def membership(items: Iterable[Expr], element: Expr) -> Expr:
    """Whether the element is one of the items, as comparisons."""
    tests: list[Expr] = [Apply("==", (element, item)) for item in dict.fromkeys(items)]
    match tests:
        case []:
            return FALSE
        case [test]:
            return test
        case _:
            return Apply("or", tuple(tests))


def negation(condition: Expr) -> Expr:
    """The opposite of a condition, written with the opposite comparison where it is one."""
    match condition:
        case Const(value=bool(value)):
            return Const(not value)
        case Apply(op="not", args=(inner,)):
            return inner
        case Apply(op=op, args=args) if op in COMPARISONS:
            return Apply(OPPOSITE[op], args)
        case _:
            return Apply("not", (condition,))


def walk(expr: Expr) -> Iterator[Expr]:
    """Every node of the expression, parents before children."""
    yield expr
    if isinstance(expr, Apply):
        for arg in expr.args:
            yield from walk(arg)


def symbols(expr: Expr) -> frozenset[str]:
    """The names that occur in the expression."""
    if isinstance(expr, Apply):
        try:
            return expr._symbols
        except AttributeError:
            found = frozenset[str]().union(*map(symbols, expr.args))
            object.__setattr__(expr, "_symbols", found)
            return found
    return frozenset((expr.name,)) if isinstance(expr, Sym) else NO_NAMES


def substitute(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """The expression with symbols replaced, all at once, by the given expressions."""
    if not values:
        return expr
    match expr:
        case Const():
            return expr
        case Sym(name=name):
            return values.get(name, expr)
        case Apply(op=op, args=args):
            replaced = tuple(substitute(arg, values) for arg in args)
            return expr if replaced == args else Apply(op, replaced)
    assert_never(expr)


def transform(expr: Expr, rule: Callable[[Expr], Expr]) -> Expr:
    """The expression rebuilt from the leaves up, each node passed through `rule`."""
    if isinstance(expr, Apply):
        args = tuple(transform(arg, rule) for arg in expr.args)
        if any(new is not old for new, old in zip(args, expr.args, strict=True)):
            expr = Apply(expr.op, args)  # else what was worked out of it holds
    return rule(expr)


def depth(expr: Expr) -> int:
    """The length of the longest path from the root to a leaf."""
    return 1 + max(map(depth, expr.args), default=0) if isinstance(expr, Apply) else 1
