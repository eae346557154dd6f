"""The tables of a module that are not dataflow: names, config and report, resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping

from specgen.check.module import ModuleView
from specgen.diagnostics.diagnostic import Diagnostics, did_you_mean
from specgen.diagnostics.source import Span
from specgen.elaborate.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.sizes.expr import Const, Expr, Sym
from specgen.syntax import tree
from specgen.syntax.parser import parse_expression

PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")


def names(view: ModuleView, diagnostics: Diagnostics) -> Mapping[str, Mapping[str, ir.Template]]:
    """The naming schemes of a module: scheme -> own path -> template.

    What they say of several rows together, or of rows of parts, is left to `packings`.
    """
    found: dict[str, dict[str, ir.Template]] = {}
    parts = {part.name: part for part in view.definition.tree.parts}
    taken: set[tuple[str, tuple[str, ...]]] = set()
    for section in view.definition.tree.names:
        table = found.setdefault(section.scheme, {})
        for row in section.rows:
            plain = is_plain(row, view)
            for path in row.paths:
                if not plain and not leads_to_row(view, path.names):
                    known = [row.path.text for row in view.definition.tree.tensors]
                    if len(row.paths) == 1 and row.arrangement is None:
                        known += parts
                    close = did_you_mean(path.text, known)
                    diagnostics.report("E0701", path.span, name=path.text, help=close)
                    continue
                name = path.names
                if name[-1] == "weight" and leads_to_row(view, name[:-1]):
                    name = name[:-1]  # a map and its `weight` are one tensor
                if (section.scheme, name) in taken:
                    diagnostics.report("E0702", path.span, name=path.text)
                    plain = False
                taken.add((section.scheme, name))
            if not plain:
                continue
            own = row.paths[0].text
            scope = view.scope
            if own in parts and parts[own].index is not None:
                index = parts[own].index
                assert index is not None
                scope = scope.child([Sym(index, "index")])
            template = parse_template(row.target, row.target_span, scope, diagnostics)
            if template is not None:
                table[own] = template
    return found


def is_plain(row: tree.Rename, view: ModuleView) -> bool:
    """Whether a row of `names` gives one row or part of the module its name, and no more."""
    module, path = view.definition.tree, row.paths[0].text
    return (
        len(row.paths) == 1
        and row.arrangement is None
        and path in {*(r.path.text for r in module.tensors), *(part.name for part in module.parts)}
    )


def leads_to_row(view: ModuleView, names: tuple[str, ...]) -> bool:
    """Whether a path of parts leads to a tensor row, or to the `weight` of a map, in any variant."""
    ways = {view.definition: None}
    for at, name in enumerate(names):
        for row in (row for definition in ways for row in definition.tree.tensors):
            matrix = isinstance(row.storage, tree.MapStorage) and names[-1] == "weight"
            if names[at:] in (row.path.names, (*row.path.names, "weight") if matrix else ()):
                return True
        steps = [(d, part) for d in ways for part in d.tree.parts if part.name == name]
        children = (definition.module(part.module) for definition, part in steps)
        ways = {child: None for child in children if child is not None}
    return False


def parse_template(
    text: str, span: Span, scope: Scope, diagnostics: Diagnostics
) -> ir.Template | None:
    """A name with expressions in braces: `model.layers.{layer}`."""
    pieces: list[str | Expr] = []
    start = span.start + 1  # behind the quote
    for match in PIECE.finditer(text):
        if match[2] is not None:
            pieces.append(match[2])
            continue
        place = Span(span.source, start + match.start(), start + match.end())
        if match[1] is None or not match[1].strip():
            diagnostics.report("E0703", place, text=text)
            return None
        inner = Span(span.source, place.start + 1, place.end - 1)
        node = parse_expression(span.source, inner, diagnostics)
        if node is None:
            return None
        try:
            pieces.append(scope.resolve(node))
        except Unresolved:
            return None
    return tuple(pieces)


def configs(view: ModuleView, diagnostics: Diagnostics) -> Mapping[str, tuple[ir.ConfigRow, ...]]:
    """The config sections: each row keeps its condition, so that it can be read both ways."""
    found: dict[str, tuple[ir.ConfigRow, ...]] = {}
    for section in view.definition.tree.configs:
        rows: list[ir.ConfigRow] = []
        for row in section.rows:
            try:
                value: Expr | tuple[Expr, ...]
                if isinstance(row.value, tree.ListOf):
                    value = tuple(view.scope.resolve(item) for item in row.value.items)
                else:
                    value = view.scope.resolve(row.value)
                condition = (
                    Const(True) if row.condition is None else view.scope.resolve(row.condition)
                )
            except Unresolved:
                continue
            if not row.key or any(not key for key in row.key.split(".")):
                diagnostics.report("E0704", row.span, key=row.key)
                continue
            rows.append(ir.ConfigRow(value, row.key, condition))
        found[section.scheme] = (*found.get(section.scheme, ()), *rows)
    return found


def reports(view: ModuleView, diagnostics: Diagnostics) -> tuple[ir.Report, ...]:
    return tuple(
        ir.Report(
            report.language,
            report.title,
            tuple(section(item, view, diagnostics) for item in report.sections),
        )
        for report in view.definition.tree.reports
    )


def section(
    node: tree.ReportSection, view: ModuleView, diagnostics: Diagnostics
) -> ir.ReportSection:
    rows: list[ir.ReportRow | ir.ReportSection] = []
    for item in node.rows:
        if isinstance(item, tree.ReportSection):
            rows.append(section(item, view, diagnostics))
            continue
        row = report_row(item, view, diagnostics)
        if row is not None:
            rows.append(row)
    return ir.ReportSection(node.heading, tuple(rows))


def report_row(
    node: tree.ReportRow, view: ModuleView, diagnostics: Diagnostics
) -> ir.ReportRow | None:
    subject = node.subject
    if isinstance(subject, tree.Call) and not subject.arguments and not subject.keywords:
        if subject.function.names[0] not in view.parts:
            diagnostics.report("E0705", subject.span, name=subject.function.text)
            return None
        return ir.ReportRow(node.label, "output", subject.function.text)
    if isinstance(subject, tree.Path):
        first = subject.names[0]
        if first in view.parts or subject.text in view.tensors:
            if not selects(view, subject.names):
                diagnostics.report("E0705", subject.span, name=subject.text)
                return None
            return ir.ReportRow(node.label, "rows", subject.text)
        known = [*view.parts, *view.tensors, *view.scope.names()]
        if len(subject.names) > 1 or first not in view.scope.names():
            diagnostics.report(
                "E0705",
                subject.span,
                name=subject.text,
                help=did_you_mean(first, known),
            )
            return None
    try:
        return ir.ReportRow(node.label, "value", "", view.scope.resolve(subject))
    except Unresolved:
        return None


def selects(view: ModuleView, names: tuple[str, ...]) -> bool:
    """Whether a path of parts and a tensor leads somewhere, in some variant."""
    if not names or ".".join(names) in view.tensors:
        return True
    rows = view.parts.get(names[0], ())
    for row in rows:
        child = view.definition.module(row.row.module)
        if child is not None and selects(view.views.of(child), names[1:]):
            return True
    return False
