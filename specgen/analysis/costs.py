"""Floating-point operations of a forward, symbolic: matrix products only.

Note [What is counted]: two operations for each multiply-add of a matrix product: maps applied
to values, and einsums of two tensors that sum over something.  Every pair of a query and a key
counts, as if nothing were masked; all positions get logits; routers count, and of a mixture the
chosen experts.  Elementwise work, norms, softmax and lookups are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import count as counter
from math import gcd, lcm
from typing import assert_never, cast

from specgen.analysis.cases import Folder, Site, amount
from specgen.analysis.faults import countable
from specgen.analysis.instances import Instance, descend, environment, root, written_out
from specgen.analysis.reach import method
from specgen.ir.model import (
    REST,
    Append,
    ApplyMap,
    Assign,
    Branch,
    CallFunction,
    CallPart,
    Choose,
    Function,
    Mixture,
    Op,
    Program,
    Return,
    Scalar,
    Statement,
    Type,
    Value,
    Var,
    Weight,
)
from specgen.sizes.evaluate import EvaluationError
from specgen.sizes.expr import (
    ONE,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    negation,
    product,
    substitute,
    symbols,
)

Dims = tuple[Expr, ...]

#: Functions and parts that call each other several times multiply; longer walks are refused.
MAX_STEPS = 50_000

#: Decoding reads a long cache: forwards are compared at this many tokens.
LONG = 2**20


@dataclass(frozen=True, slots=True)
class Frame:
    """A body being walked: whose it is, what its names mean, and how often it runs.

    `scope` gives the body's names in the root's; `rest` are the dims that `...` stands for.
    `chosen` maps the indices of mixtures to how many of their values run for one token.
    """

    instance: Instance
    scope: Mapping[str, Expr]
    rest: Dims
    condition: Expr
    chosen: Mapping[str, Expr]
    depth: int = 0

    def dims(self, type_: Type) -> Dims:
        """A shape in the root's names, `...` filled in."""
        found: list[Expr] = []
        for dim in type_.shape:
            if dim == REST:
                found.extend(self.rest)
            else:
                found.append(substitute(dim, self.scope))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Costs:
    """Walks the dataflow from the model's forward; `forwards` says which one each module uses."""

    forwards: Mapping[str, str]
    _steps: Iterator[int] = field(default_factory=counter)

    def sites(self, model: Instance) -> Iterator[Site]:
        """One site for each matrix product; its amount is the operations of one instance."""
        if model.module.forward is None:
            return
        frame = Frame(model, {}, (), model.condition, {})
        yield from self.statements(self.forward(model).body, frame)

    def forward(self, instance: Instance) -> Function:
        name = self.forwards.get(instance.module.id, "")
        return next(f for f in instance.module.forwards if f.name == name)

    def statements(self, body: tuple[Statement, ...], frame: Frame) -> Iterator[Site]:
        for statement in body:
            match statement:
                case Assign(value=value):
                    yield from self.value(value, frame)
                case Return(values=values):
                    for value in values:
                        yield from self.value(value, frame)
                case Branch(condition=test, then=then, otherwise=otherwise):
                    yield from self.statements(then, under(frame, test))
                    yield from self.statements(otherwise, under(frame, negation(test)))
                case _:
                    assert_never(statement)

    def value(self, value: Value, frame: Frame) -> Iterator[Site]:
        if next(self._steps) > MAX_STEPS:
            raise EvaluationError(f"its forward runs through more than {MAX_STEPS} operations")
        match value:
            case Var() | Scalar() | Weight():
                return
            case Op(args=args):
                for arg in args:
                    yield from self.value(arg, frame)
                if value.name == "einsum":
                    yield from einsum(value, frame)
            case ApplyMap(row=row, value=inner):
                yield from self.value(inner, frame)
                for tensor in frame.instance.module.tensors_named(row):
                    out = frame.instance.resolve(tensor.shape[0])
                    local = under(frame, tensor.condition)
                    yield site(local, product(Const(2), *frame.dims(inner.types[0]), out))
            case CallPart(part=part, args=args):
                for arg in args:
                    yield from self.value(arg, frame)
                yield from self.part(part, args, frame, frame.chosen)
            case CallFunction(args=args):
                for arg in args:
                    yield from self.value(arg, frame)
                yield from self.function(value, frame)
            case Mixture(part=part, value=inner, weights=weights, index=index):
                for arg in (inner, weights, index):
                    yield from self.value(arg, frame)
                chosen = frame.dims(index.types[0])[-1]
                yield from self.part(part, (inner,), frame, frame.chosen, chosen)
            case Append(value=inner):
                yield from self.value(inner, frame)
            case Choose(condition=test, then=then, otherwise=otherwise):
                yield from self.value(then, under(frame, test))
                yield from self.value(otherwise, under(frame, negation(test)))
            case _:
                assert_never(value)

    def part(
        self,
        name: str,
        args: tuple[Value, ...],
        frame: Frame,
        chosen: Mapping[str, Expr],
        mixture: Expr | None = None,
    ) -> Iterator[Site]:
        for child in frame.instance.children:
            if child.caller is None or child.caller.name != name:
                continue
            forward = self.forward(child)
            scope, rest = bound(forward, args, child.scope, frame)
            picked = chosen if mixture is None else {**chosen, child.indices[-1][0]: mixture}
            condition = conjunction(frame.condition, child.condition)
            inner = Frame(child, scope, rest, condition, picked, frame.depth + 1)
            yield from self.statements(forward.body, inner)

    def function(self, call: CallFunction, frame: Frame) -> Iterator[Site]:
        program = frame.instance.program
        own = call.method
        name = call.function
        function = method(frame.instance.module, name) if own else program.functions[name]
        scope, rest = bound(function, call.args, frame.scope if own else {}, frame)
        scope |= {n: written_out(dim, frame.scope, n) for n, dim in call.dims.items()}
        for argument, value in zip(function.args, call.args, strict=True):
            if isinstance(value, Scalar):
                scope[argument.name] = written_out(value.expr, frame.scope, argument.name)
        yield from self.statements(function.body, replace(frame, scope=scope, rest=rest))


