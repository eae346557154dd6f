"""Quantities as sums of terms: each a closed form, its exact value, and the convention behind it.

Knows how a sum is put together and what each quantity is called; not where terms come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from specgen.analysis.arithmetic import added, summed
from specgen.sizes.evaluate import EvaluationError, Value, evaluate
from specgen.sizes.expr import Apply, Const, Expr, product


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of a table.

    `expr` is in the model's names, and in the `variables` (batch B, new tokens S, all tokens T)
    that a user is free to choose; with such, there is no `value`.  `expr` holds for other
    parameters where the `assumptions` do, and for no others where it is not `closed`.  Where
    the quantity is `absent`, that says why.
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


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a sum: an amount, how often it is there, and both together as a number."""

    multiplicity: Expr
    amount: Expr
    value: Fraction
    assumptions: tuple[Expr, ...] = ()
    closed: bool = True


#: Quantity -> unit and convention.
CONVENTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "parameters": (
        "elements",
        "every trained number once: tied rows and stored copies are not counted again, scales of"
        " storage formats not at all; router biases are counted",
    ),
    "parameters_active": (
        "elements",
        "all that one token touches on the way through the main forward: the whole embedding and"
        " head, of each mixture as many experts as are chosen; what no forward of the model"
        " reaches is left out",
    ),
    "parameters_active_no_embedding": (
        "elements",
        "parameters_active without the rows that are only ever read one index at a time (the"
        " input embedding, unless it is tied to the head)",
    ),
    "parameters_active_no_vocabulary": (
        "elements",
        "parameters_active without the rows that have the width of the logits: neither the"
        " embedding nor the head",
    ),
    "parameters_outside_forward": (
        "elements",
        "the part of parameters that the main forward never reaches, such as"
        " multi-token-prediction layers",
    ),
    "stored_tensors": ("tensors", "every tensor of the checkpoint: scales and copies included"),
    "stored_elements": ("elements", "all stored tensors: scales and copies included"),
    "stored_scales": ("elements", "the scales of storage formats; no parameters"),
    "stored_copies": ("elements", "rows stored a second time under another name"),
    "stored_bytes": (
        "bytes",
        "the payload of all stored tensors in their stored dtypes, without file headers",
    ),
    "cache_elements_per_token": (
        "elements",
        "what one more token of one sequence adds to the caches of all layers",
    ),
    "cache_bytes_per_token": ("bytes", "cache_elements_per_token in the cache's dtype"),
    "flops_prefill": (
        "operations",
        "matrix products only, 2 per multiply-add, of B sequences of S new tokens and no cache:"
        " every query meets every key (non-causal), every position gets logits, routers count",
    ),
    "flops_decode": (
        "operations",
        "matrix products only, 2 per multiply-add, of one new token for each of B sequences of T"
        " tokens, with the cheapest of each module's forwards",
    ),
}


def quantity(name: str, terms: Iterable[Term], variables: tuple[str, ...] = ()) -> Quantity:
    """The sum of the terms as a quantity; absent where it is not a whole number.

    Only an average can be that: where experts differ, of which a token chooses some.
    """
    kept = tuple(terms)
    unit, convention = CONVENTIONS[name]
    value = sum((term.value for term in kept), start=Fraction(0))
    if not variables and value.denominator != 1:
        reason = f"on the average of the experts it is {value}"
        return Quantity(name, unit, convention, None, None, absent=reason)
    return Quantity(
        name,
        unit,
        convention,
        gathered(kept),
        None if variables else value.numerator,
        variables,
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
