"""The kinds of values and statements in one place: going through them, rewriting, interpreting.

A pure search asks `walk`; whatever follows values through a body is an `Interpreter`.  A new kind
of value or statement is a case here, and a method that every interpreter must have.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Generic, Self, TypeVar, assert_never, cast

from specgen.expr.node import Expr
from specgen.ir import model as ir

# ---- what there is in a body -----------------------------------------------------------


def children(value: ir.Value) -> tuple[ir.Value, ...]:
    """The operands of a value, in the order of evaluation."""
    match value:
        case ir.Var() | ir.Weight() | ir.Scalar():
            return ()
        case ir.Op(args=args) | ir.CallPart(args=args) | ir.CallFunction(args=args):
            return args
        case ir.ApplyMap(value=inner) | ir.Append(value=inner):
            return (inner,)
        case ir.Mixture(value=x, weights=weights, index=index):
            return (x, weights, index)
        case ir.Choose(then=then, otherwise=otherwise):
            return (then, otherwise)
    assert_never(value)


def values(statement: ir.Statement) -> tuple[ir.Value, ...]:
    """The values that stand in a statement itself, and not in those inside it."""
    match statement:
        case ir.Assign(value=value):
            return (value,)
        case ir.Return(values=values):
            return values
        case ir.Branch():
            return ()
    assert_never(statement)


def bodies(statement: ir.Statement) -> tuple[tuple[ir.Statement, ...], ...]:
    """The bodies inside a statement."""
    match statement:
        case ir.Assign() | ir.Return():
            return ()
        case ir.Branch(then=then, otherwise=otherwise):
            return (then, otherwise)
    assert_never(statement)


def statements(body: Iterable[ir.Statement]) -> Iterator[ir.Statement]:
    """Every statement of a body, each before those inside it."""
    for statement in body:
        yield statement
        for inner in bodies(statement):
            yield from statements(inner)


def nested(value: ir.Value) -> Iterator[ir.Value]:
    """A value and all that it is computed from, outer ones before those inside them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(children(one)))


def evaluated(value: ir.Value) -> Iterator[ir.Value]:
    """A value and all that it is computed from, in the order of evaluation: operands first."""
    for inner in children(value):
        yield from evaluated(inner)
    yield value


def walk(body: Iterable[ir.Statement], *, operands_first: bool = False) -> Iterator[ir.Value]:
    """Every value in a body: outer ones before those inside them, or operands first."""
    order = evaluated if operands_first else nested
    for statement in statements(body):
        for value in values(statement):
            yield from order(value)


def expressions(body: Iterable[ir.Statement]) -> Iterator[Expr]:
    """Every compile-time expression in a body, those of types among them."""
    for statement in statements(body):
        if isinstance(statement, ir.Branch):
            yield statement.condition
    for value in walk(body):
        for type_ in value.types:
            yield from type_.shape
        match value:
            case ir.Scalar(expr=expr) | ir.Choose(condition=expr):
                yield expr
            case ir.Op(attrs=attrs):
                for attr in attrs.values():
                    yield from (item for item in listed(attr) if isinstance(item, Expr))
            case ir.CallFunction(dims=dims):
                yield from dims.values()
            case _:
                pass


def listed(attr: object) -> Iterable[object]:
    match attr:
        case tuple():
            return attr
        case Mapping():
            return attr.values()
        case _:
            return (attr,)


# ---- bodies anew -----------------------------------------------------------------------

Rule = Callable[[ir.Value], ir.Value]


def rewritten(function: ir.Function, rule: Rule) -> ir.Function:
    """The function with every value passed through a rule, operands first."""
    return replace(function, body=rewritten_body(function.body, rule))


def rewritten_body(body: Sequence[ir.Statement], rule: Rule) -> tuple[ir.Statement, ...]:
    done: list[ir.Statement] = []
    for statement in body:
        match statement:
            case ir.Assign(value=value):
                done.append(replace(statement, value=rewritten_value(value, rule)))
            case ir.Return(values=values):
                done.append(ir.Return(tuple(rewritten_value(value, rule) for value in values)))
            case ir.Branch(then=then, otherwise=otherwise):
                sides = rewritten_body(then, rule), rewritten_body(otherwise, rule)
                done.append(replace(statement, then=sides[0], otherwise=sides[1]))
            case _:
                assert_never(statement)
    return tuple(done)


def rewritten_value(value: ir.Value, rule: Rule) -> ir.Value:
    operands = tuple(rewritten_value(inner, rule) for inner in children(value))
    return rule(with_children(value, operands))


def with_children(value: ir.Value, operands: tuple[ir.Value, ...]) -> ir.Value:
    """The value with other operands, as many as `children` gives."""
    match value:
        case ir.Var() | ir.Weight() | ir.Scalar():
            return value
        case ir.Op() | ir.CallPart() | ir.CallFunction():
            return replace(value, args=operands)
        case ir.ApplyMap() | ir.Append():
            (inner,) = operands
            return replace(value, value=inner)
        case ir.Mixture():
            x, weights, index = operands
            return replace(value, value=x, weights=weights, index=index)
        case ir.Choose():
            then, otherwise = operands
            return replace(value, then=then, otherwise=otherwise)
    assert_never(value)


