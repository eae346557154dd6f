"""The typing rules of the ops: from operands to a typed value.

One function an op; `registry.py` lists them with their meaning.  A rule reports a fault at the
operand that has it and gives up on the statement.
"""

from __future__ import annotations

from specgen.diagnostics.diagnostic import did_you_mean
from specgen.diagnostics.source import Span
from specgen.dtypes import COMPUTED, COMPUTED_FLOATS
from specgen.expr.facts import is_flag
from specgen.expr.node import ONE, Apply, Const, Expr, total
from specgen.expr.normal import tidy
from specgen.ir.model import ACTIVATION, REST, Op, Scalar, Type, Value
from specgen.language import tree
from specgen.ops.context import (
    OpCall,
    Typing,
    broadcast,
    dtype_text,
    is_scalar,
    only,
    shape_text,
    size_text,
)

#: Pieces of a `split` or `concat`: sums of their sizes are nested pair by pair.
MAX_PIECES = 100

FLOATS = (ACTIVATION, *COMPUTED_FLOATS)
NUMBERS = (*FLOATS, "i64", "i32")

#: The op of each binary operator of the language.
BINARY = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": "div",
    "**": "pow",
    "%": "mod",
    "==": "eq",
    "!=": "ne",
    "<": "lt",
    "<=": "le",
    ">": "gt",
    ">=": "ge",
    "and": "and",
    "or": "or",
}


def binary(typing: Typing, node: tree.Operation, left: Value, right: Value) -> Value:
    """An operator on values, at least one of them a tensor; broadcasts as numpy does."""
    name = BINARY[node.op]
    dtypes = [only(v).dtype for v in (left, right) if not is_scalar(v)]
    if name in ("and", "or"):
        if is_scalar(left) or is_scalar(right) or set(dtypes) != {"bool"}:
            typing.fail(
                "E0413",
                node.span,
                name=node.op,
                expected="bool",
                found=" and ".join(dtype_text(d) for d in dtypes),
            )
        dtype = "bool"
    else:
        dtype = arithmetic(typing, node, dtypes)
        if dtype in ("i64", "i32") and any(  # asked only here: a proof may take long
            isinstance(v, Scalar) and not typing.whole(v.expr) for v in (left, right)
        ):
            dtype = "f32"
    for value, operand in zip((left, right), node.operands, strict=True):
        if isinstance(value, Scalar) and is_flag(value.expr) != (dtypes == ["bool"]):
            found = size_text(value.expr)
            expected = "true or false" if dtypes == ["bool"] else "numbers"
            typing.fail("E0413", operand.span, name=node.op, expected=expected, found=found)
    shape = broadcast(typing, [only(v).shape for v in (left, right) if not is_scalar(v)], node.span)
    if node.op in ("==", "!=", "<", "<=", ">", ">="):
        dtype = "bool"
    elif name == "div" and dtype in ("i64", "i32"):
        dtype = "f32"
    return Op(name, (left, right), {}, (Type(dtype, shape),))


def arithmetic(typing: Typing, node: tree.Operation, dtypes: list[str]) -> str:
    """The dtype of tensors taken together; a number beside them is to be thought of yet."""
    kinds = set(dtypes)
    if "bool" in kinds and node.op not in ("==", "!="):
        typing.fail("E0413", node.span, name=node.op, expected="numbers", found="bool")
    if kinds & {"i64", "i32"} and len(kinds) > 1:
        kinds -= {"i64", "i32"}
    if len(kinds) > 1:
        typing.fail("E0402", node.span, dtypes=" and ".join(sorted(dtype_text(d) for d in kinds)))
    (dtype,) = kinds
    return dtype


def unary(call: OpCall) -> Value:
    call.count(1)
    value = call.floats(0)
    return call.done(only(value), args=[value])


def cast(call: OpCall) -> Value:
    """`cast(x, f32)` or `cast(x, like = y)`; a compile-time number becomes a tensor without dims."""
    call.count(1, 2)
    value = call.operand(0)
    if not is_scalar(value):
        value = call.tensor(0)
    like = call.keyword("like")
    if like is not None:
        other = call.typing.value(like)
        if is_scalar(other):
            call.typing.fail("E0412", like.span, name="cast")
        dtype = only(other).dtype
    elif len(call.node.arguments) == 2:
        node = call.node.arguments[1]
        text = node.value if isinstance(node, tree.Literal) else getattr(node, "text", None)
        if text not in COMPUTED:
            call.typing.fail(
                "E0417", node.span, found=text or "an expression", help=hint(str(text), COMPUTED)
            )
        dtype = str(text)
    else:
        call.typing.fail("E0411", call.node.span, name="cast", expected="2", found=1)
    return call.done(Type(dtype, only(value).shape), args=[value])


