"""What one module offers to its dataflow, and the checks of its rows.

Built once per module definition; the oracle later says which of the rows exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

from specgen.diagnostics.diagnostic import Diagnostics, Label, did_you_mean
from specgen.dtypes import DTYPES
from specgen.expr.assumptions import Assumptions
from specgen.expr.node import TRUE, Expr, Sym, conjunction, disjunction, substitute
from specgen.frontend.dataflow.signatures import Signature, signature
from specgen.frontend.files import FreeFunction, LoadedFile, ModuleDefinition, std_use
from specgen.frontend.modules.shared_rows import ends, names_of
from specgen.frontend.modules.views import CacheView, PartView, TensorView
from specgen.frontend.scope import (
    TAKEN,
    WANTED,
    Scope,
    Unresolved,
    first_place,
    kind_text,
    module_scope,
)
from specgen.ir.model import ACTIVATION
from specgen.language import tree
from specgen.ops.context import size_text
from specgen.records import dataclass

#: Row dtypes that keep their own precision in dataflow; others compute in the activation dtype.


@dataclass(eq=False)
class ModuleView:
    """A module definition with its scope, rows and signatures resolved."""

    definition: ModuleDefinition
    diagnostics: Diagnostics
    views: ModuleViews

    @cached_property
    def scope(self) -> Scope:
        return module_scope(self.definition, self.diagnostics)

    @cached_property
    def requires(self) -> Sequence[Expr]:
        rows = [*self.definition.tree.requires]
        found: list[Expr] = []
        for row in rows:
            try:
                found.append(self.scope.resolve(row.condition))
            except Unresolved:
                continue
        if self.definition.parent is not None:
            found.extend(self.views.of(self.definition.parent).requires)
        return found

    @cached_property
    def required(self) -> Assumptions:
        """What the requirements say before anything else is decided."""
        if self.definition.parent is None:
            found = Assumptions(self.scope.expanded, self.scope.choices)
            mine = self.requires
        else:
            outer = self.views.of(self.definition.parent)
            found = replace(outer.required, lets=self.scope.expanded, choices=self.scope.choices)
            mine = self.requires[: len(self.requires) - len(outer.requires)]
        for condition in mine:
            narrowed = found.assume(condition)
            found = narrowed if narrowed is not None else found
        return found

    def condition(self, node: tree.Expression | None) -> Expr:
        if node is None:
            return TRUE
        try:
            found = self.scope.resolve(node)
        except Unresolved:
            return TRUE
        if self.scope.kind(found) not in ("flag", "unknown"):
            self.diagnostics.report(
                "E0303",
                node.span,
                op="when",
                wanted="flag",
                found=kind_text(self.scope.kind(found)),
            )
            return TRUE
        return found

    # ---- tensors

    @cached_property
    def tensors(self) -> Mapping[str, Sequence[TensorView]]:
        found: dict[str, list[TensorView]] = {}
        for row in self.definition.tree.tensors:
            if isinstance(row.storage, tree.SharedStorageSyntax):
                views = self.shared(row, row.storage)
            else:
                view = self.tensor(row)
                views = [view] if view is not None else []
            if views:
                found.setdefault(row.path.text, []).extend(views)
        return found

    def tensor(self, row: tree.TensorSyntax) -> TensorView | None:
        """A row with a tensor of its own; None where its sizes are at fault."""
        condition = self.condition(row.condition)
        compute = ACTIVATION
        if row.format is not None:
            self.check_format(row.format)
            if row.format.name in DTYPES and DTYPES[row.format.name].kept:
                compute = row.format.name
        match row.storage:
            case tree.ArrayStorageSyntax(shape=shape):
                kind, dims = "array", [*shape.dims]
                if len(row.path.names) > 1:
                    kind = "bias"
                    self.check_bias(row)
            case tree.MapStorageSyntax(input=into, output=out):
                kind, dims = "map", [out, into]
            case tree.SharedStorageSyntax():
                return None
        sizes: list[Expr] = []
        for dim in dims:
            if isinstance(dim, tree.RestSyntax):
                self.diagnostics.report("E0409", dim.span)
                return None
            try:
                size = self.scope.resolve(dim)
            except Unresolved:
                return None
            if self.scope.kind(size) not in ("size", "count", "index", "unknown"):
                found = kind_text(self.scope.kind(size))
                self.diagnostics.report("E0410", dim.span, found=found)
                return None
            sizes.append(size)
        return TensorView(row, kind, tuple(sizes), compute, condition)

    def check_format(self, format_: tree.FormatSyntax) -> None:
        name = format_.name
        symbol = self.scope.symbols.get(name)
        if name in DTYPES or (symbol is not None and symbol.kind == "dtype"):
            return
        module = self.definition.module(name)
        if module is None:
            known = [*DTYPES, *self.definition.visible_modules]
            self.diagnostics.report(
                "E0503",
                format_.span,
                name=name,
                help=std_use(name, "module") or did_you_mean(name, known),
            )

    def check_bias(self, row: tree.TensorSyntax) -> None:
        base = ".".join(row.path.names[:-1])
        maps = [
            r
            for r in self.definition.tree.tensors
            if r.path.text == base
            and isinstance(r.storage, tree.MapStorageSyntax | tree.SharedStorageSyntax)
        ]
        if row.path.names[-1] != "bias" or not maps:
            self.diagnostics.report("E0504", row.path.span, name=row.path.text, base=base)

    def shared(
        self, row: tree.TensorSyntax, storage: tree.SharedStorageSyntax
    ) -> Sequence[TensorView]:
        """The alternatives of a row that shares another's: those that this one has."""
        condition, found = self.condition(row.condition), ends(self, storage.target)
        if not found:
            self.diagnostics.report("E0505", storage.target.span, name=storage.target.text)
        own = names_of(self)
        for end in found:
            if end.absolute and end.path[0] in own:
                self.diagnostics.report(
                    "E0515",
                    storage.target.span,
                    name=storage.target.text,
                    target=".".join(end.path),
                    first=end.path[0],
                    labels=[Label(end.row.span, "the row of the model")],
                )
                break
        if len(found) > 1:
            under = [(conjunction(condition, end.condition), end) for end in found]
            views = [
                TensorView(row, end.kind, end.shape, end.compute, both, end)
                for both, end in under
                if self.required.assume(both) is not None
            ]
            if views:
                return views
            nowhere = disjunction(*(end.condition for end in found))  # refused where it is checked
            found = [replace(found[0], condition=nowhere)]
        return [TensorView(row, e.kind, e.shape, e.compute, condition, e) for e in found]

    # ---- parts

    @cached_property
    def parts(self) -> Mapping[str, Sequence[PartView]]:
        found: dict[str, list[PartView]] = {}
        for row in self.definition.tree.parts:
            condition = self.condition(row.condition)
            found.setdefault(row.name, []).append(
                PartView(row, self.part_signature(row), condition, self.lacks_forward(row))
            )
        return found

    def part_signature(self, row: tree.PartSyntax) -> Signature | None:
        child = self.definition.module(row.module)
        if child is None:
            self.diagnostics.report(
                "E0601",
                row.module_span,
                name=row.module,
                help=std_use(row.module, "module")
                or did_you_mean(row.module, self.definition.visible_modules),
            )
            return None
        arguments = self.arguments(row)
        own = self.views.of(child).forward_signature
        if arguments is None or own is None:
            return None
        child_scope = self.views.of(child).scope
        return own.substituted(child_scope.expanded).substituted(arguments)

    def lacks_forward(self, row: tree.PartSyntax) -> bool:
        """Whether a part's module says nowhere what it computes, not even with a fault."""
        child = self.definition.module(row.module)
        if child is None or child.tree.forwards:
            return False
        owner = child.parent.tree.modules if child.parent is not None else ()
        if [module.name for module in owner].count(row.module) > 1:
            return False  # which of them is meant cannot be told
        within = child.tree.span
        left_out = (
            span.text
            for span in child.file.tree.damaged
            if within.start <= span.start <= within.end
        )
        return not any(text.startswith("function") or "forward" in text for text in left_out)

    def index_scope(self, row: tree.PartSyntax) -> Scope:
        """The scope of a part's arguments: the module's, and the part's own index."""
        return self.scope if row.index is None else self.scope.child([Sym(row.index, "index")])

    def arguments(self, row: tree.PartSyntax) -> dict[str, Expr] | None:
        """Every param of a part's module in this module's names: given, by name, or default."""
        child = self.definition.module(row.module)
        if child is None:
            return None
        scope = self.index_scope(row)
        if row.index is not None and row.index in self.scope.symbols:
            labels = first_place(self.definition, row.index)
            self.diagnostics.report("E0302", row.span, name=row.index, labels=labels)
        given = {keyword.name: keyword for keyword in row.arguments}
        params = {param.name: param for param in child.tree.params}
        for name, keyword in given.items():
            if name not in params:
                self.diagnostics.report(
                    "E0602",
                    keyword.span,
                    name=name,
                    module=row.module,
                    help=did_you_mean(name, params),
                )
        found: dict[str, Expr] = {}
        complete = True
        for name, param in params.items():
            if name in given:
                try:
                    found[name] = scope.resolve(given[name].value)
                except Unresolved:
                    complete = False
            elif param.default is not None:
                wanted, otherwise = around(param.default)
                if wanted is not None and (wanted in scope.symbols or wanted in scope.lets):
                    found[name] = named(scope, wanted)
                    continue
                child_scope = self.views.of(child).scope
                try:
                    default = child_scope.expand(child_scope.resolve(otherwise))
                    found[name] = substitute(default, found)
                except Unresolved:
                    complete = False
                    continue
                known = name in scope.symbols or name in scope.lets
                if known and scope.kind(named(scope, name)) in TAKEN[WANTED[param.type]]:
                    self.warn_of_default(row, param, found[name])
            elif name in scope.symbols or name in scope.lets:
                found[name] = named(scope, name)
            else:
                self.diagnostics.report(
                    "E0603",
                    row.module_span,
                    name=name,
                    module=row.module,
                    labels=[Label(param.span, "the parameter")],
                )
                complete = False
        for name, expr in found.items():
            kind, wanted = scope.kind(expr), WANTED[params[name].type]
            if kind not in TAKEN[wanted]:
                self.diagnostics.report(
                    "E0608",
                    given[name].span if name in given else row.module_span,
                    name=name,
                    module=row.module,
                    wanted=wanted,
                    found=kind_text(kind),
                    labels=[Label(params[name].span, "the parameter")],
                )
        found.update((param.name, named(scope, param.name)) for param in child.handed_on)
        return found if complete else None

    def warn_of_default(self, row: tree.PartSyntax, param: tree.ParamSyntax, default: Expr) -> None:
        """A name that stands here is not what a part's param of that name is."""
        self.diagnostics.report(
            "W0612",
            row.module_span,
            name=param.name,
            module=row.module,
            labels=[Label(param.span, "has a default")],
            help=f"`{row.module}({param.name} = {param.name})` passes it on, "
            f"`{row.module}({param.name} = {size_text(default)})` says the default",
        )

    # ---- caches, signatures

    @cached_property
    def caches(self) -> Mapping[str, CacheView]:
        found: dict[str, CacheView] = {}
        for row in self.definition.tree.caches:
            axes = [
                Sym(dim.names[0], "axis")
                for dim in row.shape.dims
                if isinstance(dim, tree.PathSyntax)
                and dim.names[0][0].isupper()
                and dim.names[0] not in self.scope.symbols
            ]
            scope = self.scope.child(axes)
            try:
                dims = [
                    scope.resolve(dim)
                    for dim in row.shape.dims
                    if not isinstance(dim, tree.RestSyntax)
                ]
            except Unresolved:
                continue
            if sum(dim == Sym(row.along) for dim in dims) != 1:
                self.diagnostics.report("E0506", row.span, name=row.name, along=row.along)
                continue
            found[row.name] = CacheView(row, tuple(dims))
        return found

    @cached_property
    def forward_signature(self) -> Signature | None:
        main = self.definition.tree.forwards[0] if self.definition.tree.forwards else None
        if main is None or not is_read(main, self.definition.file):
            return None
        try:
            return signature(main, self.views.quiet(self).scope)[0]
        except Unresolved:
            return None

    def method(self, name: str) -> Signature | None:
        node = self.definition.method(name)
        if node is None or not is_read(node, self.definition.file):
            return None
        try:
            return signature(node, self.views.quiet(self).scope)[0]
        except Unresolved:
            return None

    def function(self, name: str) -> Signature | None:
        found = self.definition.function(name)
        return self.views.free_signature(found) if found is not None else None

    def callable_names(self) -> list[str]:
        own = [f.name for f in self.definition.tree.functions]
        file = self.definition.file.names
        return own + [n for n, item in file.items() if isinstance(item, FreeFunction)]


