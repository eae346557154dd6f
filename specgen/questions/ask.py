"""The questions of `whatif`, `solve` and `sensitivity` asked from Python: values in, sheets out.

Values that the command line gives as text may be Python's own here.  What is at fault in a
question is a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Final

from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.diagnostics.diagnostic import suggestion
from specgen.expr.evaluate import EvaluationError, Value
from specgen.expr.node import Expr, Sym, conjunction
from specgen.expr.simplify import Known
from specgen.frontend.selection import Selection
from specgen.frontend.values import Override
from specgen.questions import influences
from specgen.questions.answers import Answer, comparison_columns, unseen
from specgen.questions.compare import compare, complete
from specgen.questions.forms import TooManyStructures
from specgen.questions.lattice import Search, default_axis, search
from specgen.questions.points import (
    Axis,
    SweepError,
    axis,
    checked_value,
    value,
    values,
    variable,
)
from specgen.questions.question import QuestionError, asked, condition, plain
from specgen.questions.sensitivity import sensitivity
from specgen.questions.session import Inquiry
from specgen.questions.sheet import Sheet
from specgen.questions.solve import Solution, solve
from specgen.questions.sweep import sweep
from specgen.questions.variables import variables_of

#: The values of one name: a text as the command line has it, or values.
Values = str | Iterable[Value]

#: What a sweep shows where nobody says.
SHOWN: Final = (
    "parameters", "parameters_active", "stored_bytes", "cache_bytes_per_token", "flops_prefill",
    "flops_decode",
)  # fmt: skip

#: Solutions of several unknowns that are listed.
LISTED: Final = 10


@contextmanager
def faults() -> Iterator[None]:
    """Faults of a question as Python has them."""
    try:
        yield
    except (QuestionError, SweepError, TooManyStructures, EvaluationError) as error:
        raise ValueError(str(error)) from None


def changed(
    base: Selection, changes: Mapping[str, Override], quantities: Sequence[str] | None
) -> Sheet:
    """Every quantity of a changed table beside the base.

    Raises:
        ValueError: a quantity or a variable is none.
        SpecError: the table cannot be changed like that.
    """
    with faults():
        wanted = known_quantities(quantities, tuple(QUANTITIES))
        selection, variables = divided(base, changes)
        more = {n: v for n, v in changes.items() if n not in variables}
        before = ledger(base.program()) if more else None
        found = compare(ledger(selection.program()), before, more, variables)
        columns = comparison_columns(found, wanted)
        return Sheet(columns, remarks=tuple(unseen(selection.program(), wanted)))


def over(
    base: Selection,
    changes: Mapping[str, Override],
    sweeps: Mapping[str, Values],
    where: str | Sequence[str],
    quantities: Sequence[str] | None,
) -> Sheet:
    """The quantities of every combination of the values, where the conditions hold.

    Raises:
        ValueError: a name, a range or a condition is none, or there are too many points.
        SpecError: a value does not fit its param.
    """
    with faults():
        wanted = known_quantities(quantities, SHOWN)
        selection, variables = divided(base, changes)
        inquiry = Inquiry(selection)
        family = inquiry.family
        axes = tuple(axis_of(inquiry, name, those) for name, those in sweeps.items())
        names = {one.name for one in axes}
        given: dict[str, Known] = {
            n: v
            for n, v in complete(variables).items()
            if n not in names and n not in family.settings
        }
        if "S" in names and "T" in given and "T" not in variables:
            given["T"] = Sym("S", "size")  # no token is in the cache before
        conditions = [where] if isinstance(where, str) else list(where)
        filters = conjunction(*(filtering(text, inquiry) for text in conditions))
        found = sweep(family, axes, wanted, filters, given)
        answer = Answer(family.base.program, found, wanted, given, (), tuple(conditions))
        remarks = (*answer.remarks, *unseen(answer.program, wanted))
        return Sheet(answer.columns, frozenset(names), remarks)


def solved(
    base: Selection,
    question: str,
    unknowns: Sequence[str],
    within: Mapping[str, Values],
    changes: Mapping[str, Override],
) -> Sheet:
    """The values of the unknowns for which a question is true, or the nearest ones.

    Raises:
        ValueError: the question, an unknown or its range is none.
        SpecError: the table cannot be counted.
    """
    with faults():
        selection, variables = divided(base, changes)
        inquiry = Inquiry(selection)
        asks = asked(question, inquiry)
        known = [*inquiry.params, *variables_of(inquiry.family.loaded[1])]
        for name in (*unknowns, *within):
            if name not in known or (name in within and name not in unknowns):
                raise QuestionError(f"there is no unknown `{name}`{hint(name, known)}")
        given = complete(variables)
        if len(unknowns) == 1 and not within:
            return solution(solve(inquiry, asks, unknowns[0], given))
        axes = [
            axis_of(inquiry, name, within[name])
            if name in within
            else default_axis(name, whole(inquiry.params.get(name, given.get(name)), name), 1)
            for name in unknowns
        ]
        return searched(search(inquiry, asks, axes, given, LISTED), unknowns)


def sensitive(
    base: Selection, quantity: str, changes: Mapping[str, Override], step: float
) -> Sheet:
    """What each param does to a quantity, the strongest first.

    Raises:
        ValueError: there is no such quantity, or it has no value.
        SpecError: the table cannot be counted.
    """
    with faults():
        (name,) = known_quantities([quantity], ())
        selection, variables = divided(base, changes)
        exact = Fraction(str(step))
        if not 0 < exact <= 1:
            raise QuestionError(f"a step of {step} is none: give a share from above 0 to 1")
        return influences.sheet(sensitivity(Inquiry(selection), name, complete(variables), exact))


# ---- what is asked ---------------------------------------------------------------------


def divided(base: Selection, changes: Mapping[str, Override]) -> tuple[Selection, dict[str, Value]]:
    """The table with the params that are set, and the variables (B, S, T, ...) that are."""
    model = base.opened().model
    known = variables_of(model)
    overrides: dict[str, Override] = {}
    variables: dict[str, Value] = {}
    for name, given in changes.items():
        if name in known:
            number = value(name, given, None, model) if isinstance(given, str) else exact(given)
            variables[name] = variable(name, number)
        else:
            overrides[name] = given
    return replace(base, overrides={**base.overrides, **overrides}), variables


def exact(given: object) -> Value:
    """A number of Python as the decimal that it is written as."""
    match given:
        case float() if given - given == 0:
            return plain(Fraction(str(given)))
        case bool() | int() | float() | str() | Fraction():
            return given
        case list() | tuple():
            return tuple(item for item in given if isinstance(item, int | float))
        case _:
            raise QuestionError(f"{given!r} is no value of a table")


def axis_of(inquiry: Inquiry, name: str, those: Values) -> Axis:
    """An axis over values, each checked as the param or the variable needs it."""
    model = inquiry.family.loaded[1]
    if isinstance(those, str):
        return axis(name, values(name, those, model))
    params = {param.name: param for param in model.tree.params}
    known = [*params, *variables_of(model)]
    if name not in known:
        raise SweepError(f"there is no parameter or variable `{name}`{hint(name, known)}")
    param = params.get(name)
    found = dict.fromkeys(checked_value(name, exact(each), param, model) for each in those)
    if not found:
        raise SweepError(f"`{name}` has no values")
    return axis(name, tuple(found))


def filtering(text: str, inquiry: Inquiry) -> Expr:
    """A condition on params, lets, variables and quantities."""
    found = condition(text, inquiry, "where")
    if inquiry.scope.kind(found) not in ("flag", "unknown"):
        raise QuestionError(f"`{text}` is no condition; write one such as {text} < 1e9")
    return found


def known_quantities(names: Sequence[str] | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """The quantities of these names."""
    if isinstance(names, str):
        names = [names]
    for name in names or ():
        if name not in QUANTITIES:
            raise QuestionError(f"there is no quantity `{name}`{hint(name, QUANTITIES)}")
    return default if names is None else tuple(dict.fromkeys(names))


def hint(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = suggestion(name, known)
    return f"; did you mean `{close}`?" if close else f"; there are {', '.join(known)}"


def whole(number: object, name: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise QuestionError(f"give the values of `{name}` that are to be searched: within=")
    return number


# ---- answers ---------------------------------------------------------------------------


def solution(found: Solution) -> Sheet:
    """A row for each value, and how near it comes."""
    rows = [(answer, "exact") for answer in found.exact]
    sides = (("below", found.below), ("above", found.above))
    rows += [(answer, word) for word, answer in sides if answer is not None]
    return Sheet(
        {
            found.unknown: [answer.value for answer, _ in rows],
            "is": [word for _, word in rows],
            "left": [answer.left for answer, _ in rows],
            "right": [answer.right for answer, _ in rows],
            "left over": [answer.left_over for answer, _ in rows],
        },
        frozenset({found.unknown}),
        (
            *(
                f"{found.unknown} = {one.value} is no table: {one.reason}"
                for one in found.forbidden
            ),
            *found.notes,
        ),
    )


def searched(found: Search, unknowns: Sequence[str]) -> Sheet:
    """A row for each point, and how near it comes."""
    rows = [(point, "exact") for point in found.points]
    sides = (("below", found.below), ("above", found.above))
    rows += [(point, word) for word, point in sides if point is not None]
    columns: dict[str, Sequence[Value]] = {
        name: [point.values[name] for point, _ in rows] for name in unknowns
    }
    columns["is"] = [word for _, word in rows]
    columns["left"] = [point.left for point, _ in rows]
    columns["right"] = [point.right for point, _ in rows]
    columns["left over"] = [point.left_over for point, _ in rows]
    counts = f"{found.found:,} of {found.allowed:,} tables, {found.size:,} points"
    return Sheet(columns, frozenset(unknowns), (counts, *found.notes))
