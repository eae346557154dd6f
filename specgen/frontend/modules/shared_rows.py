"""The rows of their own that a `tied` or `copy` row stands for, as the row that shares them sees them.

A path leads to a row of the module itself, of a part of it, or of the model.  What is there may have
alternatives, and may be shared itself: each row that is met in the end is an End, with the condition
under which it is meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import islice
from typing import TYPE_CHECKING

from specgen.expr.assumptions import Assumptions
from specgen.expr.node import TRUE, Expr, conjunction, disjunction, substitute
from specgen.frontend.scope import Unresolved
from specgen.language import tree
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.frontend.modules.module import ModuleView

#: More alternatives than this are refused, as those that are written out are.
MAX_ALTERNATIVES = 100

#: Rows that are shared themselves, in a row; and the rows that are looked at in all.
MAX_CHAIN = 32
MAX_VISITS = 500


@dataclass(frozen=True, slots=True)
class End:
    """A row of its own, `row` of the module `home`, its sizes in the names of who asks.

    `path` leads to it from there, or from the model if it is `absolute`; `passed` are the rows on
    the way, itself with them.  `arguments` are those of its storage format, `dtype` is what the
    param that its format names is.
    """

    row: tree.TensorSyntax
    home: ModuleView
    path: tuple[str, ...]
    absolute: bool
    kind: str
    shape: tuple[Expr, ...]
    compute: str
    condition: Expr
    arguments: Mapping[str, Expr] = field(default_factory=dict)
    dtype: Expr | None = None
    passed: tuple[tree.TensorSyntax, ...] = ()

    def stored_like(self, other: End) -> bool:
        """Whether one TensorView says all of both but for the condition."""
        return (
            self.path == other.path
            and self.absolute == other.absolute
            and (self.kind, self.shape, self.compute) == (other.kind, other.shape, other.compute)
            and self.format_name == other.format_name
            and (self.format_name is None or self.home is other.home)
            and (self.arguments, self.dtype) == (other.arguments, other.dtype)
        )

    @property
    def format_name(self) -> str | None:
        return self.row.format.name if self.row.format is not None else None


def ends(view: ModuleView, path: tree.PathSyntax) -> Sequence[End]:
    """What a path of a module leads to; alternatives that are alike in all are one.

    One more than MAX_ALTERNATIVES if there are more of them.
    """
    search = EndSearch()
    found = list(islice(search.follow(view, path.names, view.required, ()), MAX_ALTERNATIVES + 1))
    if len(found) < 2 or not all(map(found[0].stored_like, found[1:])):
        return found
    passed = dict.fromkeys(id(row) for end in found for row in end.passed)
    rows = {id(row): row for end in found for row in end.passed}
    condition = disjunction(*(end.condition for end in found))
    return [replace(found[0], condition=condition, passed=tuple(rows[key] for key in passed))]


def names_of(view: ModuleView) -> set[str]:
    """What the paths to rows of a module, or of a part of it, begin with."""
    module = view.definition.tree
    return {row.path.names[0] for row in module.tensors} | {part.name for part in module.parts}


@dataclass
class EndSearch:
    """A search for the ends of one path."""

    visits: int = 0

    def follow(
        self,
        view: ModuleView,
        names: Sequence[str],
        facts: Assumptions,
        passed: tuple[tree.TensorSyntax, ...],
    ) -> Iterator[End]:
        """The ends of a path as a module means it: its own rows come before those of the model."""
        if names[0] in names_of(view):
            yield from self.within(view, names, facts, passed)
            return
        parent = view.definition.parent
        if parent is not None and parent.tree.is_model:
            for end in self.within(view.views.of(parent), names, facts, passed):
                yield replace(end, absolute=True)

    def within(
        self,
        view: ModuleView,
        names: Sequence[str],
        facts: Assumptions,
        passed: tuple[tree.TensorSyntax, ...],
    ) -> Iterator[End]:
        """The ends of a path to a row of a module or of a part of it, as far as `facts` allow them."""
        text, quiet = ".".join(names), view.views.quiet(view)
        for row in view.definition.tree.tensors:
            if row.path.text != text:
                continue
            condition = quiet.condition(row.condition)
            known = facts if condition == TRUE else facts.assume(condition)
            self.visits += 1
            if known is None or any(row is other for other in passed):
                continue  # rows that share each other in a circle lead nowhere
            if len(passed) > MAX_CHAIN or self.visits > MAX_VISITS:
                return  # what is not found is refused
            way = (*passed, row)
            if isinstance(row.storage, tree.SharedStorageSyntax):
                for end in self.follow(view, row.storage.target.names, known, way):
                    yield replace(end, condition=conjunction(condition, end.condition))
                continue
            found = quiet.tensor(row)
            if found is not None:
                arguments, dtype = format_arguments(quiet, row.format)
                yield End(
                    row,
                    view,
                    tuple(names),
                    False,
                    found.kind,
                    found.shape,
                    found.compute,
                    condition,
                    arguments,
                    dtype,
                    way,
                )
        for part in view.definition.tree.parts:
            if part.name != names[0] or len(names) == 1 or part.index is not None:
                continue
            child, given = view.definition.module(part.module), quiet.arguments(part)
            condition = quiet.condition(part.condition)
            known = facts if condition == TRUE else facts.assume(condition)
            if child is None or given is None or known is None:
                continue
            inner = view.views.of(child)
            for end in self.within(inner, names[1:], inner.required, passed):
                moved = seen_from_outside(end, inner, given)
                if moved.condition == TRUE or known.assume(moved.condition) is not None:
                    path = end.path if end.absolute else (part.name, *end.path)
                    yield replace(
                        moved, path=path, condition=conjunction(condition, moved.condition)
                    )


def seen_from_outside(end: End, inner: ModuleView, given: Mapping[str, Expr]) -> End:
    """An end in the names of the module around that in whose names it is."""

    def moved(expr: Expr) -> Expr:
        return substitute(inner.scope.expand(expr), given)

    return replace(
        end,
        shape=tuple(map(moved, end.shape)),
        condition=moved(end.condition),
        arguments={name: moved(expr) for name, expr in end.arguments.items()},
        dtype=moved(end.dtype) if end.dtype is not None else None,
    )


def format_arguments(
    view: ModuleView, format_: tree.FormatSyntax | None
) -> tuple[Mapping[str, Expr], Expr | None]:
    """The arguments of a storage format; and the param, where a dtype param says which it is."""
    if format_ is None:
        return {}, None
    found: dict[str, Expr] = {}
    for keyword in format_.arguments:
        try:
            found[keyword.name] = view.scope.resolve(keyword.value)
        except Unresolved:
            continue
    symbol = view.scope.symbols.get(format_.name)
    return found, symbol if symbol is not None and symbol.kind == "dtype" else None
