"""The matrix products of a forward, each once for every place that it is folded to.

Walks the dataflow and follows where values come from: the new tokens, or a cache.  Knows sizes in
the model's names, and no quantity.

Note [What is a product]: maps applied to values, and einsums of two tensors that sum over
something; of a mixture the chosen experts.  Elementwise work, norms, softmax and lookups are none.

Note [Origins]: a value is new where it depends on the new tokens, their positions or the mask, and
old where it is read from a cache or computed from that and from weights alone.  What is appended
to a cache is read from it again, so it is old.  An old value that meets a new one in a product is
what a runtime may keep for every token instead of what it is computed from: keys and values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import count as counter

from specgen.analysis.dataflow.reach import method
from specgen.analysis.table.cases import Site
from specgen.analysis.table.instances import OWN, Instance, join, root, written_out
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import (
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
from specgen.expr.solving import quotient, solve, variables
from specgen.ir.alternatives import meant
from specgen.ir.model import (
    REST,
    Append,
    ApplyMap,
    Assign,
    CallFunction,
    CallPart,
    Function,
    Mixture,
    Op,
    Program,
    Return,
    Scalar,
    Template,
    Type,
    Value,
    Var,
    Weight,
)
from specgen.ir.visit import Joining
from specgen.ops.contract import sides
from specgen.ops.record import Trait
from specgen.ops.registry import has
from specgen.records import dataclass

Dims = tuple[Expr, ...]

#: Functions and parts that call each other several times multiply; longer walks are refused.
MAX_STEPS = 50_000


@dataclass(frozen=True, slots=True)
class ProductOrigin:
    """Where a value comes from; see Note [Origins].  Equal `key`s are the same numbers."""

    new: bool
    old: bool
    key: int

    @property
    def kept(self) -> bool:
        """Whether a runtime may keep it from one step to the next."""
        return self.old and not self.new


@dataclass(frozen=True, slots=True)
class Operand:
    """A value that only caches and weights determine; `dims` are those of all tokens."""

    key: int
    dims: Dims
    dtype: str


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product in its place; the amount of `site` is the operations of one instance.

    `name` is the row, or the module that has the einsum, as the table calls it; `text` what is
    multiplied; `axes` all that is run through.  `kept` are operands that meet a new value.
    """

    site: Site
    name: Template
    text: str
    axes: Dims
    kept: tuple[Operand, ...] = ()

    @property
    def pairs(self) -> bool:
        """Whether every new token meets every token: queries and keys."""
        return Sym("S") in self.axes and Sym("T") in self.axes


@dataclass(frozen=True, slots=True)
class Walked:
    """The products of a forward in its order, and the `limits` that it compares tokens with."""

    products: tuple[Product, ...]
    limits: tuple[Expr, ...]


def walked(model: Instance, forwards: Mapping[str, str]) -> Walked:
    """What `Products` finds with these forwards, once for each program."""
    known: dict[frozenset[tuple[str, str]], Walked]
    known = model.program.derived.setdefault("walked", {})
    chosen = frozenset((module, name) for module, name in forwards.items() if name)
    if chosen not in known:
        walk = Products(forwards)
        products = tuple(walk.of(model))
        known[chosen] = Walked(products, tuple(walk.limits))
    return known[chosen]


@dataclass(frozen=True, slots=True)
class ProductFrame:
    """A body being walked: whose it is, what its names mean, and how often it runs.

    `scope` gives the body's names in the root's; `rest` are the dims that `...` stands for.
    `chosen` maps the indices of mixtures to how many of their values run for one token.
    """

    instance: Instance
    scope: Mapping[str, Expr]
    rest: Dims
    condition: Expr
    chosen: Mapping[str, Expr]

    def dims(self, type_: Type) -> Dims:
        """A shape in the root's names, `...` filled in."""
        found: list[Expr] = []
        for dim in type_.shape:
            if dim == REST:
                found.extend(self.rest)
            else:
                found.append(substitute(dim, self.scope))
        return tuple(found)


@dataclass
class Products:
    """The products of a forward; `forwards` says which one each module uses.

    `limits` are, after the run, sizes of the table that tokens are compared with: what they are to
    all tokens T decides what is seen of them.
    """

    forwards: Mapping[str, str]
    limits: dict[Expr, None] = field(default_factory=dict)
    found: list[Product] = field(default_factory=list)
    _steps: Iterator[int] = field(default_factory=counter)
    _keys: Iterator[int] = field(default_factory=counter)

    def of(self, model: Instance) -> Sequence[Product]:
        """The products in the order of the forward."""
        if model.module.forward is not None:
            forward = chosen_forward(model, self.forwards)
            names = {argument.name: self.origin(new=True) for argument in forward.args}
            frame = ProductFrame(model, {}, (), model.condition, {})
            ProductInterpreter(self, frame, names).run(forward.body)
        return self.found

    def origin(
        self, *sources: ProductOrigin, new: bool = False, old: bool = False
    ) -> ProductOrigin:
        """That of a value computed from others."""
        return ProductOrigin(
            new or any(source.new for source in sources),
            old or any(source.old for source in sources),
            next(self._keys),
        )

    def step(self) -> None:
        if next(self._steps) > MAX_STEPS:
            raise EvaluationError(f"its forward runs through more than {MAX_STEPS} operations")


