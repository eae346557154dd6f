"""What weights take in memory: to run the model in any precision, and to train it.

Knows rows only; activations are `activations`', caches `caches`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction

from specgen.analysis.quantities.terms import CONVENTIONS, RECIPES, Quantity, Term, quantity
from specgen.analysis.table.rows import Row
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import expression
from specgen.expr.node import Sym, product, total

#: Bytes of a weight, of its gradient, and of its optimizer states.
STATES = ("W", "G", "O")


def weights(rows: Iterable[Row]) -> Quantity:
    """The weights of a forward: W bytes for each element of a matrix."""
    return quantity("weights_bytes", (held(row) for row in rows if row.counted), STATES[:1])


def follows(row: Row) -> bool:
    """Whether a row is held in whatever precision is chosen: a matrix without a dtype of its own."""
    return row.kind == "map" and not row.fixed


def held(row: Row) -> Term:
    """A matrix that follows the table's precision, in any; other rows in their own."""
    amount = (
        product(*row.in_out, Sym(STATES[0]))
        if follows(row)
        else product(expression(DTYPES[row.dtype].bytes), *row.in_out)
    )
    return Term(row.multiplicity, amount, Fraction(0), row.assumptions, row.closed)


def training(parameters: Quantity) -> Quantity:
    """Weights, gradients and optimizer states of all parameters."""
    unit, convention = CONVENTIONS["training_bytes"]
    each = total(*map(Sym, STATES))
    return replace(
        parameters,
        name="training_bytes",
        unit=unit,
        convention=convention,
        expr=None if parameters.expr is None else product(each, parameters.expr),
        value=None,
        variables=STATES,
        recipes=RECIPES,
    )
