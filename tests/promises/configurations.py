"""Random valid configurations of a table, small enough to instantiate, of one structure each.

A structure is what one elaboration gives: its conditions are decided, its sizes are free.  Sizes
are drawn by rejection: all `require`s of all modules hold, and all that was decided.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.table.instances import descend, root
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import Expr, symbols
from specgen.frontend.selection import Selection
from specgen.ir.model import Program
from tests.analysis.released import SPECS, with_values

#: Sizes that are drawn: often divisible by each other.
SMALL = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)

#: Layers that are drawn.
FEW = 4

#: Draws before a structure is given up whose sizes hang together more than one can guess.
PATIENCE = 20_000


@dataclass(frozen=True)
class Structure:
    """A variant, what is counted of it, and the conditions under which its formulas hold."""

    found: Ledger
    conditions: tuple[Expr, ...]

    @property
    def program(self) -> Program:
        return self.found.program

    def environment(self, values: Mapping[str, Value]) -> dict[str, Value]:
        env: dict[str, Value] = {**self.program.values, **values}
        for let in self.program.model.lets:
            env[let.name] = evaluate(let.expr, env)
        return env

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether sizes are a configuration of this structure."""
        try:
            env = self.environment(values)
            return all(evaluate(condition, env) is True for condition in self.conditions)
        except EvaluationError:
            return False

    def drawn(self, draw: random.Random, count: int) -> Iterator[dict[str, int]]:
        """So many configurations: every size is drawn, or small and as the variant has it."""
        sizes = [p for p in self.program.model.params if p.kind in ("size", "count")]
        patience = PATIENCE
        while count and patience:
            patience -= 1
            values = {}
            for param in sizes:
                layers = "layers" in param.name
                own = param.value
                small = isinstance(own, int) and own <= (FEW if layers else SMALL[-1])
                if small and draw.random() < 0.3:
                    values[param.name] = own
                elif layers or param.kind == "count":
                    values[param.name] = draw.randint(param.kind == "size", FEW)
                else:
                    values[param.name] = draw.choice(SMALL)
            if self.holds(values):
                count, patience = count - 1, PATIENCE
                yield values
        assert count == 0, f"no configuration of {self.program.variant} found"

    def program_of(self, values: Mapping[str, int]) -> Program:
        """The program with these sizes; conditions stay decided as they are."""
        return with_values(self.program, **values)


def structure(program: Program) -> Structure:
    found = ledger(program)
    instances = list(descend(root(program)))
    indices = {name for instance in instances for name, _ in instance.indices}
    resolved = (i.resolve(demand.condition) for i in instances for demand in i.module.requires)
    conditions = [
        *found.decided,
        *(condition for condition in resolved if not indices & symbols(condition)),
        *(a for quantity in found.quantities.values() for a in quantity.assumptions),
    ]
    return Structure(found, tuple(dict.fromkeys(conditions)))


def structures(spec: str, most: int) -> list[Structure]:
    """Those of the variants of a shipped table that differ in what is decided, the first ones.

    Variants that list numbers are left out: the lists fix what could be drawn.
    """
    found: dict[tuple[Expr, ...], Structure] = {}
    for program in Selection(SPECS / f"{spec}.dsv3").programs():
        if any(isinstance(value, tuple) and value for value in program.values.values()):
            continue
        made = structure(program)
        found.setdefault(made.found.decided, made)
    return list(found.values())[:most]
