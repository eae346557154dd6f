"""The structures of a table that its page holds: the variant's, and those that one step leads to.

Conditions on params decide which rows a table has.  Each way of deciding them is a structure, a
ledger of its own; a page holds the nearest ones and says so where another would be needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.table.instances import definitions
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import COMPARISONS, Apply, Const, Expr, substitute, symbols, walk
from specgen.frontend.opened import Opened
from specgen.frontend.values import Override
from specgen.ir.model import Param, ParamValue
from specgen.records import dataclass

#: Each costs as much as counting the table once more.
MAX_STRUCTURES: Final = 4

#: Precisions that a table is asked for in, beside its own storage formats.
PRECISIONS: Final = ("bf16", "f32")

#: Values that a requirement refuses cost time and give no structure; so many are tried in all.
MAX_TRIES: Final = 2 * MAX_STRUCTURES

#: Kinds of params that have a slider.
NUMBERS: Final = frozenset({"size", "count", "real"})


@dataclass(frozen=True, slots=True)
class Flip:
    """A param set so that at least one condition is decided otherwise."""

    name: str
    value: ParamValue
    rank: int  # the lower, the more likely a slider leads there


def structures(base: Ledger, table: Opened | None) -> Iterator[Ledger]:
    """The base, then other structures of the table: one param set otherwise, then two."""
    yield base
    if table is None:
        return
    settings = table.settings()
    lets = definitions(base.program)
    conditions = [substitute(condition, lets) for condition in base.decided]
    flips = list(found(base, table, settings, conditions))
    flips.sort(key=lambda flip: flip.rank)
    held = [base]
    tries = 0
    for chosen in [*((flip,) for flip in flips), *combinations(flips, 2)]:
        if len(held) == MAX_STRUCTURES or tries == MAX_TRIES:
            return
        if len({flip.name for flip in chosen}) < len(chosen):
            continue
        more = {flip.name: override(flip.value) for flip in chosen}
        values = settled(settings, more)
        if values is None or any(holds(other, values) for other in held):
            continue
        tries += 1
        try:
            other = ledger(table.near(more))
        except SpecError:
            continue  # a requirement refuses these values
        held.append(other)
        yield other


def found(
    base: Ledger, table: Opened, settings: Mapping[str, Expr], conditions: Sequence[Expr]
) -> Iterator[Flip]:
    """The params whose change alone decides a condition otherwise, and what to change them to."""
    before = decisions(conditions, base.values)
    for param in base.program.model.params:
        if not any(param.name in symbols(condition) for condition in conditions):
            continue
        seen = {before}
        for value in candidates(param, conditions, base.values, table.formats()):
            values = {**base.values, param.name: value}
            after = decisions(conditions, values)
            if after not in seen:
                seen.add(after)
                yield Flip(param.name, value, rank(param, base.program.model.params, settings))


def rank(param: Param, params: Iterable[Param], settings: Mapping[str, Expr]) -> int:
    """First what follows a number, as a slider moves it; then numbers, precisions, choices."""
    numbers = {other.name for other in params if other.kind in NUMBERS}
    if symbols(settings[param.name]) & numbers:
        return 0
    return 1 if param.kind in NUMBERS else 2 if param.kind == "dtype" else 3


def decisions(conditions: Iterable[Expr], values: Mapping[str, Value]) -> tuple[bool | None, ...]:
    return tuple(truth(condition, values) for condition in conditions)


def truth(condition: Expr, values: Mapping[str, Value]) -> bool | None:
    try:
        return evaluate(condition, values) is True
    except EvaluationError:
        return None


def candidates(
    param: Param, conditions: Iterable[Expr], values: Mapping[str, Value], formats: Sequence[str]
) -> Iterator[ParamValue]:
    """Values that may decide otherwise, nearest to what the conditions name."""
    match param.kind, param.value:
        case "flag", bool(value):
            yield not value
        case "choice", _:
            yield from (choice for choice in param.choices if choice != param.value)
        case "dtype", _:
            yield from (name for name in (*formats, *PRECISIONS) if name != param.value)
        case (("size" | "count"), _):
            lowest = 1 if param.kind == "size" else 0
            bounds = [n for n in limits(param.name, conditions, values) if isinstance(n, int)]
            near = [n + step for step in (0, 1, -1) for n in bounds]
            yield from dict.fromkeys(n for n in near if n >= lowest)
        case "real", _:
            for bound in limits(param.name, conditions, values):
                yield from (float(bound), float(bound) + 1, float(bound) - 1)
        case _:
            return  # lists have no nearest neighbour


def limits(
    name: str, conditions: Iterable[Expr], values: Mapping[str, Value]
) -> Iterator[int | float]:
    """What the conditions compare the param with."""
    for condition in conditions:
        for node in walk(condition):
            match node:
                case Apply(op=op, args=(left, right)) if op in COMPARISONS:
                    for side, other in ((left, right), (right, left)):
                        if name in symbols(side) and name not in symbols(other):
                            try:
                                value = evaluate(other, values)
                            except EvaluationError:
                                continue
                            if isinstance(value, int | float) and not isinstance(value, bool):
                                yield value


def override(value: ParamValue) -> Override:
    assert value is not None
    return value


def settled(
    settings: Mapping[str, Expr], more: Mapping[str, Override]
) -> Mapping[str, Value] | None:
    """The values of all params under the overrides; None where one has none."""
    values: dict[str, Value] = {}
    waiting = {
        name: Const(value) if isinstance(value := more.get(name), bool | int | float | str) else e
        for name, e in settings.items()
    }
    while waiting:
        ready = [name for name, e in waiting.items() if not symbols(e) & waiting.keys()]
        if not ready:
            return None
        for name in ready:
            try:
                values[name] = evaluate(waiting.pop(name), values)
            except EvaluationError:
                return None
    return values


def holds(other: Ledger, values: Mapping[str, Value]) -> bool:
    """Whether the ledger's conditions are decided alike for these params."""
    lets = definitions(other.program)
    return all(truth(substitute(c, lets), values) for c in other.decided)
