"""Checks a whole spec: every module under every reachable combination of its conditions.

Variants are checked after this, by building each; here nothing has a value yet.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import field
from itertools import combinations

from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label
from specgen.diagnostics.source import Span
from specgen.expr.assumptions import Assumptions
from specgen.expr.facts import exact
from specgen.expr.node import TRUE, Expr, conjunction, disjunction, negation
from specgen.expr.normal import equal
from specgen.frontend.conditions.divisibility import advice, divides, divisions
from specgen.frontend.conditions.oracle import MAX_PATHS, ByForks, explore
from specgen.frontend.dataflow.signatures import Signature, signature
from specgen.frontend.dataflow.typing import BodyTyping
from specgen.frontend.files import FreeFunction, Loaded, LoadedFile, ModuleDefinition
from specgen.frontend.modules import tables
from specgen.frontend.modules.module import FunctionView, ModuleView, ModuleViews
from specgen.frontend.modules.sharding import sharding
from specgen.frontend.scope import Scope, Unresolved
from specgen.ir.model import SCALAR, Type
from specgen.language import tree
from specgen.ops.context import size_text
from specgen.records import dataclass

#: Rows of one name that are compared with one another.
MAX_ALTERNATIVES = 100


def check_spec(loaded: Loaded, passed: Container[LoadedFile], diagnostics: Diagnostics) -> None:
    """Reports every fault that does not depend on a variant's values, but of files that passed."""
    views = ModuleViews(diagnostics)
    usages: dict[int, RowUsage] = {}
    for definition in loaded.definitions():
        if definition.file not in passed:
            usages[id(definition)] = check_module(views.of(definition), diagnostics)
    read = read_elsewhere(loaded, views, usages)
    for definition in loaded.definitions():
        usage = usages.get(id(definition))
        if usage is not None and definition.tree.forwards and not usage.failed:
            check_used(views.of(definition), usage.rows, read, diagnostics)
    for function in loaded.functions():
        if function.file not in passed:
            check_function(function, views, diagnostics)


def read_elsewhere(
    loaded: Loaded, views: ModuleViews, usages: Mapping[int, RowUsage]
) -> frozenset[int]:
    """The rows that a row of another module shares, by identity: what reads that one reads them.

    A tied row is there to be read, a copy may only be stored.
    """
    found: set[int] = set()
    for definition in loaded.definitions():
        usage = usages.get(id(definition))
        sharing = {
            id(row)
            for row in definition.tree.tensors
            if is_shared(row, "tied")
            or (
                is_shared(row, "copy")
                and (usage is None or usage.failed or row.path.text in usage.rows)
            )
        }
        if sharing:
            rows = views.quiet(views.of(definition)).tensors.values()
            ends = (one.end for some in rows for one in some if id(one.row) in sharing)
            passed = {id(row) for end in ends if end is not None for row in end.passed}
            found |= passed - set(map(id, definition.tree.tensors))
    return frozenset(found)


def is_shared(row: tree.TensorSyntax, kind: str) -> bool:
    return isinstance(row.storage, tree.SharedStorageSyntax) and row.storage.kind == kind


def check_module(view: ModuleView, diagnostics: Diagnostics) -> RowUsage:
    """Reports the faults of a module by itself; gives the rows that its dataflow reads."""
    definition = view.definition
    if definition.parent is not None and definition.tree.modules:
        diagnostics.report("E0606", definition.tree.modules[0].span)
    start = view.required
    check_sections(definition, diagnostics)
    check_names_of_rows(view, diagnostics)
    check_overlaps(view, start, diagnostics)
    check_biases(view, start, diagnostics)
    check_shared(view, start, diagnostics)
    check_divisions(view, start, diagnostics)
    tables.names(view, diagnostics)
    tables.configs(view, diagnostics)
    tables.reports(view, diagnostics)
    sharding(view, diagnostics)
    for parts in view.parts.values():
        for part in parts:
            view.arguments(part.row)
    return check_dataflow(view, start, diagnostics)


def check_sections(definition: ModuleDefinition, diagnostics: Diagnostics) -> None:
    """Sections that only a model has, and variants that share a name."""
    module = definition.tree
    if not module.is_model:
        for rows, name in (
            (module.variants, "variant"),
            (module.configs, "config"),
            (module.reports, "report"),
            (module.dtypes, "dtypes"),
            (module.sharding, "sharding"),
        ):
            if rows:
                diagnostics.report("E0607", rows[0].span, section=name, module=module.name)
    seen: dict[str, Span] = {}
    for variant in module.variants:
        if variant.name in seen:
            diagnostics.report(
                "E0319",
                variant.span,
                name=variant.name,
                labels=[Label(seen[variant.name], FIRST)],
            )
        seen.setdefault(variant.name, variant.span)
    kinds: dict[str, Span] = {}
    for row in module.dtypes:
        if row.name not in ("maps", "arrays", "activations", "caches"):
            diagnostics.report("E0509", row.span, name=row.name)
        elif row.name in kinds:
            labels = [Label(kinds[row.name], FIRST)]
            diagnostics.report("E0315", row.span, name=row.name, labels=labels)
        kinds.setdefault(row.name, row.span)


