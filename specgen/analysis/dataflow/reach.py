"""What a forward touches: rows, parts and caches, and under which condition on an index.

Follows the main forwards from the model down; alternative forwards are the same function and
touch the same rows.  Knows nothing of sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import assert_never

from specgen.analysis.table.instances import Instance, written_out
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import (
    FALSE,
    ONE,
    TRUE,
    Apply,
    Expr,
    Sym,
    conjunction,
    disjunction,
    negation,
    product,
    substitute,
    total,
    transform,
)
from specgen.expr.normal import equal, tidy
from specgen.ir.model import (
    Append,
    ApplyMap,
    Assign,
    Branch,
    CallFunction,
    CallPart,
    Choose,
    Function,
    Mixture,
    Module,
    Op,
    Part,
    Return,
    Scalar,
    Statement,
    Value,
    Var,
    Weight,
)
from specgen.records import dataclass

#: A module's own functions, called with different sizes, multiply; more calls are refused.
MAX_CALLS = 4096


@dataclass(frozen=True, slots=True)
class Read:
    """A row read under a condition; `lookup` if only single rows of it are taken by index."""

    condition: Expr
    lookup: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A part called under a condition; of a mixture's part, `chosen` instances are evaluated.

    That is for one token: each element of axes that are no tokens (`spread`) chooses for itself.
    """

    condition: Expr
    chosen: Expr | None
    spread: bool = False


