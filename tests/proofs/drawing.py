"""Random sizes and conditions over params of every kind, and points of the params' domains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hypothesis import strategies as st

from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.expr.node import Apply, Const, Expr, Sym, transform

SIZES: Final = tuple(Sym(name, "size") for name in ("a", "b"))
N: Final = Sym("n", "count")
LAYER: Final = Sym("layer", "index")
T: Final = Sym("T", "axis")
RATE: Final = Sym("rate", "real")
FLAGS: Final = tuple(Sym(name, "flag") for name in ("f", "g"))
CHOICE: Final = Sym("way", "choice")
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"way": ("x", "y", "z"), "two": ("x", "y")}

#: Reals at which rounding shows: 0.1 × 10 × 3 and 0.1 × 3 × 10 round to either side of 3.
REALS: Final = (0.1, 0.25, 0.3, 1 / 3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.7, -0.5, -1.25, 1e-3, 0.0)

Point = dict[str, Value]


def apply(op: str, *args: Expr) -> Expr:
    return Apply(op, args)  # type: ignore[arg-type]


def applied(pair: tuple[str, Iterable[Expr]]) -> Expr:
    return apply(pair[0], *pair[1])


def numbers(depth: int, reals: bool = True) -> st.SearchStrategy[Expr]:
    leaves: list[st.SearchStrategy[Expr]] = [
        st.sampled_from([*SIZES, N, LAYER, T]),
        st.integers(-2, 6).map(Const),
    ]
    if reals:
        leaves.append(st.sampled_from([RATE, RATE, Const(0.5), Const(0.1)]))
    leaf = st.one_of(leaves)
    if depth == 0:
        return leaf
    inner = numbers(depth - 1, reals)
    two = st.tuples(inner, inner)
    return st.one_of(
        leaf,
        st.tuples(st.sampled_from("+-*/%"), two).map(applied),
        st.tuples(st.sampled_from(["min", "max"]), two).map(applied),
        st.tuples(
            st.sampled_from(["ceil", "floor", "ceil", "floor", "neg", "abs"]), st.tuples(inner)
        ).map(applied),
        st.tuples(inner, st.integers(-2, 3)).map(lambda p: apply("**", p[0], Const(p[1]))),
        st.tuples(st.just("**"), two).map(applied),
        st.tuples(conditions(depth - 1, reals), inner, inner).map(
            lambda args: apply("cond", *args)
        ),
    )


def conditions(depth: int, reals: bool = True) -> st.SearchStrategy[Expr]:
    text = st.tuples(st.sampled_from(["==", "!="]), st.sampled_from(CHOICES["way"])).map(
        lambda p: apply(p[0], CHOICE, Const(p[1]))
    )
    leaf = st.one_of(st.sampled_from(FLAGS), text)
    if depth == 0:
        return leaf
    inner = conditions(depth - 1, reals)
    number = numbers(depth - 1, reals)
    listed = st.lists(number, max_size=3).map(lambda items: apply("list", *items))
    return st.one_of(
        leaf,
        st.tuples(
            st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), st.tuples(number, number)
        ).map(applied),
        st.tuples(st.sampled_from(["==", "!="]), st.tuples(inner, inner)).map(applied),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)).map(
            applied
        ),
        inner.map(lambda arg: apply("not", arg)),
        st.tuples(inner, inner, inner).map(lambda args: apply("cond", *args)),
        st.tuples(listed, number).map(lambda args: apply("contains", *args)),
    )


POINT: Final = st.fixed_dictionaries(
    {
        "a": st.integers(1, 12),
        "b": st.integers(1, 6),
        "n": st.integers(0, 6),
        "layer": st.integers(0, 6),
        "T": st.integers(1, 6),
        "rate": st.sampled_from(REALS),
        "f": st.booleans(),
        "g": st.booleans(),
        "way": st.sampled_from(CHOICES["way"]),
    }
)


def points(count: int) -> st.SearchStrategy[list[Point]]:
    """Points drawn by a seed of their own: hypothesis would draw most of them alike."""
    return st.randoms(use_true_random=False).map(
        lambda random: [
            {
                "a": random.randint(1, 12),
                "b": random.randint(1, 6),
                "n": random.randint(0, 6),
                "layer": random.randint(0, 6),
                "T": random.randint(1, 6),
                "rate": random.choice(REALS),
                "f": random.random() < 0.5,
                "g": random.random() < 0.5,
                "way": random.choice(CHOICES["way"]),
            }
            for _ in range(count)
        ]
    )


#: What is the same for whole numbers, or in exact arithmetic, or nearly: proofs must tell.
REWRITTEN: Final[Mapping[str, tuple[str, ...]]] = {
    "ceil": ("floor",), "floor": ("ceil",), "min": ("max",), "%": ("/",), "<": ("<=",), ">": (">=",),
}  # fmt: skip


@st.composite
def relatives(draw: st.DrawFn, original: st.SearchStrategy[Expr]) -> tuple[Expr, Expr]:
    """An expression, and one that looks like it: by laws of arithmetic, or by a slip."""
    expr = draw(original)

    def rule(node: Expr) -> Expr:
        if not isinstance(node, Apply) or draw(st.integers(0, 3)):
            return node
        way = draw(st.integers(0, 4))
        match node:
            case Apply(op="+" | "*" | "min" | "max" as op, args=(left, right)) if way == 0:
                return apply(op, right, left)
            case Apply(op="+" | "*" as op, args=(Apply(op=inner, args=(x, y)), z)) if inner == op:
                return apply(op, x, apply(op, y, z))
            case Apply(op="*", args=(x, Apply(op="+" | "-" as op, args=(y, z)))):
                return apply(op, apply("*", x, y), apply("*", x, z))
            case Apply(op="/", args=(Apply(op="+" | "-" as op, args=(x, y)), z)):
                return apply(op, apply("/", x, z), apply("/", y, z))
            case Apply(op="ceil" | "floor", args=(arg,)) if way == 1:
                return arg
            case Apply(op="cond", args=(test, then, otherwise)) if way < 3:
                return apply("cond", apply("not", test), otherwise, then)
            case Apply(op=op, args=args) if op in REWRITTEN:
                return apply(draw(st.sampled_from(REWRITTEN[op])), *args)
            case _:
                return apply("-", apply("+", node, RATE), RATE) if way == 4 else node

    return expr, transform(expr, rule)


def value(expr: Expr, point: Point) -> Value:
    """The value at a point; null where there is none."""
    try:
        return evaluate(expr, point)
    except (EvaluationError, ZeroDivisionError, OverflowError):
        return None
