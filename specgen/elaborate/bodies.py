"""Bodies of forwards and functions under a variant: typed, and what they call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from specgen.check.assumptions import Assumptions
from specgen.check.dataflow import Body
from specgen.check.module import FunctionView, ModuleView
from specgen.check.oracle import ByValues
from specgen.check.signatures import signature
from specgen.diagnostics.source import Span
from specgen.elaborate.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.ir.verify import walk
from specgen.sizes.expr import Expr
from specgen.syntax import tree

#: Ways of deciding what a body asks that are kept of it.
MAX_KEPT: Final = 8


@dataclass(frozen=True)
class Typed:
    """A body, and all that its typing rested on: facts, and answers of the oracle."""

    body: ir.Function
    assumptions: Assumptions
    taken: Mapping[Expr, bool]
    answers: Mapping[Expr, bool | None]

    def holds(self, oracle: ByValues, taken: Mapping[Expr, bool]) -> bool:
        """Whether typing comes to the same under the oracle, which had `taken` decided before.

        It is asked all again, as it remembers what it was asked; up to the first answer that is
        another one, typing would ask it the same.
        """
        return (
            self.taken == taken
            and self.assumptions == oracle.assumptions
            and all(oracle.decide(asked) == answer for asked, answer in self.answers.items())
        )


def typed_again(
    known: dict[int, list[Typed]],
    node: tree.Forward | tree.Function,
    scope: Scope,
    around: ModuleView | FunctionView,
    oracle: ByValues,
) -> ir.Function | None:
    """As `type_body`, from what is known if that was typed under the same conditions."""
    kept = known.setdefault(id(node), [])
    taken = dict(oracle.taken)
    for typed in kept:
        if typed.holds(oracle, taken):
            return typed.body
    oracle.asked = {}
    faults = len(scope.diagnostics.all)
    body = type_body(node, scope, around, oracle)
    if body is not None and len(scope.diagnostics.all) == faults and len(kept) < MAX_KEPT:
        kept.append(Typed(body, oracle.assumptions, taken, oracle.asked))
    return body


def type_body(
    node: tree.Forward | tree.Function,
    scope: Scope,
    around: ModuleView | FunctionView,
    oracle: ByValues,
) -> ir.Function | None:
    """Types one body under an oracle; None where its signature, or what it calls, is at fault."""
    try:
        found, inner = signature(node, scope)
    except Unresolved:
        return None
    body = Body(inner, around, oracle)
    for argument in found.args:
        if argument.type.dtype != ir.SCALAR:
            body.vars[argument.name] = argument.type
    statements, returned = body.statements(node.body, found.results)
    if not returned and not body.failed:
        scope.diagnostics.report("E0406", node.span, name=node.name or "forward")
    if body.failed:
        return None
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
