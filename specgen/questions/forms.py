"""Closed forms at other parameter values: which hold there, and which structure a table has there.

A ledger's forms hold where its conditions are decided alike; elsewhere the table is elaborated
again, once for each structure, and kept.  Knows ledgers; no arrays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from typing import Final

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.table.instances import Instance, definitions, descend, root
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, RequestError, SpecError
from specgen.expr.evaluate import EvaluationError, Value, evaluate, expression, holds
from specgen.expr.node import (
    ONE,
    TRUE,
    ZERO,
    Apply,
    Const,
    Expr,
    Kind,
    Sym,
    conjunction,
    substitute,
    symbols,
)
from specgen.expr.normal import normalize, settled
from specgen.expr.polynomial import TooComplex
from specgen.expr.simplify import Known
from specgen.frontend.files import Loaded, ModuleDefinition
from specgen.frontend.opened import Opened
from specgen.frontend.program import assemble
from specgen.frontend.selection import Selection
from specgen.frontend.values import MAX_SIZE, Override
from specgen.ir.model import Param, Program
from specgen.records import dataclass

#: Tables of different structure that one question may lead through.
MAX_STRUCTURES: Final = 64


class TooManyStructures(RequestError):
    """A question leads through more structures of a table than MAX_STRUCTURES."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A condition on params without which a table is not valid, and why."""

    condition: Expr
    reason: str


# ---- where a ledger holds --------------------------------------------------------------


def find_structure(found: Ledger, names: Collection[str] | None = None) -> Expr:
    """The condition, in params and lets, under which the ledger's forms are right: of all
    quantities, or of those named.

    Where one of them is not closed, that is every param at its value.
    """
    forms = [
        q
        for n, q in found.quantities.items()
        if q.expr is not None and (names is None or n in names)
    ]
    conditions = dict.fromkeys((*found.decided, *(a for q in forms for a in q.assumptions)))
    if not all(q.closed for q in forms):
        conditions |= dict.fromkeys(map(pin_param, found.program.model.params))
    return conjunction(*conditions)


def pin_param(param: Param) -> Expr:
    kind: Kind = "counts" if isinstance(param.value, tuple) else "unknown"
    return Apply("==", (Sym(param.name, kind), expression(param.value)))


# ---- where a table is valid ------------------------------------------------------------


def list_demands(found: Ledger) -> tuple[Demand, ...]:
    """What a table of this structure asks of its params: the requirements of its modules in place,
    and that its sizes are whole and its counts not negative.

    As the checker does, it leaves out what depends on an index.
    """
    lets = definitions(found.program)
    names = {param.name for param in found.program.model.params} | lets.keys()
    places = list(descend(root(found.program)))
    every = (*list_requirements(places), *list_size_demands(found, places, lets))
    kept = {d.condition: d for d in every if symbols(d.condition) <= names and d.condition != TRUE}
    return tuple(kept.values())


def list_requirements(places: Collection[Instance]) -> Iterator[Demand]:
    for place in places:
        for require in place.module.requires:
            yield Demand(settled(place.resolve(require.condition)), require.reason)


def list_size_demands(
    found: Ledger, places: Collection[Instance], lets: Mapping[str, Expr]
) -> Iterator[Demand]:
    counts = dict.fromkeys(count for place in places for _, count in place.indices)
    for count in counts:
        if isinstance(count, Sym) and count.name not in lets:
            continue  # a param of that kind is none below 0
        yield Demand(settled(Apply("<=", (ZERO, count))), "a count is not negative")
    shapes = (*(row.shape for row in found.rows), *(row.shape for row in found.caches))
    for dim in dict.fromkeys((*counts, *(dim for shape in shapes for dim in shape))):
        written = substitute(dim, lets)
        try:
            if normalize(written).integral:
                continue
        except (TooComplex, ZeroDivisionError):
            pass
        match written:
            case Apply(op="/", args=(above, below)):
                even = Apply("==", (Apply("%", (above, below)), ZERO))
            case _:
                even = Apply("==", (Apply("%", (written, ONE)), ZERO))
        yield Demand(settled(even), "a size is a whole number")


def list_domain_demands(param: Param, value: Expr) -> Iterator[Demand]:
    """What a param's type asks of a value that follows other params."""
    if param.kind not in ("size", "count"):
        return
    low = 1 if param.kind == "size" else 0
    reason = f"`{param.name}` is a whole number from {low} to {MAX_SIZE}"
    yield Demand(Apply("==", (Apply("%", (value, ONE)), ZERO)), reason)
    yield Demand(Apply("<=", (Const(low), value)), reason)
    yield Demand(Apply("<=", (value, Const(MAX_SIZE))), reason)


