"""One quantity's closed form in the notation that a reader wants: the table's, Python, JavaScript,
LaTeX or JSON.

All but the first are in the table's params alone; assumptions under which a form holds are always
part of it.  Knows quantities; the notations are `expr.printing`'s.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from specgen.analysis.quantities import ranks
from specgen.analysis.quantities.ledger import Ledger, Quantity, evaluated
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.terms import Recipe
from specgen.analysis.table.instances import definitions
from specgen.diagnostics.diagnostic import no_such
from specgen.documents.params import describe_quantity
from specgen.expr.arithmetic import evident
from specgen.expr.evaluate import Value, expression
from specgen.expr.node import FALSE, ZERO, Apply, Expr, Sym, substitute, symbols, transform
from specgen.expr.normal import tidy
from specgen.expr.printing import PYTHON, TABLE, Notation, to_text
from specgen.records import dataclass
from specgen.text.json_text import json_text

JAVASCRIPT_WORDS: Final = frozenset({
    "await", "break", "case", "catch", "class", "const", "continue", "debugger", "default",
    "delete", "do", "enum", "export", "extends", "finally", "for", "implements", "import",
    "instanceof", "interface", "new", "package", "private", "protected", "public", "static",
    "super", "switch", "this", "throw", "try", "typeof", "var", "void", "while", "with",
    "yield",
})  # fmt: skip


def write_python_name(symbol: Sym) -> str:
    return f"{symbol.name}_" if keyword.iskeyword(symbol.name) else symbol.name


def write_javascript_name(symbol: Sym) -> str:
    return f"{symbol.name}_" if symbol.name in JAVASCRIPT_WORDS else symbol.name


PYTHON_CODE: Final = Notation(
    symbol=write_python_name,
    functions={"ln": "log"},
    forms={"length": "len({0})", "contains": "({1} in {0})"},
)

JAVASCRIPT: Final = Notation(
    symbol=write_javascript_name,
    operators={
        **PYTHON.operators,
        "==": " === ", "!=": " !== ", "and": " && ", "or": " || ",
    },
    functions={
        "ln": "Math.log",
        **{
            name: f"Math.{name}"
            for name in ("ceil", "floor", "exp", "sqrt", "min", "max", "cos", "sin", "tanh", "abs")
        },
    },
    forms={"length": "{0}.length", "contains": "{0}.includes({1})"},
    constants={True: "true", False: "false", None: "null"},
    condition="{test} ? {then} : {otherwise}",
)  # fmt: skip


def write_text(found: Ledger, quantity: Quantity) -> str:
    """In the table's own notation, with the definitions of the names that it uses."""
    if quantity.expr is None:
        return f"{quantity.name}: {quantity.absent}\n"
    lines = [f"{quantity.name} = {to_text(quantity.expr, TABLE)}"]
    if not quantity.variables:
        lines.append(f"{'':{len(quantity.name)}} = {quantity.value:,} {quantity.unit}")
    lines += write_section("for", [write_recipe(found, quantity, r) for r in quantity.recipes])
    lines += write_section("where", list_definitions(found, quantity.expr))
    lines += write_section(
        "if", [to_text(assumption, TABLE) for assumption in quantity.assumptions]
    )
    if quantity.remark:
        lines += ["", quantity.remark]
    if not quantity.closed:
        lines += ["", "counted for these parameters: there is no closed form for others"]
    return "\n".join(lines) + "\n"


def write_recipe(found: Ledger, quantity: Quantity, recipe: Recipe) -> str:
    """What a recipe chooses, and what the quantity then is."""
    chosen = ", ".join(f"{name} = {value}" for name, value in recipe.values.items())
    value = evaluated(quantity, {**found.values, **recipe.values})
    return f"{chosen}: {value:,} {quantity.unit} ({recipe.name}: {recipe.description})"


def write_section(title: str, rows: list[str]) -> list[str]:
    return ["", title, *(f"  {row}" for row in rows)] if rows else []


def list_definitions(found: Ledger, expr: Expr) -> list[str]:
    """`name = definition` of each let in the expression, and of those in their definitions."""
    lets = {let.name: let.expr for let in found.program.model.lets}
    needed: set[str] = set()
    waiting = set(symbols(expr))
    while waiting:
        name = waiting.pop()
        if name in lets and name not in needed:
            needed.add(name)
            waiting |= symbols(lets[name])
    return [f"{name} = {to_text(lets[name], TABLE)}" for name in lets if name in needed]


def write_python(found: Ledger, quantity: Quantity) -> str:
    """A Python expression; `ceil`, `floor`, `log` and the like are those of `math`."""
    return write_function(found, quantity, PYTHON_CODE, "#")


def write_javascript(found: Ledger, quantity: Quantity) -> str:
    """A JavaScript expression."""
    return write_function(found, quantity, JAVASCRIPT, "//", rewrite_for_javascript)


