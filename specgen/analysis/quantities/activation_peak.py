"""The most that the values of a forward take in memory at once, as one closed form.

Of all moments those stay of which no other is at least as large whatever the sizes are; the peak
is the greatest of them.  Knows moments, and not how a forward runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.activations import MAX_MOMENTS, Memory, Sizes, TooManyMoments
from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import Quantity, Term, absent, gathered
from specgen.analysis.table.cases import Case, Folder, Site
from specgen.analysis.table.instances import Instance, definitions
from specgen.expr.arithmetic import at_most, evident
from specgen.expr.facts import extent
from specgen.expr.node import (
    ONE,
    ZERO,
    Apply,
    Const,
    Expr,
    Sym,
    product,
    substitute,
    symbols,
)
from specgen.expr.normal import normalize
from specgen.expr.polynomial import Monomial, TooComplex
from specgen.records import dataclass

ACTIVATION_PEAK_BYTES: Final = QuantityRecord(
    "activation_peak_bytes",
    "bytes",
    title={"en": "Activation peak", "zh": "激活峰值"},
    convention={
        "en": (
            "the most that the values of one main forward take at once, of B sequences of S "
            "new tokens, T in all, evaluated eagerly without gradients: names live until "
            "their function returns, results until they are used, claimed platform "
            "operations run as one, causal masks are never there, the chosen experts run at "
            "once; without weights and caches"
        ),
        "zh": (
            "一次主前向的值同时占用的最多字节数：B 个序列，每个 S 个新 token，共 T 个，逐步求"
            "值，不留梯度；名字到其函数返回为止，中间结果到用完为止；声明为平台操作的函数算一"
            "步，因果掩码不存在，被选中的专家同时计算；权重与缓存不计"
        ),
    },
    variables=("B", "S", "T"),
)

TOO_MANY: Final = f"more than {MAX_MOMENTS} moments of the forward may be the fullest"
TOO_LONG: Final = "the sizes of the forward are too long to be compared"

#: A size as coefficients, by the numbers that `Sizing` gives to monomials.
Coefficients = Mapping[int, int | Fraction]


@dataclass(frozen=True, slots=True)
class Moment:
    """What is alive at once, as `alive` and as a comparison needs it: a sum, or sizes to be added.

    It occurs where the `assumptions` hold; for the table's own params only, if not `closed`.
    """

    alive: Expr | Sizes
    size: Coefficients
    assumptions: tuple[Expr, ...]
    closed: bool


@dataclass(frozen=True)
class Sizing:
    """Sizes as polynomials, and which of two is greater whatever the params are.

    `names` writes the sizes out, `positive` are those of at least 1.  Monomials have numbers,
    since they take long to hash.
    """

    names: Mapping[str, Expr]
    positive: frozenset[str]
    _numbers: dict[Monomial, int] = field(default_factory=dict)
    _sizes: dict[Expr, Coefficients] = field(default_factory=dict)
    _multiples: dict[tuple[int, int], bool] = field(default_factory=dict)

    def of(self, size: Expr) -> Coefficients:
        """The size as a polynomial."""
        if size not in self._sizes:
            self._sizes[size] = {
                self._numbers.setdefault(monomial, len(self._numbers)): (
                    c.numerator if c.denominator == 1 else c
                )
                for monomial, c in normalize(substitute(size, self.names)).terms
            }
        return self._sizes[size]

    def total(self, sizes: Sizes) -> Coefficients:
        """The sum of sizes, each as often as it is there."""
        found: dict[int, int | Fraction] = {}
        for size, count in sizes.items():
            for monomial, c in self.of(size).items():
                found[monomial] = found.get(monomial, 0) + count * c
        return found

    def at_least(self, high: Coefficients, low: Coefficients) -> bool:
        """Whether high >= low, on sight: each term of low is covered by multiples of it."""
        surplus = {m: high.get(m, 0) - low.get(m, 0) for m in {**high, **low}}
        spare = {m: c for m, c in surplus.items() if c > 0}
        for needed, missing in surplus.items():
            rest = -missing
            for monomial in spare if rest > 0 else ():
                if self.multiple(monomial, needed):
                    taken = min(rest, spare[monomial])
                    rest -= taken
                    spare[monomial] -= taken
            if rest > 0:
                return False
        monomials = list(self._numbers)
        return all(extent(base).natural for m, c in spare.items() if c for base, _ in monomials[m])

    def multiple(self, number: int, other: int) -> bool:
        """Whether a monomial is the other times sizes that are at least 1."""
        pair = number, other
        if pair not in self._multiples:
            monomials = list(self._numbers)
            powers = dict(monomials[number])
            for base, power in monomials[other]:
                powers[base] = powers.get(base, 0) - power
            self._multiples[pair] = all(
                power == 0 or (power > 0 and isinstance(base, Sym) and base.name in self.positive)
                for base, power in powers.items()
            )
        return self._multiples[pair]


def count(context: CountingContext) -> Iterable[Quantity]:
    """The most bytes that the values of one main forward take at once."""
    record = ACTIVATION_PEAK_BYTES
    try:
        kept = fullest(context.model, context.folder)
    except TooManyMoments:
        yield absent(record, TOO_MANY)
    except TooComplex:
        yield absent(record, TOO_LONG)
    else:
        yield Quantity(
            record.name,
            record.unit,
            record.convention["en"],
            greatest([together(moment.alive) for moment in kept]),
            None,
            record.variables,
            tuple(dict.fromkeys(a for moment in kept for a in moment.assumptions)),
            all(moment.closed for moment in kept),
        )


def fullest(model: Instance, folder: Folder) -> list[Moment]:
    """The moments of which none is at least as large as another whatever the sizes are.

    Raises:
        TooManyMoments, TooComplex: the forward is beyond the limits.
    """
    memory = Memory()
    memory.run(model)
    positive = {param.name for param in model.module.params if param.kind == "size"} | {"B", "S"}
    # T is S and what was there before, under a name that no param has.
    names = {
        **definitions(model.program),
        "T": Apply("+", (Sym("S", "axis"), Sym("T - S", "count"))),
    }
    sizing = Sizing(names, frozenset(positive))
    kept: list[Moment] = []
    for moment in moments(memory.moments, folder, sizing):
        if not any(sizing.at_least(other.size, moment.size) for other in kept):
            kept = [other for other in kept if not sizing.at_least(moment.size, other.size)]
            kept.append(moment)
    return kept


def moments(known: Mapping[Site, list[Sizes]], folder: Folder, sizing: Sizing) -> Iterator[Moment]:
    """The moments of every place, by its cases."""
    for place, alive in known.items():
        indices = {name for name, _ in place.indices}
        for sizes in alive:
            varies = any(not symbols(size).isdisjoint(indices) for size in sizes)
            amounts = (together(sizes),) if varies else ()
            for case in folder.fold(replace(place, amounts=amounts)):
                assumed = tuple(occurrence(case, sizing.positive))
                if varies:
                    amount = case.amounts[0]
                    yield Moment(amount, sizing.of(amount), assumed, case.closed)
                else:
                    yield Moment(sizes, sizing.total(sizes), assumed, case.closed)


def together(alive: Expr | Sizes) -> Expr:
    """The sum of sizes, each as often as it is there."""
    if not isinstance(alive, Counter):
        return alive
    return gathered(Term(ONE, product(Const(n), size), Fraction(0)) for size, n in alive.items())


def occurrence(case: Case, positive: frozenset[str]) -> Iterator[Expr]:
    """What a case assumes, and that it is there at all."""
    for index in case.indices:
        yield from index.assumptions
        sure = isinstance(index.count, Sym) and index.count.name in positive
        if not sure and not evident(ONE, index.count):
            yield at_most(ONE, index.count)


def greatest(sizes: Sequence[Expr]) -> Expr:
    """The greatest of the sizes, as a tree that is not deep."""
    if not sizes:
        return ZERO
    if len(sizes) == 1:
        return sizes[0]
    half = len(sizes) // 2
    return Apply("max", (greatest(sizes[:half]), greatest(sizes[half:])))


GROUP: Final = QuantityGroup((ACTIVATION_PEAK_BYTES,), count)
