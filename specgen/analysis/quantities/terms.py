"""Quantities as sums of terms: each a closed form, its exact value, and the convention behind it.

Knows how a sum is put together and what each quantity is called; not where terms come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from specgen.analysis.quantities.record import QuantityRecord
from specgen.expr.arithmetic import added, summed
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import Apply, Const, Expr, product
from specgen.expr.printing import TABLE, to_text
from specgen.records import dataclass

if TYPE_CHECKING:
    from sympy import Basic as Condition
    from sympy import Expr as Symbolic


@dataclass(frozen=True, slots=True)
class Recipe:
    """Values of a quantity's variables that many choose."""

    name: str
    values: Mapping[str, int]
    description: str


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of a table.

    `expr` is in the model's names, and in the `variables` (`variables.VARIABLES` says what each is) that a
    user is free to choose; with such, there is no `value`, and there may be `recipes` for them.
    `expr` holds for other parameters where the `assumptions` do, and for no others where it is
    not `closed`.  Where the quantity is `absent`, that says why.  `limits` are what keeps queries from
    seeing all tokens, such as the size of a window: the tokens out of sight are counted too.
    """

    name: str
    unit: str
    convention: str
    expr: Expr | None
    value: int | None
    variables: tuple[str, ...] = ()
    assumptions: tuple[Expr, ...] = ()
    closed: bool = True
    absent: str | None = None
    recipes: tuple[Recipe, ...] = ()
    limits: tuple[Expr, ...] = ()

    @property
    def sympy(self) -> Symbolic | None:
        """The closed form as a sympy expression, in the model's params and lets and the variables."""
        from specgen.expr.sympy_bridge import to_sympy

        return None if self.expr is None else to_sympy(self.expr)

    @property
    def assumptions_sympy(self) -> tuple[Condition, ...]:
        """The conditions under which the closed form holds, in sympy's logic."""
        from specgen.expr.sympy_bridge import to_condition

        return tuple(map(to_condition, self.assumptions))

    @property
    def remark(self) -> str:
        """What is said wherever the figure is printed; "" where nothing is."""
        limits = " and ".join(f"`{to_text(limit, TABLE)}`" for limit in self.limits)
        return UNSEEN.format(limits=limits) if limits and self.expr is not None else ""


#: What a figure says of tokens that are in the cache, and that some queries do not see.
UNSEEN: Final = "counts every token of every layer, also those that {limits} keeps out of sight"


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a sum: an amount, how often it is there, and both together as a number."""

    multiplicity: Expr
    amount: Expr
    value: Fraction
    assumptions: tuple[Expr, ...] = ()
    closed: bool = True


#: Why a release has no figure of what it stores; the way is its own word.
STORED_OTHERWISE: Final = "the release stores its weights otherwise than the table says: {way}"

#: Precisions to train in, with Adam's two moments.
RECIPES: Final = (
    Recipe("f32", {"W": 4, "G": 4, "O": 8}, "everything in f32"),
    Recipe(
        "mixed",
        {"W": 2, "G": 2, "O": 12},
        "weights and gradients in bf16; a copy of the weights and both moments in f32",
    ),
    Recipe(
        "mixed_f32_gradients",
        {"W": 2, "G": 4, "O": 12},
        "as mixed, gradients summed up in f32",
    ),
    Recipe("bf16", {"W": 2, "G": 2, "O": 4}, "everything in bf16"),
)


def absent(record: QuantityRecord, reason: str) -> Quantity:
    """A quantity that the table has no figure of."""
    return Quantity(record.name, record.unit, record.convention["en"], None, None, absent=reason)


def quantity(record: QuantityRecord, terms: Iterable[Term]) -> Quantity:
    """The sum of the terms as a quantity; absent where it is not a whole number.

    Only an average can be that: where experts differ, of which a token chooses some.
    """
    kept = tuple(terms)
    value = sum((term.value for term in kept), start=Fraction(0))
    if not record.variables and value.denominator != 1:
        return absent(record, f"on the average of the experts it is {value}")
    return Quantity(
        record.name,
        record.unit,
        record.convention["en"],
        gathered(kept),
        None if record.variables else value.numerator,
        record.variables,
        tuple(dict.fromkeys(a for term in kept for a in term.assumptions)),
        all(term.closed for term in kept),
    )


def gathered(terms: Iterable[Term]) -> Expr:
    """The sum, amounts of one multiplicity taken together and equal products counted."""
    groups: dict[Expr, dict[frozenset[tuple[Expr, int]], tuple[int, tuple[Expr, ...]]]] = {}
    for term in terms:
        number, factors = factored(term.amount)
        key = frozenset((factor, factors.count(factor)) for factor in factors)
        group = groups.setdefault(term.multiplicity, {})
        known, order = group.get(key, (0, factors))
        group[key] = (known + number, order)
    return added(
        [
            product(
                multiplicity,
                summed(product(Const(n), *order) if order else Const(n) for n, order in g.values()),
            )
            for multiplicity, g in groups.items()
        ]
    )


def factored(expr: Expr) -> tuple[int, tuple[Expr, ...]]:
    """A product as its number and its other factors, in the order they are written."""
    match expr:
        case Const(value=int(value)) if not isinstance(value, bool):
            return value, ()
        case Apply(op="*", args=(left, right)):
            a, first = factored(left)
            b, second = factored(right)
            return a * b, (*first, *second)
        case _:
            return 1, (expr,)


def evaluated(quantity: Quantity, env: Mapping[str, Value]) -> int:
    """The value of a quantity for given parameters and variables.

    Raises:
        EvaluationError: it is absent, or has no whole value there.
    """
    if quantity.expr is None:
        raise EvaluationError(f"{quantity.name} has no value: {quantity.absent}")
    value = evaluate(quantity.expr, env)
    if isinstance(value, bool) or not isinstance(value, int):
        raise EvaluationError(f"{quantity.name} is {value}, which is not a whole number")
    return value
