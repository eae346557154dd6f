"""Random expressions over whole, real, flag and text names, and points to ask them at."""

from __future__ import annotations

from hypothesis import strategies as st

from specgen.expr.node import Apply, Const, Expr, Sym

#: Around the limits of int64 and of exact floats, and the sizes that tables have.
WHOLES = st.one_of(
    st.integers(-12, 12),
    st.integers(1, 20_000),
    st.sampled_from([2**31, 2**53 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), 2**64]),
)
REALS = st.sampled_from([0.0, 0.5, -1.5, 1e-6, 3.0, 1e300])

WHOLE_NAMES = ("m", "n", "k")


def numbers(depth: int) -> st.SearchStrategy[Expr]:
    leaf = st.one_of(
        st.sampled_from([Sym(name, "size") for name in WHOLE_NAMES]),
        st.integers(-3, 300).map(Const),
        st.just(Sym("x", "real")),
    )
    if depth == 0:
        return leaf
    inner = numbers(depth - 1)
    two = st.tuples(inner, inner)
    return st.one_of(
        leaf,
        st.tuples(st.sampled_from(["+", "-", "*", "/", "%", "min", "max"]), two).map(applied),
        st.tuples(st.sampled_from(["neg", "abs", "ceil", "floor"]), st.tuples(inner)).map(applied),
        st.tuples(inner, st.integers(0, 5)).map(
            lambda pair: Apply("**", (pair[0], Const(pair[1])))
        ),
        st.tuples(st.sampled_from(["ceil", "floor"]), two).map(
            lambda pair: Apply(pair[0], (Apply("/", pair[1]),))
        ),
        st.tuples(flags(depth - 1), inner, inner).map(lambda args: Apply("cond", args)),
    )


def flags(depth: int) -> st.SearchStrategy[Expr]:
    leaf = st.one_of(
        st.just(Sym("f", "flag")),
        st.booleans().map(Const),
        st.sampled_from(["a", "b"]).map(lambda t: Apply("==", (Sym("c", "choice"), Const(t)))),
    )
    if depth == 0:
        return leaf
    inner = flags(depth - 1)
    compared = st.tuples(
        st.sampled_from(["==", "!=", "<", "<=", ">", ">="]),
        st.tuples(numbers(depth - 1), numbers(depth - 1)),
    ).map(applied)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        leaf,
        compared,
        st.tuples(st.sampled_from(["and", "or"]), several).map(applied),
        inner.map(lambda arg: Apply("not", (arg,))),
    )


def applied(pair: tuple[str, tuple[Expr, ...]]) -> Expr:
    return Apply(*pair)  # type: ignore[arg-type]


POINT = st.fixed_dictionaries(
    {
        **dict.fromkeys(WHOLE_NAMES, WHOLES),
        "x": REALS,
        "f": st.booleans(),
        "c": st.sampled_from(["a", "b"]),
    }
)
POINTS = st.lists(POINT, min_size=1, max_size=12)
