"""Bodies of forwards and functions under a variant: typed, and what they call."""

from __future__ import annotations

from collections.abc import Sequence

from specgen.check.dataflow import Body
from specgen.check.module import FunctionView, ModuleView
from specgen.check.oracle import ByValues
from specgen.check.signatures import signature
from specgen.elaborate.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.syntax import tree
from specgen.syntax.walk import calls


def type_body(
    node: tree.Forward | tree.Function,
    scope: Scope,
    around: ModuleView | FunctionView,
    oracle: ByValues,
) -> ir.Function | None:
    """Types one body under an oracle; None where its signature is at fault."""
    try:
        found, inner = signature(node, scope)
    except Unresolved:
        return None
    body = Body(inner, around, oracle)
    for argument in found.args:
        if argument.type.dtype != ir.SCALAR:
            body.vars[argument.name] = argument.type
    statements, returned = body.statements(node.body, found.results)
    if not returned:
        scope.diagnostics.report("E0406", node.span, name=node.name or "forward")
    return ir.Function(
        node.name, found.args, found.result_names, found.results, statements, node.intrinsic
    )


def called(nodes: Sequence[tree.Statement]) -> list[str]:
    """The names of everything that statements call, in order."""
    return [call.function.text for call in calls(nodes)]