def is_read(node: tree.ForwardSyntax | tree.FunctionSyntax, file: LoadedFile) -> bool:
    """Whether the head of a callable was read; one with a syntax fault is replaced by a plain one."""
    return all(span.start != node.span.start for span in file.tree.damaged)


def around(default: tree.Expression) -> tuple[str | None, tree.Expression]:
    """What a default says of the part's surroundings: `NAME when given else DEFAULT` is the name
    that is looked for there, and what stands where there is none."""
    match default:
        case tree.OperationSyntax(
            op="cond",
            operands=(tree.PathSyntax(names=("given",)), tree.PathSyntax(names=(name,)), otherwise),
        ):
            return name, otherwise
        case _:
            return None, default


def named(scope: Scope, name: str) -> Expr:
    """A param, index or let of a scope."""
    return scope.symbols[name] if name in scope.symbols else Sym(name, scope.let_kinds[name])


@dataclass(eq=False)
class FunctionView:
    """What a free function sees: other functions, and no rows."""

    function_: FreeFunction
    views: ModuleViews
    tensors: Mapping[str, Sequence[TensorView]] = field(default_factory=dict)
    parts: Mapping[str, Sequence[PartView]] = field(default_factory=dict)
    caches: Mapping[str, CacheView] = field(default_factory=dict)
    requires: Sequence[Expr] = ()

    def method(self, name: str) -> Signature | None:
        return None

    def function(self, name: str) -> Signature | None:
        found = self.function_.function(name)
        return self.views.free_signature(found) if found is not None else None

    def callable_names(self) -> list[str]:
        names = self.function_.file.names
        return [n for n, item in names.items() if isinstance(item, FreeFunction)]


class ModuleViews:
    """One view for each definition, so that each fault of a module is found once."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics
        self.known: dict[ModuleDefinition, ModuleView] = {}
        self.silent: dict[ModuleDefinition, ModuleView] = {}
        self.signatures: dict[FreeFunction, Signature | None] = {}

    def of(self, definition: ModuleDefinition) -> ModuleView:
        if definition not in self.known:
            self.known[definition] = ModuleView(definition, self.diagnostics, self)
        return self.known[definition]

    def quiet(self, view: ModuleView) -> ModuleView:
        """The same module, its faults dropped: they are reported where they stand."""
        if view.definition not in self.silent:
            self.silent[view.definition] = ModuleView(view.definition, Diagnostics(), self)
        return self.silent[view.definition]

    def free_signature(self, function: FreeFunction) -> Signature | None:
        if not is_read(function.tree, function.file):
            return None
        if function not in self.signatures:
            try:
                scope = Scope(Diagnostics(), None)
                self.signatures[function] = signature(function.tree, scope)[0]
            except Unresolved:
                self.signatures[function] = None
        return self.signatures[function]
