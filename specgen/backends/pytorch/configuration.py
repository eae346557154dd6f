"""The Config class of the generated file: the spec's params, lets, requirements and decisions.

Requirements and decided conditions of all modules are stated in the spec's params, so that a
Config for which the file does not hold cannot be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import field
from functools import cached_property
from typing import Final

from specgen.analysis.table.instances import descend, root
from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.layout import (
    INDENT,
    Atom,
    Attribute,
    KeywordArgument,
    Node,
    call,
    flat,
    grouping,
)
from specgen.backends.pytorch.plan import FilePlan, declared
from specgen.backends.pytorch.quoting import literal, quote, variable
from specgen.expr.evaluate import expression
from specgen.expr.facts import is_flag
from specgen.expr.node import (
    TRUE,
    Apply,
    Const,
    Expr,
    Sym,
    disjunction,
    negation,
    symbols,
    transform,
)
from specgen.expr.normal import settled
from specgen.expr.printing import PYTHON, to_text
from specgen.ir.model import Let, Param, Program
from specgen.records import dataclass

TYPES = {
    "size": "int",
    "count": "int",
    "real": "float",
    "flag": "bool",
    "choice": "str",
    "dtype": "str",
    "counts": "tuple[int, ...]",
    "reals": "tuple[float, ...]",
}

#: What is said of a condition that was decided.
GENERATED_FOR: Final = "as this file was generated"


@dataclass
class ConfigWriter:
    """Writes Config; `mentioned` are those of its names that the rest of the file reads."""

    plan: FilePlan
    mentioned: Set[str] = field(default_factory=frozenset)

    @property
    def program(self) -> Program:
        return self.plan.program

    def naming(self, sym: Sym) -> Node:
        return Attribute(Atom("self"), variable(sym.name))

    def write(self) -> list[str]:
        model = self.program.model
        which = "the table's defaults"
        if self.program.variant or self.program.origin:
            which = (
                f"variant {self.program.variant}"
                if self.program.variant
                else quote(self.program.origin)
            )
        if self.program.overridden:
            which += f", but for {', '.join(self.program.overridden)}"
        title = quote(model.title or model.name)
        lines = ["@dataclass(frozen=True)", "class Config:"]
        lines += docstring(
            f"Parameters of {title}; the values are those of {which}.", 1, self.purpose()
        )
        lines.append("")
        for param in model.params:
            if param.name not in self.left:
                lines += self.field(param)
        lines += self.checks()
        for let in self.lets():
            lines += ["", *self.property(let)]
        return lines

    def annotation(self, param: Param) -> str:
        if param.name in self.fixed:
            return f"Literal[{flat(sizes.constant(param.value))}]"
        return TYPES[param.kind]

    def kinds(self) -> set[str]:
        """What kinds of fields there are, by the names that the runtime decides by."""
        said = {"bool": "FLAGS", "str": "TEXTS", "tuple": "TUPLES", "Literal": "LITERALS"}
        fields = (param for param in self.program.model.params if param.name not in self.left)
        kinds = (self.annotation(param).partition("[")[0] for param in fields)
        return {said[kind] for kind in kinds if kind in said}

    def field(self, param: Param) -> list[str]:
        value, annotation = sizes.constant(param.value), self.annotation(param)
        lines = layout.lines(f"{variable(param.name)}: {annotation} = ", value, 1)
        return layout.remarked(lines, described(param), 1)

    def purpose(self) -> str:
        """What was decided for the file, and is no field."""
        facts = [to_text(fact, PYTHON) for fact in self.decisions if symbols(fact) <= self.left]
        shown = [quote(fact.replace('"', "'")) for fact in facts]
        return f"This file is for {', '.join(shown)}." if shown else ""

    @cached_property
    def left(self) -> frozenset[str]:
        """The params that can have no other value, and that nothing in the file reads."""
        read = {name for let in self.lets() for name in symbols(transform(let.expr, self.chosen))}
        read |= {name for demand in self.demands for name in symbols(demand)}
        read |= {
            name for d in self.decisions if not symbols(d) <= self.fixed for name in symbols(d)
        }
        return frozenset(name for name in self.fixed - read if variable(name) not in self.mentioned)

    def lets(self) -> list[Let]:
        """The lets that the file mentions, and those in them."""
        lets = self.program.model.lets
        names = {name for name in (let.name for let in lets) if variable(name) in self.mentioned}
        conditions = (*self.demands, *self.decisions)
        names |= {name for condition in conditions for name in symbols(condition)}
        for let in reversed(lets):  # a let uses only those before it
            if let.name in names:
                names |= symbols(transform(let.expr, self.chosen))
        return [let for let in lets if let.name in names]

    def property(self, let: Let) -> list[str]:
        expr = transform(let.expr, self.chosen)
        whole = self.plan.is_whole(self.program.model, expr)
        node = sizes.written(expr, self.naming, whole)
        annotation = "int" if whole else "bool" if is_flag(expr) else "float"
        head = definition(variable(let.name), ["self"], annotation, 1)
        return [
            f"{INDENT}@property",
            *layout.remarked(head, described(let), 1),
            *layout.lines("return ", node, 2),
        ]

    def chosen(self, expr: Expr) -> Expr:
        """The side of a choice that the decisions of this file leave."""
        if isinstance(expr, Apply) and expr.op == "cond":
            test, then, otherwise = expr.args
            if test in self.decisions:
                return then
            if self.is_refuted(test):
                return otherwise
        if isinstance(expr, Apply) and expr.op == "or":
            return disjunction(*(arg for arg in expr.args if not self.is_refuted(arg)))
        return expr

    def is_refuted(self, test: Expr) -> bool:
        """Whether a decision says otherwise, or asks the same name for another value."""
        if plain(negation(test)) in self.decisions:
            return True
        match test:
            case Apply(op="==", args=(Sym() as name, Const() as value)):
                return any(
                    isinstance(d, Apply)
                    and d.args[0] == name
                    and (
                        (d.op == "==" and d.args[1] != value)
                        or (d.op == ">" and d.args[1] == value)
                    )
                    for d in self.decisions
                )
            case _:
                return False

    # ---- checks

    @cached_property
    def demands(self) -> dict[Expr, str]:
        """What must hold, with the reason; conditions on an index cannot be checked here."""
        found: dict[Expr, str] = {}
        for instance in descend(root(self.program)):
            for require in instance.module.requires:
                condition = settled(instance.resolve(require.condition))
                condition = transform(condition, self.chosen)
                if self.is_closed(condition) and condition != TRUE:
                    found.setdefault(condition, require.reason)
        return found

    @cached_property
    def decisions(self) -> tuple[Expr, ...]:
        """The conditions that were decided when the file was generated."""
        found: dict[Expr, None] = {}
        for instance in descend(root(self.program)):
            for condition in instance.module.decided:
                resolved = plain(settled(instance.resolve(condition)))
                if self.is_closed(resolved) and symbols(resolved):
                    found.setdefault(resolved)
        for param in self.program.model.params:
            if param.kind == "dtype":
                found.setdefault(Apply("==", (Sym(param.name, "dtype"), expression(param.value))))
        return without_implied(found)

    def is_closed(self, condition: Expr) -> bool:
        return symbols(condition) <= set(declared(self.program.model))

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The params that can have no other value than the variant's."""
        fixed = {}
        for param in self.program.model.params:
            sym = Sym(param.name)
            if isinstance(param.value, bool):
                fixed[param.name] = sym if param.value else negation(sym)
            elif isinstance(param.value, int | str):
                fixed[param.name] = Apply("==", (sym, Const(param.value)))
        return frozenset(name for name, decision in fixed.items() if decision in self.decisions)

    def checks(self) -> list[str]:
        """What refuses values that the table does not allow, or that the file is not for."""
        texts = dict(self.demands)
        for condition in self.decisions:
            if not symbols(condition) <= self.left:
                texts[condition] = f"{to_text(condition, PYTHON)}, {GENERATED_FOR}"
        params = self.program.model.params
        if not params:
            return []
        lines = ["", *definition("__post_init__", ["self"], "None", 1)]
        counts = [
            literal(variable(param.name))
            for param in params
            if param.kind == "count" and param.name not in self.left
        ]
        choices = [
            KeywordArgument(
                variable(param.name), grouping([Atom(literal(c)) for c in param.choices])
            )
            for param in params
            if param.choices and param.name not in self.left and param.name not in self.fixed
        ]
        checked = call("check_values", Atom("self"), *map(Atom, counts), *choices)
        lines += layout.lines("", checked, 2)
        for condition, text in texts.items():
            holds = sizes.condition(condition, self.naming)
            lines += layout.lines("", call("require", holds, Atom(literal(text))), 2)
        return lines