@dataclass(slots=True)
class Uses:
    """What the main forward of one module touches, in the module's own names."""

    rows: dict[str, list[Read]] = field(default_factory=dict)
    parts: dict[str, list[Call]] = field(default_factory=dict)
    caches: dict[str, list[Expr]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reach:
    """How the model's forward reaches an instance.

    `condition` is in the root's names, FALSE where it never does.  `chosen` gives, for the
    index of each mixture on the way, how many of its values one token evaluates.
    """

    instance: Instance
    uses: Uses
    condition: Expr
    chosen: Mapping[str, Expr]

    def row(self, name: str) -> tuple[Expr, bool, bool]:
        """The condition under which a row is read; whether by an index always, and somewhere."""
        reads = self.uses.rows.get(name, [])
        condition = disjunction(*dict.fromkeys(read.condition for read in reads))
        lookups = [read.lookup for read in reads]
        return self._here(condition), all(lookups), any(lookups)

    def cache(self, name: str) -> Expr:
        """The condition under which a cache row is written."""
        return self._here(disjunction(*dict.fromkeys(self.uses.caches.get(name, []))))

    def _here(self, condition: Expr) -> Expr:
        if condition == FALSE or self.condition == FALSE:
            return FALSE
        return conjunction(self.condition, self.instance.resolve(condition))


def reached(model: Instance) -> Iterable[Reach]:
    """The reach of every instance, parents before children."""
    known: dict[str, Uses] = {}
    waiting = [Reach(model, uses(model.module, known), TRUE, {})]
    while waiting:
        place = waiting.pop()
        yield place
        parts = zip(place.instance.module.parts, place.instance.children, strict=True)
        waiting.extend(reversed([below(place, part, child, known) for part, child in parts]))


def below(place: Reach, part: Part, child: Instance, known: dict[str, Uses]) -> Reach:
    """The reach of a part of an instance."""
    calls = [
        call  # one on the other side of a branch is of an alternative
        for call in place.uses.parts.get(part.name, [])
        if negation(call.condition) != part.condition
    ]
    condition = disjunction(*dict.fromkeys(call.condition for call in calls))
    reached: Expr = FALSE
    if condition != FALSE and place.condition != FALSE:
        reached = conjunction(place.condition, place.instance.resolve(condition))
    chosen = dict(place.chosen)
    counts = [call.chosen for call in calls]
    if part.index is not None and counts and all(count is not None for count in counts):
        index, length = child.indices[-1]
        ks = [place.instance.resolve(count) for count in counts if count is not None]
        chosen[index] = ks[0] if len(ks) == 1 else total(*ks)
        if len(ks) > 1 or any(call.spread for call in calls):
            whole = equal(chosen[index], length)
            chosen[index] = length if whole else Apply("min", (chosen[index], length))
    return Reach(child, uses(child.module, known), reached, chosen)


def uses(module: Module, known: dict[str, Uses]) -> Uses:
    """What the main forward of a module touches; remembered in `known` by module id."""
    if module.id not in known:
        walk = Walk(module, Uses())
        if module.forward is not None:
            walk.statements(module.forward.body, TRUE, {})
        known[module.id] = walk.found
    return known[module.id]


@dataclass(frozen=True, slots=True)
class Walk:
    """Collects the uses of one module."""

    module: Module
    found: Uses
    walked: set[tuple[str, Expr, frozenset[tuple[str, Expr]]]] = field(default_factory=set)

    def statements(
        self, body: tuple[Statement, ...], condition: Expr, scope: Mapping[str, Expr]
    ) -> None:
        for statement in body:
            match statement:
                case Assign(value=value):
                    self.value(value, condition, scope)
                case Return(values=values):
                    self.values(values, condition, scope)
                case Branch(condition=test, then=then, otherwise=otherwise):
                    test = substitute(test, scope)
                    self.statements(then, conjunction(condition, test), scope)
                    self.statements(otherwise, conjunction(condition, negation(test)), scope)
                case _:
                    assert_never(statement)

    def values(self, values: Iterable[Value], condition: Expr, scope: Mapping[str, Expr]) -> None:
        for value in values:
            self.value(value, condition, scope)

    def value(self, value: Value, condition: Expr, scope: Mapping[str, Expr]) -> None:
        match value:
            case Var() | Scalar():
                return
            case Weight(row=row):
                self.read(row, condition, lookup=False)
            case Op(name="take", args=(Weight(row=row), *rest)):
                self.read(row, condition, lookup=True)
                self.values(rest, condition, scope)
            case Op(args=args):
                self.values(args, condition, scope)
            case ApplyMap(row=row, value=inner):
                self.read(row, condition, lookup=False)
                self.read(f"{row}.bias", condition, lookup=False)
                self.value(inner, condition, scope)
            case CallPart(part=part, args=args):
                self.found.parts.setdefault(part, []).append(Call(condition, None))
                self.values(args, condition, scope)
            case CallFunction(args=args):
                self.values(args, condition, scope)
                self.function(value, condition, scope)
            case Mixture(part=part, value=inner, weights=weights, index=index):
                *lead, each = (substitute(dim, scope) for dim in index.types[0].shape)
                others = tidy(product(*map(beside_tokens, lead)))
                chosen = each if others == ONE else tidy(product(others, each))
                call = Call(condition, chosen, others != ONE)
                self.found.parts.setdefault(part, []).append(call)
                self.values((inner, weights, index), condition, scope)
            case Append(cache=cache, value=inner):
                self.found.caches.setdefault(cache, []).append(condition)
                self.value(inner, condition, scope)
            case Choose(condition=test, then=then, otherwise=otherwise):
                test = substitute(test, scope)
                self.value(then, conjunction(condition, test), scope)
                self.value(otherwise, conjunction(condition, negation(test)), scope)
            case _:
                assert_never(value)

    def read(self, row: str, condition: Expr, *, lookup: bool) -> None:
        self.found.rows.setdefault(row, []).append(Read(condition, lookup))

    def function(self, call: CallFunction, condition: Expr, scope: Mapping[str, Expr]) -> None:
        """The body of a module's own function; free functions see no rows."""
        if not call.method:
            return
        function = method(self.module, call.function)
        inner = {name: written_out(dim, scope, name) for name, dim in call.dims.items()}
        for argument, value in zip(function.args, call.args, strict=True):
            if isinstance(value, Scalar):
                inner[argument.name] = written_out(value.expr, scope, argument.name)
        known = (call.function, condition, frozenset(inner.items()))
        if known in self.walked:
            return
        self.walked.add(known)
        if len(self.walked) > MAX_CALLS:
            raise EvaluationError(f"`{self.module.name}` calls its functions in too many ways")
        self.statements(function.body, condition, inner)


def beside_tokens(dim: Expr) -> Expr:
    """How many elements of an axis there are for one token: shape variables count tokens."""
    return transform(
        dim, lambda node: ONE if isinstance(node, Sym) and node.kind == "axis" else node
    )


def method(module: Module, name: str) -> Function:
    """The module's own function of that name."""
    return next(function for function in module.functions if function.name == name)
