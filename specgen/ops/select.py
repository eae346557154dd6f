"""Ops that choose among numbers that are there: by a condition, by an index, by size."""

from __future__ import annotations

from typing import Final

from specgen.expr.node import Expr
from specgen.ir.model import REST, Scalar, Type, Value
from specgen.ops.context import (
    NUMBERS,
    WHOLE,
    OpCall,
    broadcast,
    dtypes_text,
    is_scalar,
    only,
    shape_text,
)
from specgen.ops.record import Attr, OpRecord, Trait


def where(call: OpCall) -> Value:
    call.count(3)
    condition = call.tensor(0, ("bool",))
    then, otherwise = call.operand(1), call.operand(2)
    tensors = [v for v in (then, otherwise) if not is_scalar(v)]
    if not tensors:
        call.typing.fail("E0412", call.span(1), name="where")
    dtypes = {only(v).dtype for v in tensors}
    if len(dtypes) > 1:
        call.typing.fail("E0402", call.node.span, dtypes=dtypes_text(dtypes))
    for position, value in ((1, then), (2, otherwise)):
        if isinstance(value, Scalar):
            call.fit(value.expr, only(tensors[0]).dtype, call.span(position))
    shape = broadcast(call.typing, [only(v).shape for v in (condition, *tensors)], call.node.span)
    return call.done(Type(only(tensors[0]).dtype, shape), args=[condition, then, otherwise])


def take(call: OpCall) -> Value:
    call.count(2)
    table = call.tensor(0)
    index = call.tensor(1, WHOLE)
    if not only(table).shape or only(table).shape[0] == REST:
        call.typing.fail("E0415", call.span(0), dim="0", shape=shape_text(only(table).shape))
    shape = (*only(index).shape, *only(table).shape[1:])
    return call.done(Type(only(table).dtype, shape), args=[table, index])


def gather(call: OpCall) -> Value:
    call.count(2)
    value = call.tensor(0)
    index = call.tensor(1, WHOLE)
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


CALLED: Final = (
    OpRecord(
        "where",
        "where(condition, a, b)",
        "a where the condition is true, else b",
        where,
        traits={Trait.REFORMS},
    ),
    OpRecord(
        "take",
        "take(table, index)",
        "the rows of a table at an index",
        take,
        traits={Trait.LOOKS_UP, Trait.PICKS},
    ),
    OpRecord(
        "gather",
        "gather(x, index)",
        "y[..., i] = x[..., index[..., i]]",
        gather,
        traits={Trait.PICKS},
    ),
    OpRecord(
        "topk",
        "values, index = topk(x, k)",
        "the k greatest of the last axis, greatest first",
        topk,
        (Attr("k", Expr),),
    ),
)
