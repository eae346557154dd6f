"""An oracle: the table unrolled one instance at a time, with nothing of specgen.analysis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from specgen.expr.evaluate import EvaluationError, Value, evaluate, evaluate_int
from specgen.ir.model import Module, Program

#: Own name, shape and dtype (None where a storage format says it).
Unrolled = tuple[str, tuple[int, ...], str | None]


def scope(module: Module, outer: Mapping[str, Value]) -> dict[str, Value]:
    env = dict(outer)
    for let in module.lets:
        try:
            env[let.name] = evaluate(let.expr, env)
        except EvaluationError:
            env.pop(let.name, None)
    return env


def unrolled(program: Program) -> Iterator[Unrolled]:
    """Every tensor row that counts or is stored again, without scales."""
    names = scope(program.model, program.values)
    yield from tensors(program, program.model, names, names, "")


def tensors(
    program: Program,
    module: Module,
    env: Mapping[str, Value],
    model: Mapping[str, Value],
    prefix: str,
) -> Iterator[Unrolled]:
    for row in module.tensors:
        if row.shared == "tied" or not evaluate(row.condition, env):
            continue
        yield prefix + row.name, tuple(evaluate_int(d, env) for d in row.shape), row.dtype
    for part in module.parts:
        child = program.modules[part.module]
        for i in range(evaluate_int(part.count, env)) if part.count is not None else [None]:
            here = env if i is None or part.index is None else {**env, part.index: i}
            if not evaluate(part.condition, here):
                continue
            arguments = {name: evaluate(value, here) for name, value in part.arguments.items()}
            inner = scope(child, {**(model if child.lexical else {}), **arguments})
            step = part.name if i is None else f"{part.name}.{i}"
            yield from tensors(program, child, inner, model, f"{prefix}{step}.")
