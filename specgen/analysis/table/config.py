"""A model's configuration as its naming scheme writes it, from the table's `config` section.

Values keep their types: a size is an int, a real a float, null is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from specgen.analysis.table.instances import environment
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.expr.evaluate import EvaluationError, Plain, Value, evaluate, evaluate_int
from specgen.expr.node import Expr
from specgen.ir.model import ConfigRow, Program


def config(program: Program, scheme: str) -> dict[str, Any]:
    """The configuration of this variant: nested as the dotted keys say, in the table's order.

    Raises:
        SpecError: a value cannot be computed, or a key is written twice.
    """
    env = environment(program)
    diagnostics = Diagnostics()
    found: dict[str, Any] = {}
    rows = [row for row in program.configs[scheme] if not row.role]
    lists: set[str] = set()
    for row in rows:
        if row.key in lists:
            continue
        try:
            if row.index is not None:
                lists.add(row.key)
                value = items([other for other in rows if other.key == row.key], row.index, env)
            elif evaluate(row.condition, env) is True:
                value = written(row, env)
            else:
                continue
        except EvaluationError as error:
            diagnostics.report("E0802", None, key=row.key, reason=error)
            continue
        if not place(found, row.key.split("."), value):
            reason = "it is written twice"
            diagnostics.report("E0802", None, key=row.key, reason=reason)
    diagnostics.raise_errors()
    return found


def items(rows: Sequence[ConfigRow], index: tuple[str, Expr], env: dict[str, Value]) -> object:
    """The list that these rows write, an item for each value of the index.

    Raises:
        EvaluationError: an item has no value, or more than one.
    """
    found = []
    for i in range(evaluate_int(index[1], env)):
        inner = {**env, index[0]: i}
        said = [written(r, inner) for r in rows if evaluate(r.condition, inner) is True]
        if len(said) != 1:
            raise EvaluationError(f"item {i} is written {len(said)} times")
        found += said
    return found


def place(found: dict[str, Any], keys: list[str], value: object) -> bool:
    """Writes a value below its keys; False where something else stands there already."""
    *outer, last = keys
    for key in outer:
        inner = found.setdefault(key, {})
        if not isinstance(inner, dict):
            return False
        found = inner
    if last in found:
        return False
    found[last] = value
    return True


def written(row: ConfigRow, env: dict[str, Value]) -> object:
    """The value of a row as JSON has it."""
    if isinstance(row.value, tuple):
        return [plain(evaluate(item, env)) for item in row.value]
    return plain(evaluate(row.value, env))


def plain(value: Value) -> Plain:
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    if isinstance(value, float) and value - value != 0:
        raise EvaluationError(f"{value} is not a number that JSON can hold")
    return value
