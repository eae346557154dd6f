"""Expressions at many points at once, exactly: the values of `expr.evaluate` and no others.

Points go through in batches that stay in a core's cache; equal subexpressions are computed once.
Knows expressions and columns; nothing of tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import Any, Final

import numpy as np

from specgen.expr.columns.exact import (
    DTYPES,
    Array,
    Column,
    divide_rounded,
    make_column,
    make_constant,
    merge,
    operate,
    require_flags,
)
from specgen.expr.evaluate import EvaluationError, Value
from specgen.expr.node import FALSE, TRUE, Apply, Const, Expr, Sym, symbols
from specgen.records import dataclass

#: Points of one batch: what the intermediate results of a formula take stays in the cache.
BATCH: Final = 32_768

#: An expression with more distinct parts than this is refused.
MAX_NODES: Final = 100_000

#: Operators that have a value wherever their arguments have one.
TOTAL: Final = frozenset({
    "+", "-", "*", "neg", "==", "!=", "<", "<=", ">", ">=", "and", "or", "not", "cond",
    "abs", "min", "max", "contains", "length", "list",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A part of an expression: an operator on nodes before it, a name, or a value.

    `total` says that it has a value at every point, so that it may be computed where nobody
    asks for it.
    """

    op: str
    args: tuple[int, ...] = ()
    name: str = ""
    value: Value = None
    total: bool = True


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """Expressions taken apart: each distinct node once, arguments before their users."""

    nodes: tuple[PlanNode, ...]
    roots: tuple[int, ...]

    def run(self, columns: Mapping[str, Column]) -> list[Column]:
        """The values of the expressions at the points of the columns, in one batch.

        Raises:
            EvaluationError: an expression has no value at some point.
        """
        frame = ColumnFrame(self.nodes, columns)
        return [frame.value(root) for root in self.roots]


def make_plan(exprs: Sequence[Expr]) -> ColumnPlan:
    """Takes expressions apart.

    Raises:
        EvaluationError: there are more than MAX_NODES of distinct parts.
    """
    nodes: list[PlanNode] = []
    numbers: dict[PlanNode, int] = {}

    def add(node: PlanNode) -> int:
        found = numbers.get(node)
        if found is None:
            if len(nodes) >= MAX_NODES:
                raise EvaluationError(f"an expression has more than {MAX_NODES:,} parts")
            found = numbers[node] = len(nodes)
            nodes.append(node)
        return found

    # Definitions that use each other more than once are trees that share their branches.
    # They are kept with their numbers: an id is another's once its expression is gone.
    seen: dict[int, tuple[Expr, int]] = {}

    def visit(expr: Expr) -> int:
        if id(expr) not in seen:
            seen[id(expr)] = expr, taken_apart(expr)
        return seen[id(expr)][1]

    def taken_apart(expr: Expr) -> int:
        match expr:
            case Const(value=value):
                # The name tells 1 from True and from 1.0, which are equal as values.
                return add(PlanNode("const", name=type(value).__name__, value=value))
            case Sym(name=name):
                return add(PlanNode("name", name=name))
            case Apply(op="floor" | "ceil" as op, args=(Apply(op="/", args=args),)):
                return add(PlanNode(f"{op}/", tuple(map(visit, args)), total=False))
            case Apply(op="and" | "or" as op, args=(first, *rest)) if rest:
                # As choices, so that what a first condition guards is asked only where it may be.
                inner = rest[0] if len(rest) == 1 else Apply(op, tuple(rest))
                whole = (first, inner, FALSE) if op == "and" else (first, TRUE, inner)
                return visit(Apply("cond", whole))
            case Apply(op="and" | "or", args=(only,)):
                return visit(only)
            case Apply(op=op, args=args):
                below = tuple(map(visit, args))
                total = op in TOTAL and all(nodes[i].total for i in below)
                return add(PlanNode(op, below, total=total))

    roots = tuple(visit(expr) for expr in exprs)
    return ColumnPlan(tuple(nodes), roots)


@dataclass(slots=True)
class ColumnFrame:
    """The values of nodes at some points, computed when they are first asked for."""

    nodes: tuple[PlanNode, ...]
    columns: Mapping[str, Column]
    known: dict[int, Column] = field(default_factory=dict)

    def value(self, number: int) -> Column:
        found = self.known.get(number)
        if found is None:
            found = self.known[number] = self.compute(self.nodes[number])
        return found

    def compute(self, node: PlanNode) -> Column:
        match node.op:
            case "const":
                return make_constant(node.value)
            case "name":
                try:
                    return self.columns[node.name]
                except KeyError:
                    raise EvaluationError(f"`{node.name}` has no value here") from None
            case "cond":
                return self.choice(*node.args)
            case "floor/" | "ceil/":
                return divide_rounded(node.op, [self.value(arg) for arg in node.args])
            case _:
                return operate(node.op, [self.value(arg) for arg in node.args])

    def choice(self, test: int, then: int, otherwise: int) -> Column:
        mask = require_flags(self.value(test))
        if isinstance(mask, bool):
            return self.value(then if mask else otherwise)
        if mask.all():
            return self.value(then)
        if not mask.any():
            return self.value(otherwise)
        return merge(mask, self.at(then, mask), self.at(otherwise, ~mask))

    def at(self, number: int, mask: Array) -> Column:
        """A node where the mask holds; where it may have no value elsewhere, only there."""
        if number in self.known or self.nodes[number].total:
            return choose_points(self.value(number), mask)
        part = ColumnFrame(
            self.nodes, {name: choose_points(c, mask) for name, c in self.columns.items()}
        )
        return part.value(number)


