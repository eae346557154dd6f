"""Bodies of forwards and functions under a variant: typed, and what they call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specgen.check.dataflow import Body
from specgen.check.module import FunctionView, ModuleView
from specgen.check.oracle import ByValues
from specgen.check.signatures import signature
from specgen.diagnostics.source import Span
from specgen.elaborate.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.ir.verify import walk
from specgen.syntax import tree


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
        name=node.name,
        args=found.args,
        result_names=found.result_names,
        results=found.results,
        body=statements,
        intrinsic=node.intrinsic,
        description=comment_above(node.span),
    )


def comment_above(span: Span) -> str | None:
    """The comment lines directly above, as one text: what a forward or function says of itself.

    A line without letters is a ruler, not a text.
    """
    texts: list[str] = []
    for number in range(span.line - 1, 0, -1):
        line = span.source.line(number).strip()
        if not line.startswith("#") or not any(map(str.isalnum, line)):
            break
        texts.insert(0, line.lstrip("#").strip())
    return " ".join(texts) or None


def called(statements: Sequence[ir.Statement]) -> Iterator[str]:
    """The free functions that a typed body calls, in order; a path not taken calls nothing."""
    for statement in statements:
        match statement:
            case ir.Branch(then=then, otherwise=otherwise):
                yield from called((*then, *otherwise))
                continue
            case ir.Assign(value=value):
                values: Sequence[ir.Value] = (value,)
            case ir.Return(values=values):
                pass
        for value in values:
            for node in walk(value):
                if isinstance(node, ir.CallFunction) and not node.method:
                    yield node.function
