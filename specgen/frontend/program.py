"""From a definition and a variant's values to the IR: conditions on params decided.

A module is built once for each set of rows that its instances need; two instances whose
conditions are decided alike share one IR module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property

from specgen.diagnostics.diagnostic import Diagnostics, Label
from specgen.expr.assumptions import Assumptions, Bounds
from specgen.expr.evaluate import EvaluationError, Value, evaluate, evaluate_int
from specgen.expr.node import TRUE, ZERO, Apply, Const, Expr, negation, symbols
from specgen.expr.normal import normalize
from specgen.expr.polynomial import Polynomial
from specgen.frontend import values as bind
from specgen.frontend.conditions.oracle import ByValues, simplified
from specgen.frontend.conditions.ranges import Known, Range, assume, bounds_of, shifted
from specgen.frontend.dataflow.bodies import called, typed_again
from specgen.frontend.dataflow.empty_stacks import Emptied, threaded, unchosen
from specgen.frontend.dataflow.idle_caches import without_idle
from specgen.frontend.files import FreeFunction, Loaded, ModuleDefinition
from specgen.frontend.modules import tables
from specgen.frontend.modules.module import FunctionView, ModuleView, ModuleViews
from specgen.frontend.modules.packings import packings
from specgen.frontend.modules.sharding import sharding
from specgen.frontend.scope import Scope, Unresolved
from specgen.frontend.storage import StorageAssembler
from specgen.ir import model as ir
from specgen.ir.verify import verify
from specgen.language import tree
from specgen.ops import registry
from specgen.records import dataclass

#: Modules inside modules: deeper than this is a module that contains itself.
MAX_DEPTH = 32


@dataclass(eq=False)
class Assembler:
    """Builds the IR of one variant; each module definition is typed for each set of rows."""

    loaded: Loaded
    model: ModuleDefinition
    values: Mapping[str, ir.ParamValue]
    diagnostics: Diagnostics
    views: ModuleViews
    modules: dict[str, ir.Module] = field(default_factory=dict)
    functions: dict[str, ir.Function] = field(default_factory=dict)
    function_names: dict[FreeFunction, str] = field(default_factory=dict)
    incomplete: bool = False  # a body is at fault, which may be reported elsewhere
    memo: dict[tuple[ModuleDefinition, tuple[tuple[str, Known], ...]], str] = field(
        default_factory=dict
    )
    stack: list[ModuleDefinition] = field(default_factory=list)

    @cached_property
    def storage(self) -> StorageAssembler:
        return StorageAssembler(
            self.model,
            self.values,
            self.diagnostics,
            self.views,
            lambda format_: self.module(format_, {}, f"{format_.name}."),
        )

    # ---- modules

    def build(
        self, definition: ModuleDefinition, known: Mapping[str, Known], place: str
    ) -> str | None:
        """The id of the IR module for an instance whose params have these values."""
        key = (definition, tuple(sorted(known.items(), key=lambda kv: kv[0])))
        if key in self.memo:
            return self.memo[key]
        if definition in self.stack or len(self.stack) > MAX_DEPTH:
            names = " → ".join([d.name for d in self.stack] + [definition.name])
            self.diagnostics.report("E0604", definition.tree.span, name=names)
            return None
        self.stack.append(definition)
        try:
            module = self.module(definition, known, place)
        finally:
            self.stack.pop()
        self.memo[key] = self.register(self.modules, module)
        return self.memo[key]

    def register(self, table: dict[str, ir.Module], module: ir.Module) -> str:
        """Adds a module under an id of its own, unless an equal one is there."""
        number = 1
        while True:
            id_ = module.name if number == 1 else f"{module.name}_{number}"
            if id_ not in table:
                table[id_] = replace(module, id=id_)
                return id_
            if table[id_] == replace(module, id=id_):
                return id_
            number += 1

    def environment(
        self, view: ModuleView, known: Mapping[str, Known]
    ) -> tuple[dict[str, Value], Assumptions]:
        """What is known of the names of a module: values, and bounds on those without one."""
        values: dict[str, Value] = {}
        if view.definition.parent is self.model or view.definition is self.model:
            values.update(self.values)
        bounds: dict[Polynomial, Bounds] = {}
        for name, value in known.items():
            if isinstance(value, Range):
                symbol = view.scope.symbols[name]
                bounds[normalize(symbol)] = bounds_of(value)
                values.pop(name, None)
            else:
                values[name] = value
        known_all = view.required  # sizes that are required to be equal are
        for key, within in bounds.items():
            known_all = known_all.add_bounds(key, within) or known_all
        return values, known_all

    def module(
        self, definition: ModuleDefinition, known: Mapping[str, Known], place: str
    ) -> ir.Module:
        view = self.views.of(definition)
        values, assumptions = self.environment(view, known)
        oracle = ByValues(values, view.scope.expanded, assumptions)
        bind.check_requires(definition, view.scope, values, self.diagnostics, place)
        empty: dict[str, list[Emptied]] = {}
        parts = self.parts(view, values, known, oracle, place, empty)
        tensors = self.tensors(view, values, oracle)
        forwards = [self.callable(view, node, oracle, empty) for node in definition.tree.forwards]
        methods = [
            self.callable(view, node, oracle, empty)
            for node in definition.tree.functions
            if oracle.decide(view.condition(node.condition)) is not False
        ]
        decided, bounded = (
            tuple(
                condition if value else negation(condition)
                for condition, value in found.items()
                if not isinstance(condition, Const)
            )
            for found in (oracle.taken, oracle.bounded)
        )
        return ir.Module(
            id="",
            name=definition.name,
            title=definition.tree.title,
            lexical=definition.parent is self.model,
            params=tuple(self.param(row, view, definition) for row in definition.params),
            lets=tuple(
                ir.Let(row.name, view.scope.lets[row.name], row.unit, row.description)
                for row in definition.lets
                if row.name in view.scope.lets
            ),
            requires=tuple(self.requires(view)),
            tensors=tensors,
            parts=parts,
            caches=tuple(
                ir.Cache(
                    cache.row.name,
                    cache.shape,
                    cache.row.along,
                    cache.row.format.name if cache.row.format else self.storage.dtype("caches"),
                    cache.row.description,
                )
                for cache in view.caches.values()
            ),
            forwards=tuple(f for f in forwards if f is not None),
            functions=tuple(f for f in methods if f is not None),
            names=tables.names(view, self.diagnostics),
            besides=tables.besides(view, self.diagnostics),
            packings=packings(view, tensors, parts, self.modules, oracle),
            decided=decided,
            bounded=bounded,
        )

    def param(
        self, row: tree.ParamSyntax, view: ModuleView, definition: ModuleDefinition
    ) -> ir.Param:
        value = self.values.get(row.name) if definition is self.model else None
        kind = "choice" if row.choices else row.type
        return ir.Param(row.name, kind, value, row.choices, row.unit, row.description)

    def requires(self, view: ModuleView) -> Sequence[ir.Require]:
        found = []
        for row in view.definition.tree.requires:
            try:
                found.append(ir.Require(view.scope.resolve(row.condition), row.reason))
            except Unresolved:
                continue
        return found

    # ---- rows

    def parts(
        self,
        view: ModuleView,
        values: Mapping[str, Value],
        known: Mapping[str, Known],
        oracle: ByValues,
        place: str,
        empty: dict[str, list[Emptied]],
    ) -> tuple[ir.Part, ...]:
        """The parts that have an instance; those that have none go to `empty`."""
        done: list[ir.Part] = []
        for part in (part for rows in view.parts.values() for part in rows):
            row = part.row
            exists = oracle.decide(part.condition)
            child = view.definition.module(row.module)
            arguments = view.arguments(row)
            if exists is False or child is None or arguments is None:
                continue
            inner = place + row.name
            count: Expr | None = None
            ranges: dict[str, Known] = {k: v for k, v in known.items() if isinstance(v, Range)}
            if row.count is not None:
                counted = self.count(view, row.count, values)
                if counted is None:
                    continue
                count, number = counted
                if number == 0:
                    oracle.taken[Apply("==", (count, ZERO))] = True
                    condition = TRUE if exists else part.condition
                    empty.setdefault(row.name, []).append(Emptied(condition, row.count.span))
                    continue
                if row.index is not None:
                    ranges[row.index] = Range(0, number - 1)
                    inner += f"[{row.index}]"
            assumed = assume(exists, part.condition, view, values, ranges)
            child_known = {
                name: self.known(view, expr, values, assumed) for name, expr in arguments.items()
            }
            id_ = self.build(
                child, {n: v for n, v in child_known.items() if v is not None}, inner + "."
            )
            if id_ is None:
                continue
            done.append(
                ir.Part(
                    row.name,
                    id_,
                    arguments,
                    row.index,
                    count,
                    TRUE if exists else part.condition,
                    row.description,
                )
            )
        there = {part.name for part in done}
        for name in empty.keys() - there:  # wherever one is called, it is such a one
            empty[name] = [Emptied(TRUE, one.span) for one in empty[name]]
        return tuple(done)

    def count(
        self, view: ModuleView, node: tree.Expression, values: Mapping[str, Value]
    ) -> tuple[Expr, int] | None:
        try:
            count = view.scope.resolve(node)
            expanded = view.scope.expand(count)
            number = evaluate_int(expanded, values)
        except Unresolved:
            return None
        except EvaluationError as error:
            reason, help_ = str(error), None
            varying = sorted(n for n in symbols(expanded) if n not in values)
            if varying:
                reason = f"`{varying[0]}` is not the same in every instance of the part around it"
                help_ = "write an alternative for each count, with a condition on the index"
            self.diagnostics.report("E0605", node.span, reason=reason, help=help_)
            return None
        if not 0 <= number <= bind.MAX_SIZE:
            self.diagnostics.report("E0605", node.span, reason=f"{number} is not a count")
            return None
        return count, number

    def known(
        self, view: ModuleView, expr: Expr, values: Mapping[str, Value], ranges: Mapping[str, Known]
    ) -> Known:
        """The value of a part's argument, or its range where it depends on an index."""
        expanded = view.scope.expand(expr)
        try:
            value = evaluate(expanded, {k: v for k, v in values.items() if k not in ranges})
        except EvaluationError:
            return shifted(expanded, values, ranges)
        return value

    def tensors(
        self, view: ModuleView, values: Mapping[str, Value], oracle: ByValues
    ) -> tuple[ir.Tensor, ...]:
        done: list[ir.Tensor] = []
        for row in (row for rows in view.tensors.values() for row in rows):
            exists = oracle.decide(row.condition)
            if exists is False:
                continue
            shared = target = None
            if isinstance(row.row.storage, tree.SharedStorageSyntax) and row.end is not None:
                shared, target = row.row.storage.kind, ".".join(row.end.path)
            dtype, format_ = self.storage.of_row(view, row, values)
            done.append(
                ir.Tensor(
                    row.row.path.text,
                    row.kind,
                    tuple(simplified(dim, oracle) for dim in row.shape),
                    dtype,
                    format_,
                    row.compute,
                    TRUE if exists else row.condition,
                    shared,
                    target,
                    row.row.description,
                    self.storage.is_fixed(view, row),
                )
            )
        return tuple(done)

    # ---- dataflow

    def callable(
        self,
        view: ModuleView,
        node: tree.ForwardSyntax | tree.FunctionSyntax,
        oracle: ByValues,
        empty: Mapping[str, Sequence[Emptied]],
    ) -> ir.Function | None:
        body = typed_again(self.loaded.typed, node, view.scope, view, oracle)
        if body is None:
            self.incomplete = True
            return None
        for name, span in unchosen(body, empty):
            reason = f"it is 0, and a mixture chooses among the instances of `{name}`"
            self.diagnostics.report("E0605", span, reason=reason)
        body = threaded(body, empty)
        for name in called(body.body):
            free = view.definition.function(name)
            if free is not None:
                self.free_function(free)
        return body

    def free_function(self, function: FreeFunction) -> None:
        """Adds a free function and those it calls, callees first."""
        if function in self.function_names:
            return
        self.function_names[function] = function.name
        body = typed_again(
            self.loaded.typed,
            function.tree,
            Scope(self.diagnostics, None),
            FunctionView(function, self.views),
            ByValues({}, {}, Assumptions()),
        )
        if body is None:
            self.incomplete = True
            return
        for name in called(body.body):
            inner = function.function(name)
            if inner is not None:
                self.free_function(inner)
        existing = self.functions.get(function.name)
        if existing is not None and existing != body:
            labels = [
                Label(other.tree.span, "the first")
                for other, name in self.function_names.items()
                if name == function.name and other is not function
            ]
            span = function.tree.span
            self.diagnostics.report("E0206", span, name=function.name, labels=labels[:1])
            return
        self.functions[function.name] = body


