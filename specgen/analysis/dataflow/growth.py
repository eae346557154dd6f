"""What one step appends to the caches: which rows grow, by how many tokens, and to how many.

One answer for all who ask.  The checker refuses rows that would not hold the same tokens; rows
that can hold none are taken out of the program; and model.py lets those of a step grow together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from specgen.expr.node import ONE, Expr, Sym, substitute
from specgen.expr.normal import equal
from specgen.expr.solving import quotient, solve, variables
from specgen.ir import model as ir
from specgen.ir.alternatives import meant
from specgen.ir.visit import Noting
from specgen.records import dataclass

#: Parts from the root, and then the cache row.
Path = tuple[str, ...]

#: Functions and parts that call each other several times multiply; no more appends are followed.
MAX_GROWTHS = 10_000


@dataclass(frozen=True, slots=True)
class Growth:
    """One append, as a function of the root reaches it, in that function's shape variables.

    `new` tokens make `total`, in `batch` sequences.  No argument says how many there are in all
    where `total` is None: they are then those that are held, and the new ones.
    """

    path: Path
    axis: str
    batch: Expr
    new: Expr
    total: Expr | None

    @property
    def is_idle(self) -> bool:
        """Whether the new tokens are all that there are: nothing is ever held before them."""
        return self.total is not None and equal(self.total, self.new, {})


def entries(program: ir.Program) -> tuple[ir.Function, ...]:
    """What is called from outside: the model's forward, and its functions."""
    return (*program.model.forwards, *program.model.functions)


def growths(program: ir.Program, entry: ir.Function) -> tuple[Growth, ...]:
    """The appends of one function of the root; of alternative parts and forwards, those of each."""
    if not any(module.caches for module in program.modules.values()):
        return ()
    scope = {name: Sym(name, "axis") for name in variables(formals(entry))}
    return tuple(Calls(program).growths(program.model, entry, scope))


def formals(function: ir.Function) -> list[tuple[Expr, ...]]:
    """The dims of the arguments, without those that `...` stands for."""
    return [tuple(dim for dim in arg.type.shape if dim != ir.REST) for arg in function.args]


@dataclass(slots=True)
class Calls:
    """What is known of calls; a module that is called twice in one shape is run once."""

    program: ir.Program
    known: dict[tuple[object, ...], tuple[Growth, ...]] = field(default_factory=dict)
    count: int = 0

    def growths(
        self, module: ir.Module, function: ir.Function, scope: Mapping[str, Expr]
    ) -> tuple[Growth, ...]:
        """The appends of a forward or function; `scope` is what its names are in the root's."""
        found: dict[Growth, None] = {}
        GrowthInterpreter(self, module, scope, found).run(function.body)
        return tuple(found)

    def part(
        self, part: ir.Part, args: Sequence[ir.Value], scope: Mapping[str, Expr]
    ) -> tuple[Growth, ...]:
        """The appends below a part, each path from there."""
        module = self.program.modules[part.module]
        given = {name: substitute(expr, scope) for name, expr in part.arguments.items()}
        found: list[Growth] = []
        for forward in module.forwards:
            inner = given | bound(forward, args, scope)
            key = (module.id, forward.name, tuple(inner.items()))
            if key not in self.known:
                self.known[key] = self.growths(module, forward, inner)
            found += self.known[key]
        self.count += len(found)
        return tuple(dict.fromkeys(found)) if self.count < MAX_GROWTHS else ()


@dataclass(frozen=True)
class GrowthInterpreter(Noting):
    """Notes the appends of a body, and of what it calls, before those in its arguments."""

    calls: Calls
    module: ir.Module
    scope: Mapping[str, Expr]
    found: dict[Growth, None]

    def call_part(self, value: ir.CallPart) -> None:
        for part in meant(self.calls.program, self.module, value):
            for growth in self.calls.part(part, value.args, self.scope):
                self.found.setdefault(replace(growth, path=(value.part, *growth.path)))
        self.over(value)

    def call_function(self, value: ir.CallFunction) -> None:
        if value.method:
            function = next(f for f in self.module.functions if f.name == value.function)
            called = {axis: substitute(dim, self.scope) for axis, dim in value.dims.items()}
            replace(self, scope={**self.scope, **called}).run(function.body)
        self.over(value)

    def append(self, value: ir.Append) -> None:
        cache = next(row for row in self.module.caches if row.name == value.cache)
        axis = cache.shape.index(Sym(cache.along))
        self.found.setdefault(
            Growth(
                (cache.name,),
                cache.along,
                substitute(cache.shape[0], self.scope),
                substitute(value.value.types[0].shape[axis], self.scope),
                self.scope.get(cache.along),
            )
        )
        self.over(value)


def bound(
    function: ir.Function, args: Sequence[ir.Value], scope: Mapping[str, Expr]
) -> dict[str, Expr]:
    """The shape variables of a callee by the dims that it is given."""
    declared, found = formals(function), dict[str, Expr]()
    actual = [
        tuple(substitute(dim, scope) for dim in value.types[0].shape)[-len(shape) or None :]
        for shape, value in zip(declared, args, strict=True)
    ]
    for step in solve(declared, variables(declared)):
        whole = actual[step.argument][step.axis]
        divisor = substitute(step.divisor, found)
        found[step.name] = whole if divisor == ONE else quotient(whole, divisor)
    return found