def under(frame: Frame, condition: Expr) -> Frame:
    """The frame where a condition of the body holds as well."""
    return replace(
        frame, condition=conjunction(frame.condition, substitute(condition, frame.scope))
    )


def bound(
    function: Function, args: tuple[Value, ...], names: Mapping[str, Expr], frame: Frame
) -> tuple[dict[str, Expr], Dims]:
    """What the callee's names and `...` mean: `names`, and shape variables from the arguments."""
    scope = dict(names)
    rest: Dims = ()
    for argument, value in zip(function.args, args, strict=True):
        if not value.types or isinstance(value, Scalar):
            continue
        actual = frame.dims(value.types[0])
        formal = argument.type.shape
        if REST in formal:
            leading = len(actual) - (len(formal) - 1)
            rest, actual = actual[:leading], actual[leading:]
            formal = formal[1:]
        for dim, size in zip(formal, actual, strict=True):
            if isinstance(dim, Sym) and dim.name[:1].isupper():  # a shape variable: B, S, T
                scope.setdefault(dim.name, written_out(size, {}, dim.name))
    for name, size in frame.scope.items():
        if name[:1].isupper():
            scope.setdefault(name, size)
    return scope, rest


def site(frame: Frame, operations: Expr) -> Site:
    """Operations in their place; a mixture's index counts as often as it is chosen."""
    indices = []
    held = symbols(frame.condition) | symbols(operations)
    held |= {name for _, count in frame.instance.indices for name in symbols(count)}
    for name, count in frame.instance.indices:
        if name not in frame.chosen:
            indices.append((name, count))
        elif name in held:  # the instances differ: each is chosen with the same probability
            indices.append((name, count))
            operations = Apply("/", (product(frame.chosen[name], operations), count))
        else:
            operations = product(frame.chosen[name], operations)
    return Site(tuple(indices), frame.condition, (operations,))


def einsum(op: Op, frame: Frame) -> Iterator[Site]:
    """The products of an einsum, contracted from left to right."""
    inputs = cast("tuple[tuple[str, ...], ...]", op.attrs["inputs"])
    output = cast("tuple[str, ...]", op.attrs["output"])
    operands = [
        axes(names, frame.dims(arg.types[0])) for names, arg in zip(inputs, op.args, strict=True)
    ]
    sizes: dict[str, Expr] = {}
    for operand in operands:
        for name, size in operand:
            if sizes.get(name, ONE) == ONE:  # a dim of 1 broadcasts
                sizes[name] = size
    left = [name for name, _ in operands[0]]
    for i, operand in enumerate(operands[1:], start=1):
        right = [name for name, _ in operand]
        later = {name for other in operands[i + 1 :] for name, _ in other}
        kept = {n for n in (*left, *right) if n in later or n in output or n.startswith(REST.name)}
        together = list(dict.fromkeys((*left, *right)))
        if any(name in left and name in right and name not in kept for name in together):
            yield site(frame, product(Const(2), *(sizes[name] for name in together)))
        left = [name for name in together if name in kept]


