"""Scopes, and compile-time expressions in them: names resolved, kinds checked.

A scope knows the params and lets of one module and, for a module inside the model, the model's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Final, assert_never

from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label, did_you_mean, suggestion
from specgen.diagnostics.source import Span
from specgen.dtypes import DTYPES
from specgen.expr.node import (
    COMPARISONS,
    FUNCTIONS,
    LISTS,
    Apply,
    Const,
    Expr,
    Kind,
    Sym,
    disjunction,
    substitute,
)
from specgen.frontend.files import ModuleDefinition, std_use
from specgen.language import tree
from specgen.records import dataclass

#: Lets may use lets: without a bound, sixty rows that double would have 2**60 nodes.
MAX_LENGTH: Final = 10_000
#: Consumers recurse over what a let stands for; see builder.EXPRESSION_DEPTH.
MAX_DEPTH: Final = 200

NUMBERS: Final = frozenset({"size", "count", "real", "index", "axis", "unknown"})

#: The kinds that fit where an operator or a param wants one of these.
TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "number": NUMBERS,
    "flag": frozenset({"flag", "unknown"}),
    "text": frozenset({"choice", "dtype", "unknown"}),
    "list": LISTS | {"unknown"},
    "single value": NUMBERS | {"flag", "choice", "dtype"},
}

#: What params of each type want.
WANTED: Final[Mapping[str, str]] = {
    "size": "number", "count": "number", "real": "number", "flag": "flag", "choice": "text",
    "dtype": "text", "counts": "list", "reals": "list",
}  # fmt: skip


def kind_text(kind: str) -> str:
    """A kind in a message."""
    return "list" if kind in LISTS else kind


class Unresolved(Exception):
    """An expression that could not be resolved; its fault is reported already."""


@dataclass
class Scope:
    """What names mean at compile time.

    `symbols` are the params, indices and shape variables; `lets` the derived names with their
    definitions, which may use other lets; `choices` the values that a choice param takes.
    """

    diagnostics: Diagnostics
    definition: ModuleDefinition | None
    symbols: dict[str, Sym] = field(default_factory=dict)
    lets: dict[str, Expr] = field(default_factory=dict)
    let_kinds: dict[str, Kind] = field(default_factory=dict)
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    expanded: dict[str, Expr] = field(default_factory=dict)
    #: Of every let, written out in params: how many terms it has, and how deep they nest.
    extents: dict[str, tuple[int, int]] = field(default_factory=dict)
    #: Rows whose existence `has(name)` may ask for: name -> condition.
    existence: Mapping[str, Expr] = field(default_factory=dict)

    def child(self, symbols: Iterable[Sym]) -> Scope:
        """This scope with more symbols: shape variables, scalar arguments."""
        return replace(self, symbols={**self.symbols, **{s.name: s for s in symbols}})

    def names(self) -> list[str]:
        return [*self.symbols, *self.lets]

    def expand(self, expr: Expr) -> Expr:
        """The expression in params only."""
        return substitute(expr, self.expanded)

    def extent(self, expr: Expr) -> tuple[int, int]:
        """How many terms the expression has in params only and how deep, without building it."""
        match expr:
            case Sym(name=name):
                return self.extents.get(name, (1, 1))
            case Apply(args=args):
                below = [self.extent(arg) for arg in args]
                return 1 + sum(n for n, _ in below), 1 + max((d for _, d in below), default=0)
            case _:
                return 1, 1

    def add_let(self, name: str, expr: Expr) -> None:
        self.lets[name] = expr
        self.extents[name] = self.extent(expr)
        self.expanded[name] = self.expand(expr)
        self.let_kinds[name] = self.kind(expr)

    def kind(self, expr: Expr) -> Kind:
        """What an expression is: a size (whole number), a real, a flag or a text."""
        match expr:
            case Const(value=bool()):
                return "flag"
            case Const(value=int()):
                return "size"
            case Const(value=float()):
                return "real"
            case Const(value=str()):
                return "choice"
            case Const():
                return "unknown"
            case Sym(name=name, kind=kind):
                return self.let_kinds.get(name, kind)
            case Apply(op="and" | "or" | "not"):
                return "flag"
            case Apply(op=op) if op in COMPARISONS:
                return "flag"
            case Apply(op="cond", args=(_, then, otherwise)):
                kinds = {self.kind(then), self.kind(otherwise)}
                if "real" in kinds:
                    return "real"
                return "reals" if "reals" in kinds else self.kind(then)
            case Apply(op="contains"):
                return "flag"
            case Apply(op="list", args=args):
                return "reals" if any(self.kind(arg) == "real" for arg in args) else "counts"
            case Apply(op="length"):
                return "count"
            case Apply(op="ceil" | "floor"):
                return "size"
            case Apply(op="ln" | "exp" | "sqrt" | "cos" | "sin" | "tanh"):
                return "real"
            case Apply(op="**", args=(base, exponent)):
                whole = self.kind(base) != "real" and self.kind(exponent) != "real"
                return "size" if whole and not negative(exponent) else "real"
            case Apply(args=args):
                return "real" if any(self.kind(arg) == "real" for arg in args) else "size"
        assert_never(expr)

    def resolve(self, node: tree.Expression) -> Expr:
        """The compile-time expression that a tree means here.

        Raises:
            Unresolved: after reporting an unknown name or an operand of the wrong kind.
        """
        match node:
            case tree.LiteralSyntax(value=value):
                return Const(value)
            case tree.PathSyntax(names=(name,)):
                return self.name(name, node)
            case tree.PathSyntax():
                self.diagnostics.report("E0305", node.span, name=node.text)
                raise Unresolved
            case tree.OperationSyntax(op=op, operands=operands):
                args = tuple(self.resolve(operand) for operand in operands)
                self.check_operands(op, args, node)
                return Apply(op, args)  # type: ignore[arg-type]  # the grammar's operators
            case tree.CallSyntax():
                return self.call(node)
            case tree.ListOfSyntax(items=items):
                args = tuple(self.resolve(item) for item in items)
                self.check_operands("list", args, node)
                return Apply("list", args)
        assert_never(node)

    def number(self, node: tree.Expression) -> Expr:
        """`resolve` where one value is meant and not a list.

        Raises:
            Unresolved: as `resolve`, and for a list.
        """
        found = self.resolve(node)
        if self.kind(found) in LISTS:
            self.diagnostics.report("E0306", node.span)
            raise Unresolved
        return found

    def name(self, name: str, node: tree.PathSyntax) -> Expr:
        if name in self.symbols:
            return self.symbols[name]
        if name in self.lets:
            return Sym(name, self.let_kinds[name])
        if name == "pi":
            return Const(math.pi)
        if name in DTYPES or (self.definition is not None and self.definition.module(name)):
            return Const(name)
        help_ = std_use(name, "module") or did_you_mean(name, self.names())
        self.diagnostics.report("E0301", node.span, name=name, help=help_)
        raise Unresolved

    def call(self, node: tree.CallSyntax) -> Expr:
        name = node.function.text
        if (
            name == "has"
            and len(node.arguments) == 1
            and isinstance(node.arguments[0], tree.PathSyntax)
        ):
            row = node.arguments[0].text
            if row in self.existence:
                return self.existence[row]
            self.diagnostics.report(
                "E0502",
                node.arguments[0].span,
                name=row,
                help=did_you_mean(row, self.existence),
            )
            raise Unresolved
        if name not in FUNCTIONS or node.keywords:
            self.diagnostics.report(
                "E0307",
                node.function.span,
                name=name,
                help=did_you_mean(name, FUNCTIONS),
            )
            raise Unresolved
        if len(node.arguments) != FUNCTIONS[name]:
            self.diagnostics.report(
                "E0308", node.span, name=name, expected=FUNCTIONS[name], found=len(node.arguments)
            )
            raise Unresolved
        args = tuple(self.resolve(argument) for argument in node.arguments)
        self.check_operands(name, args, node)
        return Apply(name, args)  # type: ignore[arg-type]  # FUNCTIONS holds operators only

    def check_operands(
        self,
        op: str,
        args: tuple[Expr, ...],
        node: tree.OperationSyntax | tree.CallSyntax | tree.ListOfSyntax,
    ) -> None:
        """Reports an operand of a kind that the operator does not take."""
        match node:
            case tree.OperationSyntax(operands=operands):
                pass
            case tree.CallSyntax(arguments=operands) | tree.ListOfSyntax(items=operands):
                pass
        wanted: list[str]
        if op in ("and", "or", "not"):
            wanted = ["flag"] * len(args)
        elif op == "cond":
            either = "list" if self.kind(args[1]) in LISTS else "single value"
            wanted = ["flag", either, either]
        elif op in ("==", "!="):
            self.check_comparison(args, operands)
            return
        elif op in ("contains", "length"):
            wanted = ["list", "number"][: len(args)]
        else:
            wanted = ["number"] * len(args)
        for arg, operand, want in zip(args, operands, wanted, strict=True):
            kind = self.kind(arg)
            if kind not in TAKEN[want]:
                shown = "when" if op == "cond" else op
                self.diagnostics.report(
                    "E0303", operand.span, op=shown, wanted=want, found=kind_text(kind)
                )
                raise Unresolved

    def check_comparison(
        self, args: tuple[Expr, ...], operands: tuple[tree.Expression, ...]
    ) -> None:
        kinds = [("number" if self.kind(a) in NUMBERS else self.kind(a)) for a in args]
        for kind, operand in zip(kinds, operands, strict=True):
            if kind in LISTS:
                self.diagnostics.report("E0306", operand.span)
                raise Unresolved
        if {"choice", "dtype"} >= set(kinds):
            for arg, other, operand in zip(args, reversed(args), reversed(operands), strict=True):
                if isinstance(arg, Sym) and arg.name in self.choices and isinstance(other, Const):
                    allowed = self.choices[arg.name]
                    if other.value not in allowed:
                        close = suggestion(str(other.value), allowed)
                        self.diagnostics.report(
                            "E0304",
                            operand.span,
                            name=arg.name,
                            value=other.value,
                            allowed=", ".join(f'"{a}"' for a in allowed),
                            help=f'did you mean "{close}"?' if close else None,
                        )
                        raise Unresolved
        elif kinds[0] != kinds[1] and "unknown" not in (self.kind(a) for a in args):
            self.diagnostics.report(
                "E0303", operands[1].span, op="==", wanted=kinds[0], found=kinds[1]
            )
            raise Unresolved


def negative(expr: Expr) -> bool:
    match expr:
        case Apply(op="neg"):
            return True
        case Const(value=int() | float() as value):
            return value < 0
        case _:
            return False


def first_place(definition: ModuleDefinition | None, name: str) -> list[Label]:
    """Where a name got its meaning: in the module or the one around it; none where that is unknown."""
    while definition is not None:
        module = definition.tree
        named: list[tuple[str, Span]] = [
            *((row.name, row.span) for row in module.params),
            *((row.name, row.span) for row in module.lets),
            *((row.name, row.span) for row in module.parts),
            *((row.name, row.span) for row in module.caches),
            *((row.name, row.span) for row in module.functions),
            *((row.path.text, row.span) for row in module.tensors),
        ]
        for other, span in named:
            if other == name:
                return [Label(span, FIRST)]
        definition = definition.parent
    return []


def module_scope(definition: ModuleDefinition, diagnostics: Diagnostics) -> Scope:
    """The scope of a module: the model's names, where it stands inside the model, then its own."""
    scope = Scope(diagnostics, definition)
    if definition.parent is not None:
        outer = module_scope(definition.parent, Diagnostics())  # reported where it is defined
        scope.symbols.update(outer.symbols)
        scope.lets.update(outer.lets)
        scope.let_kinds.update(outer.let_kinds)
        scope.choices.update(outer.choices)
        scope.expanded.update(outer.expanded)
        scope.extents.update(outer.extents)
    for param in definition.tree.params:
        if param.name in scope.symbols or param.name in scope.lets:
            labels = first_place(definition, param.name)
            diagnostics.report("E0302", param.span, name=param.name, labels=labels)
            continue
        scope.symbols[param.name] = Sym(param.name, param.type)  # type: ignore[arg-type]  # PTYPE
        if param.choices:
            scope.choices[param.name] = param.choices
    for binding in definition.tree.lets:
        if binding.name in scope.symbols or binding.name in scope.lets:
            labels = first_place(definition, binding.name)
            diagnostics.report("E0302", binding.span, name=binding.name, labels=labels)
            continue
        try:
            expr = scope.resolve(binding.value)
            terms, levels = scope.extent(expr)
            if terms > MAX_LENGTH or levels > MAX_DEPTH:
                limit = f"{MAX_LENGTH} terms" if terms > MAX_LENGTH else f"{MAX_DEPTH} levels"
                diagnostics.report("E0320", binding.span, name=binding.name, limit=limit)
                raise Unresolved
            scope.add_let(binding.name, expr)
        except Unresolved:
            scope.add_let(binding.name, Sym(binding.name, "unknown"))
    existence: dict[str, Expr] = {}
    quiet = replace(scope, diagnostics=Diagnostics())
    rows: list[tuple[str, tree.Expression | None]] = [
        *((row.path.text, row.condition) for row in definition.tree.tensors),
        *((row.name, row.condition) for row in definition.tree.parts),
    ]
    for name, node in rows:
        condition = condition_of(node, quiet)
        known = existence.get(name)
        existence[name] = condition if known is None else disjunction(known, condition)
    scope.existence = existence
    return scope


def condition_of(node: tree.Expression | None, scope: Scope) -> Expr:
    """The condition of a row; true where it has none or where its fault is reported elsewhere."""
    if node is None:
        return Const(True)
    try:
        return scope.resolve(node)
    except Unresolved:
        return Const(True)