def check_names_of_rows(view: ModuleView, diagnostics: Diagnostics) -> None:
    """One name means one kind of thing: a tensor, a part, a cache row or a function."""
    module = view.definition.tree
    kinds: dict[str, tuple[str, Span]] = {}
    named: list[tuple[str, str, Span]] = [
        *(("tensor", row.path.text, row.span) for row in module.tensors),
        *(("part", row.name, row.span) for row in module.parts),
        *(("cache row", row.name, row.span) for row in module.caches),
        *(("function", row.name, row.span) for row in module.functions),
    ]
    for kind, name, span in named:
        known = kinds.setdefault(name, (kind, span))
        alternatives = kind == known[0] and kind in ("tensor", "part")
        if known[1] is not span and not alternatives:
            diagnostics.report(
                "E0510", span, name=name, kind=known[0], labels=[Label(known[1], FIRST)]
            )


def check_overlaps(view: ModuleView, start: Assumptions, diagnostics: Diagnostics) -> None:
    """Alternatives of one name must exclude each other."""
    groups: list[tuple[str, Sequence[tuple[Expr, Span]]]] = [
        (name, [(row.condition, row.row.span) for row in rows])
        for name, rows in view.tensors.items()
    ]
    groups += [
        (name, [(row.condition, row.row.span) for row in rows]) for name, rows in view.parts.items()
    ]
    for name, rows in groups:
        if len(rows) > MAX_ALTERNATIVES:
            diagnostics.report(
                "E0114",
                rows[MAX_ALTERNATIVES][1],
                limit=MAX_ALTERNATIVES,
                what=f"rows of the name `{name}` in a module",
            )
            continue
        for (first, first_span), (second, second_span) in combinations(rows, 2):
            if first_span is second_span:
                continue  # one row, which shares another's alternatives
            both = start.assume(first)
            both = both.assume(second) if both is not None else None
            if both is not None:
                diagnostics.report(
                    "E0511",
                    second_span,
                    name=name,
                    first=size_text(first),
                    second=size_text(second),
                    labels=[Label(first_span, "overlaps with this row")],
                )


def check_biases(view: ModuleView, start: Assumptions, diagnostics: Diagnostics) -> None:
    """A bias is added where its row is applied: where there is no such row, nothing reads it."""
    for name, rows in view.tensors.items():
        base = name.removesuffix(".bias")
        bases = view.tensors.get(base, ())
        if base == name or not bases:
            continue
        for row in rows:
            left = start.assume(row.condition)
            for one in bases:
                left = left and left.assume(negation(one.condition))
            if left is not None:
                condition = size_text(disjunction(*(one.condition for one in bases)))
                diagnostics.report(
                    "E0513",
                    row.row.span,
                    name=name,
                    base=base,
                    condition=condition,
                    labels=[Label(one.row.span, "exists under this condition") for one in bases],
                    help=f"let it exist with its row: `when {condition}`",
                )


def check_shared(view: ModuleView, start: Assumptions, diagnostics: Diagnostics) -> None:
    """A row that shares another's may only be where the other is."""
    for row in view.definition.tree.tensors:
        shared = [one.end for one in view.tensors.get(row.path.text, ()) if one.row is row]
        found = [end for end in shared if end is not None]
        if not found or any(end.condition == TRUE for end in found):
            continue
        left = start.assume(view.condition(row.condition))
        for end in found:
            left = left and left.assume(negation(end.condition))
        if left is not None:
            condition = size_text(disjunction(*(end.condition for end in found)))
            labels = [Label(end.row.span, "exists under its condition") for end in found]
            diagnostics.report(
                "E0514",
                row.span,
                name=row.path.text,
                target=".".join(found[0].path),
                condition=condition,
                labels=labels,
                help=f"let it exist with that row: `when {condition}`",
            )


def check_divisions(view: ModuleView, start: Assumptions, diagnostics: Diagnostics) -> None:
    """Every `/` in a size must be exact by the table's own requirements."""
    scope = view.scope
    sizes: list[tuple[Expr, Expr, Span]] = [
        (dim, row.condition, row.row.span)
        for rows in view.tensors.values()
        for row in rows
        for dim in row.shape
    ]
    for binding in view.definition.tree.lets:
        expr = scope.lets.get(binding.name)
        if expr is not None and scope.kind(expr) == "size":
            sizes.append((expr, TRUE, binding.span))
    for size, condition, span in sizes:
        for whole, part, under in divisions(size):
            known = start.assume(conjunction(condition, *under))
            if known is None or not (exact(whole) and exact(part)):
                continue
            if not divides(part, whole, known, scope.expanded):
                diagnostics.report(
                    "E0435",
                    span,
                    whole=size_text(whole),
                    part=size_text(part),
                    help=advice(whole, part, scope),
                )


