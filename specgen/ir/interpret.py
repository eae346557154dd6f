"""Evaluates bodies of the IR in numpy, op by op: slow, small, plain.

The meaning against which alternative forwards are compared; with back ends it shares the
dispatch over kinds of values (`visit`), and no meaning of one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from itertools import chain
from typing import Any

import numpy as np

from specgen.expr.evaluate import EvaluationError, Value, evaluate, evaluate_int
from specgen.expr.node import Expr, Sym
from specgen.expr.solving import solve, variables
from specgen.ir import model as ir
from specgen.ir.numpy import evaluated
from specgen.ir.numpy.call import Array
from specgen.ir.visit import Deciding
from specgen.records import dataclass


@dataclass
class EvaluatedInstance:
    """One instance of a module: its values, and weights that are drawn when first read.

    `grown` are its cache rows behind what a step appended; `advance` takes them into the next.
    """

    program: ir.Program
    module: ir.Module
    values: Mapping[str, Value]
    random: np.random.Generator
    past: int = 0
    weights: dict[str, Array] = field(default_factory=dict)
    children: dict[tuple[str, int], EvaluatedInstance] = field(default_factory=dict)
    grown: dict[str, Array] = field(default_factory=dict)

    def advance(self) -> None:
        """The caches hold what was appended: the next step sees it as its past."""
        self.weights.update((f"cache {name}", rows) for name, rows in self.grown.items())
        self.grown.clear()
        for child in self.children.values():
            child.advance()

    def environment(self, axes: Mapping[str, Value]) -> dict[str, Value]:
        env = {**self.values, **axes}
        if self.module.lexical:
            env.update(evaluated_lets(self.program.model, env))
        env.update(evaluated_lets(self.module, env))
        return env

    def weight(self, row: str) -> Array:
        if row not in self.weights:
            env = self.environment({})
            tensor = self.one(self.module.tensors_named(row), env)
            shape = [evaluate_int(dim, env) for dim in tensor.shape]
            self.weights[row] = self.random.normal(0, 0.5, shape)
        return self.weights[row]

    def cached(self, cache: ir.Cache, env: Mapping[str, Value]) -> Array:
        """What the cache row holds before this step: `past` random entries."""
        key = f"cache {cache.name}"
        if key not in self.weights:
            before = {**env, cache.along: self.past}
            shape = [evaluate_int(dim, before) for dim in cache.shape]
            self.weights[key] = self.random.normal(0, 1, shape)
        return self.weights[key]

    def child(self, name: str, number: int) -> EvaluatedInstance:
        if (name, number) not in self.children:
            env = self.environment({})
            candidates = [
                (part, {**env, part.index: number} if part.index else env)
                for part in self.module.parts_named(name)
            ]
            part, inner = next((p, e) for p, e in candidates if evaluate(p.condition, e) is True)
            module = self.program.modules[part.module]
            values: dict[str, Value] = dict(self.values) if module.lexical else {}
            for param, expr in part.arguments.items():
                values[param] = evaluate(expr, inner)
            self.children[name, number] = EvaluatedInstance(
                self.program, module, values, self.random, self.past
            )
        return self.children[name, number]

    def has(self, row: str) -> bool:
        """Whether the row exists for this instance."""
        env, rows = self.environment({}), self.module.tensors_named(row)
        return any(evaluate(found.condition, env) is True for found in rows)

    def one(self, rows: Sequence[ir.Tensor], env: Mapping[str, Value]) -> ir.Tensor:
        return next(row for row in rows if evaluate(row.condition, env) is True)

    def call(
        self, function: ir.Function, args: Sequence[Any], axes: Mapping[str, Value]
    ) -> list[Array]:
        """The results of one of the module's forwards or functions."""
        known = dict(axes)
        shapes = [[dim for dim in arg.type.shape if dim != ir.REST] for arg in function.args]
        for step in solve(shapes, variables(shapes)):
            length = int(np.shape(args[step.argument])[step.axis])
            known[step.name] = length // evaluate_int(step.divisor, self.environment(known))
        body = NumpyInterpreter(self, self.environment(known), known)
        for arg, value in zip(function.args, args, strict=True):
            if arg.type.dtype == ir.SCALAR:
                body.env[arg.name] = value
            else:
                body.vars[arg.name] = value
        found = body.run(function.body)
        assert found is not None
        return found


