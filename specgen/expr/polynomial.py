"""The polynomials of sizes: sums of rational coefficients times whole powers of atoms.

An atom is a symbol or an opaque node, and its power may be negative.  This is the one home of
their arithmetic; `normal` says what expression is which polynomial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from specgen.expr.facts import Interval, extent, whole
from specgen.expr.node import Apply, Const, Expr
from specgen.records import dataclass

Monomial = tuple[tuple[Expr, int], ...]

#: A size with more terms than this is no size; it bounds the work of multiplying out.
MAX_TERMS = 4096
MAX_POWER = 64

#: Terms that are written one after the other; an expression nests as deep as they are many.
MAX_WRITTEN = 64

#: Bits of a coefficient of a power: powers of powers of a number have no bound of their own.
MAX_BITS = 4096


class TooComplex(Exception):
    """The expression has no normal form within the limits."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Terms: monomial -> coefficient, in canonical order, none of them zero."""

    terms: tuple[tuple[Monomial, Fraction], ...]

    @staticmethod
    def of(terms: Mapping[Monomial, Fraction]) -> Polynomial:
        kept = [(monomial, c) for monomial, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=lambda term: order(term[0]))
        return Polynomial(tuple(kept))

    @staticmethod
    def of_number(value: int | Fraction) -> Polynomial:
        return Polynomial((((), Fraction(value)),) if value else ())

    @staticmethod
    def of_atom(expr: Expr) -> Polynomial:
        return Polynomial(((((expr, 1),), Fraction(1)),))

    @property
    def constant(self) -> Fraction | None:
        """The value, if the polynomial is a constant."""
        match self.terms:
            case ():
                return Fraction(0)
            case (((), value),):
                return value
            case _:
                return None

    @property
    def integral(self) -> bool:
        """Whether it is visibly a whole number, whatever values its names have."""
        return all(is_integral(monomial, c) for monomial, c in self.terms)

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for monomial, c in other.terms:
            terms[monomial] = terms.get(monomial, Fraction(0)) + c
        return Polynomial.of(terms)

    def __neg__(self) -> Polynomial:
        return Polynomial(tuple((monomial, -c) for monomial, c in self.terms))

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        """Raises TooComplex beyond MAX_TERMS."""
        if len(self.terms) * len(other.terms) > MAX_TERMS:
            raise TooComplex
        terms: dict[Monomial, Fraction] = {}
        for left, a in self.terms:
            for right, b in other.terms:
                monomial = multiply(left, right)
                terms[monomial] = terms.get(monomial, Fraction(0)) + a * b
        return Polynomial.of(terms)

    def __pow__(self, exponent: int) -> Polynomial:
        """Raises TooComplex beyond the limits, ZeroDivisionError for a negative power of zero."""
        if abs(exponent) > MAX_POWER:
            raise TooComplex
        base = self if exponent >= 0 else self.inverse()
        longest = max((max(map(abs, c.as_integer_ratio())) for _, c in base.terms), default=0)
        if longest.bit_length() * abs(exponent) > MAX_BITS:
            raise TooComplex
        result, work = Polynomial.of_number(1), 0
        for _ in range(abs(exponent)):
            work += len(result.terms) * len(base.terms)
            if work > MAX_TERMS // 16:
                raise TooComplex
            result = result * base
        return result

    def inverse(self) -> Polynomial:
        """1 / p; a polynomial of one term is inverted exactly, a sum becomes an atom."""
        if not self.terms:
            raise ZeroDivisionError
        if len(self.terms) == 1:
            ((monomial, c),) = self.terms
            return Polynomial((((tuple((a, -n) for a, n in monomial)), 1 / c),))
        return Polynomial(((((self.to_expr(), -1),), Fraction(1)),))

    def scaled(self, factor: Fraction) -> Polynomial:
        """The polynomial times a number that is not zero."""
        return Polynomial(tuple((monomial, c * factor) for monomial, c in self.terms))

    def where(self, kept: Callable[[Monomial, Fraction], bool]) -> Polynomial:
        """Those of its terms that are kept."""
        return Polynomial(tuple(term for term in self.terms if kept(*term)))

    def bounds(self, known: Callable[[Expr], Interval] = extent) -> Interval:
        """Bounds on the value, from those of its atoms."""
        result = Interval(Fraction(0), Fraction(0))
        for monomial, c in self.terms:
            term = Interval(c, c)
            for base, power in monomial:
                term = term * known(base).power(power)
            result = result + term
        return result

    def to_expr(self, *, positive_first: bool = False) -> Expr:
        """The polynomial as an expression, its terms in canonical order; or its positive terms
        first, `n - m` and not `-m + n`."""
        terms = self.terms
        if positive_first:
            terms = tuple(sorted(terms, key=lambda term: term[1] < 0))
        if len(terms) > MAX_WRITTEN:
            middle = len(terms) // 2
            halves = (Polynomial(terms[:middle]), Polynomial(terms[middle:]))
            return Apply("+", (halves[0].to_expr(), halves[1].to_expr()))
        result: Expr | None = None
        for monomial, c in terms:
            term = write_term(monomial, abs(c))
            if result is None:
                result = term if c > 0 else Apply("neg", (term,))
            else:
                result = Apply("+" if c > 0 else "-", (result, term))
        return result if result is not None else Const(0)


def order(monomial: Monomial) -> tuple[int, str]:
    return (-sum(power for _, power in monomial), repr(monomial))


def multiply(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(((a, p) for a, p in powers.items() if p), key=lambda ap: repr(ap[0])))


def is_integral(monomial: Monomial, c: Fraction) -> bool:
    """Whether a term is visibly a whole number."""
    return c.denominator == 1 and all(power > 0 and whole(base) for base, power in monomial)


def write_term(monomial: Monomial, magnitude: Fraction) -> Expr:
    """A term as an expression, its powers below one in the divisor."""
    above: Expr | None = None if magnitude.numerator == 1 else Const(magnitude.numerator)
    below: Expr | None = None if magnitude.denominator == 1 else Const(magnitude.denominator)
    for base, power in monomial:
        factor: Expr = base if abs(power) == 1 else Apply("**", (base, Const(abs(power))))
        if power > 0:
            above = factor if above is None else Apply("*", (above, factor))
        else:
            below = factor if below is None else Apply("*", (below, factor))
    term = Const(1) if above is None else above
    return term if below is None else Apply("/", (term, below))
