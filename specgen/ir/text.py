"""The textual form of the IR: what a program is, readable and diffable, for tests and for eyes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from specgen.expr.node import TRUE, Expr
from specgen.expr.printing import TABLE, to_text
from specgen.ir import model as ir


def program_text(program: ir.Program) -> str:
    """The whole program, functions first, children before parents."""
    lines = [f"program {program.name}" + (f"@{program.variant}" if program.variant else "")]
    lines += [f"sharding {axis_text(axis)}" for axis in program.sharding]
    for scheme, pairs in program.respellings.items():
        lines += [f'respelled {scheme} "{usual}" -> "{other}"' for usual, other in pairs]
    for function in program.functions.values():
        lines += ["", *function_lines(function, f"function {function.name}")]
    for module in (*program.formats.values(), *program.modules.values()):
        lines += ["", *module_lines(module, program)]
    return "\n".join(lines) + "\n"


def axis_text(axis: ir.Axis) -> str:
    names = (f"{d.name} along {d.along}" if d.along else d.name for d in axis.divided)
    return f"{axis.name} over {', '.join(names)}"


def module_lines(module: ir.Module, program: ir.Program) -> Iterator[str]:
    root = " (model)" if module.id == program.root else ""
    yield f"module {module.id}{root}"
    for param in module.params:
        value = "" if param.value is None else f" = {param.value!r}"
        yield f"  param {param.name} : {param.kind}{value}"
    for let in module.lets:
        yield f"  let {let.name} = {size(let.expr)}"
    for row in module.tensors:
        how = row.format.module if row.format else row.dtype
        shared = f" {row.shared} {row.target}" if row.shared else ""
        yield f"  {row.kind} {row.name} : {dims(row.shape)} as {how}{shared}{when(row.condition)}"
    for part in module.parts:
        many = f"[{part.index}] × {size(part.count)}" if part.count is not None else ""
        given = ", ".join(f"{name} = {size(expr)}" for name, expr in part.arguments.items())
        yield f"  part {part.name}{many} : {part.module}({given}){when(part.condition)}"
    for cache in module.caches:
        yield f"  cache {cache.name} : {dims(cache.shape)} along {cache.along} as {cache.dtype}"
    for scheme, packings in module.packings.items():
        yield from (f"  packed {scheme} {packing_text(packing)}" for packing in packings)
    for scheme, templates in module.besides.items():
        yield from (f'  besides {scheme} "{template_text(name)}"' for name in templates)
    for forward in module.forwards:
        title = f"forward {forward.name}".rstrip()
        yield from (f"  {line}" for line in function_lines(forward, title))
    for function in module.functions:
        yield from (f"  {line}" for line in function_lines(function, f"function {function.name}"))


def packing_text(packing: ir.Packing) -> str:
    rows = ", ".join(".".join(path) for path in packing.rows)
    name = template_text(packing.template)
    whole = packing.rearrangement
    how = "" if whole is None else f" {attribute(whole.inputs)} -> {attribute(whole.outputs)}"
    given = f" {attribute(dict(whole.sizes))}" if whole is not None and whole.sizes else ""
    return f'{rows} -> "{name}"{how}{given}'


def template_text(name: ir.Template) -> str:
    return "".join(piece if isinstance(piece, str) else f"{{{size(piece)}}}" for piece in name)


def function_lines(function: ir.Function, title: str) -> Iterator[str]:
    args = ", ".join(f"{arg.name}: {type_text(arg.type)}" for arg in function.args)
    results = ", ".join(map(type_text, function.results))
    intrinsic = f" as {function.intrinsic}" if function.intrinsic else ""
    if function.description is not None:
        yield f"# {function.description}"
    yield f"{title}({args}) -> {results}{intrinsic}"
    yield from (f"  {line}" for line in statement_lines(function.body))


def statement_lines(statements: Sequence[ir.Statement]) -> Iterator[str]:
    for statement in statements:
        match statement:
            case ir.Assign(names=names, value=value):
                types = ", ".join(map(type_text, value.types))
                yield f"{', '.join(names)} = {value_text(value)}  : {types}"
            case ir.Branch(condition=condition, then=then, otherwise=otherwise):
                yield f"if {size(condition)}"
                yield from (f"  {line}" for line in statement_lines(then))
                if otherwise:
                    yield "else"
                    yield from (f"  {line}" for line in statement_lines(otherwise))
            case ir.Return(values=values):
                yield f"return {', '.join(map(value_text, values))}"
            case _:
                assert_never(statement)


def value_text(value: ir.Value) -> str:
    match value:
        case ir.Var(name=name):
            return name
        case ir.Weight(row=row):
            return f"%{row}"
        case ir.Scalar(expr=expr):
            return size(expr)
        case ir.Op(name=name, args=args, attrs=attrs):
            given = [value_text(arg) for arg in args]
            given += [f"{key}={attribute(attr)}" for key, attr in attrs.items()]
            return f"{name}({', '.join(given)})"
        case ir.ApplyMap(row=row, value=inner):
            return f"%{row}({value_text(inner)})"
        case ir.CallPart(part=part, args=args):
            return f"{part}({', '.join(map(value_text, args))})"
        case ir.CallFunction(function=function, method=method, args=args):
            return f"{'self.' if method else ''}{function}({', '.join(map(value_text, args))})"
        case ir.Mixture(part=part, value=x, weights=weights, index=index):
            return f"mixture({part}, {', '.join(map(value_text, (x, weights, index)))})"
        case ir.Append(cache=cache, value=inner):
            return f"append({cache}, {value_text(inner)})"
        case ir.Choose(condition=condition, then=then, otherwise=otherwise):
            return f"{value_text(then)} when {size(condition)} else {value_text(otherwise)}"
    assert_never(value)


def attribute(attr: object) -> str:
    match attr:
        case tuple():
            return "(" + " ".join(attribute(item) for item in attr) + ")"
        case dict():
            return "{" + ", ".join(f"{k}: {attribute(v)}" for k, v in attr.items()) + "}"
        case str() | int() | None:
            return str(attr)
        case _:
            return size(attr)  # type: ignore[arg-type]  # the other attributes are sizes


def type_text(type_: ir.Type) -> str:
    if type_.dtype == ir.SCALAR:
        return "scalar"
    return f"{type_.dtype} {dims(type_.shape)}"


def dims(shape: Sequence[Expr]) -> str:
    return "[" + ", ".join(map(size, shape)) + "]"


def size(expr: Expr | None) -> str:
    return "" if expr is None else to_text(expr, TABLE)


def when(condition: Expr) -> str:
    return "" if condition == TRUE else f" when {size(condition)}"
