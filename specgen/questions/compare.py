"""A changed table beside the base: every quantity of both, and which params differ.

Knows families of tables and exact evaluation; nothing of output.
"""

from __future__ import annotations

from collections.abc import Mapping

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.terms import evaluated
from specgen.analysis.quantities.variables import VARIABLES, defaults
from specgen.expr.evaluate import EvaluationError, Value
from specgen.ir.model import Program
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class QuantityFigure:
    """One quantity of one table: its value, or why it has none."""

    value: int | None
    absent: str | None = None


@dataclass(frozen=True, slots=True)
class ParamChange:
    """A param with its value in the base and in the changed table; `chosen` by the user, or one
    that follows a chosen one."""

    name: str
    before: Value
    after: Value
    chosen: bool


@dataclass(frozen=True, slots=True)
class LedgerComparison:
    """Quantities of a table, and of the base that it was changed from where there is one."""

    variables: Mapping[str, Value]
    changes: tuple[ParamChange, ...]
    changed: Mapping[str, QuantityFigure]
    base: Mapping[str, QuantityFigure] | None


def complete_variables(variables: Mapping[str, Value], *programs: Program) -> dict[str, Value]:
    """The variables of tables, with defaults for those that are not given: all tokens are new ones."""
    found = {**defaults(*programs), **variables}
    if "T" not in variables:
        found["T"] = found["S"]
    others = (name for name in found if name not in VARIABLES)
    return {name: found[name] for name in (*VARIABLES, *others) if name in found}


def evaluate_quantities(found: Ledger, variables: Mapping[str, Value]) -> dict[str, QuantityFigure]:
    """Every quantity of a ledger at its own params."""
    env = {**variables, **found.values}
    figured = {}
    for name in QUANTITIES:
        quantity = found.quantities[name]
        if quantity.expr is None:
            figured[name] = QuantityFigure(None, quantity.absent)
            continue
        try:
            figured[name] = QuantityFigure(evaluated(quantity, env))
        except EvaluationError as error:
            figured[name] = QuantityFigure(None, str(error))
    return figured


def compare_ledgers(
    changed: Ledger, base: Ledger | None, chosen: Mapping[str, object], given: Mapping[str, Value]
) -> LedgerComparison:
    """The changed table beside the base, with the variables that are `given`."""
    variables = complete_variables(given, changed.program)
    before = base.program.values if base is not None else {}
    changes = tuple(
        ParamChange(name, before[name], after, name in chosen)
        for name, after in changed.program.values.items()
        if name in before and (type(before[name]), before[name]) != (type(after), after)
    )
    return LedgerComparison(
        variables,
        changes,
        evaluate_quantities(changed, variables),
        evaluate_quantities(base, variables) if base is not None else None,
    )
