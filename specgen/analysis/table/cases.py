"""Folded sites: what stands once for every choice of its indices, with how often that is.

A site is some amounts (dims, cost, ...) under indices and a condition.  It is split until, in
each case, every amount is free of indices and the condition is one condition per index; then
`counting` counts each index by itself.  Knows nothing of modules, rows or dataflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from fractions import Fraction

from specgen.analysis.table.counting import (
    MAX_ENUMERATED,
    IndexSelection,
    IndexStretch,
    comparisons,
    select,
)
from specgen.expr.arithmetic import at_most
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate, expression, truth
from specgen.expr.node import (
    FALSE,
    TRUE,
    ZERO,
    Apply,
    Const,
    Expr,
    Sym,
    conjunction,
    disjunction,
    negation,
    product,
    substitute,
    symbols,
    walk,
)
from specgen.records import dataclass

#: A row that falls into more cases than this is refused.
MAX_CASES = 4096


@dataclass(frozen=True, slots=True)
class Index:
    """One index of a folded row: its name, how many values it takes, and which.

    `values` are disjoint ascending ranges ordered by their starts; those with a step (a pattern
    such as every sixth layer) may interleave.  `count` holds where the `assumptions` do; where
    `closed` is false it is a number that was counted one by one.  `stretches` are what it sums.
    """

    name: str
    count: Expr  # closed form in the spec's names
    values: tuple[range, ...]
    assumptions: tuple[Expr, ...] = ()
    closed: bool = True
    stretches: tuple[IndexStretch, ...] = field(default=(), repr=False, compare=False)

    @property
    def size(self) -> int:
        return sum(map(len, self.values))


@dataclass(frozen=True, slots=True)
class Site:
    """`amounts` stand once for all values of the `indices` (name, count) under `condition`."""

    indices: tuple[tuple[str, Expr], ...]
    condition: Expr
    amounts: tuple[Expr, ...]


class Indexed:
    """What is there for each choice of its `indices`."""

    __slots__ = ()
    indices: tuple[Index, ...]

    @property
    def assumptions(self) -> tuple[Expr, ...]:
        """Under these the multiplicity holds for other parameters than the variant's."""
        found = [assumption for index in self.indices for assumption in index.assumptions]
        return tuple(dict.fromkeys(found))

    @property
    def closed(self) -> bool:
        """Whether the multiplicity is a closed form; else it is a number that was counted."""
        return all(index.closed for index in self.indices)


class Repeated(Indexed):
    """What is there as often as its `indices` have values together."""

    __slots__ = ()

    @property
    def multiplicity(self) -> Expr:
        return product(*(index.count for index in self.indices))

    @property
    def instances(self) -> int:
        count = 1
        for index in self.indices:
            count *= index.size
        return count


@dataclass(frozen=True, slots=True)
class Case(Repeated):
    """Amounts without indices, and the values that each index takes for them."""

    indices: tuple[Index, ...]
    amounts: tuple[Expr, ...]


def amount(case: Case, env: Mapping[str, Value]) -> Fraction:
    """The first amount of a case over all its instances; a fraction only on the average."""
    value = evaluate(case.amounts[0], env)
    if isinstance(value, bool) or not isinstance(value, int | Fraction):
        raise EvaluationError(f"a number is needed, not {describe(value)}")
    return case.instances * Fraction(value)


