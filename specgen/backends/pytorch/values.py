"""Values of the dataflow as Python expressions: one case for each kind of value and each op.

Knows how the names of one body are written (`Names`); statements and classes are others'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, assert_never, cast

from specgen.backends.pytorch import rearranging, sizes
from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Binary,
    Bracketed,
    Keyword,
    Node,
    Ternary,
    Unary,
    call,
    flat,
    listing,
    method,
    number,
    subscript,
)
from specgen.dtypes import DTYPES, INTEGERS
from specgen.expr.facts import whole as is_whole
from specgen.expr.node import ZERO, Expr
from specgen.ir.model import (
    ACTIVATION,
    REST,
    Append,
    ApplyMap,
    CallFunction,
    CallPart,
    Choose,
    Mixture,
    Op,
    Scalar,
    Type,
    Value,
    Var,
    Weight,
)
from specgen.ir.verify import InternalFault
from specgen.records import dataclass

INFIX: Final[Mapping[str, str]] = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%", "pow": "**",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "and": "&", "or": "|",
}  # fmt: skip

METHODS: Final = frozenset({"rsqrt", "sqrt", "exp", "sigmoid", "tanh", "erf", "cos", "sin"})


class Names(Protocol):
    """How the names of one body are written, and where dtypes and devices come from."""

    def variable(self, name: str) -> str: ...

    def size(self, expr: Expr) -> Node:
        """A size or a count; what it names becomes available."""

    def real(self, expr: Expr) -> Node:
        """Any compile-time number."""

    def condition(self, expr: Expr) -> Node: ...

    def weight(self, row: str) -> Node:
        """A row as a tensor."""

    def apply_map(self, row: str, value: Node) -> Node: ...

    def call_part(self, value: CallPart, arguments: Sequence[Node]) -> Node: ...

    def call_function(self, value: CallFunction) -> Node: ...

    def mixture(self, value: Mixture, arguments: Sequence[Node]) -> Node: ...

    def append(self, value: Append, new: Node) -> Node: ...

    def choose(self, value: Choose) -> Node:
        """One of two values, by a condition on an index."""

    def working_dtype(self) -> Node:
        """The dtype of activations, taken from a tensor at hand."""

    def iota(self, n: Expr, dtype: str) -> Node:
        """0, 1, ..., n - 1."""

    def numbers(self, members: Expr, dtype: str) -> Node:
        """A list of numbers as a tensor."""

    def filled(self, number: Expr, dtype: str) -> Node:
        """A number as a tensor without dims."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes values of one body."""

    names: Names

    def write(self, value: Value) -> Node:
        match value:
            case Var(name=name):
                return Atom(self.names.variable(name))
            case Weight(row=row):
                return self.names.weight(row)
            case Scalar(expr=expr):
                return self.names.real(expr)
            case Op():
                return self.op(value)
            case ApplyMap(row=row, value=inner):
                return self.names.apply_map(row, self.write(inner))
            case CallPart(args=args):
                return self.names.call_part(value, self.all(args))
            case CallFunction():
                return self.names.call_function(value)
            case Mixture(value=inner, weights=weights, index=index):
                return self.names.mixture(value, self.all((inner, weights, index)))
            case Append(value=inner):
                return self.names.append(value, self.write(inner))
            case Choose():
                return self.names.choose(value)
        assert_never(value)

    def all(self, values: Sequence[Value]) -> list[Node]:
        return [self.write(value) for value in values]

    # ---- ops

    def op(self, value: Op) -> Node:
        name, args, attrs = value.name, value.args, value.attrs
        if name in INFIX:
            return Binary(INFIX[name], *self.promoted(value))
        if name in METHODS:
            return method(self.write(args[0]), name)
        match name:
            case "neg":
                return Unary("-", self.write(args[0]))
            case "not":
                return Unary("~", self.write(args[0]))
            case "silu":
                return call("F.silu", self.write(args[0]))
            case "cast":
                return self.cast(args[0], value.types[0].dtype)
            case "softmax" | "cumsum":
                return method(self.write(args[0]), name, self.axis(value))
            case "sum" | "mean" | "any":
                return method(self.write(args[0]), name, *self.reduced(value))
            case "max":
                return method(self.write(args[0]), "amax", *self.reduced(value))
            case "where":
                return call("torch.where", *self.all(args))
            case "clamp":
                return self.clamp(value)
            case "iota":
                return self.names.iota(cast(Expr, attrs["n"]), "i64")
            case "constant":
                return self.names.numbers(cast(Expr, attrs["value"]), value.types[0].dtype)
            case "take":
                return self.take(*args)
            case "gather":
                return self.gather(*args)
            case "topk":
                k = self.names.size(cast(Expr, attrs["k"]))
                return method(self.write(args[0]), "topk", k, Keyword("dim", number(-1)))
            case "split":
                return self.split(value)
            case "concat":
                return call("torch.cat", listing(self.all(args)), self.axis(value))
            case "slice":
                return self.slice(value)
            case "rearrange" | "repeat":
                return rearranging.rearranged(
                    self.write(args[0]),
                    cast(rearranging.Groups, attrs["inputs"]),
                    cast(rearranging.Groups, attrs["outputs"]),
                    cast(rearranging.Sizes, attrs["sizes"]),
                    self.names.size,
                )
            case "einsum":
                inputs = cast(rearranging.Groups, attrs["inputs"])
                output = cast(rearranging.Group, attrs["output"])
                return rearranging.contracted(self.all(args), inputs, output)
        raise InternalFault(f"op `{name}` has no lowering to PyTorch")

    def promoted(self, value: Op) -> tuple[Node, Node]:
        """The operands; whole numbers that enter a result of floats are made floats first.

        torch would give them its default dtype instead, which may be half precision.
        """
        dtype = value.types[0].dtype
        if dtype in ("bool", *INTEGERS):
            whole = any(arg.types[0].dtype in INTEGERS for arg in value.args)
            left, right = (
                self.names.size(arg.expr)
                if whole and isinstance(arg, Scalar) and is_whole(arg.expr, divided=True)
                else self.write(arg)
                for arg in value.args
            )
        else:
            left, right = (self.floated(arg, dtype) for arg in value.args)
        return left, right

    def floated(self, value: Value, dtype: str) -> Node:
        if value.types[0].dtype not in INTEGERS:
            return self.write(value)
        if isinstance(value, Op) and value.name == "iota":
            return self.names.iota(cast(Expr, value.attrs["n"]), dtype)
        if isinstance(value, Op) and value.name in ("add", "sub", "mul", "neg"):
            # the floats begin where the whole numbers do: at the leaf
            floats = Type(dtype, value.types[0].shape)
            return self.op(Op(value.name, value.args, value.attrs, (floats,)))
        return self.cast(value, dtype)

    def cast(self, value: Value, dtype: str) -> Node:
        if isinstance(value, Op) and value.name == "iota" and dtype != ACTIVATION:
            return self.names.iota(cast(Expr, value.attrs["n"]), dtype)
        if isinstance(value, Scalar):
            return self.names.filled(value.expr, dtype)
        written = self.write(value)
        if value.types[0].dtype == dtype:
            return written
        match dtype:
            case "act":
                return method(written, "to", self.names.working_dtype())
            case "f32":
                return method(written, "float")
            case "bool" | "f64":
                return method(written, {"bool": "bool", "f64": "double"}[dtype])
            case _:
                return method(written, "to", Atom(f"torch.{DTYPES[dtype].torch}"))

    def place(self, value: Op) -> Node:
        """The axis of an op: from the front, but for the last one and behind `...`."""
        axis, shape = cast(int, value.attrs["axis"]), value.args[0].types[0].shape
        return number(axis if axis == -1 or REST in shape else axis + len(shape))

    def axis(self, value: Op) -> Keyword:
        return Keyword("dim", self.place(value))

    def reduced(self, value: Op) -> list[Node | Keyword]:
        keep = [Keyword("keepdim", Atom("True"))] if value.attrs["keep"] else []
        return [self.place(value), *keep]

    def clamp(self, value: Op) -> Node:
        low, high = (cast("Expr | None", value.attrs[side]) for side in ("low", "high"))
        bounds: list[Node | Keyword] = [
            Keyword(side, self.names.real(bound))
            for side, bound in (("min", low), ("max", high))
            if bound is not None
        ]
        if low is not None and high is not None:
            bounds = [self.names.real(low), self.names.real(high)]
        source = self.write(value.args[0])
        return method(source, "clamp", *bounds) if bounds else source

    def take(self, table: Value, index: Value) -> Node:
        """Rows of a table; torch's embedding is of matrices."""
        rows, places = self.write(table), self.write(index)
        if len(table.types[0].shape) == 2 and REST not in table.types[0].shape:
            return call("F.embedding", places, rows)
        return subscript(rows, places)

    def gather(self, value: Value, index: Value) -> Node:
        """Elements of the last axis; the axes before it broadcast, which torch's gather does not."""
        source, places = self.write(value), self.write(index)
        if index.types[0].dtype != "i64":
            places = method(places, "long")
        (*lead, _), (*wanted, _) = value.types[0].shape, index.types[0].shape
        if lead == wanted:
            return method(source, "gather", number(-1), places)
        if REST in (*lead, *wanted) and len(lead) != len(wanted):
            shorter, longer = (source, places) if len(lead) < len(wanted) else (places, source)
            dims = Atom(f"*{flat(Attribute(longer, 'shape'))}[:-1]")
            spread = method(shorter, "expand", dims, number(-1))
            source, places = (spread, places) if shorter is source else (source, spread)
            return method(source, "gather", number(-1), places)
        missing = len(wanted) - len(lead)
        if missing:
            new = [*[Atom("None")] * abs(missing), Atom("...")]
            source, places = (
                (subscript(source, *new), places)
                if missing > 0
                else (source, subscript(places, *new))
            )
        return call("torch.take_along_dim", source, places, number(-1))

    def split(self, value: Op) -> Node:
        parts = cast("tuple[Expr, ...]", value.attrs["sizes"])
        source = self.write(value.args[0])
        if all(part == parts[0] for part in parts):
            return method(source, "chunk", number(len(parts)), self.axis(value))
        return method(source, "split", listing(list(map(self.names.size, parts))), self.axis(value))

    def slice(self, value: Op) -> Node:
        """Slices of several axes, one inside the other, are one subscript."""
        ranges: dict[int, Node] = {}
        inner: Value = value
        while isinstance(inner, Op) and inner.name == "slice":
            axis = cast(int, inner.attrs["axis"])
            if axis in ranges:
                break
            start, stop = cast(Expr, inner.attrs["start"]), cast(Expr, inner.attrs["stop"])
            first = None if start == ZERO else self.names.size(start)
            ranges[axis] = written_range(first, self.names.size(stop))
            inner = inner.args[0]
        shape = value.types[0].shape
        if REST not in shape and min(ranges) <= -len(shape) // 2:
            axes = range(-len(shape), max(ranges) + 1)
            items: list[Node] = [ranges.get(axis, Atom(":")) for axis in axes]
        else:
            items = [Atom("..."), *(ranges.get(axis, Atom(":")) for axis in range(min(ranges), 0))]
        return subscript(self.write(inner), *items)


