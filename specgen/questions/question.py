"""What is asked of a table: `QUANTITY == VALUE` and the like, in the table's expression grammar.

The text is parsed as the language is and never executed; numbers are taken as they are written,
so that `671e9` and `0.1` are exact.  Knows names and quantities, not how answers are found.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.table.instances import definitions
from specgen.diagnostics.diagnostic import Diagnostics, RequestError, SpecError
from specgen.diagnostics.source import Source
from specgen.expr.evaluate import Value, exact_fraction
from specgen.expr.node import COMPARISONS, Apply, Expr, Operator, Sym, substitute, symbols
from specgen.expr.simplify import Known
from specgen.frontend.scope import Unresolved
from specgen.language import tree
from specgen.language.parser import parse_expression
from specgen.questions.session import Session
from specgen.questions.variables import variables_of
from specgen.records import dataclass
from specgen.text.printable import shorten

#: A question is one line that a person has typed.
MAX_TEXT: Final = 2000

#: Digits before and behind the point, and the exponent, of a number that is taken exactly.
MAX_DIGITS: Final = 60
MAX_EXPONENT: Final = 60

#: `671B` is no number of the language: which letter stands for which power of ten is a guess.
SUFFIXED: Final = re.compile(r"(?<![\w.])(?P<number>[0-9][0-9_.]*)(?P<unit>[kKMGBTP])(?:i?B)?\b")
POWERS: Final[Mapping[str, int]] = {"k": 3, "K": 3, "M": 6, "G": 9, "B": 9, "T": 12, "P": 15}


#: Both sides of a question are numbers without rounding.
Exact = int | Fraction


class QuestionError(RequestError):
    """The question is at fault; the message says how to ask."""


@dataclass(frozen=True, slots=True)
class Question:
    """`left` compared with `right`; both in quantities, params, lets and variables."""

    text: str
    left: Expr
    op: Operator
    right: Expr

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities that it speaks of, in the order of QUANTITIES."""
        names = symbols(self.left) | symbols(self.right)
        return tuple(name for name in QUANTITIES if name in names)


def read_question(text: str, session: Session) -> Question:
    """The question that a text asks.

    Raises:
        QuestionError: it is no comparison of two numbers.
        SpecError: it is no expression, or has a name that the table does not have.
    """
    found = read_condition(text, session)
    match found:
        case Apply(op=op, args=(left, right)) if op in COMPARISONS and op != "!=":
            return Question(text.strip(), left, op, right)
        case _:
            raise QuestionError(
                f"`{shorten(text)}` is not of the form QUANTITY == VALUE (or <=, <, >=, >)"
            )


def read_condition(text: str, session: Session, place: str = "question") -> Expr:
    """Any condition on quantities, params, lets and variables; `place` is where it was given.

    Raises:
        QuestionError: it is too long, or a number has a unit.
        SpecError: it is no expression, or has a name that the table does not have.
    """
    if len(text) > MAX_TEXT:
        raise QuestionError(f"the question is longer than {MAX_TEXT} characters")
    unit = SUFFIXED.search(text)
    if unit is not None:
        number = f"{unit['number']}e{POWERS[unit['unit']]}"
        raise QuestionError(f"`{unit[0]}` is no number here: write `{number}`")
    faults = Diagnostics()
    source = Source(place, text)
    node = parse_expression(source, None, faults)
    faults.raise_errors()
    if node is None:
        raise SpecError(faults.all)
    scope = replace(session.scope, diagnostics=faults, existence={})
    own = {*scope.symbols, *scope.lets}
    extra = {
        **{name: Sym(name, "axis") for name in variables_of(session.family.loaded[1])},
        **{name: Sym(name, "real") for name in QUANTITIES},
    }
    scope = scope.child(symbol for name, symbol in extra.items() if name not in own)
    try:
        return scope.resolve(make_exact(node))
    except Unresolved:
        raise SpecError(faults.all) from None


def make_exact(node: tree.Expression) -> tree.Expression:
    """The tree with its decimal numbers as the fractions that they are written as."""
    match node:
        case tree.LiteralSyntax(value=float(), span=span):
            written = span.source.text[span.start : span.end].replace("_", "")
            return read_decimal(written, node)
        case tree.OperationSyntax(operands=operands):
            return replace(node, operands=tuple(map(make_exact, operands)))
        case tree.CallSyntax(arguments=arguments):
            return replace(node, arguments=tuple(map(make_exact, arguments)))
        case tree.ListOfSyntax(items=items):
            return replace(node, items=tuple(map(make_exact, items)))
        case _:
            return node


def read_decimal(written: str, node: tree.LiteralSyntax) -> tree.Expression:
    mantissa, _, exponent = written.lower().partition("e")
    if not mantissa[:1].isdigit():
        return node  # `inf`
    if len(mantissa) > MAX_DIGITS or abs(int(exponent[:9] or 0)) > MAX_EXPONENT:
        raise QuestionError(f"`{shorten(written)}` has too many digits to be taken exactly")
    number = Fraction(written)
    whole = replace(node, value=number.numerator)
    if number.denominator == 1:
        return whole
    return tree.OperationSyntax("/", (whole, replace(node, value=number.denominator)), node.span)


def write_in_params(expr: Expr, found: Ledger, session: Session) -> Expr:
    """The expression with quantities and lets written out, in params and variables.

    Raises:
        QuestionError: the table does not have a quantity that is asked for.
    """
    forms: dict[str, Expr] = {}
    for name in symbols(expr) & QUANTITIES.keys() - session.params.keys():
        quantity = found.quantities[name]
        if quantity.expr is None:
            raise QuestionError(f"{name} has no value: {quantity.absent}")
        forms[name] = quantity.expr
    return substitute(substitute(expr, forms), definitions(found.program))


def list_open_names(question: Question, session: Session) -> frozenset[str]:
    """The variables that the question depends on.

    Raises:
        QuestionError: the table does not have a quantity that is asked for.
    """
    sides = (
        write_in_params(side, session.base, session) for side in (question.left, question.right)
    )
    return frozenset(n for side in sides for n in symbols(side)) - session.params.keys()


def reduce_fraction(number: Fraction | int | float) -> Exact:
    """The number as it is, whole where it is whole."""
    found = exact_fraction(number)
    return found.numerator if found.denominator == 1 else found


def require_number(value: Value) -> Fraction | int | float:
    """A side of a question.

    Raises:
        QuestionError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | Fraction | float):
        raise QuestionError("both sides of the question must be numbers")
    return value


def bind_variables(
    variables: Mapping[str, Value], given: Collection[str], unknowns: Collection[str]
) -> dict[str, Known]:
    """The variables of a question.

    Where nobody says otherwise all tokens are new ones: T is S, also where S is an unknown.
    """
    follows = "S" in unknowns and "T" not in (*given, *unknowns)
    return {**variables, **({"T": Sym("S", "size")} if follows else {})}


def require_value(known: Known) -> Value:
    """The value of a name that is not defined by others.

    Raises:
        QuestionError: it is.
    """
    if isinstance(known, Expr):
        raise QuestionError("a variable that follows another one has no value of its own")
    return known
