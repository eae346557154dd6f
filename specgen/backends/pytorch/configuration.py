"""The Config class of the generated file: the spec's params, lets, requirements and decisions.

Requirements and decided conditions of all modules are stated in the spec's params, so that a
Config for which the file does not hold cannot be made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from specgen.analysis.instances import descend, root
from specgen.backends.pytorch import layout, sizes
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.layout import INDENT, Atom, Attribute, Node, flat, grouping
from specgen.backends.pytorch.plan import Plan, declared
from specgen.backends.pytorch.quoting import literal, quote, variable
from specgen.ir.model import Let, Param, Program
from specgen.sizes.expr import Apply, Const, Expr, Sym, negation, symbols, transform
from specgen.sizes.printing import PYTHON, to_text

TYPES = {
    "size": "int",
    "count": "int",
    "real": "float",
    "flag": "bool",
    "choice": "str",
    "dtype": "str",
}


@dataclass
class ConfigWriter:
    plan: Plan
    uses_math: bool = field(default=False)

    @property
    def program(self) -> Program:
        return self.plan.program

    def naming(self, sym: Sym) -> Node:
        return Attribute(Atom("self"), variable(sym.name))

    def write(self) -> list[str]:
        model = self.program.model
        which = (
            f"variant {self.program.variant}" if self.program.variant else "the table's defaults"
        )
        title = quote(model.title or model.name)
        lines = ["@dataclass(frozen=True)", "class Config:"]
        lines += docstring(f"Parameters of {title}; the values are those of {which}.", 1)
        lines.append("")
        for param in model.params:
            lines += self.field(param)
        if self.demands or self.decisions:
            lines += ["", *self.checks()]
        for let in model.lets:
            lines += ["", *self.property(let)]
        return lines

    def field(self, param: Param) -> list[str]:
        value = sizes.constant(param.value)
        annotation = TYPES[param.kind] + (" | None" if param.value is None else "")
        line = f"{INDENT}{variable(param.name)}: {annotation} = {flat(value)}"
        return layout.remarked([line], described(param), 1)

    def property(self, let: Let) -> list[str]:
        expr = transform(let.expr, self.chosen)
        whole = self.plan.is_whole(self.program.model, expr)
        node = sizes.written(expr, self.naming, whole)
        self.uses_math = self.uses_math or "math." in flat(node)
        annotation = "int" if whole else "bool" if is_flag(expr) else "float"
        text = described(let)
        return [
            f"{INDENT}@property",
            *definition(variable(let.name), ["self"], annotation, 1),
            *(docstring(text[:1].upper() + text[1:] + ".", 2) if text else ()),
            *layout.lines("return ", node, 2),
        ]

    def chosen(self, expr: Expr) -> Expr:
        """The side of a choice that the decisions of this file leave."""
        if isinstance(expr, Apply) and expr.op == "cond":
            test, then, otherwise = expr.args
            if test in self.decisions:
                return then
            if negation(test) in self.decisions or self.is_other(test):
                return otherwise
        return expr

    def is_other(self, test: Expr) -> bool:
        """Whether a test asks a name for another value than the one decided."""
        match test:
            case Apply(op="==", args=(Sym() as name, Const() as value)):
                return any(
                    isinstance(d, Apply)
                    and d.op == "=="
                    and d.args[0] == name
                    and d.args[1] != value
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
                condition = instance.resolve(require.condition)
                if self.is_closed(condition):
                    found.setdefault(condition, require.reason)
        return found

    @cached_property
    def decisions(self) -> tuple[Expr, ...]:
        """The conditions that were decided when the file was generated."""
        found: dict[Expr, None] = {}
        for instance in descend(root(self.program)):
            for condition in instance.module.decided:
                resolved = plain(instance.resolve(condition))
                if self.is_closed(resolved) and symbols(resolved):
                    found.setdefault(resolved)
        for param in self.program.model.params:
            if param.kind == "dtype":
                found.setdefault(Apply("==", (Sym(param.name, "dtype"), Const(param.value))))
        return without_implied(found)

    def is_closed(self, condition: Expr) -> bool:
        return symbols(condition) <= set(declared(self.program.model))

    def checks(self) -> list[str]:
        lines = definition("__post_init__", ["self"], "None", 1)
        demands, decisions = self.demands, self.decisions
        if demands:
            lines.append(f"{INDENT * 2}for holds, reason in (")
            for condition, reason in demands.items():
                lines += self.entry(condition, reason)
            lines += [
                f"{INDENT * 2}):",
                f"{INDENT * 3}if not holds:",
                f'{INDENT * 4}raise ValueError(f"this table requires: {{reason}}")',
            ]
        if decisions:
            lines.append(f"{INDENT * 2}for holds, decision in (")
            for condition in decisions:
                lines += self.entry(condition, to_text(condition, PYTHON))
            lines += [
                f"{INDENT * 2}):",
                f"{INDENT * 3}if not holds:",
                f"{INDENT * 4}raise ValueError(",
                f'{INDENT * 5}f"this file was generated for {{decision}}; '
                'generate it again for other values"',
                f"{INDENT * 4})",
            ]
        return lines

    def entry(self, condition: Expr, text: str) -> list[str]:
        node = sizes.condition(condition, self.naming)
        return layout.lines("", grouping([node, Atom(literal(text))]), 3, ",")


def described(row: Param | Let) -> str | None:
    """The description with the unit, quoted."""
    texts = [row.description or "", f"in {row.unit}" if row.unit else ""]
    return ", ".join(quote(text) for text in texts if text) or None


def is_flag(expr: Expr) -> bool:
    match expr:
        case Const(value=bool()) | Sym(kind="flag"):
            return True
        case Apply(op=op):
            return op in ("and", "or", "not", "==", "!=", "<", "<=", ">", ">=")
        case _:
            return False


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
