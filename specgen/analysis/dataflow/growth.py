"""What one step appends to the caches: which rows grow, by how many tokens, and to how many.

One answer for all who ask.  The checker refuses rows that would not hold the same tokens; rows
that can hold none are taken out of the program; and model.py lets those of a step grow together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace

from specgen.expr.node import ONE, Expr, Sym, substitute
from specgen.expr.normal import equal
from specgen.expr.solving import quotient, solve, variables
from specgen.ir import model as ir
from specgen.ir.alternatives import meant
from specgen.ir.visit import walk
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
    walk = Walk(program)
    scope = {name: Sym(name, "axis") for name in variables(formals(entry))}
    return tuple(dict.fromkeys(walk.body(program.model, entry.body, scope, ())))


def formals(function: ir.Function) -> list[tuple[Expr, ...]]:
    """The dims of the arguments, without those that `...` stands for."""
    return [tuple(dim for dim in arg.type.shape if dim != ir.REST) for arg in function.args]


@dataclass(slots=True)
class Walk:
    """Follows calls; a module that is called twice in one shape is walked once."""

    program: ir.Program
    known: dict[tuple[object, ...], tuple[Growth, ...]] = field(default_factory=dict)
    count: int = 0

    def body(
        self,
        module: ir.Module,
        body: Sequence[ir.Statement],
        scope: Mapping[str, Expr],
        path: Path,
    ) -> Iterator[Growth]:
        """The appends of a body; `scope` is what its names are in those of the root's function."""
        for value in walk(body):
            match value:
                case ir.Append(cache=name, value=inner):
                    yield self.append(module, name, inner, scope, path)
                case ir.CallPart(part=name, args=args):
                    for part in meant(self.program, module, value):
                        for growth in self.part(part, args, scope):
                            yield replace(growth, path=(*path, name, *growth.path))
                case ir.CallFunction(function=name, method=True, dims=dims):
                    function = next(f for f in module.functions if f.name == name)
                    called = {axis: substitute(dim, scope) for axis, dim in dims.items()}
                    yield from self.body(module, function.body, {**scope, **called}, path)

    def append(
        self,
        module: ir.Module,
        name: str,
        value: ir.Value,
        scope: Mapping[str, Expr],
        path: Path,
    ) -> Growth:
        cache = next(row for row in module.caches if row.name == name)
        axis = cache.shape.index(Sym(cache.along))
        return Growth(
            (*path, name),
            cache.along,
            substitute(cache.shape[0], scope),
            substitute(value.types[0].shape[axis], scope),
            scope.get(cache.along),
        )

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
                self.known[key] = tuple(dict.fromkeys(self.body(module, forward.body, inner, ())))
            found += self.known[key]
        self.count += len(found)
        return tuple(dict.fromkeys(found)) if self.count < MAX_GROWTHS else ()


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
