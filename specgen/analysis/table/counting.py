"""How many values of an index satisfy a condition: the exact set and its closed form.

Works by breakpoints and residue classes, so the cost does not depend on how many values there
are.  Knows conditions and nothing of modules, rows or dataflow.

Note [Closed forms]: the comparisons of an index split its values at marks, such as 0,
n_dense_layers and n_layers; between two neighbouring marks each comparison is constant.  The
truth of a comparison follows from the order of the marks alone, so the count, a sum of
differences of marks, holds for all parameters that leave the order as it is.  Those orders are
the assumptions of the closed form.  `%` does the same on the axis of residues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, pairwise
from math import lcm

from specgen.expr.arithmetic import (
    at_most,
    evident,
    floor_of,
    folded,
    minus,
    plus,
    rounded,
    shifted,
    summed,
)
from specgen.expr.evaluate import EvaluationError, Value, evaluate, evaluate_int, expression, truth
from specgen.expr.node import (
    COMPARISONS,
    ONE,
    TRUE,
    ZERO,
    Apply,
    Const,
    Expr,
    Operator,
    Sym,
    membership,
    negation,
    product,
    symbols,
    transform,
)
from specgen.expr.normal import normalize
from specgen.expr.polynomial import TooComplex
from specgen.records import dataclass

Environment = Mapping[str, Value]

#: A pattern without a closed form is enumerated up to this many values of its index.
MAX_ENUMERATED = 65_536


class NoClosedForm(Exception):
    """The condition is beyond marks and residues; its values have to be enumerated."""


@dataclass(frozen=True, slots=True)
class IndexSelection:
    """The values of an index that satisfy a condition.

    `values` are disjoint ascending ranges, ordered by their starts; ranges with a step may
    interleave.  `count` is how many there are, in the spec's names, and holds where the
    `assumptions` do; where `closed` is false it is a number that was counted.  `stretches` are
    what the closed form is the sum of.
    """

    values: tuple[range, ...]
    count: Expr
    assumptions: tuple[Expr, ...] = ()
    closed: bool = True
    stretches: tuple[IndexStretch, ...] = ()

    @property
    def size(self) -> int:
        return sum(map(len, self.values))


@dataclass(frozen=True, slots=True)
class Window:
    """start <= value < stop, on the axis of an index or on that of its residues."""

    start: Expr | None
    stop: Expr | None
    negated: bool


@dataclass(frozen=True, slots=True)
class Residue:
    """A window on (index + shift) % period."""

    shift: Expr
    period: Expr
    window: Window


Atom = bool | Window | Residue


@dataclass(frozen=True, slots=True)
class IndexCell:
    """Residues low <= r < high, in which every comparison of residues is constant."""

    start: Expr
    stop: Expr
    low: int
    high: int
    truth: Mapping[Expr, bool]


@dataclass(frozen=True, slots=True)
class IndexAxis:
    """The marks in ascending order, their values, and where each of them stands."""

    marks: tuple[Expr, ...]
    at: tuple[int, ...]
    place: Mapping[Expr, int]

    def holds(self, window: Window, stretch: int) -> bool:
        """Whether the window covers the values between marks `stretch` and `stretch` + 1."""
        inside = (window.start is None or self.place[window.start] <= stretch) and (
            window.stop is None or stretch < self.place[window.stop]
        )
        return inside != window.negated

    def assumptions(self) -> Iterator[Expr]:
        """The order of the marks, where it does not hold by itself."""
        for low, high in pairwise(self.marks):
            if (symbols(low) or symbols(high)) and not evident(low, high):
                yield at_most(low, high)


@dataclass(frozen=True, slots=True)
class IndexStretch:
    """Values of an index between two marks, of which those with a residue in a cell are chosen."""

    low: Expr
    high: Expr
    chosen: tuple[bool, ...]
    cells: tuple[IndexCell, ...]
    shift: Expr
    period: Expr

    def between(self, start: Expr, stop: Expr) -> Expr:
        """How many of them are in [start, stop), which lies between the marks."""
        return summed(counted(start, stop, self.chosen, self.cells, self.shift, self.period))


def select(index: str, size: Expr, condition: Expr, env: Environment) -> IndexSelection:
    """The values of `index` in [0, size) that satisfy `condition`.

    Raises:
        EvaluationError: a part of it has no value, or the pattern has no closed form and more
            than MAX_ENUMERATED values.
    """
    length = evaluate_int(size, env)
    if condition == TRUE:
        whole = IndexStretch(ZERO, size, (True,), WHOLE, ZERO, ONE)
        return IndexSelection((range(length),) if length > 0 else (), size, stretches=(whole,))
    try:
        return solved(index, size, length, condition, env)
    except (NoClosedForm, TooComplex):
        return enumerated(index, length, condition, env)


def enumerated(index: str, length: int, condition: Expr, env: Environment) -> IndexSelection:
    if length > MAX_ENUMERATED:
        raise EvaluationError(
            f"the condition on `{index}` has no closed form, and {length} values of it are more"
            f" than the {MAX_ENUMERATED} that are counted one by one"
        )
    values = [v for v in range(length) if truth(evaluate(condition, {**env, index: v}))]
    return IndexSelection(tuple(runs(values)), Const(len(values)), closed=False)


def runs(values: Iterable[int]) -> Iterator[range]:
    """Ascending numbers as ranges of consecutive ones."""
    start: int | None = None
    previous = 0
    for value in values:
        if start is None:
            start = value
        elif value != previous + 1:
            yield range(start, previous + 1)
            start = value
        previous = value
    if start is not None:
        yield range(start, previous + 1)


def solved(
    index: str, size: Expr, length: int, condition: Expr, env: Environment
) -> IndexSelection:
    """`select` where the condition is made of marks and residues; see Note [Closed forms]."""
    condition, lists = spelled_out(condition, index, env)
    atoms = {atom: read(atom, index, env) for atom in comparisons(condition)}
    windows = [atom for atom in atoms.values() if isinstance(atom, Window)]
    axis = ordered(ZERO, size, windows, env)
    period, shift, cells, cell_order = residues(index, atoms, env)

    def vector(stretch: int) -> tuple[bool, ...]:
        def known(cell: IndexCell) -> Callable[[Expr], bool]:
            def value(atom: Expr) -> bool:
                match atoms[atom]:
                    case bool(constant):
                        return constant
                    case Window() as window:
                        return axis.holds(window, stretch)
                    case Residue():
                        return cell.truth[atom]

            return value

        return tuple(decide(condition, known(cell)) for cell in cells)

    ranges: list[range] = []
    found: list[IndexStretch] = []
    first, last = axis.place[ZERO], axis.place[size]
    for chosen, alike in groupby(range(first, last), vector):
        stretches = list(alike)
        if any(chosen):
            begin, end = stretches[0], stretches[-1] + 1
            low, high = axis.marks[begin], axis.marks[end]
            found.append(IndexStretch(low, high, chosen, cells, shift, period))
            interval = range(max(axis.at[begin], 0), min(axis.at[end], length))
            ranges.extend(within(interval, chosen, cells, shift, period, env))
    assumed = [
        atom if value else negation(atom)
        for atom, value in atoms.items()
        if isinstance(value, bool) and symbols(atom)
    ]
    assumed += [*lists, *axis.assumptions(), *cell_order]
    ranges.sort(key=lambda values: values.start)
    count = summed(
        term for s in found for term in counted(s.low, s.high, s.chosen, cells, shift, period)
    )
    return IndexSelection(tuple(ranges), count, tuple(dict.fromkeys(assumed)), True, tuple(found))


# ---- reading conditions ----------------------------------------------------------------


def spelled_out(condition: Expr, index: str, env: Environment) -> tuple[Expr, tuple[Expr, ...]]:
    """The condition with one comparison for each number of a list, and what lists it assumes."""
    assumed: dict[Expr, None] = {}

    def rule(node: Expr) -> Expr:
        match node:
            case Apply(op="contains", args=(Apply(op="list", args=items), element)):
                return membership(items, element)
            case Apply(op="contains", args=(members, element)) if index in symbols(element):
                if index in symbols(members):
                    raise NoClosedForm
                known = expression(evaluate(members, env))
                assumed.setdefault(Apply("==", (members, known)))
                return rule(Apply("contains", (known, element)))
            case _:
                return node

    return transform(condition, rule), tuple(assumed)


def comparisons(condition: Expr) -> Iterator[Expr]:
    """The atoms of a condition: all that is not `and`, `or`, `not` or a choice between them."""
    match condition:
        case Apply(op="and" | "or" | "not" | "cond", args=args):
            for arg in args:
                yield from comparisons(arg)
        case _:
            yield condition


def decide(condition: Expr, known: Callable[[Expr], bool]) -> bool:
    """The truth of a condition whose atoms are known."""
    match condition:
        case Apply(op="and", args=args):
            return all(decide(arg, known) for arg in args)
        case Apply(op="or", args=args):
            return any(decide(arg, known) for arg in args)
        case Apply(op="not", args=(arg,)):
            return not decide(arg, known)
        case Apply(op="cond", args=(test, then, otherwise)):
            return decide(then if decide(test, known) else otherwise, known)
        case _:
            return known(condition)


def read(atom: Expr, index: str, env: Environment) -> Atom:
    """A comparison as a window on the index or on its residues."""
    if index not in symbols(atom):
        return truth(evaluate(atom, env))
    match atom:
        case Apply(op=op, args=(left, right)) if op in COMPARISONS:
            subject, op, bound = isolated(op, left, right, index)
        case _:
            raise NoClosedForm
    window = window_of(op, bound)
    match subject:
        case Sym():
            return window
        case Apply(op="%", args=(dividend, period)) if index not in symbols(period):
            shift = normalize(dividend) - normalize(Sym(index))
            if any(index in symbols(base) for monomial, _ in shift.terms for base, _ in monomial):
                raise NoClosedForm
            return Residue(shift.to_expr(positive_first=True), period, window)
        case _:
            raise NoClosedForm


FLIPPED: Mapping[str, Operator] = {
    "==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<=",
}  # fmt: skip


def isolated(op: Operator, left: Expr, right: Expr, index: str) -> tuple[Expr, Operator, Expr]:
    """The comparison with the index, or the remainder of it, alone on its left side."""
    for one, other, direction in ((left, right, op), (right, left, FLIPPED[op])):
        alone = one == Sym(index) or (isinstance(one, Apply) and one.op == "%")
        if alone and index not in symbols(other):
            return one, direction, other
    difference = normalize(left) - normalize(right)
    held = [
        (monomial, c)
        for monomial, c in difference.terms
        if any(index in symbols(base) for base, _ in monomial)
    ]
    if len(held) != 1:
        raise NoClosedForm
    ((monomial, coefficient),) = held
    if len(monomial) != 1 or monomial[0][1] != 1:
        raise NoClosedForm
    rest = difference.where(lambda other, _: other != monomial).scaled(-1 / coefficient)
    direction = op if coefficient > 0 else FLIPPED[op]
    return monomial[0][0], direction, rest.to_expr(positive_first=True)


def window_of(op: Operator, bound: Expr) -> Window:
    """Where a whole number compares so with a bound, which need not be whole."""
    at = rounded("ceil", bound)
    after = shifted(rounded("floor", bound), ONE)
    match op:
        case "<":
            return Window(None, at, False)
        case "<=":
            return Window(None, after, False)
        case ">":
            return Window(after, None, False)
        case ">=":
            return Window(at, None, False)
        case "==":
            return Window(at, after, False)
        case "!=":
            return Window(at, after, True)
        case _:
            raise NoClosedForm


# ---- marks and residues ----------------------------------------------------------------


def ordered(low: Expr, high: Expr, windows: Iterable[Window], env: Environment) -> IndexAxis:
    """The ends of the windows in order, `low` first and `high` last among equals."""
    ends = [end for w in windows for end in (w.start, w.stop) if end is not None]
    rank = dict.fromkeys(ends, 1) | {low: 0, high: 2}
    value = {mark: evaluate_int(mark, env) for mark in rank}
    marks = sorted(rank, key=lambda mark: (value[mark], rank[mark]))
    place = {mark: i for i, mark in enumerate(marks)}
    return IndexAxis(tuple(marks), tuple(value[mark] for mark in marks), place)


WHOLE = (IndexCell(ZERO, ONE, 0, 1, {}),)


def residues(
    index: str, atoms: Mapping[Expr, Atom], env: Environment
) -> tuple[Expr, Expr, tuple[IndexCell, ...], tuple[Expr, ...]]:
    """Period and shift of the residues in the condition, their cells, and what they assume."""
    found = {atom: value for atom, value in atoms.items() if isinstance(value, Residue)}
    if not found:
        return ONE, ZERO, WHOLE, ()
    classes = {(value.shift, value.period) for value in found.values()}
    if len(classes) == 1:
        ((shift, period),) = classes
        size = positive(period, env)
        axis = ordered(ZERO, period, (value.window for value in found.values()), env)
        cells = []
        for stretch in range(axis.place[ZERO], axis.place[period]):
            low, high = (min(max(axis.at[stretch + i], 0), size) for i in (0, 1))
            held = {atom: axis.holds(value.window, stretch) for atom, value in found.items()}
            cells.append(IndexCell(axis.marks[stretch], axis.marks[stretch + 1], low, high, held))
        return period, shift, tuple(cells), tuple(axis.assumptions())
    # Patterns of several periods repeat after their least common multiple, a number: the form
    # holds for these values of their params only.
    names = sorted(set().union(*(symbols(atom) for atom in found)) - {index})
    values = [Apply("==", (Sym(name), expression(evaluate(Sym(name), env)))) for name in names]
    size = lcm(*(positive(period, env) for _, period in classes))
    if size > MAX_ENUMERATED:
        raise NoClosedForm
    patterns = [
        {atom: truth(evaluate(atom, {**env, index: residue})) for atom in found}
        for residue in range(size)
    ]
    cells = []
    start = 0
    for stop in range(1, size + 1):
        if stop == size or patterns[stop] != patterns[start]:
            cells.append(IndexCell(Const(start), Const(stop), start, stop, patterns[start]))
            start = stop
    return Const(size), ZERO, tuple(cells), tuple(values)


def positive(period: Expr, env: Environment) -> int:
    size = evaluate_int(period, env)
    if size <= 0:
        raise EvaluationError(f"a remainder needs a positive divisor, not {size}")
    return size


def counted(
    low: Expr,
    high: Expr,
    chosen: tuple[bool, ...],
    cells: tuple[IndexCell, ...],
    shift: Expr,
    period: Expr,
) -> Iterator[Expr]:
    """Terms that sum to how many values in [low, high) have a residue in a chosen cell."""
    if all(chosen):
        yield minus(high, low)
        return
    taken = [cell for cell, yes in zip(cells, chosen, strict=True) if yes]
    left = [cell for cell, yes in zip(cells, chosen, strict=True) if not yes]
    invert = (len(left), sum(not single(c) for c in left)) < (
        len(taken),
        sum(not single(c) for c in taken),
    )
    ends = [plus(end, shift) for end in (high, low)]
    above, below = (
        summed(residues_below(end, cell, period) for cell in (left if invert else taken))
        for end in ends
    )
    inside = minus(above, below)
    yield minus(minus(high, low), inside) if invert else inside


def single(cell: IndexCell) -> bool:
    """Whether the cell is one residue whatever the parameters are."""
    return minus(cell.stop, cell.start) == ONE


def residues_below(end: Expr, cell: IndexCell, period: Expr) -> Expr:
    """How many j < end have a residue in the cell, up to a constant that cancels."""
    if single(cell):
        return floor_of(minus(minus(end, cell.start), ONE), period)

    def up_to(bound: Expr) -> Expr:
        if bound == ZERO:
            return ZERO
        rest = folded(Apply("%", (end, period)))
        whole = product(floor_of(end, period), bound)
        return plus(folded(whole), folded(Apply("min", (rest, bound))))

    return minus(up_to(cell.stop), up_to(cell.start))


def within(
    interval: range,
    chosen: tuple[bool, ...],
    cells: tuple[IndexCell, ...],
    shift: Expr,
    period: Expr,
    env: Environment,
) -> Iterator[range]:
    """The values of the interval whose residue lies in a chosen cell."""
    if not interval:
        return
    if all(chosen):
        yield interval
        return
    step, offset = evaluate_int(period, env), evaluate_int(shift, env)
    for cell, yes in zip(cells, chosen, strict=True):
        if not yes:
            continue
        if min(cell.high - cell.low, len(interval)) > MAX_ENUMERATED:
            raise EvaluationError(f"a pattern of period {step} is beyond the limits")
        for residue in range(cell.low, cell.high):
            first = interval.start + (residue - offset - interval.start) % step
            if first < interval.stop:
                yield range(first, interval.stop, step)