def rewrite_for_javascript(expr: Expr) -> Expr:
    """`-a ** b` is no JavaScript, its `!` binds tighter than our `not`, its `-1 % 3` is -1."""
    match expr:
        case Apply(op="%", args=(dividend, divisor)) if not evident(ZERO, dividend):
            return Apply("%", (Apply("+", (expr, divisor)), divisor))
        case Apply(op="neg", args=(Apply(op="**") as power,)):
            return Apply("-", (ZERO, power))
        case Apply(op="not", args=(condition,)):
            return Apply("==", (condition, FALSE))
        case _:
            return expr


def write_function(
    found: Ledger,
    quantity: Quantity,
    notation: Notation,
    comment: str,
    rewrite: Callable[[Expr], Expr] = lambda expr: expr,
) -> str:
    """The expression in params, with comments for what it rests on."""
    if quantity.expr is None:
        return f"{comment} {quantity.name}: {quantity.absent}\n"
    lets = definitions(found.program)

    def written(expr: Expr) -> str:
        return to_text(transform(substitute(expr, lets), rewrite), notation)

    notes = [f"{comment} {quantity.remark}\n"] if quantity.remark else []
    notes += [f"{comment} if {written(assumption)}\n" for assumption in quantity.assumptions]
    if not quantity.closed:
        notes.append(f"{comment} counted: no closed form for other parameters\n")
    return "".join(notes) + written(quantity.expr) + "\n"


def write_latex(found: Ledger, quantity: Quantity) -> str:
    """A LaTeX formula, ordered and abbreviated as sympy does."""
    if quantity.expr is None:
        return f"% {quantity.name}: {quantity.absent}\n"
    import sympy

    from specgen.expr.sympy_bridge import to_condition, to_sympy

    lets = definitions(found.program)
    expr = to_sympy(substitute(quantity.expr, lets))
    conditions = [to_condition(substitute(a, lets)) for a in quantity.assumptions]
    names = {s: write_latex_name(s.name) for e in (expr, *conditions) for s in e.free_symbols}
    lines = [f"% {quantity.remark}"] if quantity.remark else []
    lines += [f"% if ${sympy.latex(c, symbol_names=names)}$" for c in conditions]
    if not quantity.closed:
        lines.append("% counted: no closed form for other parameters")
    return "\n".join([*lines, sympy.latex(expr, symbol_names=names, mul_symbol="dot")]) + "\n"


#: What means something else to LaTeX than itself.
LATEX_SIGNS: Final = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "{}_%$&#"},
        "\\": "\\textbackslash{}",
        "^": "\\textasciicircum{}",
        "~": "\\textasciitilde{}",
    }
)


def write_latex_name(name: str) -> str:
    """A name, or a text of the table in its quotes."""
    if name.startswith('"'):
        return "\\text{" + " ".join(name.split()).translate(LATEX_SIGNS) + "}"
    if len(name) == 1:
        return name
    return "\\mathrm{" + name.replace("_", "\\_") + "}"


def describe_formula(found: Ledger, quantity: Quantity) -> dict[str, Any]:
    """What formulas.json says of the quantity, and of which table."""
    program = found.program
    return {
        "spec": program.name,
        "variant": program.variant,
        "quantity": quantity.name,
        **describe_quantity(quantity, definitions(program)),
    }


def write_json(found: Ledger, quantity: Quantity) -> str:
    return json_text(describe_formula(found, quantity))


FORMATS: Final[Mapping[str, Callable[[Ledger, Quantity], str]]] = {
    "text": write_text,
    "latex": write_latex,
    "python": write_python,
    "js": write_javascript,
    "json": write_json,
}


def require_known(name: str) -> None:
    """Refuses the name of no quantity, of a table or of its ranks.

    Raises:
        UnknownName: it is none.
    """
    names = (*QUANTITIES, *ranks.RANK_QUANTITIES)
    if name not in names:
        raise no_such("quantity", name, names)


def find_quantity(found: Ledger, name: str) -> Quantity:
    """A quantity of a table, or of the ranks that hold it.

    Raises:
        UnknownName: there is none of that name.
        SpecError: the table cannot be counted.
    """
    require_known(name)
    if name in QUANTITIES:
        return found.quantities[name]
    return ranks.rank_quantities(found.program)[name]


def put_in(found: Ledger, quantity: Quantity, variables: Mapping[str, Value]) -> Quantity:
    """The quantity with values for some of its variables; without any left it has a figure.

    Raises:
        EvaluationError: it has no value there.
    """
    given = {n: expression(variables[n]) for n in quantity.variables if n in variables}
    if quantity.expr is None or not given:
        return quantity
    left = tuple(name for name in quantity.variables if name not in given)
    return replace(
        quantity,
        expr=tidy(substitute(quantity.expr, given)),
        assumptions=tuple(substitute(one, given) for one in quantity.assumptions),
        recipes=tuple(one for one in quantity.recipes if not given.keys() & one.values.keys()),
        variables=left,
        value=None if left else evaluated(quantity, {**found.values, **variables}),
    )


@dataclass(frozen=True, slots=True)
class FormulaAnswer:
    """The closed form of a quantity, with the table that it is of."""

    ledger: Ledger
    quantity: Quantity

    def render(self, form: str) -> bytes:
        """The closed form in one of FORMATS."""
        return FORMATS[form](self.ledger, self.quantity).encode()
