"""The points of a sweep: names with the values that each takes, and their product in batches."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np

from specgen.expr.columns.exact import INT64_HIGH, Array
from specgen.expr.evaluate import Value
from specgen.frontend.files import ModuleDefinition
from specgen.questions.values import SweepError, find_param, fit_value, read_number, read_value
from specgen.records import dataclass
from specgen.text.printable import shorten

#: The values of one name: a text as the command line has it, or Python's own.
Values = str | Iterable[object]

#: Points of one sweep, before any is left out.
MAX_POINTS: Final = 10_000_000

#: What a range is made of: texts, lists in brackets and everything between colons or commas.
PIECE: Final = re.compile(r'"[^"]*"|[\[(]|[\])]|[:,]|[^"\[\](),:]+')


@dataclass(frozen=True, slots=True, eq=False)
class SweepAxis:
    """One name and the values that it takes, in the order given."""

    name: str
    values: tuple[Value, ...]
    array: Array


def make_axis(name: str, values: Sequence[Value]) -> SweepAxis:
    """An axis over values that have been checked."""
    kinds = {type(value) for value in values}
    array: Array
    if kinds == {int} and all(isinstance(v, int) and abs(v) <= INT64_HIGH for v in values):
        array = np.array(values, dtype=np.int64)
    elif kinds == {float}:
        array = np.array(values, dtype=np.float64)
    elif kinds == {bool}:
        array = np.array(values, dtype=np.bool_)
    else:
        array = np.empty(len(values), dtype=object)
        for i, value in enumerate(values):
            array[i] = value
    return SweepAxis(name, tuple(values), array)


def read_axes(
    given: Sequence[tuple[str, Values]], model: ModuleDefinition
) -> tuple[SweepAxis, ...]:
    """The axes over the values of these names.

    Raises:
        SweepError: a name twice, an unknown name, a range without values, or too many points.
        SpecError: a value cannot be read, or does not fit its param.
    """
    seen: set[str] = set()
    axes = []
    for name, those in given:
        if name in seen:
            raise SweepError(
                f"`{name}` is swept twice; give all its values at once, as in 1,2,4:16:4"
            )
        seen.add(name)
        axes.append(read_axis(name, those, model))
    points = prod(len(a.values) for a in axes)
    if points > MAX_POINTS:
        lengths = " × ".join(f"{len(a.values):,}" for a in axes)
        raise SweepError(
            f"{lengths} = {points:,} points are more than {MAX_POINTS:,}; take larger steps"
        )
    return tuple(axes)


def read_axis(
    name: str, given: Values, model: ModuleDefinition, option: str = "--sweep"
) -> SweepAxis:
    """The axis over values given to an option, each as the param or the variable has it; see `read_axes`
    for the errors."""
    if isinstance(given, str):
        return make_axis(name, read_values(name, given, model, option))
    param = find_param(name, model)
    found = dict.fromkeys(
        fit_value(name, read_number(name, v), param, model, option) for v in given
    )
    if not found:
        raise SweepError(f"`{name}` has no values")
    return make_axis(name, tuple(found))


def is_interval(given: Values) -> bool:
    """Whether all whole numbers between two ends are meant; else it is values to choose among."""
    return isinstance(given, str) and given.count(":") == 1 and "," not in given


def read_interval(name: str, given: Values, model: ModuleDefinition) -> tuple[int, int]:
    """The ends of an unknown's range."""
    low, _, high = str(given).partition(":")
    match [value for end in (low, high) for value in read_values(name, end, model, "--within")]:
        case [int(a), int(b)] if a <= b:
            return a, b
        case _:
            raise SweepError(f"`{given}` is not of the form LOW:HIGH, LOW at most HIGH")


def read_values(
    name: str, text: str, model: ModuleDefinition, option: str = "--sweep"
) -> tuple[Value, ...]:
    """The values of one axis, given to an option; see `read_axes` for the errors."""
    param = find_param(name, model)
    found: dict[tuple[str, Value], Value] = {}
    for item in split_text(text, ",", name):
        ends = split_text(item, ":", name)
        if len(ends) > 3:
            raise SweepError(f"`{item.strip()}` is no range: write FROM:TO or FROM:TO:STEP")
        read = [read_value(name, end, param, model, option) for end in ends]
        for each in read if len(read) == 1 else expand_range(name, read, item):
            checked = fit_value(name, each, param, model, option)
            found.setdefault((type(checked).__name__, checked), checked)
            if len(found) > MAX_POINTS:
                raise SweepError(f"`{name}` takes more than {MAX_POINTS:,} values")
    return tuple(found.values())


def split_text(text: str, mark: str, name: str) -> list[str]:
    """The pieces of a text between marks that stand outside quotes and brackets."""
    pieces, depth = [""], 0
    for piece in PIECE.findall(text):
        depth += (piece in "[(") - (piece in "])")
        if piece == mark and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += piece
    if not all(piece.strip() for piece in pieces):
        raise SweepError(
            f"`{name}={shorten(text.strip())}` lacks a value: write {name}=FROM:TO:STEP or {name}=VALUE,VALUE"
        )
    return pieces


def expand_range(name: str, ends: Sequence[Value], text: str) -> Iterator[Value]:
    """The values of a range: its end belongs to it, where a step meets it."""
    numbers = [v for v in ends if isinstance(v, int | Fraction) and not isinstance(v, bool)]
    if len(numbers) != len(ends):
        raise SweepError(f"`{name}={shorten(text.strip())}`: a range has numbers for its ends")
    low, high, step = (*numbers, 1)[:3] if len(numbers) == 2 else numbers
    if step == 0 or (high - low) / Fraction(step) < 0:
        raise SweepError(
            f"`{name}={shorten(text.strip())}` has no values: the step leads away from the end"
            if step
            else f"`{name}={shorten(text.strip())}`: a step of 0 never arrives"
        )
    count = int((high - low) / Fraction(step)) + 1
    if count > MAX_POINTS:
        raise SweepError(
            f"`{name}={shorten(text.strip())}` has {count:,} values, more than {MAX_POINTS:,}"
        )
    for i in range(count):
        at = low + i * step
        yield at.numerator if at.denominator == 1 else at


def make_columns(axes: Sequence[SweepAxis], start: int, stop: int) -> Mapping[str, Array]:
    """The columns of the points from start to stop of the product; the last axis moves fastest."""
    at = np.arange(start, stop)
    columns: dict[str, Array] = {}
    for one in reversed(axes):
        at, place = np.divmod(at, len(one.values))
        columns[one.name] = one.array[place]
    return {one.name: columns[one.name] for one in axes}
