"""Values of params and of quantities' variables, from a text or from Python: read and checked.

Texts are read by the table's own parser and checked as its params are.
"""

from __future__ import annotations

from fractions import Fraction

from specgen.analysis.quantities.variables import BYTES, VARIABLES
from specgen.diagnostics.diagnostic import Diagnostics, RequestError, SpecError, no_such
from specgen.diagnostics.source import Source, Span
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate
from specgen.frontend.files import ModuleDefinition
from specgen.frontend.given import read_given
from specgen.frontend.scope import Scope, Unresolved
from specgen.frontend.values import MAX_SIZE, check_value
from specgen.language import tree
from specgen.language.parser import parse_expression
from specgen.questions.question import MAX_TEXT, make_exact, reduce_fraction
from specgen.questions.variables import variables_of
from specgen.text.printable import shorten


class SweepError(RequestError):
    """What is swept is at fault; the message says how and what to write instead."""


def find_param(name: str, model: ModuleDefinition) -> tree.ParamSyntax | None:
    """The param of that name; None for a variable of quantities."""
    params = {param.name: param for param in model.tree.params}
    known = [*params, *variables_of(model)]
    if name not in known:
        raise no_such("parameter or variable", name, known)
    return params.get(name)


def read_number(name: str, given: object) -> Value:
    """A value of Python's; a float is the decimal that it is written as.  Raises as `read_given`."""
    if isinstance(given, Fraction):
        return given
    match read_given(name, given):
        case float() as number if number - number == 0:
            return reduce_fraction(Fraction(str(number)))
        case bool() | int() | float() | str() as found:
            return found
        case items:
            return tuple(items)


def read_value(
    name: str, text: str, param: tree.ParamSyntax | None, model: ModuleDefinition, option: str
) -> Value:
    """The value of a text given to an option: a word of the param's choices, or a constant expression."""
    word = text.strip()
    if param is not None and (word in param.choices or param.type == "dtype"):
        return word
    if len(word) > MAX_TEXT:
        raise SweepError(f"a value of `{name}` is longer than {MAX_TEXT} characters")
    diagnostics = Diagnostics()
    node = parse_expression(Source(f"{option} {name}", word), None, diagnostics)
    diagnostics.raise_errors()
    if node is None:
        raise SpecError(diagnostics.all)
    try:
        return evaluate(Scope(diagnostics, model).resolve(make_exact(node)), {})
    except Unresolved:
        raise SpecError(diagnostics.all) from None
    except EvaluationError as error:
        raise SweepError(f"`{name}={shorten(word)}`: {error}") from None


def fit_value(
    name: str, found: Value, param: tree.ParamSyntax | None, model: ModuleDefinition, option: str
) -> Value:
    """The value given to an option as the param, or the variable, has it."""
    if param is None:
        return check_variable(name, found, variables_of(model)[name])
    shown_value = describe(found)
    span = Span(Source(f"{option} {name}", shown_value), 0, len(shown_value))
    diagnostics = Diagnostics()
    checked = check_value(param, found, span, model, diagnostics)
    diagnostics.raise_errors()
    return checked


def check_variable(name: str, found: Value, meaning: str) -> Value:
    """A value of a quantity's variable: a number of tokens, of sequences, or of bytes.

    `meaning` is what `variables_of` says of it.

    Raises:
        SweepError: it is none.
    """
    in_bytes = name in BYTES and meaning == VARIABLES[name]
    number = isinstance(found, int | Fraction) and not isinstance(found, bool)
    if number and 0 < found <= MAX_SIZE and (isinstance(found, int) or in_bytes):  # type: ignore[operator]  # it is one
        return found
    if found == 0 and number and in_bytes and name != "W":
        return found
    raise SweepError(
        f"`{name}` ({meaning}) is a whole number from 1 to {MAX_SIZE}, not {describe(found)}"
    )
