"""Elementwise ops as torch code."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from specgen.backends.pytorch.layout import Atom, Binary, KeywordArgument, Node, Unary, method
from specgen.backends.pytorch.layout import call as function_call
from specgen.backends.pytorch.ops.call import Function, Functions, TorchCall
from specgen.dtypes import DTYPES, INTEGERS
from specgen.expr.facts import whole as is_whole
from specgen.expr.node import Expr
from specgen.ir.model import ACTIVATION, Op, Scalar, Type, Value
from specgen.ops.record import Trait
from specgen.ops.registry import has


def by_method(name: str) -> Function:
    return lambda call: method(call.operand(), name)


def prefix(sign: str) -> Function:
    return lambda call: Unary(sign, call.operand())


def infix(sign: str) -> Function:
    return lambda call: Binary(sign, *promoted(call))


def silu(call: TorchCall) -> Node:
    return function_call("F.silu", call.operand())


def promoted(call: TorchCall) -> tuple[Node, Node]:
    """The operands; whole numbers that enter a result of floats are made floats first.

    torch would give them its default dtype instead, which may be half precision.
    """
    args = call.op.args
    if call.dtype in ("bool", *INTEGERS):
        whole = any(arg.types[0].dtype in INTEGERS for arg in args)
        left, right = (
            call.names.size(arg.expr)
            if whole and isinstance(arg, Scalar) and is_whole(arg.expr, divided=True)
            else call.write(arg)
            for arg in args
        )
    else:
        left, right = (floated(call, arg, call.dtype) for arg in args)
    return left, right


def floated(call: TorchCall, value: Value, dtype: str) -> Node:
    if value.types[0].dtype not in INTEGERS:
        return call.write(value)
    if isinstance(value, Op) and has(value, Trait.POLYNOMIAL):
        # the floats begin where the whole numbers do: at the leaf
        floats = Type(dtype, value.types[0].shape)
        return call.write(replace(value, types=(floats,)))
    return converted(call, value, dtype, counted=True)


def cast_(call: TorchCall) -> Node:
    return converted(call, call.op.args[0], call.dtype, counted=call.dtype != ACTIVATION)


def converted(call: TorchCall, value: Value, dtype: str, *, counted: bool) -> Node:
    """A value in a dtype, in which an `iota` is made at once where it is `counted`."""
    if counted and isinstance(value, Op) and value.name == "iota":
        return call.names.iota(cast(Expr, value.attrs["n"]), dtype)
    if isinstance(value, Scalar):
        return call.names.filled(value.expr, dtype)
    written = call.write(value)
    if value.types[0].dtype == dtype:
        return written
    match dtype:
        case "act":
            return method(written, "to", call.names.working_dtype())
        case "f32":
            return method(written, "float")
        case "bool" | "f64":
            return method(written, {"bool": "bool", "f64": "double"}[dtype])
        case _:
            return method(written, "to", Atom(f"torch.{DTYPES[dtype].torch}"))


def clamp(call: TorchCall, *, low: Expr | None, high: Expr | None) -> Node:
    real = call.names.real
    bounds: list[Node | KeywordArgument] = [
        KeywordArgument(side, real(bound))
        for side, bound in (("min", low), ("max", high))
        if bound is not None
    ]
    if low is not None and high is not None:
        bounds = [real(low), real(high)]
    source = call.operand()
    return method(source, "clamp", *bounds) if bounds else source


FUNCTIONS: Functions = {
    **{n: by_method(n) for n in ("rsqrt", "sqrt", "exp", "sigmoid", "tanh", "erf", "cos", "sin")},
    "silu": silu,
    "cast": cast_,
    "clamp": clamp,
    "add": infix("+"),
    "sub": infix("-"),
    "mul": infix("*"),
    "div": infix("/"),
    "pow": infix("**"),
    "mod": infix("%"),
    "eq": infix("=="),
    "ne": infix("!="),
    "lt": infix("<"),
    "le": infix("<="),
    "gt": infix(">"),
    "ge": infix(">="),
    "and": infix("&"),
    "or": infix("|"),
    "not": prefix("~"),
    "neg": prefix("-"),
}
