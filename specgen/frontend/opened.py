"""A spec's files, loaded once, to elaborate one variant of it under more than one set of values.

Knows how params get their values: variants, defaults that follow other params, overrides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.expr.node import Expr
from specgen.frontend import values as bind
from specgen.frontend.files import Loaded, ModuleDefinition
from specgen.frontend.load import build_program
from specgen.frontend.modules.module import ModuleViews
from specgen.frontend.origin import TableOrigin
from specgen.frontend.values import Override
from specgen.ir.model import Program
from specgen.records import dataclass


@dataclass(frozen=True)
class Opened:
    """The files of a spec, its model, and which variant of it is meant.

    `stored` and `origin` are those of a `Selection`, and of every program.
    """

    loaded: Loaded
    model: ModuleDefinition
    variant: str | None
    overrides: Mapping[str, Override]
    stored: str = ""
    origin: TableOrigin | None = None

    def program(self, more: Mapping[str, Override] | None = None) -> Program:
        """The table, checked and typed, with `more` parameters overridden.

        Raises:
            SpecError: with every fault found.
        """
        found = build_program(
            self.loaded, self.model, self.variant, {**self.overrides, **(more or {})}
        )
        if self.origin is not None:
            found = self.origin.but_for(more or ()).marked(found)
        return replace(found, stored_otherwise=self.stored) if self.stored else found

    def near(self, more: Mapping[str, Override]) -> Program:
        """`program` with values that the page of this variant counts besides its own.

        Raises:
            SpecError: as `program`.
        """
        is_near = not self.overrides
        overrides = {**self.overrides, **more}
        return build_program(self.loaded, self.model, self.variant, overrides, is_near=is_near)

    def settings(self) -> Mapping[str, Expr]:
        """What gives each param its value, in params only: `dim == 7168`, or a literal.

        An override of a param replaces its own; those of other params follow it.
        """
        scope = ModuleViews(Diagnostics()).of(self.model).scope
        found = bind.settings(self.model, scope, self.variant, self.overrides, Diagnostics())
        return {name: scope.expand(setting.expr) for name, setting in (found or {}).items()}

    def own_values(self) -> Mapping[str, Override]:
        """What the variant itself gives to the params whose value is another by the overrides."""
        if not self.overrides:
            return {}
        scope = ModuleViews(Diagnostics()).of(self.model).scope
        own, ours = (
            bind.values(self.model, scope, self.variant, given, Diagnostics())
            for given in ({}, self.overrides)
        )
        return {
            name: value
            for name, value in own.items()
            if value is not None and value != ours.get(name)
        }

    def formats(self) -> tuple[str, ...]:
        """The storage formats that the spec can name."""
        return tuple(
            name
            for name in self.model.visible_modules
            if (module := self.model.module(name)) is not None
            and {"R", "C"} <= {param.name for param in module.tree.params}
        )
