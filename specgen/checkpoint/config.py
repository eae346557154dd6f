"""A model's configuration as its naming scheme writes it, from the table's `config` section.

Values keep their types: a size is an int, a real a float, null is null.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from specgen.analysis.instances import environment
from specgen.analysis.json_text import Plain
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.ir.model import ConfigRow, Program
from specgen.sizes.evaluate import EvaluationError, Value, evaluate


def config(program: Program, scheme: str) -> dict[str, Any]:
    """The configuration of this variant: nested as the dotted keys say, in the table's order.

    Raises:
        SpecError: a value cannot be computed, or a key is written twice.
    """
    env = environment(program)
    diagnostics = Diagnostics()
    found: dict[str, Any] = {}
    for row in program.configs[scheme]:
        if row.role:
            continue
        try:
            if evaluate(row.condition, env) is not True:
                continue
            value = written(row, env)
        except EvaluationError as error:
            diagnostics.report("E0802", None, key=row.key, reason=error)
            continue
        if not place(found, row.key.split("."), value):
            reason = "it is written twice"
            diagnostics.report("E0802", None, key=row.key, reason=reason)
    diagnostics.raise_errors()
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