@dataclass
class Folder:
    """Folds sites under one set of parameter values; remembers what it has counted."""

    env: Mapping[str, Value]
    #: Why cases do not occur, in the spec's names: elsewhere they may.
    absent: dict[Expr, None] = field(default_factory=dict)
    _counted: dict[tuple[str, Expr, Expr], IndexSelection] = field(default_factory=dict)
    _folded: dict[Site, tuple[Case, ...]] = field(default_factory=dict)

    def fold(self, site: Site) -> tuple[Case, ...]:
        """The cases of a site that occur, in order of the first index values.

        Raises:
            EvaluationError: something has no value, or there are more cases than MAX_CASES.
        """
        if site not in self._folded:
            cases = []
            for case in self._split(site):
                cases.append(case)
                if len(cases) > MAX_CASES:
                    raise EvaluationError(f"a row falls into more than {MAX_CASES} cases")
            cases.sort(key=lambda c: [index.values[0].start for index in c.indices])
            self._folded[site] = tuple(cases)
        return self._folded[site]

    def _split(self, site: Site) -> Iterator[Case]:
        condition = site.condition
        if condition == FALSE:
            return
        names = frozenset(name for name, _ in site.indices)
        choice = dependent_choice(site, names)
        if choice is not None:
            yield from self._on(site, choice)
            return
        conjuncts = tuple(flattened(condition))
        mixed = next((c for c in conjuncts if len(names & symbols(c)) > 1), None)
        if mixed is not None:
            single = next((a for a in comparisons(mixed) if len(names & symbols(a)) == 1), None)
            if single is not None:
                yield from self._on(site, single)
            else:
                yield from self._each(site, min(names & symbols(mixed)), conjuncts)
            return
        for amount in (*(count for _, count in site.indices), *site.amounts):
            held = names & symbols(amount)
            if held:
                yield from self._each(site, min(held), conjuncts)
                return
        case = self._case(site, names, conjuncts)
        if case is not None:
            yield case

    def _case(self, site: Site, names: frozenset[str], conjuncts: tuple[Expr, ...]) -> Case | None:
        """The site, where it needs no further split and occurs at all."""
        fixed = [c for c in conjuncts if not names & symbols(c)]
        broken = next((c for c in fixed if not truth(evaluate(c, self.env))), None)
        if broken is not None:
            self._leave_out((negation(broken),))
            return None
        indices = []
        for name, count in site.indices:
            own = conjunction(*(c for c in conjuncts if name in symbols(c)))
            chosen = self._select(name, count, own)
            if not chosen.values:
                self._leave_out(emptiness(chosen, own, name, self.env))
                return None
            indices.append(
                Index(
                    name,
                    chosen.count,
                    chosen.values,
                    chosen.assumptions,
                    chosen.closed,
                    chosen.stretches,
                )
            )
        if fixed:
            assumed = tuple(c for c in fixed if symbols(c))
            indices[:1] = [replace(i, assumptions=assumed + i.assumptions) for i in indices[:1]]
        return Case(tuple(indices), site.amounts)

    def _select(self, name: str, count: Expr, condition: Expr) -> IndexSelection:
        key = (name, count, condition)
        if key not in self._counted:
            self._counted[key] = select(name, count, condition, self.env)
        return self._counted[key]

    def _leave_out(self, reasons: Iterable[Expr]) -> None:
        self.absent.update((reason, None) for reason in reasons if symbols(reason))

    def _on(self, site: Site, condition: Expr) -> Iterator[Case]:
        """The site once where the condition holds and once where it does not."""
        for value, guard in ((TRUE, condition), (FALSE, negation(condition))):
            yield from self._split(
                Site(
                    tuple((name, decided(count, condition, value)) for name, count in site.indices),
                    conjunction(decided(site.condition, condition, value), guard),
                    tuple(decided(amount, condition, value) for amount in site.amounts),
                )
            )

    def _each(self, site: Site, name: str, conjuncts: tuple[Expr, ...]) -> Iterator[Case]:
        """The site once for every value of an index: what depends on it has no closed form."""
        count = dict(site.indices)[name]
        own = conjunction(*(c for c in conjuncts if symbols(c) & {name, *self.env} == symbols(c)))
        values = self._select(name, count, own).values
        if sum(map(len, values)) > MAX_ENUMERATED:
            raise EvaluationError(f"sizes depend on `{name}`, which has too many values to list")
        for values_range in values:
            for value in values_range:
                fixed = {name: Const(value)}
                inner = Site(
                    tuple((n, substitute(c, fixed)) for n, c in site.indices if n != name),
                    simplified(substitute(site.condition, fixed)),
                    tuple(substitute(amount, fixed) for amount in site.amounts),
                )
                at = [n for n, _ in site.indices].index(name)
                one = Index(name, Const(1), (range(value, value + 1),), closed=False)
                for case in self._split(inner):
                    yield Case((*case.indices[:at], one, *case.indices[at:]), case.amounts)


def emptiness(
    chosen: IndexSelection, condition: Expr, index: str, env: Mapping[str, Value]
) -> Iterator[Expr]:
    """Conditions under which no value of the index is chosen, as they hold."""
    yield from chosen.assumptions
    if chosen.closed:
        yield at_most(chosen.count, ZERO)
    else:  # counted one by one, so known for these values only
        for name in sorted(symbols(condition) - {index}):
            yield Apply("==", (Sym(name), expression(env[name])))


def dependent_choice(site: Site, names: frozenset[str]) -> Expr | None:
    """The condition of a choice by an index inside an amount or a count."""
    for amount in (*(count for _, count in site.indices), *site.amounts):
        for node in walk(amount):
            match node:
                case Apply(op="cond", args=(test, _, _)) if names & symbols(test):
                    return test
    return None


def flattened(condition: Expr) -> Iterator[Expr]:
    """The conditions that all have to hold."""
    match condition:
        case Apply(op="and", args=args):
            for arg in args:
                yield from flattened(arg)
        case Apply(op="not", args=(Apply(op="or", args=args),)):
            for arg in args:
                yield from flattened(negation(arg))
        case Const(value=True):
            return
        case _:
            yield condition


def decided(expr: Expr, condition: Expr, value: Const) -> Expr:
    """The expression where the condition is known; its opposite is then known as well."""
    match expr:
        case _ if expr == condition:
            return value
        case _ if expr == negation(condition):
            return negation(value)
        case Apply(op=op, args=args):
            return simplified(Apply(op, tuple(decided(a, condition, value) for a in args)))
        case _:
            return expr


def simplified(expr: Expr) -> Expr:
    """The expression with its connectives and choices resolved where a side is known."""
    if not isinstance(expr, Apply):
        return expr
    args = tuple(simplified(arg) for arg in expr.args)
    match expr.op:
        case "and":
            return conjunction(*args)
        case "or":
            return disjunction(*args)
        case "not":
            return negation(args[0])
        case "cond" if isinstance(args[0], Const):
            return args[1] if args[0] == TRUE else args[2]
        case _:
            return Apply(expr.op, args)
