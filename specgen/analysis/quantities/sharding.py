"""What one rank of many holds of a size: closed forms in the rank's number and the degree.

Note [Pieces]: n things over p ranks are pieces of floor(n / p) and of one more, the larger ones
first.  A product is cut where a name that the table declares is a factor of it, in whole units of
that name: n_heads × head_dim in whole heads.  A name along another follows its pieces: a rank holds
every key/value head that one of its query heads reads, so two ranks may hold the same one.

Knows expressions and the table's declaration; nothing of rows or layouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from specgen.expr.node import ONE, ZERO, Apply, Expr, Operator, Sym, product, total
from specgen.ir.model import Divided
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Rank:
    """Number `number`, from 0, of `degree` ranks."""

    degree: Expr
    number: Expr


@dataclass(frozen=True, slots=True)
class Cut:
    """What a rank holds of a size: `size` of it, the elements from `start` to before `stop`.

    A sum of sizes has no one stretch.  No rank goes without where the degree is at most each of
    `limits`.
    """

    size: Expr
    stretch: tuple[Expr, Expr] | None
    limits: tuple[Expr, ...] = ()


@dataclass(frozen=True, slots=True)
class Division:
    """What tensor parallelism divides; `lets` are the definitions of the model's lets."""

    names: Mapping[str, Divided]
    lets: Mapping[str, Expr]

    def cut(self, dim: Expr, rank: Rank) -> Cut | None:
        """The piece of a dim; None where no declared name divides it."""
        match dim:
            case Sym(name=name) if name in self.names:
                return self._named(self.names[name], rank)
            case Sym(name=name) if name in self.lets:
                return self.cut(self.lets[name], rank)
            case Apply(op="*", args=(left, right)):
                found = self.cut(left, rank)
                if found is not None:
                    return scaled(found, lambda piece: product(piece, right))
                found = self.cut(right, rank)
                return None if found is None else scaled(found, lambda p: product(left, p))
            case Apply(op="ceil", args=(Apply(op="/", args=(whole, part)),)):
                return tiled(self.cut(whole, rank), part)
            case Apply(op="/", args=(whole, part)):
                return tiled(self.cut(whole, rank), part)
            case Apply(op="+", args=(left, right)):
                first, second = self.cut(left, rank), self.cut(right, rank)
                if first is None or second is None:
                    return None
                limits = (*first.limits, *second.limits)
                return Cut(total(first.size, second.size), None, limits)
            case _:
                return None

    def _named(self, divided: Divided, rank: Rank) -> Cut:
        name = Sym(divided.name, "size")
        if divided.along is None:
            return balanced(name, rank)
        leader = Sym(divided.along, "size")
        found = balanced(leader, rank)
        start, stop = found.stretch or (ZERO, leader)
        first = quotient("floor", product(start, name), leader)
        last = quotient("ceil", product(stop, name), leader)
        return Cut(Apply("-", (last, first)), (first, last), found.limits)

    def shape(self, shape: Sequence[Expr], rank: Rank) -> tuple[tuple[Expr, ...], Cut | None]:
        """A shape as a rank holds it: the first dim that can be is cut, one dim of a row only."""
        for at, dim in enumerate(shape):
            found = self.cut(dim, rank)
            if found is not None:
                return (*shape[:at], found.size, *shape[at + 1 :]), found
        return tuple(shape), None


def balanced(count: Expr, rank: Rank) -> Cut:
    """The rank's piece of `count` things; see Note [Pieces]."""
    following = total(rank.number, ONE)
    left = Apply("-", (count, rank.number))
    return Cut(
        quotient("ceil", left, rank.degree),
        (before(count, rank.number, rank.degree), before(count, following, rank.degree)),
        (count,),
    )


def before(count: Expr, number: Expr, degree: Expr) -> Expr:
    """How many of `count` things the ranks below `number` hold."""
    each = product(number, quotient("floor", count, degree))
    return total(each, Apply("min", (number, Apply("%", (count, degree)))))


def scaled(found: Cut, factor: Callable[[Expr], Expr]) -> Cut:
    """The cut of a product, of whole units."""
    stretch = found.stretch and (factor(found.stretch[0]), factor(found.stretch[1]))
    return Cut(factor(found.size), stretch, found.limits)


def tiled(found: Cut | None, part: Expr) -> Cut | None:
    """The cut of as many tiles as a size has: every tile that the rank has a piece of."""
    if found is None or found.stretch is None:
        return None
    start, stop = found.stretch
    first, last = quotient("floor", start, part), quotient("ceil", stop, part)
    return Cut(Apply("-", (last, first)), (first, last), found.limits)


def quotient(op: Operator, whole: Expr, part: Expr) -> Expr:
    return Apply(op, (Apply("/", (whole, part)),))
