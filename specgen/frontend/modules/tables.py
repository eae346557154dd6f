"""The tables of a module that are not dataflow: names, config and report, resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping

from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label, did_you_mean
from specgen.diagnostics.source import Span
from specgen.expr.node import Const, Expr, Sym, conjunction
from specgen.frontend.modules.module import ModuleView
from specgen.frontend.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.language import tree
from specgen.language.parser import parse_expression

PIECE = re.compile(r"\{([^{}]*)\}|([^{}]+)|([{}])")

#: Names between the dots of a key, and the key of a list that follows a repeated part.
KEY = re.compile(r"[^{}]+")
LISTED = re.compile(r"(?P<key>[^{}]+)\.\{(?P<index>[A-Za-z_][A-Za-z0-9_]*)\}")

#: Levels of a released name, whole and without expressions.
LEVELS = re.compile(r"[^{}.]+(\.[^{}.]+)*")

#: What may stand among the conditions of a row of `config` that is never written.
ROLES = ("read", "absent")

#: What stands in the place of the value of a key that may say anything.
ANYTHING = "_"


def names(view: ModuleView, diagnostics: Diagnostics) -> Mapping[str, Mapping[str, ir.Template]]:
    """The naming schemes of a module: scheme -> own path -> template.

    What they say of several rows together, or of rows of parts, is left to `packings`.
    """
    found: dict[str, dict[str, ir.Template]] = {}
    parts = {part.name: part for part in view.definition.tree.parts}
    taken: dict[tuple[str, tuple[str, ...]], Span] = {}
    for section in view.definition.tree.names:
        table = found.setdefault(section.scheme, {})
        for row in section.rows:
            if is_besides(row, view):
                continue
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
                    labels = [Label(taken[section.scheme, name], FIRST)]
                    diagnostics.report("E0702", path.span, name=path.text, labels=labels)
                    plain = False
                taken.setdefault((section.scheme, name), path.span)
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


def is_besides(row: tree.RenameSyntax, view: ModuleView) -> bool:
    """Whether a row of `names` gives the name of what may be there and no row of the table is."""
    alone = len(row.paths) == 1 and row.arrangement is None
    return alone and row.paths[0].names == (ANYTHING,) and not is_plain(row, view)


def besides(view: ModuleView, diagnostics: Diagnostics) -> Mapping[str, tuple[ir.Template, ...]]:
    """What a checkpoint may hold besides, by naming scheme: names below the module's own."""
    found: dict[str, tuple[ir.Template, ...]] = {}
    for section in view.definition.tree.names:
        if not view.definition.tree.is_model:
            respellings(view, diagnostics)  # reports them
        for row in section.rows:
            if is_besides(row, view):
                template = parse_template(row.target, row.target_span, view.scope, diagnostics)
                if template:
                    found[section.scheme] = (*found.get(section.scheme, ()), template)
    return found


def respellings(
    view: ModuleView, diagnostics: Diagnostics
) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """First levels of names, and what some checkpoints have in their place, by naming scheme.

    Only the model's own rows say with what complete names begin.
    """
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for section in view.definition.tree.names:
        targets = [row.target for row in section.rows if view.definition.tree.is_model]
        for row in section.respellings:
            begins = [t for t in targets if t == row.usual or t.startswith(f"{row.usual}.")]
            whole = all(LEVELS.fullmatch(text) for text in (row.usual, row.other) if text)
            if row.usual == row.other or not row.usual or not begins or not whole:
                known = {t.partition(".")[0] for t in targets if "." in t}
                close = did_you_mean(row.usual, sorted(known))
                diagnostics.report("E0716", row.span, usual=row.usual, other=row.other, help=close)
                continue
            pair = row.usual, row.other
            found[section.scheme] = (*found.get(section.scheme, ()), pair)
    return found


def is_plain(row: tree.RenameSyntax, view: ModuleView) -> bool:
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
            matrix = isinstance(row.storage, tree.MapStorageSyntax) and names[-1] == "weight"
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
        rows = (config_row(row, view, diagnostics) for row in section.rows)
        found[section.scheme] = (
            *found.get(section.scheme, ()),
            *(row for row in rows if row is not None),
        )
    return found


def config_row(
    row: tree.ConfigRowSyntax, view: ModuleView, diagnostics: Diagnostics
) -> ir.ConfigRow | None:
    """One row; None, after a report, where it cannot be understood."""
    scope, key, index = view.scope, row.key, None
    role, conditions = role_and_conditions(row.condition, scope)
    listed = LISTED.fullmatch(key)
    if listed is not None:
        key, index = listed["key"], repeated(listed["index"], view)
        if index is not None:
            scope = scope.child([Sym(index[0], "index")])
    if not all(KEY.fullmatch(part) for part in key.split(".")) or (listed and index is None):
        diagnostics.report("E0704", row.span, key=row.key)
        return None
    try:
        value: Expr | tuple[Expr, ...]
        if is_anything(row.value) and role == "read":
            value, role = Const(None), "unread"
        elif isinstance(row.value, tree.ListOfSyntax):
            value = tuple(scope.resolve(item) for item in row.value.items)
        else:
            value = scope.resolve(row.value)
        condition = conjunction(*(scope.resolve(node) for node in conditions))
    except Unresolved:
        return None
    return ir.ConfigRow(value, key, condition, role, index)


def is_anything(value: tree.Expression | tree.ListOfSyntax) -> bool:
    return isinstance(value, tree.PathSyntax) and value.names == (ANYTHING,)


def role_and_conditions(
    condition: tree.Expression | None, scope: Scope
) -> tuple[str, list[tree.Expression]]:
    """`read` or `absent` where one of them is among the conditions, and the others."""
    if condition is None:
        return "", []
    role, others = "", []
    for node in conjuncts(condition):
        name = node.names[0] if isinstance(node, tree.PathSyntax) and len(node.names) == 1 else ""
        if name in ROLES and name not in scope.names() and not role:
            role = name
        else:
            others.append(node)
    return role, others if role else [condition]


def conjuncts(node: tree.Expression) -> list[tree.Expression]:
    """What must all hold, where a condition is `a and b and c`."""
    match node:
        case tree.OperationSyntax(op="and", operands=operands):
            return [found for operand in operands for found in conjuncts(operand)]
        case _:
            return [node]


def repeated(index: str, view: ModuleView) -> tuple[str, Expr] | None:
    """The index of a repeated part of the model, and how often it is there."""
    for part in view.definition.tree.parts:
        if part.index == index and part.count is not None:
            try:
                return index, view.scope.resolve(part.count)
            except Unresolved:
                return None
    return None


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
    node: tree.ReportSectionSyntax, view: ModuleView, diagnostics: Diagnostics
) -> ir.ReportSection:
    rows: list[ir.ReportRow | ir.ReportSection] = []
    for item in node.rows:
        if isinstance(item, tree.ReportSectionSyntax):
            rows.append(section(item, view, diagnostics))
            continue
        row = report_row(item, view, diagnostics)
        if row is not None:
            rows.append(row)
    return ir.ReportSection(node.heading, tuple(rows))


def report_row(
    node: tree.ReportRowSyntax, view: ModuleView, diagnostics: Diagnostics
) -> ir.ReportRow | None:
    subject = node.subject
    if isinstance(subject, tree.CallSyntax) and not subject.arguments and not subject.keywords:
        if subject.function.names[0] not in view.parts:
            diagnostics.report("E0705", subject.span, name=subject.function.text)
            return None
        return ir.ReportRow(node.label, "output", subject.function.text)
    if isinstance(subject, tree.PathSyntax):
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
