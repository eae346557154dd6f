"""Types the dataflow of one forward or function, and builds its IR.

Knows one module at a time: parts and functions are known by their signatures.  Every fault is
reported at its place; the statement that has it is given up, and names it would have bound are
poisoned so that one fault gives one diagnostic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Final, NoReturn, TypeVar, assert_never

from specgen.diagnostics.diagnostic import FIRST, Label, did_you_mean
from specgen.diagnostics.source import Span
from specgen.expr.node import FUNCTIONS, LISTS, ONE, Apply, Const, Expr, Sym, substitute
from specgen.expr.normal import equal
from specgen.expr.solving import factors, without_factors
from specgen.frontend.conditions.divisibility import advice, divides
from specgen.frontend.conditions.oracle import Oracle, simplified
from specgen.frontend.dataflow.calls import call
from specgen.frontend.dataflow.signatures import tensor_type
from specgen.frontend.modules.views import PartView, Surroundings, TensorView
from specgen.frontend.scope import Scope, Unresolved, first_place
from specgen.ir import model as ir
from specgen.language import tree
from specgen.ops.context import (
    ListRead,
    OperatorUse,
    Poisoned,
    Typing,
    is_scalar,
    only,
    size_text,
    type_text,
)
from specgen.ops.registry import CONSTANT, OPERATORS
from specgen.records import dataclass

#: Where a module names a compile-time number.
LET: Final = "move it to `let`"

View = TypeVar("View", TensorView, PartView)


class Apart(Exception):
    """What a body is cannot be said before an open condition is decided."""

    def __init__(self, condition: Expr) -> None:
        super().__init__(condition)
        self.condition = condition


@dataclass
class BodyTyping(Typing):
    """The typing of one body: its scope, what surrounds it, and who decides conditions."""

    scope: Scope
    around: Surroundings
    oracle: Oracle
    vars: dict[str, ir.Type | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    bound: dict[str, Span] = field(default_factory=dict)
    failed: bool = False

    # ---- Typing: what the rules of the ops ask

    def equal(self, left: Expr, right: Expr) -> bool:
        lets = self.scope.expanded
        if equal(left, right, lets):
            return True
        same = Apply("==", (substitute(left, lets), substitute(right, lets)))
        return self.oracle.known().decide(same) is True

    def whole(self, expr: Expr) -> bool:
        return divides(ONE, expr, self.oracle.known(), self.scope.expanded)

    def quotient(self, whole: Expr, part: Expr, span: Span) -> Expr:
        simple = without_factors(whole, factors(part))
        if simple is not None:
            return simple
        if not divides(part, whole, self.oracle.known(), self.scope.expanded):
            self.fail(
                "E0435",
                span,
                whole=size_text(whole),
                part=size_text(part),
                help=advice(whole, part, self.scope),
            )
        return Apply("/", (whole, part))

    def fail(self, code: str, span: Span, help: str | None = None, **values: object) -> NoReturn:
        self.scope.diagnostics.report_values(code, span, values, help=help)
        self.give_up()

    def give_up(self) -> NoReturn:
        """Nothing more is known of a value, because of a fault that is reported where it is."""
        self.failed = True
        raise Poisoned

    def size(self, node: tree.Expression) -> Expr:
        for path in names_in(node):
            name = path.names[0]
            if name in self.vars and name not in self.scope.symbols:
                self.read.add(name)
                self.fail("E0436", path.span, name=name)
        try:
            return simplified(self.scope.number(node), self.oracle)
        except Unresolved:
            self.failed = True
            raise Poisoned from None

    def value(self, node: tree.Expression) -> ir.Value:
        match node:
            case tree.LiteralSyntax(value=value):
                if isinstance(value, str) or value is None:
                    self.fail("E0437", node.span)
                return ir.Scalar(Const(value))
            case tree.PathSyntax():
                return self.path(node)
            case tree.OperationSyntax(op="cond"):
                return self.conditional(node)
            case tree.OperationSyntax(op=op, operands=operands):
                if self.is_compile_time(node):
                    return ir.Scalar(self.size(node))
                values = [self.single(operand) for operand in operands]
                record = OPERATORS[op]
                return record.rule(OperatorUse(self, node, record.name, tuple(values)))
            case tree.ListOfSyntax():
                self.fail("E0438", node.span)
            case tree.CallSyntax():
                if self.is_compile_time(node):
                    return ir.Scalar(self.size(node))
                return call(self, node)
        assert_never(node)

    # ---- names

    def is_compile_time(self, node: tree.Expression) -> bool:
        """Whether an expression is made of literals and compile-time names only.

        The name of a list is not one: what is computed with its numbers is dataflow.
        """
        match node:
            case tree.LiteralSyntax():
                return True
            case tree.PathSyntax(names=names):
                name = names[0]
                if name in self.vars:
                    return False
                known = name in self.scope.symbols or name in self.scope.lets or name == "pi"
                return len(names) == 1 and known and not self.is_list(name)
            case tree.OperationSyntax(operands=operands):
                return all(self.is_compile_time(operand) for operand in operands)
            case tree.CallSyntax(function=function, arguments=arguments):
                name = function.text
                if name in ("has", "contains", "length"):
                    return True
                return name in FUNCTIONS and all(self.is_compile_time(a) for a in arguments)
            case tree.ListOfSyntax():
                return False
        assert_never(node)

    def is_list(self, name: str) -> bool:
        """Whether a param or let is a list of numbers."""
        return self.scope.kind(self.scope.symbols.get(name, Sym(name))) in LISTS

    def single(self, node: tree.Expression) -> ir.Value:
        """A value that must be one tensor or number."""
        value = self.value(node)
        if len(value.types) != 1:
            self.fail("E0439", node.span, count=len(value.types))
        return value

    def path(self, node: tree.PathSyntax) -> ir.Value:
        name = node.text
        if name in self.vars:
            self.read.add(name)
            type_ = self.vars[name]
            if type_ is None:
                raise Poisoned
            return ir.Var(name, (type_,))
        if name in self.around.tensors:
            view = self.tensor_row(name, node.span)
            return ir.Weight(name, (ir.Type(view.compute, view.shape),))
        if name in self.around.parts or name in self.around.caches:
            self.fail("E0440", node.span, name=name)
        if self.is_compile_time(node):
            return ir.Scalar(self.size(node))
        if self.is_list(name):
            members = self.scope.name(name, node)
            dtype = "f32" if self.scope.kind(members) == "reals" else "i64"
            return CONSTANT.rule(ListRead(members, dtype, self.around.requires))
        known = [*self.vars, *self.around.tensors, *self.scope.names()]
        help_ = did_you_mean(name, known)
        if node.names[0] in self.around.parts:
            part = node.names[0]
            help_ = f"`{part}` is a part: only its own forward and functions read its rows"
            if any(view.row.count is not None for view in self.around.parts[part]):
                help_ += f"; `{part}(x, ...)` takes x through its instances, each with its own rows"
            else:
                help_ += f"; `{part}(x, ...)` calls it"
        self.fail("E0301", node.span, name=name, help=help_)

    def tensor_row(self, name: str, span: Span) -> TensorView:
        self.used.add(name)
        views = self.around.tensors[name]
        chosen = views[
            self.existing(name, [v.condition for v in views], [v.row.span for v in views], span)
        ]
        self.must_be_alike(chosen, views, self.same_row)
        return chosen

    def part_row(self, name: str, span: Span) -> PartView:
        self.used.add(name)
        views = self.around.parts[name]
        chosen = views[
            self.existing(name, [v.condition for v in views], [v.row.span for v in views], span)
        ]
        self.must_be_alike(chosen, views, self.same_part)
        return chosen

    def must_be_alike(
        self, chosen: View, views: Sequence[View], alike: Callable[[View, View], bool]
    ) -> None:
        """Raises Apart where it is open whether another row is here, which has another type."""
        if len(views) == 1 or self.oracle.decide(chosen.condition) is not None:
            return
        for other in views:
            if (
                other is not chosen
                and self.oracle.decide(other.condition) is not False
                and not alike(chosen, other)
            ):
                raise Apart(chosen.condition)

    def same_row(self, a: TensorView, b: TensorView) -> bool:
        """Whether two tensor rows are of one type."""
        return (
            (a.kind == "map") == (b.kind == "map")
            and a.compute == b.compute
            and len(a.shape) == len(b.shape)
            and all(map(self.equal, a.shape, b.shape))
        )

    def same_part(self, a: PartView, b: PartView) -> bool:
        """Whether two parts take and give the same."""
        if (a.row.count is None) != (b.row.count is None):
            return False
        if a.signature is None or b.signature is None:
            return False
        first, second = a.signature, b.signature
        return (
            [arg.name for arg in first.args] == [arg.name for arg in second.args]
            and first.axes == second.axes
            and self.are_same([a.type for a in first.args], [b.type for b in second.args])
            and self.are_same(first.results, second.results)
        )

    def existing(
        self, name: str, conditions: Sequence[Expr], spans: Sequence[Span], span: Span
    ) -> int:
        """Which of the alternative rows exists here; the first that may."""
        for position, condition in enumerate(conditions):
            if self.oracle.decide(condition) is not False:
                return position
        self.scope.diagnostics.report(
            "E0501",
            span,
            name=name,
            condition=" or ".join(size_text(c) for c in conditions),
            labels=[Label(s, "exists only under its condition") for s in spans],
            help=f"guard the use: `if {size_text(conditions[0])} {{ ... }}` or `has({name})`",
        )
        self.failed = True
        raise Poisoned

    def conditional(self, node: tree.OperationSyntax) -> ir.Value:
        condition_node, then_node, otherwise_node = node.operands
        if self.is_compile_time(node):
            return ir.Scalar(self.size(node))
        condition = self.size(condition_node)
        known = self.oracle.decide(condition)
        if known is not None:
            return self.value(then_node if known else otherwise_node)
        with self.side(condition, True):
            then = self.value(then_node)
        with self.side(condition, False):
            otherwise = self.value(otherwise_node)
        if not self.are_same(then.types, otherwise.types):
            raise Apart(condition)
        return ir.Choose(condition, then, otherwise, then.types)

    def are_same(self, a: Sequence[ir.Type], b: Sequence[ir.Type]) -> bool:
        return len(a) == len(b) and all(map(self.same_type, a, b))

    def same_types(self, a: Sequence[ir.Type], b: Sequence[ir.Type], span: Span) -> None:
        if not self.are_same(a, b):
            self.fail(
                "E0441",
                span,
                left=", ".join(map(type_text, a)),
                right=", ".join(map(type_text, b)),
            )

    def same_type(self, a: ir.Type, b: ir.Type) -> bool:
        return (
            a.dtype == b.dtype
            and len(a.shape) == len(b.shape)
            and all(self.equal(x, y) for x, y in zip(a.shape, b.shape, strict=True))
        )

    @contextmanager
    def side(self, condition: Expr, value: bool) -> Iterator[None]:
        """Within it a condition that is open here is known."""
        outer = self.oracle
        self.oracle = outer.under(condition, value)
        try:
            yield
        finally:
            self.oracle = outer

    # ---- statements

    def statements(
        self, nodes: Sequence[tree.Statement], results: Sequence[ir.Type]
    ) -> tuple[tuple[ir.Statement, ...], bool]:
        """The statements and whether they end in a return."""
        done: list[ir.Statement] = []
        returned = False
        for node in nodes:
            if returned:
                self.scope.diagnostics.report("E0452", node.span)
                break
            match node:
                case tree.BindSyntax():
                    self.bind(node, done)
                case tree.IfSyntax():
                    returned = self.branch(node, done, results)
                case tree.ReturnSyntax():
                    returned = True
                    self.give(node, done, results)
        return tuple(done), returned

    def bind(self, node: tree.BindSyntax, done: list[ir.Statement]) -> None:
        types: Sequence[ir.Type | None] = [None] * len(node.names)
        try:
            value = self.value(node.value)
            if len(value.types) != len(node.names):
                self.fail("E0453", node.value.span, names=len(node.names), values=len(value.types))
            if is_scalar(value):
                # A function outside of modules has no section in which to name it.
                free = self.scope.definition is None
                advice = "make it an argument, or write it where it is used" if free else LET
                self.fail("E0454", node.value.span, name=node.names[0], advice=advice)
            if node.type is not None:
                self.check_annotation(node, value)
            types = value.types
            done.append(ir.Assign(node.names, value))
        except Poisoned:
            pass
        for name, type_ in zip(node.names, types, strict=True):
            if name == "_":
                continue
            if (
                name in self.vars
                or name in self.around.tensors
                or name in self.around.parts
                or (name in self.scope.symbols or name in self.scope.lets)
            ):
                labels = first_place(self.scope.definition, name)
                if name in self.bound:
                    labels = [Label(self.bound[name], FIRST)]
                self.scope.diagnostics.report("E0405", node.span, name=name, labels=labels)
            self.vars[name] = type_
            self.bound.setdefault(name, node.span)

    def check_annotation(self, node: tree.BindSyntax, value: ir.Value) -> None:
        assert node.type is not None
        try:
            wanted = tensor_type(node.type, self.scope)
        except Unresolved:
            raise Poisoned from None
        if not self.same_type(wanted, only(value)):
            self.fail(
                "E0430",
                node.value.span,
                name=node.names[0],
                detail="",
                expected=type_text(wanted),
                found=type_text(only(value)),
            )

    def branch(
        self, node: tree.IfSyntax, done: list[ir.Statement], results: Sequence[ir.Type]
    ) -> bool:
        try:
            condition = self.size(node.condition)
        except Poisoned:
            return False
        known = self.oracle.decide(condition)
        if known is not None:
            inner, returned = self.statements(node.then if known else node.otherwise, results)
            done.extend(inner)
            return returned
        before = dict(self.vars)
        with self.side(condition, True):
            then, then_returns = self.statements(node.then, results)
        after_then, self.vars = self.vars, dict(before)
        with self.side(condition, False):
            otherwise, else_returns = self.statements(node.otherwise, results)
        after_else = self.vars
        self.vars = before
        for name in after_then:
            if name in before or name not in after_else:
                continue
            a, b = after_then[name], after_else[name]
            if a is not None and b is not None and not self.same_type(a, b):
                raise Apart(condition)
            self.vars[name] = a
        done.append(ir.Branch(condition, then, otherwise))
        return then_returns and else_returns

    def give(
        self, node: tree.ReturnSyntax, done: list[ir.Statement], results: Sequence[ir.Type]
    ) -> None:
        try:
            values = [self.value(value) for value in node.values]
            types = [t for value in values for t in value.types]
            if len(types) != len(results):
                self.fail("E0455", node.span, expected=len(results), found=len(types))
            nodes = list(node.values) if len(node.values) == len(results) else None
            for position, (want, have) in enumerate(zip(results, types, strict=True)):
                if have.dtype == ir.SCALAR or not self.same_type(want, have):
                    self.fail(
                        "E0456",
                        nodes[position].span if nodes else node.span,
                        expected=type_text(want),
                        found=type_text(have),
                    )
            done.append(ir.Return(tuple(values)))
        except Poisoned:
            pass


def names_in(node: tree.Expression) -> list[tree.PathSyntax]:
    """The single names that an expression reads, not those that it calls."""
    match node:
        case tree.PathSyntax():
            return [node] if len(node.names) == 1 else []
        case tree.OperationSyntax(operands=operands) | tree.ListOfSyntax(items=operands):
            return [path for operand in operands for path in names_in(operand)]
        case tree.CallSyntax(function=function, arguments=arguments):
            if function.text == "has":
                return []
            return [path for argument in arguments for path in names_in(argument)]
        case tree.LiteralSyntax():
            return []
    assert_never(node)