def choose_points(found: Column, mask: Array) -> Column:
    if not isinstance(found.data, np.ndarray):
        return found
    return Column(found.data[mask], found.low, found.high)


def run_batches(
    found: ColumnPlan, columns: Mapping[str, Column], size: int
) -> Iterator[tuple[slice, list[Column]]]:
    """The values of a plan batch by batch."""
    for start in range(0, size, BATCH):
        part = slice(start, min(start + BATCH, size))
        yield part, found.run({name: slice_column(c, part) for name, c in columns.items()})


def slice_column(found: Column, part: slice) -> Column:
    if not isinstance(found.data, np.ndarray):
        return found
    return make_column(found.data[part]) if found.whole else Column(found.data[part])


def evaluate_all(exprs: Sequence[Expr], columns: Mapping[str, object]) -> list[Array]:
    """The values of expressions at the points of the columns: exact, whatever they are.

    A column is an array with an element for each point, or one value for all points.  The
    results are int64, float64, bool, or object arrays of Python's values; whole numbers beyond
    int64 are Python ints and values that are not whole are fractions.

    Raises:
        EvaluationError: an expression has no value at some point.
        ValueError: the columns are not of one length.
    """
    given = {name: make_column(values) for name, values in columns.items()}
    sizes = {len(c.data) for c in given.values() if isinstance(c.data, np.ndarray)}
    if len(sizes) > 1:
        raise ValueError(f"columns of {' and '.join(map(str, sorted(sizes)))} points")
    found = make_plan(exprs)
    if not sizes:
        return [make_array(c, ()) for c in found.run(given)]
    (size,) = sizes
    if size == 0:
        return [np.empty(0, dtype=np.int64) for _ in exprs]
    pieces: list[list[Array]] = [[] for _ in exprs]
    for part, values in run_batches(found, given, size):
        for piece, value in zip(pieces, values, strict=True):
            piece.append(make_array(value, (part.stop - part.start,)))
    return [join_arrays(piece) for piece in pieces]


def make_array(found: Column, shape: tuple[int, ...]) -> Array:
    if isinstance(found.data, np.ndarray):
        return found.data
    result = np.empty(shape, dtype=DTYPES[found.dtype])
    if isinstance(found.data, tuple):
        for i in np.ndindex(shape):
            result[i] = found.data
    else:
        result[...] = found.data
    return result


def join_arrays(pieces: Sequence[Array]) -> Array:
    if len({piece.dtype for piece in pieces}) > 1:
        pieces = [piece.astype(object) for piece in pieces]
    return np.concatenate(pieces)


def evaluate(expr: Expr, columns: Mapping[str, object]) -> Array:
    """The value of an expression at each point; see `evaluate_all`.

    Raises:
        EvaluationError: it has no value at some point, or none that is whole, a float or a flag.
    """
    (found,) = evaluate_all([expr], columns)
    if found.dtype == object:
        inexact = next((v for v in found.flat if isinstance(v, Fraction)), None)
        if inexact is not None:
            raise EvaluationError(f"{inexact} is not a whole number")
    return found


def find_where(condition: Expr, columns: Mapping[str, object], size: int) -> Array:
    """Where a condition holds, of `size` points; where it has no value it does not."""
    return decide_where(condition, columns, size)[0]


def decide_where(
    condition: Expr, columns: Mapping[str, object], size: int
) -> tuple[Array, Mapping[str, int]]:
    """Where a condition holds, of `size` points; and why it has no value at how many of them."""
    try:
        (found,) = evaluate_all([condition], columns)
    except EvaluationError:
        return decide_one_by_one(condition, columns, size)
    return np.broadcast_to(found.astype(np.bool_), (size,)), {}


def decide_one_by_one(
    condition: Expr, columns: Mapping[str, object], size: int
) -> tuple[Array, Mapping[str, int]]:
    from specgen.expr.evaluate import evaluate as at_point

    listed: dict[str, Sequence[Any]] = {
        name: values.tolist() if isinstance(values, np.ndarray) else [values] * size
        for name, values in columns.items()
        if name in symbols(condition)
    }
    found = np.zeros(size, dtype=np.bool_)
    reasons: dict[str, int] = {}
    for i in range(size):
        try:
            found[i] = at_point(condition, {n: values[i] for n, values in listed.items()}) is True
        except EvaluationError as error:
            reasons[str(error)] = reasons.get(str(error), 0) + 1
    return found, reasons
