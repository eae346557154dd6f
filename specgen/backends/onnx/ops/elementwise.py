"""Elementwise ops as ONNX operators."""

from __future__ import annotations

from specgen.backends.onnx.lowering import (
    Function,
    Functions,
    Liftings,
    OnnxCall,
    convert,
    elementwise,
)
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.stacks import broadcasting
from specgen.dtypes import FLOATS
from specgen.expr.node import Expr


def unary(operator: str) -> Function:
    def lowered(call: OnnxCall) -> Edge:
        return elementwise(call.graph, call.name, operator, (call.tensor(),), call.dtype)

    return lowered


def rsqrt(call: OnnxCall) -> Edge:
    root = elementwise(call.graph, f"{call.name}.sqrt", "Sqrt", (call.tensor(),), call.dtype)
    return elementwise(call.graph, call.name, "Reciprocal", (root,), call.dtype)


def silu(call: OnnxCall) -> Edge:
    # Swish exists at opset 24 exactly, and some runtimes lack it: two older operators.
    x = call.tensor()
    gate = elementwise(call.graph, f"{call.name}.sigmoid", "Sigmoid", (x,), call.dtype)
    return elementwise(call.graph, call.name, "Mul", (x, gate), call.dtype)


def binary(operator: str) -> Function:
    """An operator of two operands of the result's dtype."""

    def lowered(call: OnnxCall) -> Edge:
        operands = (call.operand(0, call.dtype), call.operand(1, call.dtype))
        return elementwise(call.graph, call.name, operator, operands, call.dtype)

    return lowered


def comparison(operator: str) -> Function:
    def lowered(call: OnnxCall) -> Edge:
        return elementwise(call.graph, call.name, operator, compared(call), "bool")

    return lowered


def compared(call: OnnxCall) -> tuple[Edge, Edge]:
    """The operands in one dtype, in which both are exact."""
    found = {x.dtype for x in call.operands if isinstance(x, Edge)}
    whole = all(isinstance(x, Edge) or float(x).is_integer() for x in call.operands)
    dtype = found.pop() if len(found) == 1 else "f32"
    if dtype not in FLOATS and not whole:
        dtype = "f32"
    return call.operand(0, dtype), call.operand(1, dtype)


def unequal(call: OnnxCall) -> Edge:
    same = elementwise(call.graph, f"{call.name}.equal", "Equal", compared(call), "bool")
    return elementwise(call.graph, call.name, "Not", (same,), "bool")


def remainder(call: OnnxCall) -> Edge:
    """a - b * floor(a / b), which has the sign of b.

    ONNX's Mod has it for whole numbers alone; for floats it has the sign of a.
    """
    graph, name, dtype = call.graph, call.name, call.dtype
    a, b = call.operand(0, dtype), call.operand(1, dtype)
    if dtype not in FLOATS:
        return elementwise(graph, name, "Mod", (a, b), dtype)
    ratio = elementwise(graph, f"{name}.ratio", "Div", (a, b), dtype)
    times = elementwise(graph, f"{name}.times", "Floor", (ratio,), dtype)
    whole = elementwise(graph, f"{name}.whole", "Mul", (times, b), dtype)
    return elementwise(graph, name, "Sub", (a, whole), dtype)


def clamp(call: OnnxCall, *, low: Expr | None, high: Expr | None) -> Edge:
    x = call.tensor()
    operands = (x, call.bound("low", low), call.bound("high", high))
    return call.graph.one(call.name, "Clip", operands, call.dtype, x.shape)


def cast(call: OnnxCall) -> Edge:
    if isinstance(call.operands[0], Edge):
        return convert(call.graph, call.name, call.tensor(), call.dtype)
    return call.operand(0, call.dtype)


FUNCTIONS: Functions = {
    "rsqrt": rsqrt,
    "sqrt": unary("Sqrt"),
    "exp": unary("Exp"),
    "silu": silu,
    "sigmoid": unary("Sigmoid"),
    "tanh": unary("Tanh"),
    "erf": unary("Erf"),
    "cos": unary("Cos"),
    "sin": unary("Sin"),
    "cast": cast,
    "clamp": clamp,
    "add": binary("Add"),
    "sub": binary("Sub"),
    "mul": binary("Mul"),
    "div": binary("Div"),
    "pow": binary("Pow"),
    "mod": remainder,
    "eq": comparison("Equal"),
    "ne": unequal,
    "lt": comparison("Less"),
    "le": comparison("LessOrEqual"),
    "gt": comparison("Greater"),
    "ge": comparison("GreaterOrEqual"),
    "and": binary("And"),
    "or": binary("Or"),
    "not": unary("Not"),
    "neg": unary("Neg"),
}

LIFTED: Liftings = dict.fromkeys(FUNCTIONS, broadcasting)