@dataclass
class RowUsage:
    """What the dataflow of a module reads; nothing is known of it where a body is at fault."""

    rows: set[str] = field(default_factory=set)
    failed: bool = False


def check_dataflow(view: ModuleView, start: Assumptions, diagnostics: Diagnostics) -> RowUsage:
    module = view.definition.tree
    main: Signature | None = None
    usage = RowUsage()
    names: dict[str, Span] = {}
    for forward in module.forwards:
        if forward.name in names:
            labels = [Label(names[forward.name], FIRST)]
            name = forward.name or "forward"
            diagnostics.report("E0403", forward.span, name=name, labels=labels)
        names.setdefault(forward.name, forward.span)
        found = check_body(forward, view.scope, view, start, usage, diagnostics)
        if found is None:
            continue
        if main is None:
            main = found
        elif not same_signature(main, found, view.scope):
            diagnostics.report(
                "E0407",
                forward.span,
                name=forward.name,
                labels=[Label(module.forwards[0].span, "the main forward")],
            )
    for function in module.functions:
        assumed = start.assume(view.condition(function.condition))
        if assumed is None:
            diagnostics.report("E0451", function.span, name=function.name)
            continue
        check_body(function, view.scope, view, assumed, usage, diagnostics)
    return usage


def check_used(
    view: ModuleView, used: set[str], read: frozenset[int], diagnostics: Diagnostics
) -> None:
    """A row that no dataflow reads is a mistake: the checkpoint holds it for a reason.

    Reading a row that shares another's is reading that one.
    """
    module = view.definition.tree
    shared = {
        id(row)
        for name in used & view.tensors.keys()
        for one in view.tensors[name]
        if one.end is not None
        for row in one.end.passed
    }
    used = used | {row.path.text for row in module.tensors if id(row) in read | shared}
    for tensor in module.tensors:
        if tensor.path.text not in used and not is_shared(tensor, "copy"):
            diagnostics.report("E0512", tensor.span, name=tensor.path.text, kind="tensor")
    for part in module.parts:
        if part.name not in used:
            diagnostics.report("E0512", part.span, name=part.name, kind="part")
    for cache in module.caches:
        if cache.name not in used:
            diagnostics.report("E0512", cache.span, name=cache.name, kind="cache row")


def check_function(function: FreeFunction, views: ModuleViews, diagnostics: Diagnostics) -> None:
    if function.tree.condition is not None:
        diagnostics.report("E0457", function.tree.condition.span, name=function.name)
    scope = Scope(diagnostics, None)
    view = FunctionView(function, views)
    check_body(function.tree, scope, view, Assumptions(), RowUsage(), diagnostics)


def check_body(
    node: tree.ForwardSyntax | tree.FunctionSyntax,
    scope: Scope,
    view: ModuleView | FunctionView,
    start: Assumptions,
    usage: RowUsage,
    diagnostics: Diagnostics,
) -> Signature | None:
    """Types a body on every path through its conditions; gives its signature."""
    try:
        found, inner = signature(node, scope)
    except Unresolved:
        usage.failed = True
        return None
    arguments = {a.name: a.type for a in found.args if a.type.dtype != SCALAR}
    read: set[str] = set()
    bound: dict[str, Span] = {}

    failed = False

    def visit(oracle: ByForks) -> None:
        nonlocal failed
        typed: dict[str, Type | None] = dict(arguments)
        body = BodyTyping(inner, view, oracle, typed)
        _, returned = body.statements(node.body, found.results)
        if not returned:
            diagnostics.report("E0406", node.span, name=node.name or "forward")
        usage.rows.update(body.used)
        read.update(body.read)
        bound.update(body.bound)
        failed = failed or body.failed

    count = sum(1 for _ in explore(start, visit))
    if count >= MAX_PATHS:
        diagnostics.report("W0404", node.span, name=node.name or "forward", limit=MAX_PATHS)
    usage.failed = usage.failed or failed
    for name, span in bound.items():
        if name not in read and not failed:  # a faulty statement may be what reads it
            diagnostics.report("E0404", span, name=name)
    return found


def same_signature(a: Signature, b: Signature, scope: Scope) -> bool:
    def same(x: Type, y: Type) -> bool:
        return (
            x.dtype == y.dtype
            and len(x.shape) == len(y.shape)
            and all(equal(p, q, scope.expanded) for p, q in zip(x.shape, y.shape, strict=True))
        )

    return (
        [arg.name for arg in a.args] == [arg.name for arg in b.args]
        and all(same(x.type, y.type) for x, y in zip(a.args, b.args, strict=True))
        and len(a.results) == len(b.results)
        and all(same(x, y) for x, y in zip(a.results, b.results, strict=True))
    )
