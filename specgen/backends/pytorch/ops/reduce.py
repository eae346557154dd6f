"""Ops along one axis as torch code."""

from __future__ import annotations

from specgen.backends.pytorch.layout import Atom, KeywordArgument, Node, method
from specgen.backends.pytorch.ops.call import Function, Functions, TorchCall


def along(name: str) -> Function:
    def written(call: TorchCall, *, axis: int) -> Node:
        return method(call.operand(), name, call.dim(axis))

    return written


def reduction(name: str) -> Function:
    def written(call: TorchCall, *, axis: int, keep: bool) -> Node:
        kept = [KeywordArgument("keepdim", Atom("True"))] if keep else []
        return method(call.operand(), name, call.place(axis), *kept)

    return written


FUNCTIONS: Functions = {
    "softmax": along("softmax"),
    "sum": reduction("sum"),
    "cumsum": along("cumsum"),
    "mean": reduction("mean"),
    "max": reduction("amax"),
    "any": reduction("any"),
}
