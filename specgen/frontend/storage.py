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
from specgen.expr.node import Expr, symbols
from specgen.frontend.files import Definition
from specgen.frontend.modules.module import ModuleView, ModuleViews, around
from specgen.frontend.scope import Unresolved
from specgen.ir import model as ir
from specgen.language import tree
from specgen.records import dataclass


@dataclass(eq=False)
class StorageAssembler:
    """Finds the dtype or the format of a row; `assemble` makes the module of a format."""

    model: Definition
    values: Mapping[str, ir.ParamValue]
    diagnostics: Diagnostics
    views: ModuleViews
    assemble: Callable[[Definition], ir.Module]
    formats: dict[str, ir.Module] = field(default_factory=dict)

    def is_fixed(self, view: ModuleView, row: tree.Tensor) -> bool:
        """Whether the row has a dtype or format of its own, and not that of all maps."""
        if row.format is None:
            return False
        symbol = view.scope.symbols.get(row.format.name)
        return symbol is None or symbol.kind != "dtype" or symbol.name not in self.of_maps

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
        self,
        view: ModuleView,
        row: tree.Tensor,
        kind: str,
        shape: Sequence[Expr],
        values: Mapping[str, Value],
    ) -> tuple[str | None, ir.Format | None]:
        format_ = row.format
        if format_ is None and isinstance(row.storage, tree.SharedStorage):
            target = view.target(row.storage.target, 0)  # a copy is stored as what it copies
            format_ = target.row.format if target is not None else None
        if format_ is not None:
            name, span = format_.name, format_.span
            arguments = format_.arguments
            symbol = view.scope.symbols.get(name)
            if symbol is not None and symbol.kind == "dtype":
                name = str(values.get(name, "bf16"))
        else:
            name, span, arguments = self.dtype("maps" if kind == "map" else "arrays"), row.span, ()
        if name in DTYPES:
            return name, None
        definition = view.definition.module(name) or self.model.module(name)
        if definition is None:
            self.diagnostics.report("E0503", span, name=name)
            return "bf16", None
        return None, self.format(definition, view, arguments, shape, span)

    def format(
        self,
        definition: Definition,
        view: ModuleView,
        arguments: Sequence[tree.Keyword],
        shape: Sequence[Expr],
        span: Span,
    ) -> ir.Format | None:
        """A storage format applied to a matrix: its R and C are the row's dims."""
        params = {param.name for param in definition.tree.params}
        if len(shape) != 2 or not {"R", "C"} <= params:
            self.diagnostics.report("E0508", span, name=definition.name)
            return None
        found: dict[str, Expr] = {"R": shape[0], "C": shape[1]}
        for keyword in arguments:
            if keyword.name not in params:
                self.diagnostics.report(
                    "E0602", keyword.span, name=keyword.name, module=definition.name
                )
                continue
            try:
                found[keyword.name] = view.scope.resolve(keyword.value)
            except Unresolved:
                continue
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
