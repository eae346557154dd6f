"""Choices among numbers that are there, as torch code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    KeywordArgument,
    Node,
    flat,
    method,
    number,
    subscript,
)
from specgen.backends.pytorch.layout import call as function_call
from specgen.backends.pytorch.ops.call import Functions, TorchCall
from specgen.expr.node import Expr
from specgen.ir.model import REST


def where(call: TorchCall) -> Node:
    return function_call("torch.where", *call.operands())


def take(call: TorchCall) -> Node:
    """Rows of a table; torch's embedding is of matrices."""
    shape = call.op.args[0].types[0].shape
    rows, places = call.operands()
    if len(shape) == 2 and REST not in shape:
        return function_call("F.embedding", places, rows)
    return subscript(rows, places)


def gather(call: TorchCall) -> Node:
    """Elements of the last axis; the axes before it broadcast, which torch's gather does not."""
    value, index = (arg.types[0] for arg in call.op.args)
    source, places = call.operands()
    if index.dtype != "i64":
        places = method(places, "long")
    (*lead, _), (*wanted, _) = value.shape, index.shape
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
            (subscript(source, *new), places) if missing > 0 else (source, subscript(places, *new))
        )
    return function_call("torch.take_along_dim", source, places, number(-1))


def topk(call: TorchCall, *, k: Expr) -> Node:
    size = call.names.size(k)
    return method(call.operand(), "topk", size, KeywordArgument("dim", number(-1)))


FUNCTIONS: Functions = {
    "where": where,
    "take": take,
    "gather": gather,
    "topk": topk,
}

#: What torch calls the results of an op that has several, if it names them.
RESULTS: Final[Mapping[str, tuple[str, ...]]] = {"topk": ("values", "indices")}
