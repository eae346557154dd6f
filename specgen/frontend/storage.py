"""How rows are stored: dtypes of their own or of their kind, and storage formats applied to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import cached_property

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Span
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import Expr, Sym, symbols
from specgen.frontend.files import ModuleDefinition
from specgen.frontend.modules.module import ModuleView, ModuleViews, around
from specgen.frontend.modules.shared_rows import format_arguments
from specgen.frontend.modules.views import TensorView
from specgen.frontend.scope import Unresolved
from specgen.ir import model as ir
from specgen.language import tree
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class As:
    """What a row is stored as: the words of the table, the module that has them, and what the
    arguments and the dtype param in them are where the row is."""

    format: tree.FormatSyntax | None
    home: ModuleView
    arguments: Mapping[str, Expr]
    dtype: Expr | None


def as_stored(view: ModuleView, row: TensorView) -> As:
    if row.end is not None:
        return As(row.end.row.format, row.end.home, row.end.arguments, row.end.dtype)
    return As(row.row.format, view, *format_arguments(view, row.row.format))


@dataclass(eq=False)
class StorageAssembler:
    """Finds the dtype or the format of a row; `assemble` makes the module of a format."""

    model: ModuleDefinition
    values: Mapping[str, ir.ParamValue]
    diagnostics: Diagnostics
    views: ModuleViews
    assemble: Callable[[ModuleDefinition], ir.Module]
    formats: dict[str, ir.Module] = field(default_factory=dict)

    def is_fixed(self, view: ModuleView, row: TensorView) -> bool:
        """Whether the row has a dtype or format of its own, and not that of all maps."""
        stored = as_stored(view, row)
        if stored.format is None:
            return False
        return not isinstance(stored.dtype, Sym) or stored.dtype.name not in self.of_maps

    @cached_property
    def of_maps(self) -> frozenset[str]:
        """The param that gives all maps their dtype or format."""
        scope = self.views.of(self.model).scope
        found: set[str] = set()
        for row in self.model.tree.dtypes:
            if row.name == "maps":
                with suppress(Unresolved):
                    found |= symbols(scope.resolve(row.value))
        return frozenset(found)

    def dtype(self, name: str) -> str:
        """The dtype or format that the model's `dtypes` section gives to a kind of row."""
        for row in self.model.tree.dtypes:
            if row.name == name:
                try:
                    value = evaluate(
                        self.views.of(self.model).scope.resolve(row.value), self.values
                    )
                except (Unresolved, EvaluationError):
                    return "bf16"
                if isinstance(value, str):
                    return value
                self.diagnostics.report("E0507", row.span, name=name)
        return "bf16"

    def of_row(
        self, view: ModuleView, row: TensorView, values: Mapping[str, Value]
    ) -> tuple[str | None, ir.Format | None]:
        """The dtype of a row, or its format; a row that shares another's is stored as that one."""
        stored = as_stored(view, row)
        if stored.format is not None:
            name, span = stored.format.name, stored.format.span
            if isinstance(stored.dtype, Sym):
                name = str(values.get(stored.dtype.name, "bf16"))
        else:
            name, span = self.dtype("maps" if row.kind == "map" else "arrays"), row.row.span
        if name in DTYPES:
            return name, None
        definition = stored.home.definition.module(name) or self.model.module(name)
        if definition is None:
            self.diagnostics.report("E0503", span, name=name)
            return "bf16", None
        return None, self.format(definition, stored, row.shape, span)

    def format(
        self,
        definition: ModuleDefinition,
        stored: As,
        shape: Sequence[Expr],
        span: Span,
    ) -> ir.Format | None:
        """A storage format applied to a matrix: its R and C are the row's dims."""
        params = {param.name for param in definition.tree.params}
        if len(shape) != 2 or not {"R", "C"} <= params:
            self.diagnostics.report("E0508", span, name=definition.name)
            return None
        found: dict[str, Expr] = {"R": shape[0], "C": shape[1]}
        for keyword in stored.format.arguments if stored.format is not None else ():
            if keyword.name not in params:
                self.diagnostics.report(
                    "E0602", keyword.span, name=keyword.name, module=definition.name
                )
                continue
            if keyword.name in stored.arguments:
                found[keyword.name] = stored.arguments[keyword.name]
        child = self.views.of(definition)
        for param in definition.tree.params:
            if param.name not in found and param.default is not None:
                try:
                    found[param.name] = child.scope.resolve(around(param.default)[1])
                except Unresolved:
                    continue
        id_ = definition.name
        if id_ not in self.formats:
            self.formats[id_] = replace(self.assemble(definition), id=id_)
        return ir.Format(id_, found)