def assemble(
    loaded: Loaded,
    model: ModuleDefinition,
    variant: str | None,
    overrides: Mapping[str, bind.Override],
    diagnostics: Diagnostics,
) -> ir.Program | None:
    """The IR of a variant; None, with the faults reported, where there is none.

    Modules are looked at once for all variants, as long as no fault is found.  What counts as a
    fault is for the kind of the diagnostics to say, so that each kind has views of its own.
    """
    kind = type(diagnostics)
    known = loaded.views.setdefault(kind, [])
    views: ModuleViews = known.pop() if known else ModuleViews(kind())
    try:
        return assembled(loaded, model, variant, overrides, views)
    finally:
        if not views.diagnostics.all:
            known.append(views)
        for fault in views.diagnostics.all:
            diagnostics.add(fault)


def assembled(
    loaded: Loaded,
    model: ModuleDefinition,
    variant: str | None,
    overrides: Mapping[str, bind.Override],
    views: ModuleViews,
) -> ir.Program | None:
    """`assemble`, from the model's modules as they are seen; faults are reported where theirs are."""
    diagnostics = views.diagnostics
    view = views.of(model)
    values = bind.values(model, view.scope, variant, overrides, diagnostics)
    if diagnostics.errors:
        return None
    assembler = Assembler(loaded, model, values, diagnostics, views)
    root = assembler.build(model, values, "")
    if root is None or assembler.incomplete or diagnostics.errors:
        return None
    program = ir.Program(
        name=model.name,
        title=model.tree.title,
        variant=variant,
        edition=loaded.main.tree.edition,
        root=root,
        modules=assembler.modules,
        functions=assembler.functions,
        formats=assembler.storage.formats,
        activation_dtype=assembler.storage.dtype("activations"),
        configs=tables.configs(view, diagnostics),
        reports=tables.reports(view, diagnostics),
        sharding=sharding(view, diagnostics),
        overridden=tuple(sorted(overrides)),
        respellings=tables.respellings(view, diagnostics),
    )
    program = without_idle(program)
    verify(program, registry.fault)
    return program
