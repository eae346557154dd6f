"""Print the closed form of a quantity: parameters, active parameters, cache, FLOPs, and others."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from specgen.cli.arguments import Usage, add_format, add_spec, selections
from specgen.cli.output import emit
from specgen.diagnostics.diagnostic import suggestion

if TYPE_CHECKING:
    from specgen.analysis.quantities.ledger import Ledger, Quantity
    from specgen.expr.evaluate import Value
    from specgen.frontend.selection import Selection


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument("quantity", metavar="QUANTITY", help="such as parameters, flops_decode")
    add_format(parser, "text", "latex", "python", "js", "json")
    parser.add_argument(
        "--by-op",
        action="store_true",
        help="list the matrix products that a quantity of operations counts, with their numbers for"
        " the variables that -D sets, such as -D S=2048 (text, json)",
    )


def run(arguments: argparse.Namespace) -> int:
    from specgen.analysis.quantities import ranks
    from specgen.analysis.quantities.ledger import ledger
    from specgen.analysis.quantities.registry import QUANTITIES
    from specgen.documents.formula import FORMATS

    names = (*QUANTITIES, *ranks.RANK_QUANTITIES)
    if arguments.quantity not in names:
        close = suggestion(arguments.quantity, names)
        hint = f"did you mean `{close}`?" if close else f"there are {', '.join(names)}"
        raise Usage(f"there is no quantity `{arguments.quantity}`; {hint}")
    if arguments.by_op:
        emit(by_op(arguments).encode())
        return 0
    selection, variables = of_table(arguments)
    found = ledger(selection.program())
    if arguments.quantity in QUANTITIES:
        quantity = found.quantities[arguments.quantity]
    else:
        quantity = ranks.rank_quantities(found.program)[arguments.quantity]
    emit(FORMATS[arguments.format](found, put_in(found, quantity, variables)).encode())
    return 0


def of_table(arguments: argparse.Namespace) -> tuple[Selection, dict[str, Value]]:
    """The table with the params that -D sets, and the variables that it sets."""
    if not any(name[:1].isupper() for name, _ in arguments.defines):  # none is of a variable
        (selection,) = selections([arguments.spec], arguments)
        return selection, {}
    from specgen.cli.whatif import chosen
    from specgen.questions.points import SweepError
    from specgen.questions.question import QuestionError

    try:
        base, overrides, variables = chosen(arguments)
    except (QuestionError, SweepError) as error:
        raise Usage(str(error)) from None
    return base.changed(overrides), variables


def put_in(found: Ledger, quantity: Quantity, variables: Mapping[str, Value]) -> Quantity:
    """The quantity with values for some of its variables; without any left it has a figure."""
    from specgen.analysis.quantities.terms import evaluated
    from specgen.expr.evaluate import EvaluationError, expression
    from specgen.expr.node import substitute
    from specgen.expr.normal import tidy

    given = {n: expression(variables[n]) for n in quantity.variables if n in variables}
    if quantity.expr is None or not given:
        return quantity
    left = tuple(name for name in quantity.variables if name not in given)
    value = None
    if not left:
        try:
            value = evaluated(quantity, {**found.values, **variables})
        except EvaluationError as error:
            raise Usage(f"no value: {error}") from None
    return replace(
        quantity,
        expr=tidy(substitute(quantity.expr, given)),
        assumptions=tuple(substitute(one, given) for one in quantity.assumptions),
        recipes=tuple(one for one in quantity.recipes if not given.keys() & one.values.keys()),
        variables=left,
        value=value,
    )


def by_op(arguments: argparse.Namespace) -> str:
    """The listing of a quantity's products; why there is none, for a table without a forward."""
    from specgen.analysis.quantities.flops import COUNTED
    from specgen.analysis.quantities.ledger import ledger
    from specgen.cli.whatif import chosen
    from specgen.documents.formula import FORMATS
    from specgen.documents.operations import operations, to_json, to_terminal
    from specgen.questions.compare import complete
    from specgen.questions.points import SweepError

    name = arguments.quantity
    if name not in COUNTED:
        raise Usage(f"`{name}` counts no operations; --by-op is for {', '.join(COUNTED)}")
    if arguments.format not in ("text", "json"):
        raise Usage(f"--by-op has no format {arguments.format}; it has text and json")
    try:
        base, overrides, variables = chosen(arguments)
    except SweepError as error:
        raise Usage(str(error)) from None
    found = ledger(replace(base, overrides=overrides).program())
    quantity = found.quantities[name]
    if quantity.expr is None:
        return FORMATS[arguments.format](found, quantity)
    given = complete(variables)
    if unset := [variable for variable in quantity.variables if variable not in given]:
        reason = f"{name} depends on {', '.join(unset)}, a shape variable of the table alone"
        raise Usage(f"{reason}; without --by-op the formula has it")
    at = {variable: given[variable] for variable in quantity.variables}
    write = to_json if arguments.format == "json" else to_terminal
    return write(found, quantity, operations(found, name), at)
