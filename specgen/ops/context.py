"""What a typing rule may ask: operands, keywords, equality of sizes, and how to report a fault.

Rules know values and sizes; they know no module, no file and no back end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NoReturn

from specgen.diagnostics.source import Span
from specgen.dtypes import COMPUTED_FLOATS
from specgen.expr.facts import is_flag
from specgen.expr.node import Apply, Const, Expr
from specgen.expr.printing import TABLE, to_text
from specgen.ir.model import ACTIVATION, REST, SCALAR, Op, Scalar, Type, Value
from specgen.language import tree
from specgen.records import dataclass

FLOATS = (ACTIVATION, *COMPUTED_FLOATS)
WHOLE = ("i64", "i32")
NUMBERS = (*FLOATS, *WHOLE)


class Poisoned(Exception):
    """The type of a value is unknown because of a fault that is reported already."""


class Typing(ABC):
    """The part of the checker that rules use."""

    @abstractmethod
    def value(self, node: tree.Expression) -> Value:
        """The typed value of an expression."""

    @abstractmethod
    def size(self, node: tree.Expression) -> Expr:
        """The compile-time expression that a node stands for."""

    @abstractmethod
    def equal(self, left: Expr, right: Expr) -> bool:
        """Whether two sizes are equal."""

    @abstractmethod
    def whole(self, expr: Expr) -> bool:
        """Whether a compile-time number is a whole number by the table's own requirements."""

    @abstractmethod
    def quotient(self, whole: Expr, part: Expr, span: Span) -> Expr:
        """whole / part, which must be a whole number by the table's own requirements."""

    @abstractmethod
    def fail(self, code: str, span: Span, help: str | None = None, **values: object) -> NoReturn:
        """Reports a fault and gives up on the statement."""


@dataclass
class OpCall:
    """One use of an op: its operands and keywords, each taken at most once."""

    typing: Typing
    node: tree.CallSyntax
    name: str

    def __post_init__(self) -> None:
        self.open = {keyword.name: keyword for keyword in self.node.keywords}

    # -- operands

    def count(self, least: int, most: int | None = None) -> None:
        found = len(self.node.arguments)
        if not least <= found <= (least if most is None else most):
            expected = str(least) if most in (None, least) else f"{least} to {most}"
            self.typing.fail(
                "E0411", self.node.span, name=self.name, expected=expected, found=found
            )

    def operand(self, position: int) -> Value:
        return self.typing.value(self.node.arguments[position])

    def tensor(self, position: int, dtypes: Sequence[str] = ()) -> Value:
        """The operand, which must be a tensor, of one of `dtypes` if given."""
        value = self.operand(position)
        span = self.node.arguments[position].span
        if len(value.types) != 1 or value.types[0].dtype == SCALAR:
            self.typing.fail("E0412", span, name=self.name)
        if dtypes and value.types[0].dtype not in dtypes:
            self.typing.fail(
                "E0413",
                span,
                name=self.name,
                expected=expected_text(dtypes),
                found=dtype_text(value.types[0].dtype),
            )
        return value

    def floats(self, position: int) -> Value:
        return self.tensor(position, FLOATS)

    def span(self, position: int) -> Span:
        return self.node.arguments[position].span

    def fit(self, number: Expr, dtype: str, span: Span) -> None:
        """Reports a compile-time number that is none of the dtype."""
        wants_whole = dtype != "bool" and dtype not in FLOATS
        if is_flag(number) != (dtype == "bool") or (wants_whole and not self.typing.whole(number)):
            expected = "true or false" if dtype == "bool" else f"a whole number, as {dtype} is"
            found = size_text(number)
            self.typing.fail("E0413", span, name=self.name, expected=expected, found=found)

    # -- keywords

    def keyword(self, name: str) -> tree.Expression | None:
        found = self.open.pop(name, None)
        return found.value if found else None

    def flag(self, name: str, default: bool) -> bool:
        node = self.keyword(name)
        if node is None:
            return default
        expr = self.typing.size(node)
        if isinstance(expr, Const) and isinstance(expr.value, bool):
            return expr.value
        self.typing.fail("E0414", node.span, name=name, expected="true or false")

    def size(self, name: str, default: Expr) -> Expr:
        node = self.keyword(name)
        return default if node is None else self.typing.size(node)

    def axis(self, shape: Sequence[Expr], default: int = -1) -> int:
        """The axis that `over` names, counted from the end: a position or a dim's own name."""
        node = self.keyword("over")
        if node is None:
            axis = default
        else:
            expr = self.typing.size(node)
            number = literal(expr)
            if number is not None:
                axis = number if number < 0 else number - len(shape)
            else:
                found = [i for i, dim in enumerate(shape) if self.typing.equal(dim, expr)]
                if len(found) != 1:
                    self.typing.fail(
                        "E0415", node.span, dim=size_text(expr), shape=shape_text(shape)
                    )
                axis = found[0] - len(shape)
        if not -len(shape) <= axis < 0 or shape[axis] == REST:
            span = node.span if node is not None else self.node.span
            self.typing.fail("E0415", span, dim=str(axis), shape=shape_text(shape))
        return axis

    def sizes(self) -> dict[str, Expr]:
        """All keywords that are left, as sizes: the named axes of a pattern."""
        found = {name: self.typing.size(k.value) for name, k in self.open.items()}
        self.open.clear()
        return found

    def done(self, *types: Type, args: Sequence[Value], **attrs: object) -> Op:
        """The op, after a keyword that nobody took is reported."""
        for keyword in self.open.values():
            self.typing.fail("E0416", keyword.span, name=self.name, keyword=keyword.name)
        return Op(self.name, tuple(args), attrs, types)


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """One use of an operator, its operands typed; at least one of them is a tensor."""

    typing: Typing
    node: tree.OperationSyntax
    name: str
    operands: tuple[Value, ...]

    @property
    def tensors(self) -> tuple[Type, ...]:
        """The types of the operands that are tensors."""
        return tuple(only(value) for value in self.operands if not is_scalar(value))

    @property
    def dtypes(self) -> list[str]:
        return [type_.dtype for type_ in self.tensors]

    def result(self, dtype: str) -> Op:
        """The op; what is broadcast fits together, and so do numbers to tensors."""
        flags = self.dtypes == ["bool"]
        for value, operand in zip(self.operands, self.node.operands, strict=True):
            if isinstance(value, Scalar) and is_flag(value.expr) != flags:
                self.typing.fail(
                    "E0413",
                    operand.span,
                    name=self.node.op,
                    expected="true or false" if flags else "numbers",
                    found=size_text(value.expr),
                )
        shape = broadcast(self.typing, [type_.shape for type_ in self.tensors], self.node.span)
        return Op(self.name, self.operands, {}, (Type(dtype, shape),))


