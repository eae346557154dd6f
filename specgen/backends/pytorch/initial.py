"""What the parameters of the generated model begin with, read from how the forwards use them.

A row that values are multiplied by is a gain and begins with ones; a bias, and a vector that is used
otherwise, with zeros; what is contracted or looked up is drawn from a normal distribution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from specgen.backends.pytorch import layout
from specgen.backends.pytorch.definitions import definition, docstring
from specgen.backends.pytorch.layout import INDENT, Atom, Binary, Node, call, flat
from specgen.backends.pytorch.plan import FilePlan
from specgen.backends.pytorch.rows import place, stack
from specgen.dtypes import COMPUTED_FLOATS
from specgen.expr.node import TRUE
from specgen.ir.model import (
    ACTIVATION,
    Assign,
    CallFunction,
    Function,
    Module,
    Op,
    Program,
    Scalar,
    Statement,
    Tensor,
    Value,
    Var,
    Weight,
)
from specgen.ir.visit import children, nested, statements, walk
from specgen.ops.record import Trait
from specgen.ops.registry import has

Beginning = Literal["normal", "ones", "zeros"]

#: Dtypes that random numbers can be drawn in.
DRAWN: Final = frozenset({ACTIVATION, *COMPUTED_FLOATS})

#: As deep as functions are followed into those that they call.
DEPTH: Final = 8


def beginning(program: Program, module: Module, row: Tensor) -> Beginning:
    """What a row of a module begins with."""
    if row.kind == "bias" or row.compute not in DRAWN:
        return "zeros"
    if row.kind == "map":
        return "normal"
    bodies = (f.body for f in (*module.forwards, *module.functions))
    found = {use for body in bodies for use in ParameterUses(program, module).of(body, row.name)}
    if "multiplied" in found and "contracted" not in found:
        return "ones"
    return "normal" if found or len(row.shape) > 1 else "zeros"


class ParameterUses:
    """How a row is used in the bodies of a module, and of what they hand it to."""

    def __init__(self, program: Program, module: Module) -> None:
        self.program = program
        self.module = module

    def of(self, body: Iterable[Statement], row: str) -> Iterator[str]:
        yield from self.within(tuple(body), row, frozenset(), DEPTH)

    def within(
        self, body: tuple[Statement, ...], row: str | None, names: frozenset[str], depth: int
    ) -> Iterator[str]:
        """The uses of a row of the module, and of the names that stand for it."""
        held = set(names)
        while True:  # names that are bound to the row, in another form
            more = {
                name
                for statement in statements(body)
                if isinstance(statement, Assign) and self.is_row(statement.value, row, held)
                for name in statement.names
            }
            if more <= held:
                break
            held |= more
        for value in walk(body):
            if isinstance(value, CallFunction):
                yield from self.handed(value, row, held, depth)
            elif isinstance(value, Op):
                yield from self.used(value, row, held)

    def used(self, value: Op, row: str | None, held: set[str]) -> Iterator[str]:
        if has(value, Trait.SUMS) and any(
            isinstance(inner, Op) and inner.name == "mul" and self.takes(inner, row, held)
            for arg in value.args
            for inner in nested(arg)
        ):
            yield "contracted"
        if not self.takes(value, row, held) or self.is_row(value, row, held):
            return
        if has(value, Trait.CONTRACTS) or has(value, Trait.PICKS):
            yield "contracted"
        elif has(value, Trait.SCALES):
            yield "multiplied"

    def handed(
        self, call: CallFunction, row: str | None, held: set[str], depth: int
    ) -> Iterator[str]:
        called = self.called(call)
        given = zip(called.args, call.args, strict=True)
        names = frozenset(arg.name for arg, value in given if self.is_row(value, row, held))
        if names and depth:
            yield from self.within(called.body, None, names, depth - 1)

    def called(self, call: CallFunction) -> Function:
        if call.method:
            return next(f for f in self.module.functions if f.name == call.function)
        return self.program.functions[call.function]

    def takes(self, value: Value, row: str | None, held: set[str]) -> bool:
        return any(self.is_row(arg, row, held) for arg in children(value))

    def is_row(self, value: Value, row: str | None, held: set[str]) -> bool:
        """Whether a value is the row: cast, cut, put in another order, or times a number."""
        match value:
            case Weight(row=name):
                return name == row
            case Var(name=name):
                return name in held
            case Op(args=args):
                is_scaled = has(value, Trait.SCALES) and any(isinstance(a, Scalar) for a in args)
                is_form = is_scaled or has(value, Trait.REFORMS)
                return is_form and self.takes(value, row, held)
            case _:
                return False


def reset_parameters(plan: FilePlan) -> list[str]:
    """The method of the model that gives its parameters what a training begins with."""
    text = "What a training begins with: gains are one, biases zero, all others normal."
    margin = INDENT * 2
    lines = [
        *definition("reset_parameters", ["self", "std: float = 0.02"], "None", 1),
        *docstring(text, 2),
        f"{margin}for row in self.parameters():",
    ]
    own = [row for module in plan.reachable for row in module.tensors if row.target is None]
    if all(row.compute in DRAWN for row in own):
        lines.append(f"{margin}{INDENT}nn.init.normal_(row, std=std)")
    else:
        lines.append(f"{margin}{INDENT}if row.is_floating_point() and row.itemsize > 1:")
        lines.append(f"{margin}{INDENT * 2}nn.init.normal_(row, std=std)")
    branches = list(branching(plan))
    if branches:
        lines.append(f"{margin}for module in self.modules():")
    for number, (test, inner) in enumerate(branches):
        lines += layout.lines("elif " if number else "if ", test, 3, ":")
        lines += [f"{margin}{INDENT * 2}{line}" for line in inner]
    return lines


def branching(plan: FilePlan) -> Iterator[tuple[Node, Sequence[str]]]:
    """Which classes have rows that are not normal, and what sets them; those set alike together."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for module in plan.reachable:
        kinds: Mapping[str, Beginning] = {
            row.name: beginning(plan.program, module, row)
            for row in module.tensors
            if row.target is None
        }
        name = plan.class_names[module.id]
        arrays = [row for row in module.tensors if row.kind == "array"]
        if plan.is_single(module):
            alike.setdefault(tuple(setting(arrays, kinds, stacked=False)), []).append(name)
        if plan.has_stack(module):
            lines = setting(module.tensors, kinds, stacked=True)
            alike.setdefault(tuple(lines), []).append(f"Stacked{name}")
    bias = ("nn.init.zeros_(module.bias)",)
    maps = [row for m in plan.reachable if plan.is_single(m) for row in m.tensors]
    if any(row.kind == "bias" for row in maps):
        alike.setdefault(bias, []).append("nn.Linear")
    for made, names in alike.items():
        if made:
            test: Node = call("isinstance", Atom("module"), joined([Atom(name) for name in names]))
            if "nn.Linear" in names:
                test = Binary("and", test, Atom("module.bias is not None"))
            yield test, made


def joined(names: Sequence[Node]) -> Node:
    """One of these classes."""
    *others, last = names
    return Binary("|", joined(others), last) if others else last


def setting(rows: Iterable[Tensor], kinds: Mapping[str, Beginning], *, stacked: bool) -> list[str]:
    """The lines that set rows which do not begin as all others do."""
    lines: list[str] = []
    for row in rows:
        kind = kinds.get(row.name, "normal")
        if kind == "normal":
            continue
        module = Atom("module")
        target = flat(stack(row, module) if stacked else place(row.name, row.kind, module))
        line = f"nn.init.{kind}_({target})"
        if line in lines:
            continue
        if row.condition != TRUE:
            test = f'if hasattr(module, "{target.partition(".")[2]}"):'
            lines += [] if test in lines else [test, f"{INDENT}{line}"]
        else:
            lines.append(line)
    return lines