# ---- what a body means -----------------------------------------------------------------

T = TypeVar("T")


class Interpreter(ABC, Generic[T]):
    """One run of one body in a domain, in which T is what a value means: all its results together.

    A body means what it returns.  The dispatch is here and the meaning in the methods, one for each
    kind: they evaluate the operands themselves, since domains differ in which, and in what order.
    """

    def begin(self, value: ir.Value) -> None:
        """Called before each value: a domain that has a limit counts."""

    def value(self, value: ir.Value) -> T:
        self.begin(value)
        match value:
            case ir.Var():
                return self.var(value)
            case ir.Weight():
                return self.weight(value)
            case ir.Scalar():
                return self.scalar(value)
            case ir.Op():
                return self.op(value)
            case ir.ApplyMap():
                return self.apply_map(value)
            case ir.CallPart():
                return self.call_part(value)
            case ir.CallFunction():
                return self.call_function(value)
            case ir.Mixture():
                return self.mixture(value)
            case ir.Append():
                return self.append(value)
            case ir.Choose():
                return self.choose(value)
        assert_never(value)

    def operands(self, value: ir.Value) -> Iterable[T]:
        """What the operands of a value mean, each evaluated when it is asked for.

        Expressions may nest 200 deep, and parts within: no level should take many frames.
        """
        return map(self.value, children(value))

    @abstractmethod
    def var(self, value: ir.Var) -> T: ...

    @abstractmethod
    def weight(self, value: ir.Weight) -> T: ...

    @abstractmethod
    def scalar(self, value: ir.Scalar) -> T: ...

    @abstractmethod
    def op(self, value: ir.Op) -> T: ...

    @abstractmethod
    def apply_map(self, value: ir.ApplyMap) -> T: ...

    @abstractmethod
    def call_part(self, value: ir.CallPart) -> T: ...

    @abstractmethod
    def call_function(self, value: ir.CallFunction) -> T: ...

    @abstractmethod
    def mixture(self, value: ir.Mixture) -> T: ...

    @abstractmethod
    def append(self, value: ir.Append) -> T: ...

    def choose(self, value: ir.Choose) -> T:
        """A choice is a branch whose sides return."""
        then, otherwise = ((ir.Return((side,)),) for side in children(value))
        return cast(T, self.branch(ir.Branch(value.condition, then, otherwise)))

    def run(self, body: Iterable[ir.Statement]) -> T | None:
        """What a body means, up to the statement that returns; None if none does."""
        for statement in body:
            match statement:
                case ir.Assign():
                    self.assign(statement)
                case ir.Branch():
                    returned = self.branch(statement)
                    if returned is not None:
                        return returned
                case ir.Return():
                    return self.ret(statement)
                case _:
                    assert_never(statement)
        return None

    @abstractmethod
    def assign(self, statement: ir.Assign) -> None: ...

    @abstractmethod
    def branch(self, statement: ir.Branch) -> T | None:
        """What the side that returns means, or both."""

    @abstractmethod
    def ret(self, statement: ir.Return) -> T: ...


class Deciding(Interpreter[T]):
    """A domain in which every condition on an index is decided: one side of a branch is run."""

    @abstractmethod
    def holds(self, condition: Expr) -> bool: ...

    def branch(self, statement: ir.Branch) -> T | None:
        return self.run(statement.then if self.holds(statement.condition) else statement.otherwise)


class Joining(Interpreter[T]):
    """A domain in which conditions stay open: both sides of a branch are run, and joined."""

    @abstractmethod
    def under(self, condition: Expr, holds: bool) -> Self:
        """The run of one side: where a condition holds as well, or does not."""

    @abstractmethod
    def join(self, sides: tuple[Self, Self], returned: tuple[T | None, T | None]) -> T | None:
        """What holds behind a branch, whichever side was run; what it returns, if it does."""

    def branch(self, statement: ir.Branch) -> T | None:
        then = self.under(statement.condition, True)
        returned = then.run(statement.then)
        otherwise = self.under(statement.condition, False)
        return self.join((then, otherwise), (returned, otherwise.run(statement.otherwise)))


class Noting(Joining[None]):
    """A domain in which values mean nothing: to go over them notes something.

    What a domain notes nothing of is gone over; what calls mean is its own.
    """

    def over(self, value: ir.Value) -> None:
        """Goes over the operands of a value."""
        for _ in self.operands(value):
            pass

    def var(self, value: ir.Var) -> None:
        pass

    def weight(self, value: ir.Weight) -> None:
        pass

    def scalar(self, value: ir.Scalar) -> None:
        pass

    def op(self, value: ir.Op) -> None:
        self.over(value)

    def apply_map(self, value: ir.ApplyMap) -> None:
        self.over(value)

    def mixture(self, value: ir.Mixture) -> None:
        self.over(value)

    def append(self, value: ir.Append) -> None:
        self.over(value)

    def assign(self, statement: ir.Assign) -> None:
        self.value(statement.value)

    def ret(self, statement: ir.Return) -> None:
        for value in statement.values:
            self.value(value)

    def under(self, condition: Expr, holds: bool) -> Self:
        return self

    def join(self, sides: tuple[Self, Self], returned: object) -> None:
        pass