# ---- families --------------------------------------------------------------------------


@dataclass(eq=False)
class Family:
    """One variant of a table at any values of its params.

    A param that is not changed stays as the table, its variant and the selection's overrides set
    it; one that they set by other params follows those.

    Raises (all methods):
        SpecError: the table is at fault, or does not exist at the values that are asked for.
    """

    selection: Selection
    #: Ledgers of the structures met so far, each with the condition under which it holds.
    ledgers: list[tuple[Ledger, Expr]] = field(default_factory=list)

    @cached_property
    def opened(self) -> Opened:
        return self.selection.asked()

    @property
    def loaded(self) -> tuple[Loaded, ModuleDefinition]:
        """The files of the table, and its model."""
        return self.opened.loaded, self.opened.model

    @cached_property
    def base(self) -> Ledger:
        """The ledger of the selection itself."""
        return self.kept(self.opened.program())

    @cached_property
    def settings(self) -> Mapping[str, Expr]:
        """What each param is set to, in other params where it follows them."""
        kinds = {param.name: param.kind for param in self.base.program.model.params}
        return {name: give_type(kinds[name], expr) for name, expr in self.opened.settings().items()}

    def names(self, free: Collection[str] = ()) -> Mapping[str, Known]:
        """Every param and let but the free ones, for `fold`: its value, or its definition where it
        follows a free one."""
        values = self.base.values
        lets = {let.name: let.expr for let in self.base.program.model.lets}
        moving = set(free)
        found: dict[str, Known] = {}
        written = {**self.settings, **lets}
        # Definitions may stand in any order: what moves is found by going round until none is new.
        while True:
            more = {n for n, e in written.items() if n not in moving and symbols(e) & moving}
            if not more:
                break
            moving |= more
        for name, expr in written.items():
            if name in free:
                continue
            if name in moving:
                found[name] = expr
            elif name in values:
                found[name] = values[name]
        return found

    def environment(self, changes: Mapping[str, Value]) -> dict[str, Value]:
        """The values of params and lets where some params, or variables, are changed.

        A name without a value, such as a let that divides by zero, is absent.
        """
        lets = {let.name: let.expr for let in self.base.program.model.lets}
        env: dict[str, Value] = dict(changes)
        waiting = {n: e for n, e in {**self.settings, **lets}.items() if n not in env}
        while waiting:
            ready = [n for n, e in waiting.items() if symbols(e) <= env.keys()]
            if not ready:
                break
            for name in ready:
                expr = waiting.pop(name)
                try:
                    env[name] = evaluate(expr, env)
                except EvaluationError:
                    continue
        return env

    def ledger_at(self, changes: Mapping[str, Value]) -> Ledger:
        """The ledger whose forms hold where params are changed so; its `values` may be others'.

        Names that are no params, such as variables, do not matter.  Whether the table's
        requirements hold there is not asked: see `list_demands`.
        """
        env = {**self.base.values, **self.environment(changes)}
        for known, condition in self.ledgers:
            if holds(condition, env):
                return known
        return self.elaborate(changes)

    def elaborate(self, changes: Mapping[str, Value]) -> Ledger:
        """The ledger of the table with these very values; kept for others of its structure.

        Requirements that do not hold are passed over, so that points of its structure where
        they do can be told from others.
        """
        opened = self.opened
        params = {param.name for param in opened.model.tree.params}
        overrides: dict[str, Override] = dict(opened.overrides)
        overrides |= {n: make_override(value) for n, value in changes.items() if n in params}
        faults = Waiving()
        program = assemble(opened.loaded, opened.model, opened.variant, overrides, faults)
        if program is None:
            raise SpecError(faults.all)
        return self.kept(program)

    def kept(self, program: Program) -> Ledger:
        found = ledger(program)
        if len(self.ledgers) > MAX_STRUCTURES:
            del self.ledgers[1]  # the oldest but the base
        self.ledgers.append((found, find_structure(found)))
        return found


class Waiving(Diagnostics):
    """Diagnostics without those of requirements that do not hold."""

    def add(self, diagnostic: Diagnostic) -> None:
        if diagnostic.code != "E0311":
            super().add(diagnostic)


def give_type(kind: str, expr: Expr) -> Expr:
    """A real param is a float, whatever gives its value."""
    return Apply("*", (Const(1.0), expr)) if kind == "real" else expr


def make_override(value: Value) -> Override:
    """A value as an override from outside."""
    match value:
        case tuple():
            return tuple(v if isinstance(v, int) else float(v) for v in value)
        case bool() | int() | float() | str():
            return value
        case None:
            return "null"
        case _:
            return float(value)