@dataclass(frozen=True, slots=True)
class ListRead:
    """A list of numbers read as a tensor; `requires` are the module's requirements."""

    members: Expr
    dtype: str
    requires: Sequence[Expr]


def literal(expr: Expr) -> int | None:
    """The number that a literal, possibly negated, stands for."""
    match expr:
        case Apply(op="neg", args=(Const(value=int(value)),)):
            return -value
        case Const(value=int(value)):
            return value
        case _:
            return None


def only(value: Value) -> Type:
    """The type of a value with one result."""
    return value.types[0]


def is_scalar(value: Value) -> bool:
    return isinstance(value, Scalar)


def size_text(expr: Expr) -> str:
    return to_text(expr, TABLE)


def shape_text(shape: Sequence[Expr]) -> str:
    return "[" + ", ".join(size_text(dim) for dim in shape) + "]"


def expected_text(dtypes: Sequence[str]) -> str:
    """What an operand must be, in words."""
    if "f32" not in dtypes:
        return " or ".join(dtypes)
    return "numbers" if "i64" in dtypes else "a float"


def dtypes_text(dtypes: Iterable[str]) -> str:
    """Different dtypes, in words."""
    return " and ".join(sorted(map(dtype_text, set(dtypes))))


def dtype_text(dtype: str) -> str:
    return "the activation dtype" if dtype == ACTIVATION else dtype


def type_text(type_: Type) -> str:
    if type_.dtype == SCALAR:
        return "a compile-time number"
    prefix = "" if type_.dtype == ACTIVATION else type_.dtype + " "
    return prefix + shape_text(type_.shape)


def broadcast(call: Typing, shapes: Sequence[Sequence[Expr]], span: Span) -> tuple[Expr, ...]:
    """The shape that numpy's broadcasting gives, proved on symbolic sizes."""
    result: list[Expr] = []
    length = max(len(shape) for shape in shapes)
    for position in range(1, length + 1):
        dims = [shape[-position] for shape in shapes if len(shape) >= position]
        kept = dims[0]
        for dim in dims[1:]:
            if dim == Const(1) or call.equal(kept, dim):
                continue
            if kept == Const(1):
                kept = dim
                continue
            call.fail(
                "E0401",
                span,
                left=shape_text(shapes[0]),
                right=shape_text(shapes[-1]),
                a=size_text(kept),
                b=size_text(dim),
            )
        # `...` stands for any number of dims: it meets only itself, or nothing.
        if any(dim == REST for dim in dims) and not all(
            dim == REST or dim == Const(1) for dim in dims
        ):
            call.fail(
                "E0401",
                span,
                left=shape_text(shapes[0]),
                right=shape_text(shapes[-1]),
                a="...",
                b=size_text(kept),
            )
        result.append(kept)
    return tuple(reversed(result))