@dataclass(frozen=True)
class ProductInterpreter(Joining[ProductOrigin]):
    """Follows where values come from; `names` are those of the body, by where theirs do."""

    products: Products
    frame: ProductFrame
    names: dict[str, ProductOrigin]

    def begin(self, value: Value) -> None:
        self.products.step()

    def var(self, value: Var) -> ProductOrigin:
        return self.names.get(value.name) or self.products.origin()

    def weight(self, value: Weight) -> ProductOrigin:
        return self.products.origin()

    def scalar(self, value: Scalar) -> ProductOrigin:
        return self.products.origin()

    def op(self, value: Op) -> ProductOrigin:
        sources, frame = [*self.operands(value)], self.frame
        if has(value, Trait.CONTRACTS):
            self.products.found += contractions(value, sources, frame)
        elif has(value, Trait.COMPARES) and Sym("T", "axis") in frame.dims(value.types[0]):
            self.products.limits.update(dict.fromkeys(compared_with(value.args, frame)))
        return sources[0] if has(value, Trait.RENAMES) else self.products.origin(*sources)

    def apply_map(self, value: ApplyMap) -> ProductOrigin:
        source, frame = self.value(value.value), self.frame
        for tensor in frame.instance.module.tensors_named(value.row):
            out = frame.instance.resolve(tensor.shape[0])
            axes = (*frame.dims(value.value.types[0]), out)
            place = site(under(frame, tensor.condition), product(Const(2), *axes))
            name = join(frame.instance.prefixes[OWN], (value.row,))
            self.products.found.append(Product(place, name, "map", axes))
        return self.products.origin(source)

    def call_part(self, value: CallPart) -> ProductOrigin:
        return self.part(value, value.args, [*self.operands(value)])

    def mixture(self, value: Mixture) -> ProductOrigin:
        sources = [*self.operands(value)]
        chosen = self.frame.dims(value.index.types[0])[-1]
        result = self.part(value, (value.value,), sources[:1], chosen)
        return self.products.origin(result, *sources)

    def part(
        self,
        call: CallPart | Mixture,
        args: tuple[Value, ...],
        sources: list[ProductOrigin],
        mixture: Expr | None = None,
    ) -> ProductOrigin:
        frame, results = self.frame, []
        for child in called_parts(frame.instance, call):
            forward = chosen_forward(child, self.products.forwards)
            scope, rest = bound(forward, args, child.scope, frame)
            chosen = frame.chosen
            if mixture is not None:
                chosen = {**chosen, child.indices[-1][0]: mixture}
            condition = conjunction(frame.condition, child.condition)
            inner = ProductFrame(child, scope, rest, condition, chosen)
            results.append(self.inside(forward, inner, sources).run(forward.body))
        return self.products.origin(*filter(None, results))

    def call_function(self, value: CallFunction) -> ProductOrigin:
        sources = [*self.operands(value)]
        function, scope, rest = called(value, self.frame)
        inner = self.inside(function, replace(self.frame, scope=scope, rest=rest), sources)
        return inner.run(function.body) or self.products.origin()

    def inside(
        self, function: Function, frame: ProductFrame, args: list[ProductOrigin]
    ) -> ProductInterpreter:
        """The interpreter of a body that is called with arguments from there."""
        names = dict(zip((a.name for a in function.args), args, strict=True))
        return ProductInterpreter(self.products, frame, names)

    def append(self, value: Append) -> ProductOrigin:
        self.value(value.value)
        return self.products.origin(old=True)

    def assign(self, statement: Assign) -> None:
        origin = self.value(statement.value)
        for i, name in enumerate(statement.names):  # the results of one value are others
            self.names[name] = origin if i == 0 else self.products.origin(origin)

    def ret(self, statement: Return) -> ProductOrigin:
        return self.either(*map(self.value, statement.values))

    def under(self, condition: Expr, holds: bool) -> ProductInterpreter:
        test = condition if holds else negation(condition)
        return replace(self, frame=under(self.frame, test), names=dict(self.names))

    def join(
        self,
        sides: tuple[ProductInterpreter, ProductInterpreter],
        returned: tuple[ProductOrigin | None, ProductOrigin | None],
    ) -> ProductOrigin | None:
        then, otherwise = (side.names for side in sides)
        for name in {**then, **otherwise}:
            found = (names[name] for names in (then, otherwise) if name in names)
            self.names[name] = self.either(*found)
        origins = [origin for origin in returned if origin is not None]
        return self.either(*origins) if origins else None

    def either(self, *origins: ProductOrigin) -> ProductOrigin:
        """That of a value which is any of these."""
        return origins[0] if len(set(origins)) == 1 else self.products.origin(*origins)


def compared_with(values: Iterable[Value], frame: ProductFrame) -> Iterator[Expr]:
    """The sizes of the table in the operands of an op, in the root's names."""
    for value in values:
        if isinstance(value, Op):
            yield from compared_with(value.args, frame)
        elif isinstance(value, Scalar):
            size = written_out(value.expr, frame.scope, "a limit")
            if symbols(size) & frame.instance.program.values.keys():
                yield size


