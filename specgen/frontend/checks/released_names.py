"""Whether the names of a checkpoint are unique: every stored tensor is found by its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import product
from math import prod

from specgen.analysis.table.leeway import respelt
from specgen.analysis.table.rows import Index, Row
from specgen.analysis.table.stored import StoredTensor, stored
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.expr.evaluate import EvaluationError, Value, describe, evaluate
from specgen.expr.node import Expr, Sym, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.ir.model import Program, Template
from specgen.records import dataclass

#: What an expression in a name may come to; the digits in its texts are compared with those.
NUMBER = re.compile(r"\d+")

#: Numbers of one place that are compared; a table with more of them has no checkpoint.
MAX_NUMBERS = 100_000


def collisions(program: Program) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(released name, own names of the rows that share it), each pattern once.

    Tensors are compared folded: names that are alike but for their numbers, then the numbers.
    A packed tensor goes by the first of its rows.
    """
    numbers = Numbers()
    for scheme in sorted(program.model.names):
        alike: dict[str, list[tuple[StoredTensor, Taken]]] = {}
        for tensor in spelt(program, scheme):
            lost = [index for index in tensor.indices if index.name not in used(tensor.name)]
            if tensor.instances > 1 and lost:
                yield pattern(tensor.name), (tensor.first.name,)
            else:
                alike.setdefault(kind(tensor.name), []).append((tensor, numbers.of(tensor)))
        for group in alike.values():
            yield from shared(group)


def spelt(program: Program, scheme: str) -> Iterator[StoredTensor]:
    """Every stored tensor, under its name and under those that some checkpoints have instead."""
    pairs = program.respellings.get(scheme, ())
    for tensor in stored(program, scheme):
        yield tensor
        for name in respelt(tensor.name, pairs):
            yield replace(tensor, name=name)


#: The numbers that each place of a name takes, independently of its other places.
Taken = tuple[frozenset[str], ...]


def shared(group: list[tuple[StoredTensor, Taken]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows of a group that have a name in common, under the pattern of the first."""
    sharing: dict[str, list[str]] = {}
    for at, (tensor, taken) in enumerate(group):
        for other, earlier in group[:at]:
            if all(a & b for a, b in zip(taken, earlier, strict=True)):
                found = sharing.setdefault(pattern(other.name), [other.first.name])
                found.append(tensor.first.name)
                break
    for name, own in sharing.items():
        yield name, tuple(own)


@dataclass
class Numbers:
    """The numbers in names, worked out once for all tensors of the same indices."""

    known: dict[object, frozenset[str]] = field(default_factory=dict)

    def of(self, tensor: StoredTensor) -> Taken:
        found: list[frozenset[str]] = []
        for piece in tensor.name:
            if isinstance(piece, str):
                found += (frozenset({digits}) for digits in NUMBER.findall(piece))
            else:
                found.append(self.places(tensor, piece))
        return tuple(found)

    def places(self, tensor: StoredTensor, piece: Expr) -> frozenset[str]:
        indices = [index for index in tensor.indices if index.name in symbols(piece)]
        key = piece, tuple((index.name, index.values) for index in indices)
        if key not in self.known:
            self.known[key] = frozenset(described(piece, tensor.first, indices))
        return self.known[key]


def described(piece: Expr, row: Row, indices: Sequence[Index]) -> Iterator[str]:
    """What the expression comes to, for all values of the indices that it uses.

    Raises:
        SpecError: it has no value.
    """
    if prod(sum(map(len, index.values)) for index in indices) > MAX_NUMBERS:
        return
    names = [index.name for index in indices]
    values = [[value for some in index.values for value in some] for index in indices]
    try:
        for chosen in product(*values):
            yield describe(result(piece, row, dict(zip(names, chosen, strict=True))))
    except EvaluationError as error:
        diagnostics = Diagnostics()
        diagnostics.report("E0803", None, name=pattern((piece,)), reason=error)
        raise SpecError(diagnostics.all) from error


def result(piece: Expr, row: Row, chosen: Mapping[str, int]) -> Value:
    if isinstance(piece, Sym) and piece.name in chosen:
        return chosen[piece.name]
    return evaluate(piece, {**row.values, **chosen})


def kind(template: Template) -> str:
    """The name without its numbers."""
    return "".join(NUMBER.sub("{}", p) if isinstance(p, str) else "{}" for p in template)


def pattern(template: Template) -> str:
    return "".join(p if isinstance(p, str) else f"{{{to_text(p, TABLE)}}}" for p in template)


def used(template: Template) -> set[str]:
    return {name for piece in template if isinstance(piece, Expr) for name in symbols(piece)}
