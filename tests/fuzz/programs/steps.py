"""The steps that a random body is made of: each an op with operands that its typing allows.

A step looks for its operands among the values of a body and gives the expression of a new one,
or nothing where there are none.  `STEPS` weights them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol

from tests.fuzz.programs.values import (
    MAX_ELEMENTS,
    Dims,
    Value,
    axes,
    broadcast,
    elements,
    number,
)


class Source(Protocol):
    """What a step may ask of the body that it stands in."""

    random: Random

    def any(self, fits: Callable[[Value], bool]) -> Value | None:
        """One of the values that fit."""

    def row(self, dims: Dims) -> Value | None:
        """A tensor row of these dims, where the body may read rows."""

    def map(self, into: str, out: str) -> str | None:
        """The name of a map row, where the body may read rows."""


Step = Callable[[Source], Value | None]


def is_float(value: Value) -> bool:
    return value.is_float


def is_whole(value: Value) -> bool:
    return value.dtype == "i64"


def has_axes(value: Value) -> bool:
    return value.rank > 0


# ---- elementwise


def unary(body: Source) -> Value | None:
    x = body.any(is_float)
    form = body.random.choice(
        ["silu({})", "tanh({})", "sigmoid({})", "erf({})", "cos({})", "sin({})", "-{}",
         "exp(clamp({}, -2, 1))", "sqrt({0} * {0} + 0.25)", "rsqrt({0} * {0} + 0.25)",
         "clamp({}, -0.5, inf)", "clamp({}, -0.75, 0.5)", "{} ** 2", "{} * 0.5", "1 - {}",
         "{} / 3", "2 ** clamp({}, -2, 2)"]
    )  # fmt: skip
    return x and Value(form.format(x.text), x.dtype, x.dims)


def binary(body: Source) -> Value | None:
    x = body.any(is_float)
    if x is None:
        return None
    y = body.any(lambda y: y.dtype == x.dtype and fits(x.dims, y.dims))
    dims = broadcast(x.dims, y.dims) if y is not None else None
    if y is None or dims is None:
        return None
    form = body.random.choice(["{} + {}", "{} - {}", "{} * {}", "{0} / ({1} * {1} + 1)"])
    return Value(form.format(x.text, y.text), x.dtype, dims)


def fits(x: Dims, y: Dims) -> bool:
    dims = broadcast(x, y)
    return dims is not None and elements(dims) <= MAX_ELEMENTS


def compare(body: Source) -> Value | None:
    x = body.any(lambda x: x.is_float or x.dtype == "i64")
    if x is None:
        return None
    sign = body.random.choice(["<", "<=", ">", ">=", "==", "!="])
    if x.dtype == "i64":
        return Value(
            f"{x.text} {sign} {body.random.choice(['2', '1.5', 'S', '0'])}", "bool", x.dims
        )
    y = body.any(lambda y: y.dtype == x.dtype and fits(x.dims, y.dims))
    if y is None or body.random.random() < 0.5:
        return Value(
            f"{x.text} {sign[0].replace('=', '<').replace('!', '>')} 0.1171875", "bool", x.dims
        )
    dims = broadcast(x.dims, y.dims)
    return None if dims is None else Value(f"{x.text} < {y.text} + 0.03125", "bool", dims)


def logic(body: Source) -> Value | None:
    x = body.any(lambda x: x.dtype == "bool")
    y = x and body.any(lambda y: y.dtype == "bool" and fits(x.dims, y.dims))
    dims = broadcast(x.dims, y.dims) if x and y else None
    if x is None or y is None or dims is None:
        return None
    form = body.random.choice(["{} and {}", "{} or {}", "{} and not {}"])
    return Value(form.format(x.text, y.text), "bool", dims)


def where(body: Source) -> Value | None:
    test = body.any(lambda x: x.dtype == "bool")
    x = test and body.any(lambda x: x.dtype != "bool" and fits(x.dims, test.dims))
    if test is None or x is None:
        return None
    dims = broadcast(test.dims, x.dims)
    other = body.random.choice(["0", "-2", "T - S"] if x.dtype == "i64" else ["0", "-0.5", "1"])
    y = body.any(lambda y: y.dtype == x.dtype and dims is not None and fits(y.dims, dims))
    if y is not None and body.random.random() < 0.5:
        other, dims = y.text, None if dims is None else broadcast(dims, y.dims)
    pair = [x.text, other]
    body.random.shuffle(pair)
    text = f"where({test.text}, {pair[0]}, {pair[1]})"
    return None if dims is None else Value(text, x.dtype, dims)


def whole(body: Source) -> Value | None:
    x = body.any(is_whole)
    form = body.random.choice(
        ["{} % 3", "2 * {} - 1", "clamp({}, 0, T - 1)", "clamp({}, -1, 2)", "-{}", "{} + S",
         "{0} * {0} % 5"]
    )  # fmt: skip
    return x and Value(form.format(x.text), "i64", x.dims)


def count(body: Source) -> Value | None:
    dim = body.random.choice(["S", "T", "dim", "5", "k", "(S + 1)"])
    return Value(f"iota({dim.strip('()')})", "i64", (dim,))


def ratio(body: Source) -> Value | None:
    x = body.any(is_whole)
    return x and Value(f"{x.text} / 8", "f32", x.dims)


def cast(body: Source) -> Value | None:
    x = body.any(lambda x: x.dtype != "")
    if x is None or body.random.random() < 0.3:
        x = body.any(lambda x: x.dtype == "")
        target = body.random.choice(["f32", "f32", "f64), f32", "bool", "i64"])
        if x is None:
            return None
        if target == "i64":
            return Value(f"cast(3 * tanh({x.text}) + 0.3, i64)", "i64", x.dims)
        if target == "f64), f32":
            return Value(f"cast(cast({x.text}, f64) * 3, f32)", "f32", x.dims)
        return Value(f"cast({x.text}, {target})", target, x.dims)
    like = body.any(lambda y: y.dtype == "")
    if like is None:
        return None
    if x.dtype == "i64":
        return Value(f"cast({x.text} % 7, like = {like.text}) / 7", "", x.dims)
    return Value(f"cast({x.text}, like = {like.text})", "", x.dims)


# ---- along an axis


def softmax(body: Source) -> Value | None:
    x = body.any(lambda x: x.is_float and x.rank > 0)
    return x and Value(f"softmax({x.text}, over = {over(body, x)})", x.dtype, x.dims)


def over(body: Source, x: Value) -> int:
    """An axis, counted from either end."""
    axis = body.random.randrange(x.rank)
    return axis if body.random.random() < 0.5 else axis - x.rank


def reduce(body: Source) -> Value | None:
    x = body.any(has_axes)
    if x is None:
        return None
    axis = body.random.randrange(x.rank)
    ops = {"bool": ["any"], "i64": ["sum", "max"]}.get(x.dtype, ["sum", "mean", "max"])
    op, keep = body.random.choice(ops), body.random.random() < 0.3
    middle = ("1",) if keep else ()
    text = f"{op}({x.text}, over = {axis - x.rank}{', keep = true' if keep else ''})"
    return Value(text, x.dtype, (*x.dims[:axis], *middle, *x.dims[axis + 1 :]))


def take(body: Source) -> Value | None:
    """Rows of a table of any rank, a row of the module or a value."""
    index = body.any(lambda x: is_whole(x) and x.rank < 4)
    if index is None:
        return None
    rest = body.random.choice([(), ("dim",), ("2", "k"), ("heads", "head")])
    table = body.row(("5", *rest))
    value = body.any(lambda x: has_axes(x) and (number(x.dims[0]) or 0) > 1)
    if value is not None and (table is None or body.random.random() < 0.5):
        table = value
    if table is None or elements((*index.dims, *table.dims[1:])) > MAX_ELEMENTS:
        return None
    text = f"take({table.text}, ({index.text}) % {table.dims[0].strip('()')})"
    if table.dims[0][0] == "(":
        text = f"take({table.text}, ({index.text}) % {number(table.dims[0])})"
    return Value(text, table.dtype, (*index.dims, *table.dims[1:]))


def gather(body: Source) -> Value | None:
    x = body.any(lambda x: has_axes(x) and (number(x.dims[-1]) or 0) > 1)
    index = x and body.any(lambda i: is_whole(i) and i.rank > 0 and fits(x.dims[:-1], i.dims[:-1]))
    lead = broadcast(x.dims[:-1], index.dims[:-1]) if x and index else None
    if x is None or index is None or lead is None:
        return None
    dims = (*lead, index.dims[-1])
    if elements(dims) > MAX_ELEMENTS:
        return None
    return Value(f"gather({x.text}, ({index.text}) % {number(x.dims[-1])})", x.dtype, dims)


def slice_(body: Source) -> Value | None:
    x = body.any(has_axes)
    if x is None:
        return None
    axis = body.random.randrange(x.rank)
    dim, size = x.dims[axis], number(x.dims[axis])
    if dim == "S":
        start, stop, left = "S - 1", "S", "1"
    elif dim == "T":
        start, stop, left = "T - S", "T", "S"
    elif size is not None and size > 1:
        first = body.random.randrange(size - 1)
        last = body.random.randrange(first + 1, size + 1)
        start, stop, left = str(first), str(last), str(last - first)
    else:
        return None
    text = f"slice({x.text}, {start}, {stop}, over = {axis - x.rank})"
    return Value(text, x.dtype, (*x.dims[:axis], left, *x.dims[axis + 1 :]))


def concat(body: Source) -> Value | None:
    x = body.any(has_axes)
    if x is None:
        return None
    axis = body.random.randrange(x.rank)

    def joins(y: Value) -> bool:
        return (
            y.dtype == x.dtype
            and y.rank == x.rank
            and all(
                a == b or at == axis for at, (a, b) in enumerate(zip(x.dims, y.dims, strict=True))
            )
        )

    y = body.any(joins)
    if y is None:
        return None
    dims = (*x.dims[:axis], f"({x.dims[axis]} + {y.dims[axis]})", *x.dims[axis + 1 :])
    if elements(dims) > MAX_ELEMENTS:
        return None
    return Value(f"concat([{x.text}, {y.text}], over = {axis - x.rank})", x.dtype, dims)


# ---- patterns


def permute(body: Source) -> Value | None:
    """Axes in another order, some joined, and a new one of 1 among them."""
    x = body.any(has_axes)
    if x is None:
        return None
    names = axes(x.rank)
    order = names[:]
    body.random.shuffle(order)
    groups: list[list[str]] = [[name] for name in order]
    if len(groups) > 1 and body.random.random() < 0.4:
        at = body.random.randrange(len(groups) - 1)
        groups[at : at + 2] = [groups[at] + groups[at + 1]]
    if len(groups) < 4 and body.random.random() < 0.4:
        groups.insert(body.random.randrange(len(groups) + 1), [])
    dims = dict(zip(names, x.dims, strict=True))
    right = " ".join(f"({' '.join(g)})" if len(g) > 1 else (g[0] if g else "1") for g in groups)
    result = tuple(
        "1" if not g else dims[g[0]] if len(g) == 1 else "(" + " × ".join(dims[a] for a in g) + ")"
        for g in groups
    )
    return Value(f'rearrange({x.text}, "{" ".join(names)} -> {right}")', x.dtype, result)


def unfold(body: Source) -> Value | None:
    """An axis of `dim` as heads, in either order."""
    x = body.any(lambda x: "dim" in x.dims and x.rank < 4)
    if x is None:
        return None
    at, names = x.dims.index("dim"), axes(x.rank)
    pair = body.random.choice(["(h f)", "(f h)"])
    left = " ".join([*names[:at], pair, *names[at + 1 :]])
    right = " ".join([*names[:at], "h", "f", *names[at + 1 :]])
    stated = body.random.choice(["h = heads, f = head", "f = head, h = heads"])
    dims = (*x.dims[:at], "heads", "head", *x.dims[at + 1 :])
    return Value(f'rearrange({x.text}, "{left} -> {right}", {stated})', x.dtype, dims)


def repeat(body: Source) -> Value | None:
    """Along a new axis, or each element, or the whole of an axis, some times."""
    x = body.any(lambda x: x.rank < 4)
    if x is None:
        return None
    names, times = axes(x.rank), body.random.choice(["2", "k", "S"])
    groups = [[name] for name in names]
    dims = list(x.dims)
    if not names or body.random.random() < 0.5:
        at = body.random.randrange(len(names) + 1)
        groups.insert(at, ["n"])
        dims.insert(at, times)
    else:
        at = body.random.randrange(len(names))
        groups[at].insert(body.random.randrange(2), "n")
        pair = (times, dims[at]) if groups[at][0] == "n" else (dims[at], times)
        dims[at] = f"({pair[0]} × {pair[1]})"
    if elements(dims) > MAX_ELEMENTS:
        return None
    right = " ".join(f"({' '.join(g)})" if len(g) > 1 else g[0] for g in groups)
    text = f'repeat({x.text}, "{" ".join(names)} -> {right}", n = {times})'
    return Value(text, x.dtype, tuple(dims))


def einsum(body: Source) -> Value | None:
    """Two values, or a value and a row, over axes of equal sizes; any of them is kept."""
    x = body.any(is_float)
    if x is None:
        return None
    y = body.any(lambda y: y.dtype == x.dtype)
    if x.dtype == "" and x.dims and body.random.random() < 0.5:
        y = body.row((body.random.choice(["k", "dim"]), x.dims[-1])) if number(x.dims[-1]) else y
    if y is None:
        return None
    left = axes(x.rank)
    free = iter("ijklmnopq")
    shared = dict(zip(x.dims, left, strict=True))
    right = []
    for dim in y.dims:
        name = shared.pop(dim, None) if body.random.random() < 0.8 else None
        right.append(name or next(free))
    sizes = dict(zip([*left, *right], [*x.dims, *y.dims], strict=True))
    kept = [name for name in sizes if body.random.random() < 0.6][:4]
    body.random.shuffle(kept)
    total = elements(list(sizes.values()))
    if total > 20 * MAX_ELEMENTS or elements([sizes[a] for a in kept]) > MAX_ELEMENTS:
        return None
    pattern = f"{' '.join(left)}, {' '.join(right)} -> {' '.join(kept)}"
    text = f'einsum("{pattern}", {x.text}, {y.text}) / 4'
    return Value(text, x.dtype, tuple(sizes[name] for name in kept))


# ---- rows


def weigh(body: Source) -> Value | None:
    """A row that broadcasts against a value."""
    x = body.any(lambda x: x.dtype == "" and x.rank > 0 and number(x.dims[-1]) is not None)
    width = body.random.randrange(1, 3)
    if x is None or any(number(dim) is None for dim in x.dims[-width:]):
        return None
    row = body.row(x.dims[-width:])
    sign = body.random.choice("+*")
    return row and Value(f"{x.text} {sign} {row.text}", "", x.dims)


def apply(body: Source) -> Value | None:
    x = body.any(lambda x: x.dtype == "" and x.rank > 0 and number(x.dims[-1]) is not None)
    if x is None:
        return None
    out = body.random.choice(["dim", "k", "(heads × head)", "5"])
    name = body.map(x.dims[-1], out)
    dims = (*x.dims[:-1], out)
    if name is None or elements(dims) > MAX_ELEMENTS:
        return None
    return Value(f"{name}({x.text})", "", dims)


#: Each step and how often it is tried.
STEPS: Mapping[Step, int] = {
    unary: 4, binary: 5, compare: 2, logic: 1, where: 3, whole: 2, count: 1, ratio: 1, cast: 2,
    softmax: 2, reduce: 4, take: 3, gather: 2, slice_: 2, concat: 2, permute: 3, unfold: 2,
    repeat: 2, einsum: 4, weigh: 2, apply: 3,
}  # fmt: skip
