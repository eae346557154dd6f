"""The questions of the command line and of Python, each asked in one place: what is meant, what is at
fault, and the answer.

A value may be a text, which the table's own parser reads, or Python's own.  Knows no options and
prints nothing; an answer writes itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.variables import LENGTH
from specgen.diagnostics.diagnostic import SpecError, no_such
from specgen.expr.evaluate import EvaluationError, Value
from specgen.expr.node import Expr, Sym, conjunction
from specgen.expr.simplify import Known
from specgen.frontend.selection import Selection
from specgen.frontend.values import Override
from specgen.questions.compare import compare_ledgers, complete_variables
from specgen.questions.question import (
    QuestionError,
    bind_variables,
    list_open_names,
    read_condition,
    read_question,
)
from specgen.questions.session import WHOLE, Session
from specgen.questions.values import check_variable, read_number, read_value
from specgen.questions.variables import variables_of

if TYPE_CHECKING:
    from specgen.documents.diff import TableDifference
    from specgen.documents.formula import FormulaAnswer
    from specgen.documents.operations import OperationsAnswer
    from specgen.questions.answers import ComparisonAnswer, Objective, SweepAnswer
    from specgen.questions.influences import SensitivityAnswer
    from specgen.questions.points import SweepAxis, Values
    from specgen.questions.ranks.listing import RankAnswer
    from specgen.questions.solved import SearchAnswer, SolutionAnswer
    from specgen.questions.sweep import Progress

Changes = Mapping[str, Override]
Names = str | Sequence[str]

#: What a sweep shows where nobody says.
SHOWN: Final = (
    "parameters", "parameters_active", "stored_bytes", "cache_bytes_per_token", "flops_prefill",
    "flops_decode",
)  # fmt: skip

#: Solutions of several unknowns that are listed unless more are asked for, and at most.
LISTED: Final = 10
MAX_LISTED: Final = 200

#: Unknowns of one search.
MAX_UNKNOWNS: Final = 8


# ---- one table, many tables ------------------------------------------------------------


def explore(
    base: Selection,
    changes: Changes,
    sweeps: Sequence[tuple[str, Values]] = (),
    *,
    where: Names = (),
    quantities: Names | None = None,
    pareto: Names = (),
    seconds: float | None = None,
    progress: Progress | None = None,
) -> ComparisonAnswer | SweepAnswer:
    """Every quantity of a changed table beside the base; or, of all combinations of the swept values,
    those for which the conditions hold.

    Raises:
        RequestError: a name, a range or a condition is at fault, or there are too many points.
        SpecError: the table cannot be like that.
    """
    if sweeps:
        return sweep(base, changes, sweeps, where, quantities, pareto, seconds, progress)
    for option, given in (("where", where), ("pareto", pareto), ("seconds", seconds)):
        if given:
            raise QuestionError(f"--{option} needs --sweep: it is about many configurations")
    return compare(base, changes, quantities)


def compare(base: Selection, changes: Changes, quantities: Names | None = None) -> ComparisonAnswer:
    """Every quantity of the changed table, beside the base where params are changed."""
    from specgen.questions.answers import ComparisonAnswer

    wanted = read_quantities(quantities, tuple(QUANTITIES))
    with naming_faults():
        overrides, variables = split_changes((base,), changes)
        changed = ledger(base.changed(overrides).program())
        before = None
        if overrides:
            try:
                before = ledger(base.program())
            except SpecError:
                before = None  # a param without a default: only the changed table exists
        found = compare_ledgers(changed, before, overrides, variables)
    return ComparisonAnswer(changed.program, found, wanted, list_variables(changed, wanted))


def sweep(
    base: Selection,
    changes: Changes,
    sweeps: Sequence[tuple[str, Values]],
    where: Names = (),
    quantities: Names | None = None,
    pareto: Names = (),
    seconds: float | None = None,
    progress: Progress | None = None,
) -> SweepAnswer:
    """A row for each configuration that the table and the conditions allow."""
    from specgen.questions.answers import SweepAnswer
    from specgen.questions.points import read_axes
    from specgen.questions.sweep import MAX_SECONDS, sweep_family

    with naming_faults():
        overrides, variables = split_changes((base,), changes)
        session = Session(base.changed(overrides))
        family = session.family
        axes = read_axes(sweeps, family.loaded[1])
        names = tuple(axis.name for axis in axes)
        for name in names:
            if name in overrides or name in variables:
                raise QuestionError(f"`{name}` is both set by -D and swept")
        front = read_objectives(pareto, names) if pareto else ()
        wanted = read_quantities(quantities, () if front else SHOWN)
        wanted = tuple(dict.fromkeys((*wanted, *(n for n, _ in front if n not in names))))
        conditions = (where,) if isinstance(where, str) else tuple(where)
        passing = conjunction(*(read_filter(text, session) for text in conditions))
        given: dict[str, Known] = {
            n: v
            for n, v in complete_variables(variables, family.base.program).items()
            if n not in names and n not in family.settings
        }
        if "S" in names and "T" in given and "T" not in variables:
            given["T"] = Sym("S", "size")  # no token is in the cache before
        limit = MAX_SECONDS if seconds is None else check_seconds(seconds)
        found = sweep_family(family, axes, wanted, passing, given, progress, limit)
    used = list_variables(family.base, wanted)
    answer = SweepAnswer(family.base.program, found, wanted, given, used, conditions)
    return answer.on_front(front) if front else answer


# ---- the other way round ---------------------------------------------------------------


def solve(
    base: Selection,
    text: str,
    unknowns: Names,
    within: Mapping[str, Values],
    changes: Changes,
    limit: int = LISTED,
) -> SolutionAnswer | SearchAnswer:
    """The values of one unknown for which `QUANTITY == VALUE` holds, or the nearest ones; several
    unknowns, or values to choose among, are searched as a lattice.

    Raises:
        RequestError: the question, an unknown or its range is at fault.
        SpecError: the table cannot be counted.
    """
    from specgen.questions.lattice import search_lattice
    from specgen.questions.points import is_interval, read_interval
    from specgen.questions.solve import solve_for
    from specgen.questions.solved import AskedTable, SearchAnswer, SolutionAnswer

    if not 1 <= limit <= MAX_LISTED:
        raise QuestionError(f"--limit is a number from 1 to {MAX_LISTED}")
    with naming_faults("the question has no value"):
        overrides, variables = split_changes((base,), changes)
        session = Session(base.changed(overrides))
        question = read_question(text, session)
        names = read_unknowns(unknowns, within, session)
        left_open = list_open_names(question, session)
        given = bind_variables(
            complete_variables(variables, session.base.program), variables, names
        )
        shown = {n: v for n, v in given.items() if n in left_open and n not in names}
        context = AskedTable(session.base.program, shown)
        if len(names) == 1 and all(map(is_interval, within.values())):
            (unknown,) = names
            bounds = [read_interval(unknown, v, session.family.loaded[1]) for v in within.values()]
            one = solve_for(session, question, unknown, given, *bounds)
            return SolutionAnswer(one, context)
        axes = [read_unknown(name, within.get(name), session, given) for name in names]
        return SearchAnswer(search_lattice(session, question, axes, given, limit), context)


def measure_sensitivity(
    base: Selection, quantity: str, changes: Changes, step: Fraction
) -> SensitivityAnswer:
    """What each param does to a quantity, the strongest first; a step is a share of the value.

    Raises:
        RequestError: there is no such quantity, or it has no value.
        SpecError: the table cannot be counted.
    """
    from specgen.questions.influences import SensitivityAnswer
    from specgen.questions.sensitivity import find_influences

    (name,) = read_quantities([quantity], ())
    if not 0 < step <= 1:
        raise QuestionError(f"a step of {step} is none: give a share from above 0 to 1")
    with naming_faults():
        overrides, given = split_changes((base,), changes)
        session = Session(base.changed(overrides))
        variables = complete_variables(given, session.base.program)
        found = find_influences(session, name, variables, step)
        return SensitivityAnswer(found, session.base.program, variables)


# ---- other views of a table ------------------------------------------------------------


def divide_among_ranks(
    base: Selection, degrees: str, stages: str | None, changes: Changes
) -> RankAnswer:
    """What each rank of a layout holds: `tensor=8,pipeline=4`, and the layers of each stage.

    Raises:
        RequestError: the layout does not fit the table.
        SpecError: the table cannot be counted.
    """
    from specgen.questions.ranks.layout import read_layout
    from specgen.questions.ranks.listing import RankAnswer
    from specgen.questions.ranks.per_rank import evaluate_ranks

    layout = read_layout(degrees, stages)
    with naming_faults():
        overrides, variables = split_changes((base,), changes)
        found = ledger(base.changed(overrides).program())
        return RankAnswer(
            evaluate_ranks(found, layout, complete_variables(variables, found.program))
        )


def find_formula(base: Selection, quantity: str, changes: Changes) -> FormulaAnswer:
    """The closed form of a quantity, of a table or of its ranks; values of variables are put in.

    Raises:
        RequestError: there is no such quantity, or a variable has a value that it cannot have.
        SpecError: the table cannot be counted.
    """
    from specgen.documents.formula import FormulaAnswer, find_quantity, put_in, require_known

    require_known(quantity)
    with naming_faults():
        overrides, variables = split_changes((base,), changes)
        found = ledger(base.changed(overrides).program())
        return FormulaAnswer(found, put_in(found, find_quantity(found, quantity), variables))


def list_products(base: Selection, quantity: str, changes: Changes) -> OperationsAnswer:
    """The matrix products that a quantity of operations counts, with their numbers.

    Raises:
        RequestError: the quantity counts no operations, or depends on a variable without a value.
        SpecError: the table cannot be counted.
    """
    from specgen.analysis.quantities.flops import COUNTED
    from specgen.documents.formula import require_known
    from specgen.documents.operations import OperationsAnswer, list_operations

    require_known(quantity)
    if quantity not in COUNTED:
        raise QuestionError(
            f"`{quantity}` counts no operations; --by-op is for {', '.join(COUNTED)}"
        )
    with naming_faults():
        overrides, variables = split_changes((base,), changes)
    found = ledger(base.changed(overrides).program())
    counted = found.quantities[quantity]
    given = complete_variables(variables, found.program)
    if counted.expr is None:
        return OperationsAnswer(found, counted, (), {})
    if unset := [variable for variable in counted.variables if variable not in given]:
        reason = f"{quantity} depends on {', '.join(unset)}, a shape variable of the table alone"
        raise QuestionError(f"{reason}; without --by-op the formula has it")
    at = {variable: given[variable] for variable in counted.variables}
    return OperationsAnswer(found, counted, list_operations(found, quantity), at)


def compare_tables(a: Selection, b: Selection, changes: Changes) -> TableDifference:
    """What differs between two tables, row by row; params are changed in both.

    Raises:
        RequestError: a variable has a value that it cannot have.
        SpecError: one of the tables is at fault.
    """
    from specgen.documents.diff import compare_programs

    overrides, variables = split_changes((a, b), changes)
    left, right = (side.changed(overrides).program() for side in (a, b))
    return compare_programs(left, right, complete_variables(variables, left, right))


# ---- what is asked ---------------------------------------------------------------------


def check_seconds(given: float) -> float:
    """How long something may take; infinity is without end.

    Raises:
        RequestError: it is no length of time.
    """
    if type(given) in (int, float) and given > 0:
        return given
    raise QuestionError(f"--seconds: {given!r} is no number of seconds above 0")


@contextmanager
def naming_faults(what: str = "no value") -> Iterator[None]:
    """That something has no value is a fault of what is asked."""
    try:
        yield
    except EvaluationError as error:
        raise QuestionError(f"{what}: {error}") from None


def split_changes(
    tables: Sequence[Selection], changes: Changes
) -> tuple[dict[str, Override], dict[str, Value]]:
    """The params that are set, and the variables (B, S, T, those of a forward's own): names that no
    table has as params.

    Raises:
        RequestError: a variable has a value that it cannot have.
        SpecError: a value cannot be read.
    """
    models = [table.opened().model for table in tables]
    params = {param.name for model in models for param in model.tree.params}
    known: dict[str, str] = {}
    for model in models:  # what is a length in one of them is a length
        known |= {n: m for n, m in variables_of(model).items() if known.get(n) != LENGTH}
    overrides: dict[str, Override] = {}
    variables: dict[str, Value] = {}
    for name, given in changes.items():
        if name not in known or name in params:
            overrides[name] = given
            continue
        variables[name] = check_variable(
            name,
            read_value(name, given, None, models[0], "-D")
            if isinstance(given, str)
            else read_number(name, given),
            known[name],
        )
    return overrides, variables


def read_quantities(names: Names | None, default: tuple[str, ...]) -> tuple[str, ...]:
    """The quantities of these names, each once; `all` is all of them."""
    if names is None:
        return default
    found: dict[str, None] = {}
    for name in names.split(",") if isinstance(names, str) else names:
        if name.strip() == "all":
            found |= dict.fromkeys(QUANTITIES)
        else:
            found[require_quantity(name.strip())] = None
    return tuple(found)


def require_quantity(name: str, others: Sequence[str] = ()) -> str:
    """The name, which is that of a quantity or among the others."""
    if name not in QUANTITIES and name not in others:
        raise no_such("quantity", name, (*QUANTITIES, *others))
    return name


def read_objectives(texts: Names, axes: Sequence[str]) -> tuple[Objective, ...]:
    """The two columns of a Pareto front, and whether more is better."""
    found = []
    for item in texts.split(",") if isinstance(texts, str) else texts:
        name, _, way = item.strip().partition(":")
        if way not in ("", "min", "max"):
            raise QuestionError(f"`{item.strip()}`: write NAME, NAME:min or NAME:max")
        found.append((require_quantity(name, axes), way == "max"))
    if len(found) != 2 or found[0][0] == found[1][0]:
        raise QuestionError(
            "--pareto takes two different columns, as in parameters:max,cache_bytes"
        )
    return tuple(found)


def read_filter(text: str, session: Session) -> Expr:
    """A condition on params, lets, variables and quantities."""
    found = read_condition(text, session, "--where")
    if session.scope.kind(found) not in ("flag", "unknown"):
        raise QuestionError(f"--where {text}: this is no condition; write one such as {text} < 1e9")
    return found


def list_variables(found: Ledger, quantities: Sequence[str]) -> tuple[str, ...]:
    """The variables that some of the quantities rest on."""
    return tuple(dict.fromkeys(v for name in quantities for v in found.quantities[name].variables))


def read_unknowns(unknowns: Names, within: Mapping[str, Values], session: Session) -> list[str]:
    """The unknowns, each a param of the table or a variable."""
    listed = unknowns.split(",") if isinstance(unknowns, str) else unknowns
    found = [name.strip() for name in listed]
    known = [*session.params, *variables_of(session.family.loaded[1])]
    for name in found:
        if name not in known:
            raise no_such("parameter or variable", name, known)
        if found.count(name) > 1:
            raise QuestionError(f"--for: `{name}` is given twice")
    if len(found) > MAX_UNKNOWNS:
        raise QuestionError(f"--for: more than {MAX_UNKNOWNS} unknowns")
    for name in within:
        if name not in found:
            raise QuestionError(f"--within: `{name}` is not among the unknowns, {', '.join(found)}")
    return found


def read_unknown(
    name: str, values: Values | None, session: Session, variables: Mapping[str, Known]
) -> SweepAxis:
    """The values that one of several unknowns takes: those given, or a range around the table's."""
    from specgen.questions.lattice import choose_axis
    from specgen.questions.points import read_axis

    kind = session.kinds.get(name, "size")
    if kind not in WHOLE:
        raise QuestionError(f"--for: `{name}` is a {kind}; several unknowns are whole numbers")
    if values is not None:
        return read_axis(name, values, session.family.loaded[1], "--within")
    own = session.params.get(name, variables.get(name))
    if not isinstance(own, int):
        raise QuestionError(f"--for: give the range of `{name}`, as in --within {name}=1:4096")
    return choose_axis(name, own, 1 if kind == "size" else 0)
