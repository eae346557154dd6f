"""Bodies of forwards and functions under a variant: typed, and what they call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Span
from specgen.expr.assumptions import Assumptions
from specgen.expr.node import Expr
from specgen.frontend.conditions.oracle import Asked, ByValues
from specgen.frontend.dataflow.signatures import Signature, signature
from specgen.frontend.dataflow.typing import Apart, BodyTyping
from specgen.frontend.modules.module import FunctionView, ModuleView
from specgen.frontend.scope import Scope, Unresolved
from specgen.ir import model as ir
from specgen.ir.visit import walk
from specgen.language import tree
from specgen.records import dataclass

#: Conditions on an index that a body is taken apart by, one within the other.
MAX_OPEN: Final = 8

#: Ways of deciding what a body asks that are kept of it.
MAX_KEPT: Final = 8


@dataclass(frozen=True)
class Typed:
    """A body, and all that its typing rested on: facts, and answers of the oracle."""

    body: ir.Function
    assumptions: Assumptions
    taken: Mapping[Expr, bool]
    answers: Mapping[Asked, bool | None]

    def holds(self, oracle: ByValues, taken: Mapping[Expr, bool]) -> bool:
        """Whether typing comes to the same under the oracle, which had `taken` decided before.

        It is asked all again, as it remembers what it was asked; up to the first answer that is
        another one, typing would ask it the same.
        """
        return (
            self.taken == taken
            and self.assumptions == oracle.assumptions
            and all(
                oracle.at(path).decide(asked) == answer
                for (path, asked), answer in self.answers.items()
            )
        )


def typed_again(
    known: dict[int, list[Typed]],
    node: tree.ForwardSyntax | tree.FunctionSyntax,
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
    oracle.forget()
    faults = len(scope.diagnostics.all)
    body = type_body(node, scope, around, oracle)
    if body is not None and len(scope.diagnostics.all) == faults and len(kept) < MAX_KEPT:
        kept.append(Typed(body, oracle.assumptions, taken, oracle.asked))
    return body


def type_body(
    node: tree.ForwardSyntax | tree.FunctionSyntax,
    scope: Scope,
    around: ModuleView | FunctionView,
    oracle: ByValues,
) -> ir.Function | None:
    """Types one body under an oracle; None where its signature, or what it calls, is at fault."""
    try:
        found, inner = signature(node, scope)
    except Unresolved:
        return None
    faults = Diagnostics()
    statements = typed_body(node, found, inner, around, oracle, faults, MAX_OPEN)
    for fault in faults.all:
        scope.diagnostics.add(fault)
    if statements is None:
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


def typed_body(
    node: tree.ForwardSyntax | tree.FunctionSyntax,
    found: Signature,
    scope: Scope,
    around: ModuleView | FunctionView,
    oracle: ByValues,
    diagnostics: Diagnostics,
    most: int,
) -> tuple[ir.Statement, ...] | None:
    """The statements; where they have a type only on one side of a condition on an index, those of
    both sides.  At most `most` conditions are taken apart, one within the other."""
    faults = Diagnostics()
    body = BodyTyping(replace(scope, diagnostics=faults), around, oracle)
    for argument in found.args:
        if argument.type.dtype != ir.SCALAR:
            body.vars[argument.name] = argument.type
    try:
        statements, returned = body.statements(node.body, found.results)
    except Apart as apart:
        condition: Expr | None = apart.condition
        if not most:
            what = "conditions on an index that say, one within the other, what a body computes"
            faults.report("E0114", node.span, limit=MAX_OPEN, what=what)
    else:
        if not returned and not body.failed:
            faults.report("E0406", node.span, name=node.name or "forward")
        if not body.failed and not faults.errors:
            return statements
        condition = next(oracle.left_open(), None)
    if condition is not None and most:
        sides = [
            typed_body(
                node, found, scope, around, oracle.under(condition, value), diagnostics, most - 1
            )
            for value in (True, False)
        ]
        then, otherwise = sides
        if then is None or otherwise is None:
            return None
        return (ir.Branch(condition, then, otherwise),)
    for fault in faults.all:
        diagnostics.add(fault)
    return None


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
    for value in walk(statements):
        if isinstance(value, ir.CallFunction) and not value.method:
            yield value.function
