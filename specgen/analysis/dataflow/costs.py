"""Floating-point operations of a forward, symbolic: matrix products only.

Note [What is counted]: two operations for each multiply-add of a matrix product; see
`products`.  Every pair of a query and a key counts, as if nothing were masked, but in the causal
quantities; all positions get logits; routers count, and of a mixture the chosen experts.

Note [Causal]: a product that runs over every new token and every token, S x T, is one of queries
with keys or of scores with values.  Causal quantities count half of it: S x S / 2 pairs, not
S (S + 1) / 2, as published counts do (MaxText's among them).  A window makes no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from math import gcd, lcm
from typing import Final

from specgen.analysis.dataflow.products import Product, walked
from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.terms import Term, factored
from specgen.analysis.table.cases import Case, Folder, Site, amount
from specgen.analysis.table.instances import Instance, descend, environment, root
from specgen.expr.arithmetic import folded
from specgen.expr.node import (
    ONE,
    TRUE,
    Apply,
    Const,
    Expr,
    Operator,
    Sym,
    product,
    substitute,
    total,
    transform,
)
from specgen.expr.normal import settled
from specgen.ir.model import Program
from specgen.records import dataclass

#: Decoding reads a long cache: forwards are compared at this many tokens.
LONG = 2**20

#: What a forward without a cache, and one step of decoding, fix of B, S and T.
PREFILL: Final[Mapping[str, Expr]] = {"T": Sym("S", "axis")}
DECODE: Final[Mapping[str, Expr]] = {"S": ONE}


# ---- quantities ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """A product in one of its cases: how often it is there, and the operations of each."""

    product: Product
    case: Case
    operations: Expr

    @property
    def term(self) -> Term:
        return Term(
            self.case.multiplicity,
            self.operations,
            Fraction(0),
            self.case.assumptions,
            self.case.closed,
        )


@dataclass(frozen=True, slots=True)
class ProductCounting:
    """How a quantity counts products: of which forwards, with which of B, S and T fixed."""

    decoding: bool
    causal: bool = False
    times: int = 1

    @property
    def fixed(self) -> Mapping[str, Expr]:
        return DECODE if self.decoding else PREFILL

    @property
    def variables(self) -> tuple[str, ...]:
        return ("B", "T") if self.decoding else ("B", "S")


def counted(
    products: tuple[Product, ...], counting: ProductCounting, folder: Folder
) -> Iterator[Cost]:
    """The products by their cases, as a quantity counts them."""
    for found in products:
        for case in folder.fold(found.site):
            operations = transform(substitute(case.amounts[0], counting.fixed), without_ones)
            if counting.causal and found.pairs:
                operations = halved(operations)
            if counting.times != 1:
                operations = product(Const(counting.times), operations)
            yield Cost(found, case, operations)


def halved(operations: Expr) -> Expr:
    """Half of operations, of which there are two for each multiply-add."""
    number, factors = factored(operations)
    if number % 2 == 0:
        return product(Const(number // 2), *factors)
    return folded(Apply("/", (operations, Const(2))))


def without_ones(expr: Expr) -> Expr:
    """A product without a factor of 1."""
    match expr:
        case Apply(op="*", args=args):
            return product(*args)
        case _:
            return expr


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
        return cheapest(root(program))


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
    known: dict[str, Saving] | None = program.derived.get("savings")
    if known is None:
        with countable(program):
            model, folder = root(program), Folder(environment(program))
            chosen = cheapest(model)
            known = program.derived["savings"] = {
                module: Saving(name, saved(model, folder, chosen, module))
                for module, name in chosen.items()
                if name
            }
    return known


def saved(
    model: Instance, folder: Folder, chosen: Mapping[str, str], module: str
) -> Mapping[tuple[str, ...], int]:
    """What one module's choice saves; S < 2 where that is no sum of 1, S, T and S * T."""

    main, other = (
        [case for place in sites(model, forwards) for case in folder.fold(place)]
        for forwards in ({**chosen, module: ""}, chosen)
    )

    def at(new: int, total: int) -> Fraction:
        return operations(main, folder, new, total) - operations(other, folder, new, total)

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


def sites(model: Instance, forwards: Mapping[str, str]) -> tuple[Site, ...]:
    """Where the products are, with these forwards."""
    return tuple(found.site for found in walked(model, forwards).products)


def operations(cases: Iterable[Case], folder: Folder, new: int, total: int) -> Fraction:
    """The operations for one sequence of `new` tokens, of `total` that there are then."""
    env = {**folder.env, "B": 1, "S": new, "T": total}
    return sum((amount(case, env) for case in cases), Fraction(0))


@dataclass(frozen=True, slots=True)
class Choice:
    """The forward to decode with ("" is the main one), and the conditions under which it is."""

    forward: str
    conditions: tuple[Expr, ...]


def cheapest(model: Instance) -> dict[str, str]:
    """`decode_forwards` of a tree that is there already."""
    known: dict[str, str] | None = model.program.derived.get("cheapest")
    if known is None:
        chosen = choices(model, Folder(environment(model.program)))
        known = {module: choice.forward for module, choice in chosen.items()}
    return known


def choices(model: Instance, folder: Folder) -> dict[str, Choice]:
    """The cheapest forward of each module that has several, and when it is the cheapest."""
    found: dict[str, Choice] = {}
    chosen: dict[str, str] = {}
    present = {instance.module.id for instance in descend(model)}
    at: Mapping[str, Expr] = {"B": ONE, "S": ONE, "T": Const(LONG)}
    env = {**folder.env, "B": 1, "S": 1, "T": LONG}
    for module in model.program.modules.values():
        if len(module.forwards) < 2 or module.id not in present:
            continue
        values: dict[str, Fraction] = {}
        forms: dict[str, Counter[Expr]] = {}
        for name in (forward.name for forward in module.forwards):
            places = sites(model, {**chosen, module.id: name})
            cases = [case for place in places for case in folder.fold(place)]
            values[name] = sum((amount(case, env) for case in cases), Fraction(0))
            forms[name] = Counter(
                product(case.multiplicity, transform(substitute(case.amounts[0], at), without_ones))
                for case in cases
            )
        best = min(values, key=values.__getitem__)  # the first of several
        chosen[module.id] = best
        found[module.id] = Choice(best, tuple(preference(forms, best)))
    model.program.derived["cheapest"] = chosen
    return found


def preference(forms: Mapping[str, Counter[Expr]], best: str) -> Iterator[Expr]:
    """That one forward takes fewer operations than those before it, and no more than the others."""
    names = list(forms)
    for other in names:
        if other != best:  # what both do cancels: the rest is compared
            mine, its = forms[best] - forms[other], forms[other] - forms[best]
            op: Operator = "<" if names.index(other) < names.index(best) else "<="
            condition = settled(Apply(op, (added(mine), added(its))))
            if condition != TRUE:
                yield condition


def added(terms: Counter[Expr]) -> Expr:
    return total(*(product(Const(n), term) for term, n in terms.items()))
