"""Which values of its params a table allows, what moves with them, and its ledger at one of them.

Knows families of tables; nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from typing import Final

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.expr.evaluate import Value
from specgen.expr.node import ZERO, Apply, Const, Expr, Sym, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.expr.simplify import Known, fold
from specgen.frontend.load import build_program
from specgen.frontend.modules.module import ModuleViews
from specgen.frontend.scope import Scope
from specgen.frontend.selection import Selection
from specgen.questions.forms import Demand, Family, list_demands, list_domain_demands, make_override
from specgen.records import dataclass

#: Kinds of params whose values are whole numbers.
WHOLE: Final = frozenset({"size", "count"})


@dataclass(eq=False)
class Session:
    """A table that is asked; loaded and counted when that is first needed.

    Raises (all methods but `built`):
        SpecError: the table, its variant or an override is at fault.
    """

    selection: Selection
    _names: dict[tuple[str, ...], Mapping[str, Known]] = field(default_factory=dict)
    _ledgers: dict[tuple[tuple[str, Value], ...], Ledger | str] = field(default_factory=dict)

    @cached_property
    def family(self) -> Family:
        return Family(self.selection)

    @property
    def base(self) -> Ledger:
        """The ledger of the selection itself."""
        return self.family.base

    @property
    def params(self) -> Mapping[str, Value]:
        """The params and their values."""
        return self.base.program.values

    @cached_property
    def kinds(self) -> Mapping[str, str]:
        """The kind of each param: size, count, real, flag, choice, dtype, counts, reals."""
        return {param.name: param.kind for param in self.base.program.model.params}

    @cached_property
    def scope(self) -> Scope:
        """The names of the model, for expressions from outside."""
        _, model = self.family.loaded
        return ModuleViews(Diagnostics()).of(model).scope

    def names(self, *free: str) -> Mapping[str, Known]:
        """Every other param and let, for `fold`: a value, or its definition in what is free."""
        if free not in self._names:
            self._names[free] = self.family.names(free)
        return self._names[free]

    def followers(self, *free: str) -> list[str]:
        """The params that move where the free ones do."""
        names = self.names(*free)
        return [name for name in self.params if isinstance(names.get(name), Expr)]

    @cached_property
    def demands(self) -> tuple[Demand, ...]:
        """What the table asks of its params, all of them."""
        return list_demands(self.base)

    def rules(self, *free: str) -> tuple[Demand, ...]:
        """What the table asks of its params, as far as the free ones decide it; in those alone."""
        names = self.names(*free)
        params = {param.name: param for param in self.base.program.model.params}
        # Params that follow come first: where they are whole, sizes that they are in are, too.
        every = [
            d
            for name in self.followers(*free)
            for d in list_domain_demands(params[name], Sym(name))
        ]
        every += self.demands
        moving = {*free, *(n for n, known in names.items() if isinstance(known, Expr))}
        found: dict[Expr, Demand] = {}
        for demand in every:
            if not symbols(demand.condition) & moving:
                continue
            condition = clear_division(fold(demand.condition, names, free))
            if set(free) & symbols(condition):
                found.setdefault(condition, Demand(condition, describe_broken(demand)))
        return tuple(found.values())

    def build(self, changes: Mapping[str, Value]) -> Ledger | str:
        """The ledger of the table elaborated again with changed params, or why there is none."""
        if all(name in self.params and self.params[name] == v for name, v in changes.items()):
            return self.base
        key = tuple(sorted(changes.items()))
        if key not in self._ledgers:
            self._ledgers[key] = self._elaborate(changes)
        return self._ledgers[key]

    def _elaborate(self, changes: Mapping[str, Value]) -> Ledger | str:
        opened = self.family.opened
        overrides = {
            **opened.overrides,
            **{name: make_override(value) for name, value in changes.items()},
        }
        try:
            return ledger(build_program(opened.loaded, opened.model, opened.variant, overrides))
        except SpecError as error:
            return error.diagnostics[0].message


def clear_division(condition: Expr) -> Expr:
    """That a quotient of whole numbers is whole, said without fractions."""
    match condition:
        case Apply(
            op="==",
            args=(
                Apply(op="%", args=(Apply(op="/", args=(above, below)), Const(value=1))),
                Const(value=0),
            ),
        ):
            return Apply("==", (Apply("%", (above, below)), ZERO))
        case _:
            return condition


def describe_broken(demand: Demand) -> str:
    """What to say where a demand is not met."""
    return f"{demand.reason}: `{to_text(demand.condition, TABLE)}` does not hold"
