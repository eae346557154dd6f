"""Types the calls of a body: maps, parts, functions, caches and mixtures; ops have rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from specgen.diagnostics.diagnostic import FIRST, Label, did_you_mean
from specgen.diagnostics.source import Span
from specgen.frontend.dataflow.signatures import ShapeBinding, Signature
from specgen.frontend.files import std_use
from specgen.ir import model as ir
from specgen.language import tree
from specgen.ops.context import (
    OpCall,
    dtype_text,
    dtypes_text,
    is_scalar,
    only,
    shape_text,
    size_text,
    type_text,
)
from specgen.ops.registry import CALLED, FORMS

if TYPE_CHECKING:
    from specgen.frontend.dataflow.typing import BodyTyping


def call(body: BodyTyping, node: tree.CallSyntax) -> ir.Value:
    name = node.function.text
    if name in body.around.tensors and name in body.around.parts:
        body.give_up()
    if name in body.around.tensors:
        return apply_map(body, name, node)
    if name in body.around.parts:
        return call_part(body, name, node)
    if name == "append":
        return append(body, node)
    if name == "mixture":
        return mixture(body, node)
    method = body.around.method(name)
    found = method or body.around.function(name)
    if found is not None:
        return call_function(body, name, method is not None, found, node)
    if name in body.around.callable_names():
        body.give_up()
    if name in CALLED:
        return CALLED[name].rule(OpCall(body, node, name))
    callable_names = body.around.callable_names()
    known = [*body.around.tensors, *body.around.parts, *callable_names, *CALLED, *FORMS]
    body.fail(
        "E0442",
        node.function.span,
        name=name,
        help=std_use(name, "function") or did_you_mean(name, known),
    )


def arguments(
    body: BodyTyping, names: Sequence[str], node: tree.CallSyntax, called: str
) -> list[tuple[ir.Value, Span]]:
    """The arguments in the order of the callee's, given by position or by name."""
    given: dict[str, tree.Expression] = dict(zip(names, node.arguments))  # noqa: B905
    spans = {name: value.span for name, value in given.items()}
    if len(node.arguments) > len(names):
        body.fail(
            "E0411",
            node.span,
            name=called,
            expected=len(names),
            found=len(node.arguments) + len(node.keywords),
        )
    for keyword in node.keywords:
        if keyword.name not in names:
            body.fail(
                "E0416",
                keyword.span,
                name=called,
                keyword=keyword.name,
                help=did_you_mean(keyword.name, names),
            )
        if keyword.name in given:
            labels = [Label(spans[keyword.name], FIRST)]
            diagnostics = body.scope.diagnostics
            diagnostics.report("E0443", keyword.span, name=keyword.name, labels=labels)
            body.give_up()
        given[keyword.name] = keyword.value
        spans[keyword.name] = keyword.span
    missing = [name for name in names if name not in given]
    if missing:
        body.fail("E0444", node.span, name=called, missing=", ".join(missing))
    return [(body.single(given[name]), given[name].span) for name in names]


def bind_call(
    body: BodyTyping, name: str, found: Signature, node: tree.CallSyntax
) -> tuple[list[ir.Value], ShapeBinding]:
    binding = ShapeBinding(body, found.axes)
    values: list[ir.Value] = []
    pairs = arguments(body, [a.name for a in found.args], node, name)
    for argument, (value, span) in zip(found.args, pairs, strict=True):
        if argument.type.dtype == ir.SCALAR:
            if not is_scalar(value):
                body.fail("E0436", span, name=argument.name)
        elif is_scalar(value):
            body.fail("E0412", span, name=name)
        else:
            binding.match(argument.name, argument.type, only(value), span)
        values.append(value)
    binding.finish()
    return values, binding


def call_function(
    body: BodyTyping, name: str, method: bool, found: Signature, node: tree.CallSyntax
) -> ir.Value:
    if method:
        body.used.add(name)
    values, binding = bind_call(body, name, found, node)
    scalars = {
        a.name: v.expr for a, v in zip(found.args, values, strict=True) if isinstance(v, ir.Scalar)
    }
    binding.dims.update(scalars)
    types = tuple(binding.result(t) for t in found.results)
    dims = {axis: dim for axis, dim in binding.dims.items() if axis not in scalars}
    return ir.CallFunction(name, method, tuple(values), dims, types)


def call_part(body: BodyTyping, name: str, node: tree.CallSyntax) -> ir.Value:
    view = body.part_row(name, node.span)
    if view.signature is None:
        if not view.lacks_forward:
            body.give_up()
        body.fail("E0445", node.function.span, name=name, module=view.row.module)
    values, binding = bind_call(body, name, view.signature, node)
    types = tuple(binding.result(t) for t in view.signature.results)
    threads = bool(values) and len(types) == 1 and body.same_type(types[0], only(values[0]))
    if view.row.count is not None and not threads:
        body.fail("E0446", node.span, name=name)
    return ir.CallPart(name, tuple(values), types)