def axes(names: tuple[str, ...], dims: Dims) -> list[tuple[str, Expr]]:
    """The named axes of an operand; those that `...` stands for are numbered from the right."""
    if REST.name not in names:
        return list(zip(names, dims, strict=True))
    at = names.index(REST.name)
    extra = len(dims) - (len(names) - 1)
    leading = [f"{REST.name}{extra - i}" for i in range(extra)]
    return list(zip((*names[:at], *leading, *names[at + 1 :]), dims, strict=True))


# ---- alternative forwards --------------------------------------------------------------


def decode_forwards(program: Program) -> dict[str, str]:
    """The forward that a back end should decode with, for each module that has several: id -> name.

    It is the one with the fewest operations for one new token and a long cache; the main
    forward ("") wins where no other is cheaper.  Modules are decided one after the other, in
    the order of the program.

    Raises:
        SpecError: the table cannot be counted.
    """
    with countable(program):
        return cheapest(root(program), Folder(environment(program)))


def decode_forward(program: Program, module_id: str) -> str:
    """The forward that a back end should decode this module with; "" is the main one."""
    return decode_forwards(program).get(module_id, "")


@dataclass(frozen=True, slots=True)
class Saving:
    """A forward to decode with, and what it saves: `operations` is a polynomial of S and T.

    It gives the coefficient of each product of names, common factors left out, and is positive
    where the forward is cheaper than the main one.
    """

    forward: str
    operations: Mapping[tuple[str, ...], int]


def savings(program: Program) -> dict[str, Saving]:
    """What each of `decode_forwards` saves, but for those that are the main forward.

    Raises:
        SpecError: the table cannot be counted.
    """
    if all(len(module.forwards) < 2 for module in program.modules.values()):
        return {}
    with countable(program):
        model, folder = root(program), Folder(environment(program))
        chosen = cheapest(model, folder)
        return {
            module: Saving(name, saved(model, folder, chosen, module))
            for module, name in chosen.items()
            if name
        }


def saved(
    model: Instance, folder: Folder, chosen: Mapping[str, str], module: str
) -> Mapping[tuple[str, ...], int]:
    """What one module's choice saves; S < 2 where that is no sum of 1, S, T and S * T."""

    def at(new: int, total: int) -> Fraction:
        main, other = Costs({**chosen, module: ""}), Costs(chosen)
        return operations(main, model, folder, new, total) - operations(
            other, model, folder, new, total
        )

    near, wide, long, both = at(1, 2), at(2, 2), at(1, 3), at(2, 3)
    mixed = both - wide - long + near
    per_new, per_slot = wide - near - 2 * mixed, long - near - mixed
    terms = {
        (): near - per_new - 2 * per_slot - 2 * mixed,
        ("S",): per_new,
        ("T",): per_slot,
        ("S", "T"): mixed,
    }
    if at(5, 17) != terms[()] + 5 * per_new + 17 * per_slot + 85 * mixed:
        return {(): 2, ("S",): -1}
    common = Fraction(
        gcd(*(value.numerator for value in terms.values())),
        lcm(*(value.denominator for value in terms.values())),
    )
    return {names: int(value / common) for names, value in terms.items() if value}


def operations(walk: Costs, model: Instance, folder: Folder, new: int, total: int) -> Fraction:
    """The operations for one sequence of `new` tokens, of `total` that there are then."""
    env = {**folder.env, "B": 1, "S": new, "T": total}
    amounts = (amount(case, env) for place in walk.sites(model) for case in folder.fold(place))
    return sum(amounts, Fraction(0))


def cheapest(model: Instance, folder: Folder) -> dict[str, str]:
    """`decode_forwards` of a tree that is there already."""
    chosen: dict[str, str] = {}
    present = {instance.module.id for instance in descend(model)}
    for module in model.program.modules.values():
        if len(module.forwards) < 2 or module.id not in present:
            continue
        costs = {}
        for forward in module.forwards:
            walk = Costs({**chosen, module.id: forward.name})
            costs[forward.name] = operations(walk, model, folder, 1, LONG)
        best = min(costs.values())
        chosen[module.id] = next(f.name for f in module.forwards if costs[f.name] == best)
    return chosen