def hint(name: str, known: tuple[str, ...]) -> str | None:
    return did_you_mean(name, known)


def softmax(call: OpCall) -> Value:
    call.count(1)
    value = call.floats(0)
    axis = call.axis(only(value).shape)
    return call.done(only(value), args=[value], axis=axis)


def reduction(call: OpCall) -> Value:
    call.count(1)
    value = call.tensor(0, ("bool",)) if call.name == "any" else call.tensor(0)
    if call.name == "mean" and only(value).dtype not in FLOATS:
        call.floats(0)
    if call.name in ("sum", "max") and only(value).dtype == "bool":
        call.typing.fail("E0413", call.span(0), name=call.name, expected="numbers", found="bool")
    shape = only(value).shape
    axis = call.axis(shape)
    keep = call.flag("keep", False)
    position = axis + len(shape)
    middle: tuple[Expr, ...] = (ONE,) if keep else ()
    result = (*shape[:position], *middle, *shape[position + 1 :])
    return call.done(Type(only(value).dtype, result), args=[value], axis=axis, keep=keep)


def cumulative(call: OpCall) -> Value:
    call.count(1)
    value = call.tensor(0)
    if only(value).dtype == "bool":
        call.typing.fail("E0413", call.span(0), name=call.name, expected="numbers", found="bool")
    return call.done(only(value), args=[value], axis=call.axis(only(value).shape))


def where(call: OpCall) -> Value:
    call.count(3)
    condition = call.tensor(0, ("bool",))
    then, otherwise = call.operand(1), call.operand(2)
    tensors = [v for v in (then, otherwise) if not is_scalar(v)]
    if not tensors:
        call.typing.fail("E0412", call.span(1), name="where")
    dtypes = {only(v).dtype for v in tensors}
    if len(dtypes) > 1:
        call.typing.fail(
            "E0402", call.node.span, dtypes=" and ".join(sorted(dtype_text(d) for d in dtypes))
        )
    for position, value in ((1, then), (2, otherwise)):
        if isinstance(value, Scalar):
            fitting(call, value.expr, only(tensors[0]).dtype, call.span(position))
    shape = broadcast(call.typing, [only(v).shape for v in (condition, *tensors)], call.node.span)
    return call.done(Type(only(tensors[0]).dtype, shape), args=[condition, then, otherwise])


def clamp(call: OpCall) -> Value:
    """`clamp(x, low, high)`; `-inf` or `inf` leaves one side open."""
    call.count(3)
    value = call.tensor(0, NUMBERS)
    low, high = (bound(call.typing.size(call.node.arguments[i])) for i in (1, 2))
    for position, limit in ((1, low), (2, high)):
        if limit is not None:
            fitting(call, limit, only(value).dtype, call.span(position))
    return call.done(only(value), args=[value], low=low, high=high)


def fitting(call: OpCall, number: Expr, dtype: str, span: Span) -> None:
    """Reports a compile-time number that is none of the dtype."""
    wants_whole = dtype != "bool" and dtype not in FLOATS
    if is_flag(number) != (dtype == "bool") or (wants_whole and not call.typing.whole(number)):
        expected = "true or false" if dtype == "bool" else f"a whole number, as {dtype} is"
        call.typing.fail("E0413", span, name=call.name, expected=expected, found=size_text(number))


def bound(expr: Expr) -> Expr | None:
    match expr:
        case Const(value=float(value)) if value in (float("inf"), float("-inf")):
            return None
        case Apply(op="neg", args=(Const(value=float(value)),)) if value == float("inf"):
            return None
        case _:
            return expr


def iota(call: OpCall) -> Value:
    call.count(1)
    n = call.typing.size(call.node.arguments[0])
    return call.done(Type("i64", (n,)), args=[], n=n)