def apply_map(body: BodyTyping, name: str, node: tree.CallSyntax) -> ir.Value:
    view = body.tensor_row(name, node.function.span)
    if view.kind != "map" and not (
        isinstance(view.row.storage, tree.SharedStorageSyntax) and len(view.shape) == 2
    ):
        body.fail("E0447", node.function.span, name=name)
    ((value, span),) = arguments(body, ["x"], node, name)
    if is_scalar(value):
        body.fail("E0412", span, name=name)
    type_ = only(value)
    out, into = view.shape
    if not type_.shape or not body.equal(type_.shape[-1], into):
        body.fail(
            "E0430",
            span,
            name=name,
            expected=f"[..., {size_text(into)}]",
            found=shape_text(type_.shape),
            detail=f": {size_text(into)} is not "
            f"{size_text(type_.shape[-1]) if type_.shape else 'a dim'}",
        )
    if type_.dtype != view.compute:
        body.fail("E0402", span, dtypes=dtypes_text((view.compute, type_.dtype)))
    bias = f"{name}.bias"
    if bias in body.around.tensors:
        body.used.add(bias)
    result = ir.Type(type_.dtype, (*type_.shape[:-1], out))
    return ir.ApplyMap(name, value, (result,))


def append(body: BodyTyping, node: tree.CallSyntax) -> ir.Value:
    if (
        len(node.arguments) != 2
        or node.keywords
        or not isinstance(node.arguments[0], tree.PathSyntax)
    ):
        body.fail("E0411", node.span, name="append", expected=2, found=len(node.arguments))
    name = node.arguments[0].text
    view = body.around.caches.get(name)
    if view is None:
        body.fail(
            "E0448",
            node.arguments[0].span,
            name=name,
            help=did_you_mean(name, body.around.caches),
        )
    body.used.add(name)
    value = body.single(node.arguments[1])
    type_ = only(value)
    fits = len(type_.shape) == len(view.shape) and all(
        body.equal(a, b) or b == body.scope.symbols.get(view.row.along)
        for a, b in zip(type_.shape, view.shape, strict=True)
    )
    if not fits or type_.dtype != ir.ACTIVATION:
        body.fail(
            "E0449",
            node.arguments[1].span,
            name=name,
            along=view.row.along,
            expected=shape_text(view.shape),
            found=type_text(type_),
        )
    return ir.Append(name, value, (ir.Type(type_.dtype, view.shape),))


def mixture(body: BodyTyping, node: tree.CallSyntax) -> ir.Value:
    if len(node.arguments) != 4 or not isinstance(node.arguments[0], tree.PathSyntax):
        body.fail("E0411", node.span, name="mixture", expected=4, found=len(node.arguments))
    name = node.arguments[0].text
    if name not in body.around.parts:
        body.fail(
            "E0442",
            node.arguments[0].span,
            name=name,
            help=did_you_mean(name, body.around.parts),
        )
    view = body.part_row(name, node.arguments[0].span)
    if view.signature is None and not view.lacks_forward:
        body.give_up()
    formal = view.signature.args if view.signature is not None else ()
    rows = (
        len(formal) == 1 and len(formal[0].type.shape) == 2 and formal[0].type.shape[0] == ir.REST
    )
    if view.row.count is None or view.signature is None or not rows:
        body.fail("E0450", node.arguments[0].span, name=name)
    x, weights, index = (body.single(argument) for argument in node.arguments[1:])
    binding = ShapeBinding(body, view.signature.axes)
    binding.match(
        view.signature.args[0].name, view.signature.args[0].type, only(x), node.arguments[1].span
    )
    binding.finish()
    types = tuple(binding.result(t) for t in view.signature.results)
    body.same_types(types, x.types, node.arguments[1].span)
    if only(weights).dtype != only(x).dtype:
        dtypes = dtypes_text((only(weights).dtype, only(x).dtype))
        body.fail("E0402", node.arguments[2].span, dtypes=dtypes)
    if only(index).dtype != "i64":
        given = dtype_text(only(index).dtype)
        body.fail("E0413", node.arguments[3].span, name="mixture", expected="i64", found=given)
    wanted = (*only(x).shape[:-1], only(index).shape[-1])
    for value, argument in ((weights, node.arguments[2]), (index, node.arguments[3])):
        shape = only(value).shape
        if len(shape) != len(wanted) or not all(
            body.equal(a, b) for a, b in zip(shape, wanted, strict=True)
        ):
            body.fail(
                "E0430",
                argument.span,
                name="mixture",
                detail="",
                expected=shape_text(wanted),
                found=shape_text(shape),
            )
    return ir.Mixture(name, x, weights, index, types)