def written_range(start: Node | None, stop: Node) -> Node:
    """A slice; ruff sets its colon apart from operands that are not simple."""
    first = "" if start is None else flat(start)
    spaced = any(isinstance(end, Attribute | Binary | Bracketed | Ternary) for end in (start, stop))
    if not spaced:
        return Atom(f"{first}:{flat(stop)}")
    return Atom(f"{first} : {flat(stop)}" if first else f": {flat(stop)}")


#: Names for expressions that shapes show by name: the table's lets.
Abbreviations = Mapping[Expr, str]


def type_text(type_: Type, abbreviations: Abbreviations) -> str:
    """A type as docstrings and comments show it: `f32 [B, S, dim]`, without `act`."""
    shape = shape_text(type_.shape, abbreviations)
    match type_.dtype:
        case "act":
            return shape
        case "scalar":
            return "number"
        case dtype:
            return f"{dtype} {shape}"


def shape_text(shape: Sequence[Expr], abbreviations: Abbreviations) -> str:
    """A shape in the table's names: `[B, S, n_heads * qk_head_dim]`."""

    def dim(expr: Expr) -> str:
        short = abbreviations.get(expr)
        return short or flat(sizes.size(expr, lambda sym: Atom(sym.name)))

    return f"[{', '.join(map(dim, shape))}]"
