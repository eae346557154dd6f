"""Ops that give each element of the result from the same place of the operands, which broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from specgen.diagnostics.diagnostic import did_you_mean
from specgen.dtypes import COMPUTED
from specgen.expr.node import Apply, Const, Expr
from specgen.ir.model import Op, Scalar, Type, Value
from specgen.language import tree
from specgen.ops.context import (
    NUMBERS,
    WHOLE,
    OpCall,
    OperatorUse,
    dtype_text,
    dtypes_text,
    is_scalar,
    only,
)
from specgen.ops.record import Attr, OpRecord, Trait

# ---- operators


def arithmetic(use: OperatorUse) -> Value:
    """A number from two; whole numbers stay whole, unless they are divided or meet a real."""
    dtype = common_dtype(use)
    if dtype in WHOLE:
        numbers = (value for value in use.operands if isinstance(value, Scalar))
        if use.name == "div" or not all(use.typing.whole(number.expr) for number in numbers):
            dtype = "f32"
    return use.result(dtype)


def comparison(use: OperatorUse) -> Value:
    common_dtype(use)
    return use.result("bool")


def common_dtype(use: OperatorUse) -> str:
    """The dtype that numbers are brought to: whole numbers become what the other operand is."""
    kinds = set(use.dtypes)
    if "bool" in kinds and use.name not in ("eq", "ne"):
        use.typing.fail("E0413", use.node.span, name=use.node.op, expected="numbers", found="bool")
    if kinds & set(WHOLE) and len(kinds) > 1:
        kinds -= set(WHOLE)
    if len(kinds) > 1:
        use.typing.fail("E0402", use.node.span, dtypes=dtypes_text(kinds))
    (dtype,) = kinds
    return dtype


def logic(use: OperatorUse) -> Value:
    if set(use.dtypes) != {"bool"} or len(use.dtypes) != 2:
        found = " and ".join(map(dtype_text, use.dtypes))
        use.typing.fail("E0413", use.node.span, name=use.node.op, expected="bool", found=found)
    return use.result("bool")


def prefix(use: OperatorUse) -> Value:
    """`not` of truths, `-` of numbers."""
    (type_,) = use.tensors
    expected = "bool" if use.name == "not" else "numbers"
    if (type_.dtype == "bool") != (expected == "bool"):
        use.typing.fail(
            "E0413", use.node.span, name=use.node.op, expected=expected, found=type_.dtype
        )
    return Op(use.name, use.operands, {}, (type_,))


# ---- called


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
        text = node.value if isinstance(node, tree.LiteralSyntax) else getattr(node, "text", None)
        if text not in COMPUTED:
            call.typing.fail(
                "E0417",
                node.span,
                found=text or "an expression",
                help=did_you_mean(str(text), COMPUTED),
            )
        dtype = str(text)
    else:
        call.typing.fail("E0411", call.node.span, name="cast", expected="2", found=1)
    return call.done(Type(dtype, only(value).shape), args=[value])


def same_storage(op: Op, stored: Callable[[str], str]) -> bool:
    """A cast to what is stored alike is none."""
    (source,) = op.args[0].types
    is_same = stored(source.dtype) == stored(op.types[0].dtype)
    return is_same and not is_scalar(op.args[0])


def clamp(call: OpCall) -> Value:
    """`clamp(x, low, high)`; `-inf` or `inf` leaves one side open."""
    call.count(3)
    value = call.tensor(0, NUMBERS)
    low, high = (bound(call.typing.size(call.node.arguments[i])) for i in (1, 2))
    for position, limit in ((1, low), (2, high)):
        if limit is not None:
            call.fit(limit, only(value).dtype, call.span(position))
    return call.done(only(value), args=[value], low=low, high=high)


def bound(expr: Expr) -> Expr | None:
    match expr:
        case Const(value=float(value)) if value in (float("inf"), float("-inf")):
            return None
        case Apply(op="neg", args=(Const(value=float(value)),)) if value == float("inf"):
            return None
        case _:
            return expr


# ---- records


def unary_op(name: str, meaning: str) -> OpRecord[OpCall]:
    return OpRecord(name, f"{name}(x)", f"{meaning}, elementwise", unary)


CALLED: Final = (
    unary_op("rsqrt", "x ** -0.5"),
    unary_op("sqrt", "x ** 0.5"),
    unary_op("exp", "e ** x"),
    unary_op("silu", "x * sigmoid(x)"),
    unary_op("sigmoid", "1 / (1 + e ** -x)"),
    unary_op("tanh", "the hyperbolic tangent"),
    unary_op("erf", "2 / sqrt(pi) * the integral of e ** -t**2 from 0 to x"),
    unary_op("cos", "the cosine of radians"),
    unary_op("sin", "the sine of radians"),
    OpRecord(
        "cast",
        "cast(x, dtype) or cast(x, like = y)",
        "x in another dtype; a compile-time number becomes a tensor without dims",
        cast,
        traits={Trait.REFORMS, Trait.RENAMES},
        view=same_storage,
    ),
    OpRecord(
        "clamp",
        "clamp(x, low, high)",
        "min(max(x, low), high), elementwise",
        clamp,
        (Attr("low", Expr | None), Attr("high", Expr | None)),
    ),
)

#: By the sign in the syntax tree.
OPERATORS: Final = {
    "+": OpRecord("add", "a + b", "the sum", arithmetic, traits={Trait.POLYNOMIAL}),
    "-": OpRecord("sub", "a - b", "the difference", arithmetic, traits={Trait.POLYNOMIAL}),
    "*": OpRecord(
        "mul", "a * b", "the product", arithmetic, traits={Trait.POLYNOMIAL, Trait.SCALES}
    ),
    "/": OpRecord(
        "div", "a / b", "the quotient; of whole numbers an f32", arithmetic, traits={Trait.SCALES}
    ),
    "**": OpRecord("pow", "a ** b", "a to the power of b", arithmetic),
    "%": OpRecord("mod", "a % b", "a - b * floor(a / b)", arithmetic),
    "==": OpRecord("eq", "a == b", "whether both are equal", comparison, traits={Trait.COMPARES}),
    "!=": OpRecord("ne", "a != b", "whether both differ", comparison, traits={Trait.COMPARES}),
    "<": OpRecord("lt", "a < b", "whether a is less", comparison, traits={Trait.COMPARES}),
    "<=": OpRecord("le", "a <= b", "whether a is not greater", comparison, traits={Trait.COMPARES}),
    ">": OpRecord("gt", "a > b", "whether a is greater", comparison, traits={Trait.COMPARES}),
    ">=": OpRecord("ge", "a >= b", "whether a is not less", comparison, traits={Trait.COMPARES}),
    "and": OpRecord("and", "a and b", "whether both are true", logic),
    "or": OpRecord("or", "a or b", "whether one is true", logic),
    "not": OpRecord("not", "not x", "whether it is false", prefix),
    "neg": OpRecord("neg", "-x", "0 - x", prefix, traits={Trait.POLYNOMIAL, Trait.REFORMS}),
}
