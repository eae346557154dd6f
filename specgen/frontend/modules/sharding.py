"""The `sharding` section of a model: which names the ranks of each axis of parallelism divide.

Knows names and what kind of thing they are; what a layout makes of them is `analysis.sharding`'s.
"""

from __future__ import annotations

from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label, did_you_mean
from specgen.diagnostics.source import Span
from specgen.frontend.modules.module import ModuleView
from specgen.frontend.scope import Unresolved
from specgen.ir import model as ir
from specgen.language import tree


def sharding(view: ModuleView, diagnostics: Diagnostics) -> tuple[ir.Axis, ...]:
    """The axes that the model declares; a row that is at fault is reported and left out."""
    found: dict[str, tuple[ir.Axis, Span]] = {}
    for row in view.definition.tree.sharding:
        if row.axis not in ir.AXES:
            help_ = did_you_mean(row.axis, ir.AXES)
            diagnostics.report("E0609", row.span, name=row.axis, help=help_)
        elif row.axis in found:
            labels = [Label(found[row.axis][1], FIRST)]
            diagnostics.report("E0611", row.span, name=row.axis, labels=labels)
        else:
            axis = ir.Axis(row.axis, divided(row, view, diagnostics), row.description)
            found[row.axis] = axis, row.span
    return tuple(axis for axis, _ in found.values())


def divided(
    row: tree.ShardingRowSyntax, view: ModuleView, diagnostics: Diagnostics
) -> tuple[ir.Divided, ...]:
    leaders = {item.name for item in row.divided if item.along is None}
    seen: dict[str, Span] = {}
    kept: list[ir.Divided] = []
    for item in row.divided:
        reason = fault(item, row.axis, view)
        if reason is None and item.along is not None and item.along not in leaders:
            reason = f"`{item.along}` is not divided by this axis itself"
        if reason is None and item.name in seen:
            reason = "it is divided by this axis already"
        if reason is not None:
            labels = [Label(seen[item.name], FIRST)] if item.name in seen else []
            diagnostics.report("E0610", item.span, name=item.name, reason=reason, labels=labels)
            continue
        if known(item.name, item.span, view):
            seen[item.name] = item.span
            kept.append(ir.Divided(item.name, item.along))
    return tuple(kept)


def fault(item: tree.DividedSyntax, axis: str, view: ModuleView) -> str | None:
    """Why a name cannot be divided so, as far as it alone tells."""
    if axis != "tensor" and item.along is not None:
        return "`along` is for names that tensor parallelism divides"
    if item.name not in view.scope.names():
        return None  # reported where it is resolved
    kind = kind_of(item.name, view)
    return None if kind in ("size", "count") else f"it is a {kind}, not a size"


def kind_of(name: str, view: ModuleView) -> str:
    symbol = view.scope.symbols.get(name)
    return view.scope.let_kinds[name] if symbol is None else symbol.kind


def known(name: str, span: Span, view: ModuleView) -> bool:
    """Whether the name is one of the model; reports where it is not."""
    try:
        view.scope.resolve(tree.PathSyntax((name,), span))
    except Unresolved:
        return False
    return True
