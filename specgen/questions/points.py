"""The points of a sweep: names with the values that each takes, and their product in batches.

Texts from a command line are read by the table's own parser and checked as its params are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Final

import numpy as np

from specgen.analysis.quantities.terms import LENGTH, VARIABLES
from specgen.diagnostics.diagnostic import Diagnostics, SpecError, suggestion
from specgen.diagnostics.source import Source, Span
from specgen.expr.columns.exact import INT64_HIGH, Array
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate
from specgen.frontend.files import Definition
from specgen.frontend.scope import Scope, Unresolved
from specgen.frontend.values import MAX_SIZE, check_value
from specgen.language import tree
from specgen.language.parser import parse_expression
from specgen.questions.question import MAX_TEXT, exactly
from specgen.questions.variables import variables_of
from specgen.records import dataclass

#: Points of one sweep, before any is left out.
MAX_POINTS: Final = 10_000_000

#: What a range is made of: texts, lists in brackets and everything between colons or commas.
PIECE: Final = re.compile(r'"[^"]*"|[\[(]|[\])]|[:,]|[^"\[\](),:]+')


class SweepError(Exception):
    """What is swept is at fault; the message says how and what to write instead."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One name and the values that it takes, in the order given."""

    name: str
    values: tuple[Value, ...]
    array: Array


def axis(name: str, values: Sequence[Value]) -> Axis:
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
    return Axis(name, tuple(values), array)


def swept(texts: Sequence[tuple[str, str]], model: Definition) -> tuple[Axis, ...]:
    """The axes that `name=values` texts describe.

    Raises:
        SweepError: a name twice, an unknown name, a range without values, or too many points.
        SpecError: a value cannot be read, or does not fit its param.
    """
    seen: set[str] = set()
    axes = []
    for name, text in texts:
        if name in seen:
            raise SweepError(
                f"`{name}` is swept twice; give all its values at once, as in 1,2,4:16:4"
            )
        seen.add(name)
        axes.append(axis(name, values(name, text, model)))
    points = prod(len(a.values) for a in axes)
    if points > MAX_POINTS:
        lengths = " × ".join(f"{len(a.values):,}" for a in axes)
        raise SweepError(
            f"{lengths} = {points:,} points are more than {MAX_POINTS:,}; take larger steps"
        )
    return tuple(axes)


def values(name: str, text: str, model: Definition) -> tuple[Value, ...]:
    """The values of one axis; see `swept` for the errors."""
    params = {param.name: param for param in model.tree.params}
    variables = variables_of(model)
    if name not in params and name not in variables:
        names = [*params, *variables]
        close = suggestion(name, names)
        hint = f"did you mean `{close}`?" if close else f"there are {', '.join(names)}"
        raise SweepError(f"there is no parameter or variable `{name}`; {hint}")
    param = params.get(name)
    found: dict[tuple[str, Value], Value] = {}
    for item in split(text, ",", name):
        ends = split(item, ":", name)
        if len(ends) > 3:
            raise SweepError(f"`{item.strip()}` is no range: write FROM:TO or FROM:TO:STEP")
        read = [value(name, end, param, model) for end in ends]
        for each in read if len(read) == 1 else stretch(name, read, item):
            checked = checked_value(name, each, param, model)
            found.setdefault((type(checked).__name__, checked), checked)
            if len(found) > MAX_POINTS:
                raise SweepError(f"`{name}` takes more than {MAX_POINTS:,} values")
    return tuple(found.values())


def split(text: str, mark: str, name: str) -> list[str]:
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
            f"`{name}={shown(text)}` lacks a value: write {name}=FROM:TO:STEP or {name}=VALUE,VALUE"
        )
    return pieces


def value(name: str, text: str, param: tree.Param | None, model: Definition) -> Value:
    """The value that a text stands for: a word of the param's choices, or a constant expression."""
    word = text.strip()
    if param is not None and (word in param.choices or param.type == "dtype"):
        return word
    if len(word) > MAX_TEXT:
        raise SweepError(f"a value of `{name}` is longer than {MAX_TEXT} characters")
    diagnostics = Diagnostics()
    node = parse_expression(Source(f"--sweep {name}", word), None, diagnostics)
    diagnostics.raise_errors()
    if node is None:
        raise SpecError(diagnostics.all)
    try:
        return evaluate(Scope(diagnostics, model).resolve(exactly(node)), {})
    except Unresolved:
        raise SpecError(diagnostics.all) from None
    except EvaluationError as error:
        raise SweepError(f"`{name}={shown(word)}`: {error}") from None


def stretch(name: str, ends: Sequence[Value], text: str) -> Iterator[Value]:
    """The values of a range: its end belongs to it, where a step meets it."""
    numbers = [v for v in ends if isinstance(v, int | Fraction) and not isinstance(v, bool)]
    if len(numbers) != len(ends):
        raise SweepError(f"`{name}={shown(text)}`: a range has numbers for its ends")
    low, high, step = (*numbers, 1)[:3] if len(numbers) == 2 else numbers
    if step == 0 or (high - low) / Fraction(step) < 0:
        raise SweepError(
            f"`{name}={shown(text)}` has no values: the step leads away from the end"
            if step
            else f"`{name}={shown(text)}`: a step of 0 never arrives"
        )
    count = int((high - low) / Fraction(step)) + 1
    if count > MAX_POINTS:
        raise SweepError(f"`{name}={shown(text)}` has {count:,} values, more than {MAX_POINTS:,}")
    for i in range(count):
        at = low + i * step
        yield at.numerator if at.denominator == 1 else at


def checked_value(name: str, found: Value, param: tree.Param | None, model: Definition) -> Value:
    """The value as the param, or the variable, has it."""
    if param is None:
        return variable(name, found)
    shown_value = describe(found)
    span = Span(Source(f"--sweep {name}", shown_value), 0, len(shown_value))
    diagnostics = Diagnostics()
    checked = check_value(param, found, span, model, diagnostics)
    diagnostics.raise_errors()
    return checked


def variable(name: str, found: Value) -> Value:
    """A value of a quantity's variable: a number of tokens, of sequences, or of bytes.

    Raises:
        SweepError: it is none.
    """
    number = isinstance(found, int | Fraction) and not isinstance(found, bool)
    if number and 0 < found <= MAX_SIZE and (isinstance(found, int) or name in ("W", "G", "O")):  # type: ignore[operator]  # it is one
        return found
    if found == 0 and number and name in ("G", "O"):
        return found
    raise SweepError(
        f"`{name}` ({VARIABLES.get(name, LENGTH)}) is a whole number from 1 to {MAX_SIZE}, not {describe(found)}"
    )


def shown(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else f"{text[:57]}…"


def batch(axes: Sequence[Axis], start: int, stop: int) -> Mapping[str, Array]:
    """The columns of the points from start to stop of the product; the last axis moves fastest."""
    at = np.arange(start, stop)
    columns: dict[str, Array] = {}
    for one in reversed(axes):
        at, place = np.divmod(at, len(one.values))
        columns[one.name] = one.array[place]
    return {one.name: columns[one.name] for one in axes}
