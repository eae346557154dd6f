"""Whether the forwards of a module compute the same: evaluated at small sizes, and compared.

Alternative forwards are promised to be one function.  Types cannot show that; numbers can.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from specgen.expr.evaluate import EvaluationError, Value, evaluate, evaluate_int
from specgen.expr.node import LISTS, Expr, Sym, substitute, symbols
from specgen.expr.solving import variables
from specgen.ir import model as ir
from specgen.records import dataclass

#: Relative difference in float64 above which two forwards are not one function.
TOLERANCE: Final = 1e-9

#: How often small sizes are drawn before a module is given up.
DRAWS: Final = 2000

SMALL: Final = (1, 2, 3, 4, 5, 6, 8)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An alternative forward that differs; `difference` is None where nothing could be drawn."""

    module: str
    forward: str
    difference: float | None
    values: Mapping[str, Value]


def disagreements(program: ir.Program) -> Iterator[Disagreement]:
    """Every alternative forward of the program that is not the main forward's function."""
    for module in program.modules.values():
        if len(module.forwards) > 1:
            yield from compare(program, module)


def compare(program: ir.Program, module: ir.Module) -> Iterator[Disagreement]:
    values = draw(program, module)
    if values is None:
        for forward in module.forwards[1:]:
            yield Disagreement(module.name, forward.name, None, {})
        return
    import numpy as np  # only where there is something to compare

    from specgen.ir.interpret import EvaluatedInstance

    instance = EvaluatedInstance(program, module, values, np.random.default_rng(0), past=3)
    shapes = [[dim for dim in arg.type.shape if dim != ir.REST] for arg in module.forwards[0].args]
    axes: dict[str, Value] = {**dict.fromkeys(variables(shapes), 3), "B": 2, "S": 2, "T": 5}
    args = arguments(instance.module, instance.environment(axes), np.random.default_rng(1))
    with np.errstate(all="ignore"):  # what is not a number is a difference, and is reported
        main, *others = (instance.call(forward, args, axes) for forward in module.forwards)
    for forward, other in zip(module.forwards[1:], others, strict=True):
        difference = max(
            float(np.max(np.abs(a - b)) / (np.max(np.abs(a)) + 1e-30))
            for a, b in zip(main, other, strict=True)
        )
        if not difference <= TOLERANCE:  # NaN is a difference too
            yield Disagreement(module.name, forward.name, difference, values)


def arguments(module: ir.Module, env: Mapping[str, Value], generator: object) -> list[object]:
    """Random arguments for the main forward; flags are mostly true, as masks are."""
    import numpy as np

    assert isinstance(generator, np.random.Generator)
    assert module.forward is not None
    given: list[object] = []
    for arg in module.forward.args:
        dims = [dim for dim in arg.type.shape if dim != ir.REST]
        shape = [evaluate_int(dim, env) for dim in dims]
        match arg.type.dtype:
            case "bool":
                mask = generator.random(shape) < 0.7
                mask[..., -1:] = True
                given.append(mask)
            case "i64" | "i32":
                given.append(generator.integers(0, 2, shape))
            case _:
                given.append(generator.normal(0, 1, shape))
    return given


def draw(program: ir.Program, module: ir.Module) -> dict[str, Value] | None:
    """Small values under which the module has the rows it has, and its requirements hold."""
    involved = names_of(program, module)
    params = [*(program.model.params if module.lexical else ()), *module.params]
    lets = {**program.model.let_table, **module.let_table} if module.lexical else module.let_table
    sizes = [p for p in params if p.kind in ("size", "count") and p.name in involved]
    lists = [p for p in params if p.kind in LISTS and p.value is None]
    fixed: dict[str, Value] = {p.name: p.value for p in params if p not in (*sizes, *lists)}
    for param in params:
        if fixed.get(param.name, 0) is None:
            fixed[param.name] = {"real": 0.5, "flag": False}.get(param.kind)
    names = {param.name for param in (*sizes, *lists)}
    conditions = [
        expanded
        for condition in (
            *module.decided,
            *(require.condition for require in module.requires),
            *(require.condition for require in program.model.requires if module.lexical),
        )
        if (used := symbols(expanded := expand(condition, lets)))
        and used & names
        and used <= names | set(fixed)
    ]
    chooser = random.Random(0)  # noqa: S311  # a fixed seed: the same sizes at every check
    for _ in range(DRAWS):
        drawn = {**fixed, **{param.name: chooser.choice(SMALL) for param in sizes}}
        for param in lists:
            length = chooser.choice(SMALL)
            drawn[param.name] = tuple(chooser.choices(SMALL, k=length))
        if all(holds(condition, drawn) for condition in conditions):
            return drawn
    return None


def holds(condition: Expr, values: Mapping[str, Value]) -> bool:
    try:
        return evaluate(condition, values) is True
    except EvaluationError:
        return False


def expand(expr: Expr, lets: Mapping[str, Expr]) -> Expr:
    for _ in lets:
        expanded = substitute(expr, lets)
        if expanded == expr:
            break
        expr = expanded
    return expr


def names_of(program: ir.Program, module: ir.Module) -> set[str]:
    """The params on which the sizes of a module and its parts depend."""
    lets = {**program.model.let_table, **module.let_table}
    exprs: list[Expr] = [dim for row in module.tensors for dim in row.shape]
    exprs += [dim for cache in module.caches for dim in cache.shape]
    for function in (*module.forwards, *module.functions):
        exprs += types_of([arg.type for arg in function.args] + list(function.results))
    for part in module.parts:
        exprs += part.arguments.values()
        exprs += [part.count] if part.count is not None else []
        child = program.modules[part.module]
        if child.lexical:
            exprs += [Sym(name) for name in names_of(program, child)]
    return {name for expr in exprs for name in symbols(expand(expr, lets))}


def types_of(types: Sequence[ir.Type]) -> list[Expr]:
    return [dim for type_ in types for dim in type_.shape if dim != ir.REST]
