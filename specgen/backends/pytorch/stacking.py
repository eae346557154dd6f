"""Which parts of mixtures are stacked: tensors [count, ...] in place of as many modules.

Knows the program alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from specgen.expr.node import TRUE, symbols
from specgen.ir.model import (
    Assign,
    Branch,
    CallPart,
    Choose,
    Function,
    Mixture,
    Op,
    Part,
    Program,
    Return,
    Scalar,
    Statement,
    Value,
    Var,
    Weight,
)
from specgen.ir.visit import children, statements, walk
from specgen.ops.elementwise import CALLED, OPERATORS

#: What broadcasts, so that a row of each instance meets the tokens of that instance.
BROADCASTING = frozenset(
    [*(record.name for record in CALLED), *(record.name for record in OPERATORS.values())]
)


def stackable(program: Program) -> Iterator[Part]:
    """The parts that are mixed and never called, and whose instances can be carried out at once."""
    for module in program.modules.values():
        bodies = [s for f in (*module.forwards, *module.functions) for s in f.body]
        mixed = {v.part for v in walk(bodies) if isinstance(v, Mixture)}
        called = {v.part for v in walk(bodies) if isinstance(v, CallPart)}
        for name in mixed - called:
            parts = module.parts_named(name)
            if all(is_alike(program, part) for part in parts):
                yield from parts


def is_alike(program: Program, part: Part) -> bool:
    """Whether the instances of a part differ in their tensors' values and in nothing else."""
    module = program.modules[part.module]
    return (
        bool(module.tensors)
        and not any(part.index in symbols(expr) for expr in part.arguments.values())
        and not module.parts
        and not module.caches
        and not module.functions
        and len(module.forwards) == 1
        and rows_meet_tokens(module.forwards[0])
        and all(row.condition == TRUE and row.shared is None for row in module.tensors)
    )


def rows_meet_tokens(function: Function) -> bool:
    """Whether rows outside of maps are vectors that only broadcast: with tokens, or each other.

    Anything else, such as two rows one behind the other, is done for one instance at a time.
    """
    rows: set[str] = set()

    def is_row(value: Value) -> bool:
        """Whether a value is computed of rows alone."""
        match value:
            case Weight():
                return True
            case Var(name=name):
                return name in rows
            case Op(args=args):
                return any(map(is_row, args)) and all(
                    is_row(arg) or isinstance(arg, Scalar) for arg in args
                )
            case Choose(then=then, otherwise=otherwise):
                return is_row(then) or is_row(otherwise)
            case _:
                return False

    def fits(value: Value) -> bool:
        """Whether a value does no more with rows than may be done."""
        if isinstance(value, Weight) and len(value.types[0].shape) != 1:
            return False
        broadcasts = isinstance(value, Op) and value.name in BROADCASTING
        return all(fits(one) and (broadcasts or not is_row(one)) for one in children(value))

    def all_fit(body: tuple[Statement, ...]) -> bool:
        for statement in statements(body):
            match statement:
                case Assign(names=names, value=value):
                    if not fits(value):
                        return False
                    if is_row(value):
                        rows.update(names)
                case Return(values=values):
                    if not all(fits(value) and not is_row(value) for value in values):
                        return False
                case Branch():
                    continue
        return True

    return all_fit(function.body)