def take(call: OpCall) -> Value:
    call.count(2)
    table = call.tensor(0)
    index = call.tensor(1, ("i64", "i32"))
    if not only(table).shape or only(table).shape[0] == REST:
        call.typing.fail("E0415", call.span(0), dim="0", shape=shape_text(only(table).shape))
    shape = (*only(index).shape, *only(table).shape[1:])
    return call.done(Type(only(table).dtype, shape), args=[table, index])


def gather(call: OpCall) -> Value:
    call.count(2)
    value = call.tensor(0)
    index = call.tensor(1, ("i64", "i32"))
    for position, operand in enumerate((value, index)):
        if not only(operand).shape:
            call.typing.fail("E0415", call.span(position), dim="-1", shape="[]")
    lead = broadcast(call.typing, [only(value).shape[:-1], only(index).shape[:-1]], call.node.span)
    shape = (*lead, only(index).shape[-1])
    return call.done(Type(only(value).dtype, shape), args=[value, index])


def topk(call: OpCall) -> Value:
    call.count(2)
    value = call.tensor(0, NUMBERS)
    if not only(value).shape:
        call.typing.fail("E0415", call.span(0), dim="-1", shape="[]")
    k = call.typing.size(call.node.arguments[1])
    shape = (*only(value).shape[:-1], k)
    return call.done(Type(only(value).dtype, shape), Type("i64", shape), args=[value], k=k)


def split(call: OpCall) -> Value:
    call.count(2)
    value = call.tensor(0)
    node = call.node.arguments[1]
    if not isinstance(node, tree.ListOf) or len(node.items) < 2:
        call.typing.fail("E0418", node.span)
    check_pieces(call, node)
    sizes = tuple(call.typing.size(item) for item in node.items)
    shape = only(value).shape
    axis = call.axis(shape)
    if not call.typing.equal(total(*sizes), shape[axis]):
        call.typing.fail(
            "E0431", node.span, total=size_text(total(*sizes)), dim=size_text(shape[axis])
        )
    position = axis + len(shape)
    types = [
        Type(only(value).dtype, (*shape[:position], size, *shape[position + 1 :])) for size in sizes
    ]
    return call.done(*types, args=[value], sizes=sizes, axis=axis)


def concat(call: OpCall) -> Value:
    call.count(1)
    node = call.node.arguments[0]
    if not isinstance(node, tree.ListOf) or len(node.items) < 2:
        call.typing.fail("E0419", node.span)
    check_pieces(call, node)
    values = [call.typing.value(item) for item in node.items]
    if any(is_scalar(v) for v in values):
        call.typing.fail("E0412", node.span, name="concat")
    shape = only(values[0]).shape
    axis = call.axis(shape)
    position = axis + len(shape)
    for value, item in zip(values[1:], node.items[1:], strict=True):
        other = only(value).shape
        if only(value).dtype != only(values[0]).dtype:
            found = sorted({dtype_text(only(v).dtype) for v in values})
            call.typing.fail("E0402", item.span, dtypes=" and ".join(found))
        if len(other) != len(shape) or any(
            i != position and not call.typing.equal(a, b)
            for i, (a, b) in enumerate(zip(shape, other, strict=True))
        ):
            call.typing.fail("E0432", item.span, left=shape_text(shape), right=shape_text(other))
    joined = total(*(only(value).shape[position] for value in values))
    result = (*shape[:position], joined, *shape[position + 1 :])
    return call.done(Type(only(values[0]).dtype, result), args=values, axis=axis)


def check_pieces(call: OpCall, node: tree.ListOf) -> None:
    if len(node.items) > MAX_PIECES:
        span = node.items[MAX_PIECES].span
        call.typing.fail("E0114", span, limit=MAX_PIECES, what=f"pieces of a `{call.name}`")


def slice_(call: OpCall) -> Value:
    """`slice(x, start, stop, over = axis)`."""
    call.count(3)
    value = call.tensor(0)
    start, stop = (call.typing.size(call.node.arguments[i]) for i in (1, 2))
    shape = only(value).shape
    axis = call.axis(shape)
    position = axis + len(shape)
    length = stop if start == Const(0) else tidy(Apply("-", (stop, start)))
    result = (*shape[:position], length, *shape[position + 1 :])
    return call.done(
        Type(only(value).dtype, result), args=[value], start=start, stop=stop, axis=axis
    )
