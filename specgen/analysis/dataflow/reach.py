"""What a forward touches: rows, parts and caches, and under which condition on an index.

Follows the main forwards from the model down; alternative forwards are the same function and
touch the same rows.  Knows nothing of sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

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
    CallFunction,
    CallPart,
    Function,
    Mixture,
    Module,
    Op,
    Part,
    Scalar,
    Weight,
)
from specgen.ir.visit import Noting
from specgen.ops.record import Trait
from specgen.ops.registry import has
from specgen.records import dataclass

#: A module's own functions, called with different sizes, multiply; more calls are refused.
MAX_CALLS = 4096


@dataclass(frozen=True, slots=True)
class Read:
    """A row read under a condition; `lookup` if only single rows of it are taken by index."""

    condition: Expr
    lookup: bool


@dataclass(frozen=True, slots=True)
class ReachedCall:
    """A part called under a condition; of a mixture's part, `chosen` instances are evaluated.

    That is for one token: each element of axes that are no tokens (`spread`) chooses for itself.
    """

    condition: Expr
    chosen: Expr | None
    spread: bool = False


@dataclass(slots=True)
class ReachedUses:
    """What the main forward of one module touches, in the module's own names."""

    rows: dict[str, list[Read]] = field(default_factory=dict)
    parts: dict[str, list[ReachedCall]] = field(default_factory=dict)
    caches: dict[str, list[Expr]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reach:
    """How the model's forward reaches an instance.

    `condition` is in the root's names, FALSE where it never does.  `chosen` gives, for the
    index of each mixture on the way, how many of its values one token evaluates.
    """

    instance: Instance
    uses: ReachedUses
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
    known: dict[str, ReachedUses] = {}
    waiting = [Reach(model, uses(model.module, known), TRUE, {})]
    while waiting:
        place = waiting.pop()
        yield place
        parts = zip(place.instance.module.parts, place.instance.children, strict=True)
        waiting.extend(reversed([below(place, part, child, known) for part, child in parts]))


def below(place: Reach, part: Part, child: Instance, known: dict[str, ReachedUses]) -> Reach:
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


def uses(module: Module, known: dict[str, ReachedUses]) -> ReachedUses:
    """What the main forward of a module touches; remembered in `known` by module id."""
    if module.id not in known:
        found = known[module.id] = ReachedUses()
        if module.forward is not None:
            ReachInterpreter(module, found).run(module.forward.body)
    return known[module.id]


@dataclass(frozen=True)
class ReachInterpreter(Noting):
    """Notes what a body touches; `scope` gives the names of its expressions in the module's."""

    module: Module
    found: ReachedUses
    condition: Expr = TRUE
    scope: Mapping[str, Expr] = field(default_factory=dict)
    walked: set[tuple[str, Expr, frozenset[tuple[str, Expr]]]] = field(default_factory=set)

    def read(self, row: str, *, lookup: bool = False) -> None:
        self.found.rows.setdefault(row, []).append(Read(self.condition, lookup))

    def weight(self, value: Weight) -> None:
        self.read(value.row)

    def op(self, value: Op) -> None:
        match value:
            case Op(args=(Weight(row=row), index)) if has(value, Trait.LOOKS_UP):
                self.read(row, lookup=True)
                self.value(index)
            case _:
                self.over(value)

    def apply_map(self, value: ApplyMap) -> None:
        self.read(value.row)
        self.read(f"{value.row}.bias")
        self.over(value)

    def call_part(self, value: CallPart) -> None:
        self.call(value.part, ReachedCall(self.condition, None))
        self.over(value)

    def call(self, part: str, call: ReachedCall) -> None:
        self.found.parts.setdefault(part, []).append(call)

    def call_function(self, value: CallFunction) -> None:
        """The body of a module's own function; free functions see no rows."""
        self.over(value)
        if not value.method:
            return
        function = method(self.module, value.function)
        inner = {name: written_out(dim, self.scope, name) for name, dim in value.dims.items()}
        for argument, given in zip(function.args, value.args, strict=True):
            if isinstance(given, Scalar):
                inner[argument.name] = written_out(given.expr, self.scope, argument.name)
        known = (value.function, self.condition, frozenset(inner.items()))
        if known in self.walked:
            return
        self.walked.add(known)
        if len(self.walked) > MAX_CALLS:
            raise EvaluationError(f"`{self.module.name}` calls its functions in too many ways")
        replace(self, scope=inner).run(function.body)

    def mixture(self, value: Mixture) -> None:
        *lead, each = (substitute(dim, self.scope) for dim in value.index.types[0].shape)
        others = tidy(product(*map(beside_tokens, lead)))
        chosen = each if others == ONE else tidy(product(others, each))
        self.call(value.part, ReachedCall(self.condition, chosen, others != ONE))
        self.over(value)

    def append(self, value: Append) -> None:
        self.found.caches.setdefault(value.cache, []).append(self.condition)
        self.over(value)

    def under(self, condition: Expr, holds: bool) -> ReachInterpreter:
        test = substitute(condition, self.scope)
        return replace(
            self, condition=conjunction(self.condition, test if holds else negation(test))
        )


def beside_tokens(dim: Expr) -> Expr:
    """How many elements of an axis there are for one token: shape variables count tokens."""
    return transform(
        dim, lambda node: ONE if isinstance(node, Sym) and node.kind == "axis" else node
    )


def method(module: Module, name: str) -> Function:
    """The module's own function of that name."""
    return next(function for function in module.functions if function.name == name)
