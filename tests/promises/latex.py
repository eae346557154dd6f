"""Reads back the LaTeX that specgen writes for formulas: what sympy prints of numbers, names,
sums, products, quotients, powers, roundings, extremes and choices, and nothing else."""

from __future__ import annotations

import json
import re
from fractions import Fraction

from specgen.expr.node import Apply, Const, Expr, Operator, Sym, conjunction, disjunction

TOKEN = re.compile(
    r"\s*(?P<token>\\mathrm\{(?:[^{}\\]|\\_)*\}|\\left\\lceil|\\left\\lfloor|\\right\\rceil"
    r"|\\right\\rfloor|\\left\(|\\right\)|\\begin\{cases\}|\\end\{cases\}|\\text\{for\}\\:"
    r"|\\text\{otherwise\}|\\text\{\"(?:[^{}\\]|\\.)*\"\}|\\operatorname\{length\}|\\\\|\\[a-zA-Z]+|[0-9]+(?:\.[0-9]+)?|[A-Za-z]|.)",
    re.DOTALL,
)

RELATIONS: dict[str, Operator] = {
    "=": "==", "\\neq": "!=", "<": "<", ">": ">", "\\leq": "<=", "\\geq": ">=",
}  # fmt: skip


def read(text: str) -> Expr:
    """The expression that a formula stands for; lines of comment are left out."""
    lines = [line for line in text.splitlines() if not line.startswith("%")]
    reader = Reader("\n".join(lines))
    found = reader.sum()
    assert reader.next == "", reader.rest
    return found


class Reader:
    """A formula and how far it is read."""

    def __init__(self, text: str) -> None:
        self.tokens = [found["token"] for found in TOKEN.finditer(text.strip())]

    @property
    def next(self) -> str:
        return self.tokens[0] if self.tokens else ""

    @property
    def rest(self) -> str:
        return " ".join(self.tokens)

    def take(self, *expected: str) -> str:
        assert not expected or self.next in expected, f"{expected} expected: {self.rest}"
        return self.tokens.pop(0)

    def sum(self) -> Expr:
        negative = self.next == "-" and bool(self.take())
        found = self.product()
        found = Apply("neg", (found,)) if negative else found
        while self.next in ("+", "-"):
            found = Apply("+" if self.take() == "+" else "-", (found, self.product()))
        return found

    def product(self) -> Expr:
        found = self.power()
        while self.next in ("\\cdot", "\\bmod"):
            found = Apply("*" if self.take() == "\\cdot" else "%", (found, self.power()))
        return found

    def power(self) -> Expr:
        base = self.atom()
        if self.next != "^":
            return base
        self.take()
        return Apply("**", (base, self.braced()))

    def braced(self) -> Expr:
        self.take("{")
        found = self.sum()
        self.take("}")
        return found

    def atom(self) -> Expr:
        token = self.take()
        if re.fullmatch(r"[0-9]+", token):
            return Const(int(token))
        if re.fullmatch(r"[0-9.]+", token):
            number = Fraction(token)
            return Apply("/", (Const(number.numerator), Const(number.denominator)))
        if re.fullmatch(r"[A-Za-z]", token):
            return Sym(token)
        if token.startswith('\\text{"'):
            return Const(json.loads(re.sub(r"\\(.)", r"\1", token[6:-1])))
        if token.startswith("\\mathrm{"):
            return Sym(token[8:-1].replace("\\_", "_"))
        match token:
            case "\\left(":
                return self.until("\\right)")
            case "\\left\\lceil":
                return self.rounded("ceil", "\\right\\rceil")
            case "\\left\\lfloor":
                return self.rounded("floor", "\\right\\rfloor")
            case "\\frac":
                above = self.braced()
                return Apply("/", (above, self.braced()))
            case "\\max" | "\\min":
                self.take("\\left(")
                found = self.sum()
                while self.next == ",":
                    self.take()
                    found = Apply("max" if token == "\\max" else "min", (found, self.sum()))
                self.take("\\right)")
                return found
            case "\\begin{cases}":
                return self.choice()
            case "\\operatorname{length}":
                self.take("{")
                self.take("\\left(")
                found = self.until("\\right)")
                self.take("}")
                return Apply("length", (found,))
        raise AssertionError(f"`{token}` before {self.rest}")

    def until(self, end: str) -> Expr:
        found = self.sum()
        self.take(end)
        return found

    def rounded(self, op: Operator, end: str) -> Expr:
        found = self.braced() if self.next == "{" else self.sum()
        self.take(end)
        return Apply(op, (found,))

    def choice(self) -> Expr:
        then = self.sum()
        self.take("&")
        if self.take("\\text{for}\\:", "\\text{otherwise}") == "\\text{otherwise}":
            self.take("\\end{cases}")
            return then
        test = self.condition()
        self.take("\\\\")
        return Apply("cond", (test, then, self.choice()))

    def condition(self) -> Expr:
        """Comparisons, joined by one kind of connective."""
        parts = [self.comparison()]
        connective = self.next
        while self.next in ("\\wedge", "\\vee"):
            self.take(connective)
            parts.append(self.comparison())
        return (disjunction if connective == "\\vee" else conjunction)(*parts)

    def comparison(self) -> Expr:
        if self.next == "\\neg":
            self.take()
            return Apply("not", (self.comparison(),))
        left = self.sum()
        if self.next == "\\in":
            self.take()
            return Apply("contains", (self.sum(), left))
        if self.next not in RELATIONS:
            return left
        return Apply(RELATIONS[self.take(*RELATIONS)], (left, self.sum()))
