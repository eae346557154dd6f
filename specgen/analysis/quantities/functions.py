"""Quantities as functions of what they leave open, their params put in; and those that differ.

Knows ledgers; nothing of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import reduce

from specgen.analysis.quantities.ledger import Ledger, evaluated
from specgen.analysis.table.instances import definitions
from specgen.expr.arithmetic import evident
from specgen.expr.evaluate import EvaluationError, Value, expression
from specgen.expr.node import Apply, Expr, substitute
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Form:
    """A quantity of one table, its params put in: an expression of the `variables` alone.

    `value` is the one for the values given, None where there is none; where the quantity is
    `absent`, that says why.
    """

    variables: tuple[str, ...]
    expr: Expr | None
    value: int | None
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class FormChange:
    """A quantity with variables that is another function of them, or that one table lacks."""

    name: str
    a: Form
    b: Form

    @property
    def difference(self) -> int | None:
        """For the values given, A - B."""
        one, other = self.a.value, self.b.value
        return None if one is None or other is None else one - other


def functions(a: Ledger, b: Ledger, at: Mapping[str, Value]) -> Iterator[FormChange]:
    """The quantities with variables that differ, in the order of quantities."""
    for name, quantity in a.quantities.items():
        if quantity.variables or b.quantities[name].variables:
            one, other = form(a, name, at), form(b, name, at)
            if one.expr != other.expr:
                yield FormChange(name, one, other)


def form(found: Ledger, name: str, at: Mapping[str, Value]) -> Form:
    """A quantity as a function of its variables."""
    quantity = found.quantities[name]
    if quantity.expr is None:
        return Form((), None, None, quantity.absent)
    own = {n: expression(v) for n, v in found.values.items() if n not in quantity.variables}
    expr = tidied(substitute(substitute(quantity.expr, definitions(found.program)), own))
    try:
        value = evaluated(replace(quantity, expr=expr), at)
    except EvaluationError as error:
        return Form(quantity.variables, expr, None, str(error))
    return Form(quantity.variables, expr, value)


def tidied(expr: Expr) -> Expr:
    """The expression in its normal form, in which equal sizes are equal; of a maximum, the terms
    that are never the greatest are left out."""
    match expr:
        case Apply(op="max"):
            kept = undominated(list(greatest(expr)))
            return reduce(lambda left, right: Apply("max", (left, right)), kept)
        case _:
            try:
                return normalize(expr).to_expr()
            except (TooComplex, ZeroDivisionError):
                return expr


def greatest(expr: Expr) -> Iterator[Expr]:
    """The terms of a maximum of maxima."""
    match expr:
        case Apply(op="max", args=args):
            for arg in args:
                yield from greatest(arg)
        case _:
            yield tidied(expr)


def undominated(terms: list[Expr]) -> list[Expr]:
    """The terms without those that another one is never less than."""
    kept: list[Expr] = []
    for term in dict.fromkeys(terms):
        if not any(evident(term, other) for other in kept):
            kept = [other for other in kept if not evident(other, term)] + [term]
    return kept
