"""What is known on one path through a table's conditions, and what follows from it.

Every comparison of numbers becomes a bound on a polynomial without its constant term, so
`layer < n` and `layer >= n` speak of the same thing and exclude each other.  Bounds on one
polynomial are combined exactly; across polynomials, only the remainders of one name and its own
bounds are.  Flags, choices and
their combinations are decided by cases.  A combination may be taken for reachable that is not,
never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from fractions import Fraction
from math import ceil, floor, gcd, lcm
from typing import Final

from specgen.expr.facts import LEAST, Interval, exact, extent, is_flag
from specgen.expr.node import (
    COMPARISONS,
    OPPOSITE,
    ZERO,
    Apply,
    Const,
    Expr,
    Operator,
    Sym,
    substitute,
    transform,
    walk,
)
from specgen.expr.normal import canonical, normalize
from specgen.expr.polynomial import Polynomial, TooComplex
from specgen.records import dataclass

#: Cases that are tried before a combination of conditions is taken for reachable.
MAX_CASES: Final = 256

#: Work that is done for one question, in facts that are weighed; what is left then is not known.  A
#: comparison of numbers is as much as many facts.
MAX_WEIGHED: Final = 20_000
COMPARISON: Final = 40

#: Numbers that are tried before remainders are taken to have one in common.
MAX_TRIED: Final = 512

#: Conditional values in one comparison of which each is looked at by itself.
MAX_SPLITS: Final = 8


@dataclass(frozen=True, slots=True)
class Bounds:
    """Whole or real numbers from `low` to `high` without those in `excluded`."""

    low: Fraction | None = None
    high: Fraction | None = None
    excluded: frozenset[Fraction] = frozenset()

    def empty(self, whole: bool) -> bool:
        low, high = self.low, self.high
        if low is None or high is None:
            return False
        if low > high:
            return True
        if low == high:
            return low in self.excluded
        if whole and high - low < 64:
            first = ceil(low)
            return all(first + i in self.excluded for i in range(floor(high) - first + 1))
        return False

    def holds(self, number: int) -> bool:
        """Whether the number is one of them."""
        return (
            (self.low is None or self.low <= number)
            and (self.high is None or number <= self.high)
            and number not in self.excluded
        )

    def meet(self, other: Bounds) -> Bounds:
        low = max((x for x in (self.low, other.low) if x is not None), default=None)
        high = min((x for x in (self.high, other.high) if x is not None), default=None)
        excluded = frozenset(
            x
            for x in self.excluded | other.excluded
            if (low is None or low <= x) and (high is None or x <= high)
        )
        return Bounds(low, high, excluded)

    def scaled(self, factor: Fraction) -> Bounds:
        """The bounds on a number times the factor, which is not zero."""
        low = None if self.low is None else self.low * factor
        high = None if self.high is None else self.high * factor
        if factor < 0:
            low, high = high, low
        return Bounds(low, high, frozenset(x * factor for x in self.excluded))

    def rounded(self) -> Bounds:
        """The same whole numbers; an excluded end point moves a bound inwards."""
        low = None if self.low is None else Fraction(ceil(self.low))
        high = None if self.high is None else Fraction(floor(self.high))
        while low is not None and low in self.excluded:
            low += 1
        while high is not None and high in self.excluded:
            high -= 1
        return Bounds(low, high, self.excluded).meet(Bounds())


#: A condition and whether it holds.
Literal = tuple[Expr, bool]


@dataclass(frozen=True)
class Assumptions:
    """Facts taken to hold; immutable, so that both sides of a fork can be explored.

    `choices` are the values that a choice can have; `clauses` are facts of which one holds at
    least, whichever it is.
    """

    lets: Mapping[str, Expr] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: Mapping[Polynomial, Bounds] = field(default_factory=dict)
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    flags: Mapping[Expr, bool] = field(default_factory=dict)
    clauses: tuple[tuple[Literal, ...], ...] = ()
    #: How much may still be weighed; one count for all that a question leads to.
    left: list[int] = field(default_factory=lambda: [MAX_WEIGHED], compare=False, repr=False)

    def decide(self, condition: Expr) -> bool | None:
        """Whether the condition holds, if the assumptions say."""
        without, within = self.sides(condition)
        if without is None:
            return True
        return False if within is None else None

    def sides(self, condition: Expr) -> tuple[Assumptions | None, Assumptions | None]:
        """What is known where the condition does not hold, and where it does.

        One of them is None where the facts decide it; where they contradict each other, the first.
        """
        condition = substitute(condition, self.lets)
        without = self.assume(condition, False)
        return without, self if without is None else self.assume(condition, True)

    def assume(self, condition: Expr, value: bool = True) -> Assumptions | None:
        """These facts and one more; None where they contradict each other."""
        asked = replace(self, left=[MAX_WEIGHED])
        added = asked.add(substitute(condition, self.lets), value)
        return added.consistent() if added is not None else None

    def quotients(self) -> Iterator[Polynomial]:
        """Polynomials that are whole numbers, by what is required of remainders."""
        for key, known in self.bounds.items():
            match key.terms:
                case ((((Apply(op="%", args=(left, right)), 1),), _),) if (
                    known.low is not None
                    and known.low == known.high
                    and exact(left)
                    and exact(right)
                ):
                    try:
                        rest = normalize(left) - Polynomial.of_number(known.low)
                        yield rest * normalize(right).inverse()
                    except (TooComplex, ZeroDivisionError):
                        continue

    def zeros(self) -> Iterator[Polynomial]:
        """Polynomials that are zero, by what is known to be equal."""
        for key, known in self.bounds.items():
            if known.low is not None and known.low == known.high:
                yield key - Polynomial.of_number(known.low)

    # ---- one more fact

    def add(self, condition: Expr, value: bool) -> Assumptions | None:
        """One more fact, in params only; None where it contradicts one that is known."""
        self.left[0] -= 1
        if self.left[0] < 0:
            return self
        match condition:
            case Const(value=bool(known)):
                return self if known == value else None
            case Apply(op="not", args=(inner,)):
                return self.add(inner, not value)
            case Apply(op="and" | "or" as op, args=args):
                if (op == "and") == value:  # every argument is known
                    return self.add_all([(arg, value) for arg in args])
                return self.add_any([(arg, value) for arg in args])
            case Apply(op="cond", args=(test, then, otherwise)):
                return self.add_any(
                    [
                        (Apply("and", (test, said(then, value))), True),
                        (Apply("and", (said(test, False), said(otherwise, value))), True),
                    ]
                )
            case Apply(op="contains", args=(Apply(op="list", args=items), element)):
                tests: list[Literal] = [(Apply("==", (element, item)), value) for item in items]
                return self.add_any(tests) if value else self.add_all(tests)
            case Apply(op="==" | "!=" as op, args=(left, right)):
                return self.add_equal(left, right, (op == "==") == value)
            case Apply(op="<" | "<=" | ">" | ">=" as op, args=(left, right)):
                return self.add_comparison(op if value else OPPOSITE[op], left, right)
            case _:
                return self.add_opaque(condition, value)

    def add_all(self, facts: Sequence[Literal]) -> Assumptions | None:
        found: Assumptions | None = self
        for condition, value in facts:
            found = found.add(condition, value) if found is not None else None
        return found

    def add_any(self, facts: Sequence[Literal]) -> Assumptions | None:
        """At least one of the facts; which one is left open while several are possible."""
        open_: list[tuple[Literal, Assumptions]] = []
        for fact in facts:
            added = self.add(*fact)
            if added is self:
                return self  # it is known to hold
            if added is not None:
                open_.append((fact, added))
        match open_:
            case []:
                return None
            case [(_, only)]:
                return only
            case _:
                clause = tuple(fact for fact, _ in open_)
                return (
                    self
                    if clause in self.clauses
                    else replace(self, clauses=(*self.clauses, clause))
                )

    def consistent(self) -> Assumptions | None:
        """These facts with what follows from the clauses; None where every case contradicts."""
        found = self.propagated()
        if found is None or not found.has_values():
            return None
        if not found.clauses:
            return found
        return found if found.satisfiable([MAX_CASES]) else None

    def propagated(self) -> Assumptions | None:
        """Clauses of which one fact only is left give that fact."""
        found = self
        while found.clauses:
            clauses, found = found.clauses, replace(found, clauses=())
            before = found
            for clause in clauses:
                added = found.add_any(clause)
                if added is None:
                    return None
                found = added
            if same_facts(before, found):
                return found
        return found

    def satisfiable(self, budget: list[int]) -> bool:
        """Whether a case is left that contradicts nothing; true where there are too many."""
        if not self.clauses:
            return self.has_values()
        clause = min(self.clauses, key=len)
        rest = replace(self, clauses=tuple(c for c in self.clauses if c is not clause))
        for position, (condition, value) in enumerate(clause):
            budget[0] -= 1
            if budget[0] < 0:
                return True
            # The cases exclude each other: the facts before this one do not hold.
            case = rest.add_all([*((c, not v) for c, v in clause[:position]), (condition, value)])
            case = case.propagated() if case is not None else None
            if case is not None and case.satisfiable(budget):
                return True
        return False

    def has_values(self) -> bool:
        """Whether a whole number is left for each name of which remainders are known.

        All of them repeat with the product of their divisors, behind the numbers that bounds name.
        """
        known: dict[Sym, list[tuple[int, Bounds]]] = {}
        own: dict[Sym, Bounds] = {}
        for key, within in self.bounds.items():
            match key.terms:
                case ((((Sym() as name, 1),), Fraction(numerator=1, denominator=1)),):
                    own[name] = within
                case (
                    (
                        ((Apply(op="%", args=(Sym() as name, Const(value=int(divisor)))), 1),),
                        Fraction(numerator=1, denominator=1),
                    ),
                ) if divisor > 0 and name.kind in LEAST:
                    known.setdefault(name, []).append((divisor, within))
        return all(fits(name, own.get(name, Bounds()), some) for name, some in known.items())

    # ---- comparisons

    def add_equal(self, left: Expr, right: Expr, value: bool) -> Assumptions | None:
        if left == right:
            return self if value else None
        for a, b in ((left, right), (right, left)):
            match b:
                case Const(value=bool(wanted)):
                    return self.add(a, wanted == value)
                case Const(value=str(text)) if not isinstance(a, Apply):
                    return self.add_text(a, text, value)
                case _:
                    continue
        cases: list[tuple[Expr, Expr]] = []
        if is_flag(left) or is_flag(right):
            cases = [(left, right), (said(left, False), said(right, False))]
        match left, right:
            case Sym(name=name), Sym(name=other) if {name, other} <= self.choices.keys():
                texts = map(Const, self.choices[name])
                cases = [(Apply("==", (left, t)), Apply("==", (right, t))) for t in texts]
        if cases:
            both = [(Apply("and", (first, said(second, value))), True) for first, second in cases]
            return self.add_any(both)
        return self.add_comparison("==" if value else "!=", left, right)

    def add_text(self, subject: Const | Sym, text: str, value: bool) -> Assumptions | None:
        """A choice is one text, or is not; one that is not declared may be any text."""
        if isinstance(subject, Const):
            return self if (subject.value == text) == value else None
        name = subject.name
        allowed = self.texts.get(name)
        if allowed is None and name in self.choices:
            allowed = frozenset(self.choices[name])
        if allowed is not None:
            kept = allowed & {text} if value else allowed - {text}
            if kept == self.texts.get(name):
                return self
            return replace(self, texts={**self.texts, name: kept}) if kept else None
        found = self.add_opaque(Apply("==", (subject, Const(text))), value)
        if found is None or not value:
            return found
        return replace(found, texts={**self.texts, name: frozenset({text})})

    def add_comparison(self, op: Operator, left: Expr, right: Expr) -> Assumptions | None:
        """A comparison of numbers holds."""
        self.left[0] -= COMPARISON
        difference = self.difference(left, right)
        if difference is None or difference[0].terms:
            cases = split(Apply(op, (left, right)))
            if cases:
                kept: Assumptions | None = self
                if difference is not None and op == "==":  # as it is said, so it may be asked
                    kept = self.add_bounds(difference[0], Bounds(-difference[1], -difference[1]))
                either = [(Apply("and", case), True) for case in cases]
                return kept.add_any(either) if kept is not None else None
        if difference is None:
            positive = op in ("==", "<", "<=")
            order = op if positive else OPPOSITE[op]
            return self.add_opaque(Apply(order, (left, right)), positive)
        key, offset = difference
        limit = -offset
        match op:
            case "==":
                found = Bounds(limit, limit)
            case "!=":
                found = Bounds(excluded=frozenset({limit}))
            case "<":
                found = Bounds(high=limit, excluded=frozenset({limit}))
            case "<=":
                found = Bounds(high=limit)
            case ">":
                found = Bounds(low=limit, excluded=frozenset({limit}))
            case _:
                found = Bounds(low=limit)
        return self.add_bounds(key, found)

    def difference(self, left: Expr, right: Expr) -> tuple[Polynomial, Fraction] | None:
        """left - right as (polynomial without constant, constant)."""
        try:
            p = normalize(left) - normalize(right)
        except (TooComplex, ZeroDivisionError):
            return None
        if not all(is_number(base) for monomial, _ in p.terms for base, _ in monomial):
            return None
        offset = next((c for monomial, c in p.terms if not monomial), Fraction(0))
        return p.where(lambda monomial, _: bool(monomial)), offset

    def add_bounds(self, key: Polynomial, found: Bounds) -> Assumptions | None:
        if not key.terms:  # a constant: zero lies within the bounds, or not
            zero = Fraction(0)
            inside = (
                (found.low is None or found.low <= zero)
                and (found.high is None or zero <= found.high)
                and zero not in found.excluded
            )
            return self if inside else None
        # One key for all multiples of a polynomial.
        factor = 1 / content(key)
        key, found = key.scaled(factor), found.scaled(factor)
        whole = key.integral
        reach = key.bounds(self.extent)
        before = (self.bounds.get(key) or Bounds()).meet(Bounds(reach.low, reach.high))
        known = before.meet(found)
        if whole:
            before, known = before.rounded(), known.rounded()
        if known.empty(whole):
            return None
        return self if known == before else replace(self, bounds={**self.bounds, key: known})

    def extent(self, atom: Expr) -> Interval:
        """Bounds on an atom: what its kind says, and what is known of it."""
        known = self.bounds.get(Polynomial.of_atom(atom))
        found = extent(atom)
        if known is None:
            return found
        met = Bounds(found.low, found.high).meet(known)
        return Interval(met.low, met.high)

    def add_opaque(self, condition: Expr, value: bool) -> Assumptions | None:
        try:
            key = canonical(condition)
        except (TooComplex, ZeroDivisionError):
            key = condition
        known = self.flags.get(key)
        if known is not None:
            return self if known == value else None
        return replace(self, flags={**self.flags, key: value})


def fits(name: Sym, bounds: Bounds, remainders: Sequence[tuple[int, Bounds]]) -> bool:
    """Whether a whole number is within its bounds, and its remainders within theirs."""
    low = max(LEAST[name.kind], ceil(bounds.low) if bounds.low is not None else 0)
    last = max((floor(x) for x in bounds.excluded), default=low)
    last = max(low, last) + lcm(*(divisor for divisor, _ in remainders))
    if bounds.high is not None:
        last = min(last, floor(bounds.high))
    if last - low > MAX_TRIED:
        return True
    return any(
        bounds.holds(number) and all(some.holds(number % divisor) for divisor, some in remainders)
        for number in range(low, last + 1)
    )


def same_facts(a: Assumptions, b: Assumptions) -> bool:
    return a.bounds is b.bounds and a.texts is b.texts and a.flags is b.flags


def said(condition: Expr, value: bool) -> Expr:
    return condition if value else Apply("not", (condition,))


def content(key: Polynomial) -> Fraction:
    """What all coefficients are whole multiples of, with the sign of the first one."""
    numerator, denominator = 0, 1
    for _, c in key.terms:
        numerator = gcd(numerator, c.numerator)
        denominator = denominator * c.denominator // gcd(denominator, c.denominator)
    return Fraction(numerator if key.terms[0][1] > 0 else -numerator, denominator)


def is_number(base: Expr) -> bool:
    """Whether an atom of a polynomial stands for a finite number."""
    match base:
        case Const():
            return False
        case Sym(kind=kind):
            return kind not in ("flag", "choice", "dtype", "counts", "reals")
        case Apply(op="and" | "or" | "not" | "contains" | "list"):
            return False
        case Apply(op=op):
            return op not in COMPARISONS


def split(expr: Expr) -> list[tuple[Expr, Expr]]:
    """The cases of an expression with a conditional value in it: each condition, and what the
    expression is where it holds.  None without one, or where there are too many."""
    chosen = [
        node
        for node in walk(expr)
        if isinstance(node, Apply) and node.op in ("cond", "min", "max", "abs")
    ]
    if not 0 < len(chosen) <= MAX_SPLITS:
        return []
    match chosen[0]:
        case Apply(op="cond", args=(test, then, otherwise)):
            pass
        case Apply(op="abs", args=(then,)):
            test, otherwise = Apply(">=", (then, ZERO)), Apply("neg", (then,))
        case Apply(op=op, args=(then, otherwise)):
            test = Apply("<=" if op == "min" else ">=", (then, otherwise))
    cases = ((test, then), (said(test, False), otherwise))
    return [(held, replaced(expr, chosen[0], value)) for held, value in cases]


def replaced(expr: Expr, part: Expr, by: Expr) -> Expr:
    return transform(expr, lambda node: by if node == part else node)
