"""The tree of module instances: every part of the model, folded, its sizes in the root's names.

Parts that repeat stay one instance with an index.  Knows the IR and no back end; follows
`Part`s only, dataflow is `reach`'s and `costs`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from functools import cached_property
from itertools import islice

from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import TRUE, Expr, Sym, conjunction, substitute, walk
from specgen.ir.model import Module, Part, Program, Template
from specgen.records import dataclass

#: A table with more places than this multiplies by nesting alone; it is refused.
MAX_INSTANCES = 65_536

#: A size of a part, written out in the model's params, may have this many terms.
MAX_LENGTH = 10_000

#: The naming scheme of the table itself: every row is called what the table calls it.
OWN = "own"

#: Parts, then a tensor row.
Path = tuple[str, ...]


def environment(program: Program) -> dict[str, Value]:
    """The values of the spec's params and of the model's lets; a let without a value is absent."""
    env: dict[str, Value] = dict(program.values)
    for let in program.model.lets:
        try:
            env[let.name] = evaluate(let.expr, env)
        except EvaluationError:
            continue  # an unused let may divide by zero; whoever uses it finds it absent
    return env


def definitions(program: Program) -> dict[str, Expr]:
    """The model's lets in params only, for `substitute`."""
    lets: dict[str, Expr] = {}
    for let in program.model.lets:
        lets[let.name] = substitute(let.expr, lets)
    return lets


@dataclass(frozen=True, eq=False)
class Instance:
    """A module in its place, once for all values of its `indices` under `condition`.

    `scope` gives the module's own names in the root's; other names are the root's, or shape
    variables.  `path` leads here.  `indices` are (name, count) from the outside in, of unique
    names.  `prefixes` is the name so far in each naming scheme, the table's own (OWN) among
    them.  `caller` is the part that put the module here, None for the root.  `claimed` are the
    complete names that modules around this one give to rows here and below: (scheme, path).
    """

    program: Program
    module: Module
    scope: Mapping[str, Expr]
    path: tuple[str, ...]
    indices: tuple[tuple[str, Expr], ...]
    condition: Expr
    prefixes: Mapping[str, Template]
    caller: Part | None
    claimed: Mapping[tuple[str, Path], Template] = field(default_factory=dict)

    @cached_property
    def children(self) -> tuple[Instance, ...]:
        """The instances of the module's parts, in the order of its table."""
        return tuple(self._child(part) for part in self.module.parts)

    def resolve(self, expr: Expr) -> Expr:
        """An expression of the module in the root's names."""
        return substitute(expr, self.scope)

    def released(self, scheme: str, path: str) -> Template | None:
        """The name that the scheme gives to a row of this module, None if it is silent."""
        own = self._renamed(scheme).get(path)
        return None if own is None else self._complete(scheme, own, self.scope)

    @cached_property
    def packed(self) -> Mapping[tuple[str, Path], Template]:
        """The complete names of packed rows here and below: (scheme, path) -> name.

        The outermost module that names a row decides: it knows the checkpoint best.
        """
        own = {
            (scheme, path): self._complete(scheme, packing.template, self.scope)
            for scheme, packings in self.module.packings.items()
            if scheme in self.prefixes
            for packing in packings
            for path in packing.rows
        }
        return {**own, **self.claimed}

    def _renamed(self, scheme: str) -> Mapping[str, Template]:
        return self.module.names.get(scheme, {}) if scheme != OWN else {}

    def _complete(self, scheme: str, own: Template, scope: Mapping[str, Expr]) -> Template:
        return join(self.prefixes[scheme], resolved(own, scope))

    def _child(self, part: Part) -> Instance:
        scope, indices = self.scope, self.indices
        default: Template = (part.name,)
        renamed: dict[str, Expr] = {}
        if part.index is not None and part.count is not None:
            index = self._index(part.index)
            indices = (*indices, (index, substitute(part.count, scope)))
            renamed = {part.index: Sym(index, "index")}
            scope = {**scope, **renamed}
            default = (f"{part.name}.", Sym(index, "index"))
        prefixes = {
            scheme: self._complete(scheme, self._renamed(scheme).get(part.name, default), scope)
            for scheme in self.prefixes
        }
        module = self.program.modules[part.module]
        inner = {param: written_out(value, scope, param) for param, value in part.arguments.items()}
        for let in module.lets:
            inner[let.name] = written_out(let.expr, inner, let.name)
        return Instance(
            self.program,
            module,
            inner,
            (*self.path, part.name),
            indices,
            conjunction(self.condition, substitute(part.condition, scope)),
            prefixes,
            part,
            {
                (scheme, path[1:]): resolved(name, renamed)
                for (scheme, path), name in self.packed.items()
                if path[0] == part.name and len(path) > 1
            },
        )

    def _index(self, name: str) -> str:
        """The name, or the name with the first number from 2 that is free here."""
        model = self.program.model
        taken = {index for index, _ in self.indices}
        taken |= {param.name for param in model.params} | {let.name for let in model.lets}
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{name}_{number}"
        return candidate


def written_out(expr: Expr, scope: Mapping[str, Expr], name: str) -> Expr:
    """The expression in the root's names.

    Raises:
        EvaluationError: it is longer than MAX_LENGTH, as names that double from module to
            module, or from function to function, make it.
    """
    found = substitute(expr, scope)
    if next(islice(walk(found), MAX_LENGTH, None), None) is not None:
        raise EvaluationError(f"`{name}` in the model's params has more than {MAX_LENGTH} terms")
    return found


def root(program: Program) -> Instance:
    """The model itself; its params and lets stand for themselves."""
    empty: dict[str, Template] = dict.fromkeys((OWN, *program.model.names), ())
    return Instance(program, program.model, {}, (), (), TRUE, empty, None)


def descend(instance: Instance) -> Iterator[Instance]:
    """The instance and all below it, parents before children.

    Raises:
        EvaluationError: more than MAX_INSTANCES of them.
    """
    waiting = [instance]
    seen = 0
    while waiting:
        place = waiting.pop()
        seen += 1
        if seen > MAX_INSTANCES:
            raise EvaluationError(f"the table has more than {MAX_INSTANCES} modules in place")
        yield place
        waiting.extend(reversed(place.children))


def resolved(name: Template, scope: Mapping[str, Expr]) -> Template:
    """The name with its expressions in the names that the scope gives."""
    return tuple(p if isinstance(p, str) else substitute(p, scope) for p in name)


def join(prefix: Template, rest: Template) -> Template:
    """Two pieces of a name with a dot between; an empty piece adds nothing."""
    rest = tuple(piece for piece in rest if piece != "")
    if not prefix or not rest:
        return prefix or rest
    return (*prefix, ".", *rest)