def limits_of_sight(program: Program) -> tuple[Expr, ...]:
    """What keeps queries of the main forward from seeing all tokens.

    Raises:
        EvaluationError: the forward is beyond the limits.
    """
    return walked(root(program), {}).limits


def called_parts(instance: Instance, call: CallPart | Mixture) -> Iterator[Instance]:
    """The instances that a call can mean: of alternatives, those that take what it gives."""
    parts = meant(instance.program, instance.module, call)
    for child in instance.children:
        if any(child.caller is part for part in parts):
            yield child


def chosen_forward(instance: Instance, forwards: Mapping[str, str]) -> Function:
    """The forward that an instance runs, "" being the main one."""
    name = forwards.get(instance.module.id, "")
    return next(f for f in instance.module.forwards if f.name == name)


def called(call: CallFunction, frame: ProductFrame) -> tuple[Function, dict[str, Expr], Dims]:
    """The function of a call, what its names mean there, and the dims that `...` stands for."""
    own = call.method
    name = call.function
    module, functions = frame.instance.module, frame.instance.program.functions
    function = method(module, name) if own else functions[name]
    scope, rest = bound(function, call.args, frame.scope if own else {}, frame)
    scope |= {n: written_out(dim, frame.scope, n) for n, dim in call.dims.items()}
    for argument, value in zip(function.args, call.args, strict=True):
        if isinstance(value, Scalar):
            scope[argument.name] = written_out(value.expr, frame.scope, argument.name)
    return function, scope, rest


def under(frame: ProductFrame, condition: Expr) -> ProductFrame:
    """The frame where a condition of the body holds as well."""
    return replace(
        frame, condition=conjunction(frame.condition, substitute(condition, frame.scope))
    )


def bound(
    function: Function, args: tuple[Value, ...], names: Mapping[str, Expr], frame: ProductFrame
) -> tuple[dict[str, Expr], Dims]:
    """What the callee's names and `...` mean: `names`, and shape variables from the arguments."""
    scope = dict(names)
    rest: Dims = ()
    formals: list[Dims] = []
    actuals: list[Dims] = []
    for argument, value in zip(function.args, args, strict=True):
        if not value.types or isinstance(value, Scalar):
            continue
        actual = frame.dims(value.types[0])
        formal = argument.type.shape
        if REST in formal:
            leading = len(actual) - (len(formal) - 1)
            rest, actual = actual[:leading], actual[leading:]
            formal = formal[1:]
        formals.append(formal)
        actuals.append(actual)
    for step in solve(formals, variables(formals) - scope.keys()):
        whole = actuals[step.argument][step.axis]
        size = quotient(whole, substitute(step.divisor, scope)) if step.divisor != ONE else whole
        scope[step.name] = written_out(size, {}, step.name)
    for name, size in frame.scope.items():
        if name[:1].isupper():
            scope.setdefault(name, size)
    return scope, rest


def site(frame: ProductFrame, operations: Expr) -> Site:
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


def contractions(op: Op, sources: list[ProductOrigin], frame: ProductFrame) -> Iterator[Product]:
    """The products of an einsum, contracted from left to right."""
    inputs, output = sides(op)
    dims = [frame.dims(arg.types[0]) for arg in op.args]
    operands = [axes(names, shape) for names, shape in zip(inputs, dims, strict=True)]
    met = tuple(
        Operand(source.key, shape, arg.types[0].dtype)
        for source, shape, arg in zip(sources, dims, op.args, strict=True)
        if source.kept and any(other.new for other in sources)
    )
    text = f"{', '.join(' '.join(names) for names in inputs)} -> {' '.join(output)}"
    sizes: dict[str, Expr] = {}
    for operand in operands:
        for name, size in operand:
            if sizes.get(name, ONE) == ONE:  # a dim of 1 broadcasts
                sizes[name] = size
    left = [name for name, _ in operands[0]]
    for i, operand in enumerate(operands[1:], start=1):
        right = [name for name, _ in operand]
        later = {name for other in operands[i + 1 :] for name, _ in other}
        held = {n for n in (*left, *right) if n in later or n in output or n.startswith(REST.name)}
        together = list(dict.fromkeys((*left, *right)))
        if any(name in left and name in right and name not in held for name in together):
            run = tuple(sizes[name] for name in together)
            place = site(frame, product(Const(2), *run))
            yield Product(place, frame.instance.prefixes[OWN], text, run, met)
            met = ()
        left = [name for name in together if name in held]


def axes(names: tuple[str, ...], dims: Dims) -> list[tuple[str, Expr]]:
    """The named axes of an operand; those that `...` stands for are numbered from the right."""
    if REST.name not in names:
        return list(zip(names, dims, strict=True))
    at = names.index(REST.name)
    extra = len(dims) - (len(names) - 1)
    leading = [f"{REST.name}{extra - i}" for i in range(extra)]
    return list(zip((*names[:at], *leading, *names[at + 1 :]), dims, strict=True))