def described(row: Param | Let) -> str | None:
    """The description with the unit, quoted."""
    texts = [row.description or "", f"in {row.unit}" if row.unit else ""]
    return ", ".join(quote(text) for text in texts if text) or None


def plain(condition: Expr) -> Expr:
    """Conditions on a count against zero in one form each: `> 0` and `== 0`."""
    match condition:
        case Apply(op="!=" | ">=" as op, args=(Sym(kind="count" | "size") as sym, bound)):
            if bound == Const(0 if op == "!=" else 1):
                return Apply(">", (sym, Const(0)))
        case Apply(op="<=" | "<" as op, args=(Sym(kind="count" | "size") as sym, bound)):
            if bound == Const(0 if op == "<=" else 1):
                return Apply("==", (sym, Const(0)))
    return condition


def without_implied(conditions: Iterable[Expr]) -> tuple[Expr, ...]:
    """The conditions without `a != y` where `a == x` is among them."""
    conditions = tuple(conditions)
    fixed = {
        c.args[0]
        for c in conditions
        if isinstance(c, Apply) and c.op == "==" and is_name(c.args[0])
    }
    return tuple(
        c for c in conditions if not (isinstance(c, Apply) and c.op == "!=" and c.args[0] in fixed)
    )


def is_name(expr: Expr) -> bool:
    return isinstance(expr, Sym)
