"""What is known on one path through a table's conditions, and what follows from it.

Every comparison of numbers becomes a bound on a polynomial without its constant term, so
`layer < n` and `layer >= n` speak of the same thing and exclude each other.  Bounds on one
polynomial are combined exactly; nothing is inferred across polynomials, so a combination may
be taken for reachable that is not, never the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from specgen.sizes.expr import Apply, Const, Expr, Sym, substitute
from specgen.sizes.normal import Polynomial, TooComplex, normalize

#: The least value that a symbol of a kind can have.
LEAST: Mapping[str, int] = {"size": 1, "count": 0, "index": 0, "axis": 1}


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
            first = -(-low // 1)
            return all(first + i in self.excluded for i in range(int(high - first) + 1))
        return False

    def meet(self, other: Bounds) -> Bounds:
        lows = [x for x in (self.low, other.low) if x is not None]
        highs = [x for x in (self.high, other.high) if x is not None]
        return Bounds(
            max(lows, default=None), min(highs, default=None), self.excluded | other.excluded
        )


@dataclass(frozen=True)
class Assumptions:
    """Facts taken to hold; immutable, so that both sides of a fork can be explored."""

    lets: Mapping[str, Expr] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bounds: Mapping[Polynomial, Bounds] = field(default_factory=dict)
    texts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    flags: Mapping[Expr, bool] = field(default_factory=dict)

    def decide(self, condition: Expr) -> bool | None:
        """Whether the condition holds, if the assumptions say."""
        if self.assume(condition, False) is None:
            return True
        if self.assume(condition, True) is None:
            return False
        return None

    def assume(self, condition: Expr, value: bool = True) -> Assumptions | None:
        """These facts and one more; None where they contradict each other."""
        match condition:
            case Const(value=bool(known)):
                return self if known == value else None
            case Sym(name=name) if name in self.lets:
                return self.assume(self.lets[name], value)
            case Apply(op="not", args=(inner,)):
                return self.assume(inner, not value)
            case Apply(op="and" | "or" as op, args=args):
                if (op == "and") == value:  # every argument is known
                    known_all: Assumptions | None = self
                    for arg in args:
                        known_all = known_all.assume(arg, value) if known_all else None
                    return known_all
                return self.assume_any(args, value)
            case Apply(op="contains", args=(Apply(op="list", args=items), element)):
                return self.assume_member(items, element, value)
            case Apply(op="==" | "!=" as op, args=(left, right)):
                return self.assume_equal(left, right, (op == "==") == value)
            case Apply(op="<" | "<=" | ">" | ">=" as op, args=(left, right)):
                return self.assume_order(op, left, right, value)
            case _:
                known_flag = self.flags.get(condition)
                if known_flag is not None:
                    return self if known_flag == value else None
                return self.replaced(flags={**self.flags, condition: value})

    def assume_any(self, args: Sequence[Expr], value: bool) -> Assumptions | None:
        """At least one of the conditions; it is used when all others are ruled out."""
        open_args = [arg for arg in args if self.assume(arg, value) is not None]
        if not open_args:
            return None
        if len(open_args) == 1:
            return self.assume(open_args[0], value)
        return self

    def assume_member(
        self, items: Sequence[Expr], element: Expr, value: bool
    ) -> Assumptions | None:
        """The element is one of the items of a list, or none of them."""
        tests = [Apply("==", (element, item)) for item in items]
        if value:
            return self.assume_any(tests, True)
        known_all: Assumptions | None = self
        for test in tests:
            known_all = known_all.assume(test, False) if known_all else None
        return known_all

    def replaced(
        self,
        bounds: Mapping[Polynomial, Bounds] | None = None,
        texts: Mapping[str, frozenset[str]] | None = None,
        flags: Mapping[Expr, bool] | None = None,
    ) -> Assumptions:
        return Assumptions(
            self.lets,
            self.choices,
            self.bounds if bounds is None else bounds,
            self.texts if texts is None else texts,
            self.flags if flags is None else flags,
        )

    def assume_equal(self, left: Expr, right: Expr, value: bool) -> Assumptions | None:
        for a, b in ((left, right), (right, left)):
            if isinstance(b, Const) and isinstance(b.value, bool):
                return self.assume(a, b.value == value)
            if isinstance(b, Const) and isinstance(b.value, str):
                return self.assume_text(a, b.value, value)
        difference = self.difference(left, right)
        if difference is None:
            return self.assume_opaque(Apply("==", (left, right)), value)
        key, offset, whole = difference
        point = Fraction(-offset)
        if value:
            return self.bounded(key, Bounds(point, point), whole)
        return self.bounded(key, Bounds(excluded=frozenset({point})), whole)

    def assume_text(self, subject: Expr, text: str, value: bool) -> Assumptions | None:
        if isinstance(subject, Const):
            return self if (subject.value == text) == value else None
        if isinstance(subject, Sym) and subject.name in self.choices:
            allowed = self.texts.get(subject.name, frozenset(self.choices[subject.name]))
            kept = allowed & {text} if value else allowed - {text}
            if not kept:
                return None
            return self.replaced(texts={**self.texts, subject.name: kept})
        return self.assume_opaque(Apply("==", (subject, Const(text))), value)

    def assume_opaque(self, condition: Expr, value: bool) -> Assumptions | None:
        known = self.flags.get(condition)
        if known is not None:
            return self if known == value else None
        return self.replaced(flags={**self.flags, condition: value})

    def assume_order(self, op: str, left: Expr, right: Expr, value: bool) -> Assumptions | None:
        if not value:
            op = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[op]
        difference = self.difference(left, right)
        if difference is None:
            order = Apply(op, (left, right))  # type: ignore[arg-type]  # a comparison, as above
            return self.assume_opaque(order, True)
        key, offset, whole = difference
        limit = Fraction(-offset)
        step = Fraction(1) if whole else Fraction(0)
        match op:
            case "<":
                found = Bounds(high=limit - step)
                strict = not whole
            case "<=":
                found, strict = Bounds(high=limit), False
            case ">":
                found = Bounds(low=limit + step)
                strict = not whole
            case _:
                found, strict = Bounds(low=limit), False
        if strict:
            found = Bounds(found.low, found.high, frozenset({limit}))
        return self.bounded(key, found, whole)

    def difference(self, left: Expr, right: Expr) -> tuple[Polynomial, Fraction, bool] | None:
        """left - right as (polynomial without constant, constant, whole numbers only)."""
        try:
            p = normalize(substitute(left, self.lets)) - normalize(substitute(right, self.lets))
        except (TooComplex, ZeroDivisionError):
            return None
        if any(
            isinstance(base, Const) or (isinstance(base, Sym) and base.kind in ("flag", "choice"))
            for monomial, _ in p.terms
            for base, _ in monomial
        ):
            return None
        offset = next((c for monomial, c in p.terms if not monomial), Fraction(0))
        key = Polynomial(tuple((m, c) for m, c in p.terms if m))
        whole = offset.denominator == 1 and all(
            c.denominator == 1 and all(power > 0 and whole_atom(base) for base, power in monomial)
            for monomial, c in key.terms
        )
        return key, offset, whole

    def bounded(self, key: Polynomial, found: Bounds, whole: bool) -> Assumptions | None:
        if not key.terms:  # a constant: zero lies within the bounds, or not
            zero = Fraction(0)
            inside = (
                (found.low is None or found.low <= zero)
                and (found.high is None or zero <= found.high)
                and zero not in found.excluded
            )
            return self if inside else None
        if key.terms[0][1] < 0:  # one key for p and -p
            key = -key
            found = Bounds(
                None if found.high is None else -found.high,
                None if found.low is None else -found.low,
                frozenset(-x for x in found.excluded),
            )
        known = self.bounds.get(key, domain(key)).meet(found)
        # An excluded end point moves a bound of whole numbers inwards.
        if whole:
            low, high = known.low, known.high
            while low is not None and low in known.excluded:
                low += 1
            while high is not None and high in known.excluded:
                high -= 1
            known = Bounds(low, high, known.excluded)
        if known.empty(whole):
            return None
        return self.replaced(bounds={**self.bounds, key: known})


def whole_atom(base: Expr) -> bool:
    if isinstance(base, Sym):
        return base.kind != "real"
    return isinstance(base, Apply) and base.op in ("ceil", "floor", "%", "length")


def domain(key: Polynomial) -> Bounds:
    """What the kinds of the symbols say: a sum of sizes is at least the sum of their least."""
    low = Fraction(0)
    for monomial, c in key.terms:
        least = Fraction(1)
        for base, power in monomial:
            if isinstance(base, Apply) and base.op in ("%", "length") and power == 1:
                least = Fraction(0)
                continue
            if not isinstance(base, Sym) or base.kind not in LEAST or power < 0:
                return Bounds()
            least *= LEAST[base.kind]
        if c < 0:
            return Bounds()
        low += c * least
    return Bounds(low=low)