def evaluated_lets(module: ir.Module, env: Mapping[str, Value]) -> dict[str, Value]:
    """The lets of a module that have a value under these params, in order."""
    found: dict[str, Value] = dict(env)
    for let in module.lets:
        try:
            found[let.name] = evaluate(let.expr, found)
        except EvaluationError:
            continue
    return found


@dataclass
class NumpyInterpreter(Deciding[list[Any]]):
    """One evaluation of one body: values mean arrays, and numbers where they are compile-time."""

    instance: EvaluatedInstance
    env: dict[str, Value]
    axes: Mapping[str, Value]
    vars: dict[str, Array] = field(default_factory=dict)

    def size(self, expr: Expr) -> int:
        return evaluate_int(expr, self.env)

    def number(self, expr: Expr) -> float | int:
        value = evaluate(expr, self.env)
        assert not isinstance(value, str | tuple | None)
        return value if isinstance(value, int) else float(value)

    def holds(self, condition: Expr) -> bool:
        return bool(evaluate(condition, self.env))

    def assign(self, statement: ir.Assign) -> None:
        self.vars.update(zip(statement.names, self.value(statement.value), strict=True))

    def ret(self, statement: ir.Return) -> list[Any]:
        return list(chain.from_iterable(map(self.value, statement.values)))

    def single(self, value: ir.Value) -> list[Any]:
        """The operands, each one result."""
        return [array for (array,) in self.operands(value)]

    def var(self, value: ir.Var) -> list[Any]:
        return [self.vars[value.name]]

    def weight(self, value: ir.Weight) -> list[Any]:
        return [self.instance.weight(value.row)]

    def scalar(self, value: ir.Scalar) -> list[Any]:
        return [self.number(value.expr)]

    def apply_map(self, value: ir.ApplyMap) -> list[Any]:
        (x,) = self.value(value.value)
        result = x @ self.instance.weight(value.row).T
        if self.instance.has(f"{value.row}.bias"):
            result = result + self.instance.weight(f"{value.row}.bias")
        return [result]

    def append(self, value: ir.Append) -> list[Any]:
        cache = next(row for row in self.instance.module.caches if row.name == value.cache)
        axis = cache.shape.index(Sym(cache.along))
        (new,) = self.value(value.value)
        grown = np.concatenate([self.instance.cached(cache, self.env), new], axis)
        self.instance.grown[cache.name] = grown
        return [grown]

    def call_part(self, value: ir.CallPart) -> list[Any]:
        args, parts = self.single(value), self.instance.module.parts_named(value.part)
        counts = [self.size(part.count) if part.count is not None else 1 for part in parts]
        env = self.instance.environment({})
        found: list[Array] = args[:1]
        for number in range(max(counts)):
            if not any(
                number < count
                and evaluate(p.condition, {**env, p.index: number} if p.index else env) is True
                for p, count in zip(parts, counts, strict=True)
            ):
                continue
            child = self.instance.child(value.part, number)
            assert child.module.forward is not None
            found = child.call(child.module.forward, args, self.axes)
            args = [found[0], *args[1:]]
        return found

    def call_function(self, value: ir.CallFunction) -> list[Any]:
        args = self.single(value)
        dims = {name: self.size(dim) for name, dim in value.dims.items()}
        if value.method:
            functions = self.instance.module.functions
            function = next(f for f in functions if f.name == value.function)
            return self.instance.call(function, args, {**self.axes, **dims})
        function = self.instance.program.functions[value.function]
        body = NumpyInterpreter(self.instance, dict(dims), dims)
        for arg, given in zip(function.args, args, strict=True):
            (body.env if arg.type.dtype == ir.SCALAR else body.vars)[arg.name] = given
        found = body.run(function.body)
        assert found is not None
        return found

    def mixture(self, value: ir.Mixture) -> list[Any]:
        x, weights, index = self.single(value)
        flat, result = x.reshape(-1, x.shape[-1]), np.zeros((x.size // x.shape[-1], x.shape[-1]))
        for row, (w, e) in enumerate(
            zip(weights.reshape(len(flat), -1), index.reshape(len(flat), -1), strict=True)
        ):
            for weight, expert in zip(w, e, strict=True):
                child = self.instance.child(value.part, int(expert))
                assert child.module.forward is not None
                (found,) = child.call(child.module.forward, [flat[row]], self.axes)
                result[row] += weight * found
        return [result.reshape(x.shape)]

    def op(self, value: ir.Op) -> list[Any]:
        # Not by `single`: an expression may be as deep as the stack allows.
        return evaluated(value, [array for (array,) in self.operands(value)], self.env)
