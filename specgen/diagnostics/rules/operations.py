"""The codes E04xx of operations: shapes, dtypes, patterns, sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error

OPERATION_CODES: Final[Mapping[str, Code]] = {
    "E0401": error(
        "shapes do not broadcast",
        "{left} and {right} do not fit together: {a} is not {b}",
        """
        Elementwise operators broadcast as numpy does: dims are compared from the last, and are
        equal or 1.  Equality is proved on the symbolic sizes, for every variant at once.
        wrong: x : [B, S, dim]   w : [2 × dim]   x + w
        right: x : [B, S, dim]   w : [dim]       x + w
        """,
    ),
    "E0402": error(
        "dtypes mixed",
        "{dtypes} are mixed: cast one of them",
        """
        Nothing is promoted silently, because where a product is rounded is part of a model.
        wrong: q * cos                     (q in the activation dtype, cos f32)
        right: q * cast(cos, like = q)
        """,
    ),
    "E0410": error(
        "not a size",
        "a {found} is not a size",
        """
        Dims are whole numbers made of sizes, counts and lets.
        wrong: params { rate : real }   tensors { w : [rate] }
        right: params { rank : size }   tensors { w : [rank] }
        """,
    ),
    "E0412": error(
        "tensor needed",
        "`{name}` takes a tensor here",
        """
        A compile-time number, or a call with several results, stands where one tensor is
        needed.
        wrong: silu(dim)
        right: silu(x)
        """,
    ),
    "E0413": error(
        "wrong dtype",
        "`{name}` takes {expected} here, not {found}",
        """
        Indices are i64, conditions bool, arithmetic functions floats.
        wrong: silu(tokens)
        right: silu(cast(tokens, f32))
        """,
    ),
    "E0414": error(
        "wrong keyword value",
        "`{name}` must be {expected}",
        """
        `keep` is true or false and known at compile time.
        wrong: sum(x, keep = 1)
        right: sum(x, keep = true)
        """,
    ),
    "E0415": error(
        "no such axis",
        "{dim} is not exactly one axis of {shape}",
        """
        `over` names an axis by its position from the end (-1 is the last) or by its own size,
        if just one axis has it: softmax(scores, over = T).
        wrong: x : [B, S, S]   softmax(x, over = S)
        right: x : [B, S, S]   softmax(x, over = -1)
        """,
    ),
    "E0416": error(
        "unknown keyword",
        "`{name}` has no argument `{keyword}`",
        """
        Keywords of an op stand in docs/language.md; those of a pattern are its axes.
        wrong: softmax(x, axis = -1)
        right: softmax(x, over = -1)
        """,
    ),
    "E0417": error(
        "unknown dtype",
        "`{found}` is not a dtype that values are cast to",
        """
        cast(x, f32), cast(x, i64), or cast(x, like = y).
        wrong: cast(x, f33)
        right: cast(x, f32)
        """,
    ),
    "E0418": error(
        "no list of sizes",
        "`split` takes a list of at least two sizes",
        """
        The sizes of the pieces stand in brackets, and cover the whole axis.
        wrong: a, b = split(x, half)
        right: a, b = split(x, [half, half])
        """,
    ),
    "E0419": error(
        "no list of tensors",
        "`concat` takes a list of at least two tensors",
        """
        The pieces stand in brackets, in order.
        wrong: concat(a, b)
        right: concat([a, b])
        """,
    ),
    "E0421": error(
        "pattern needed",
        "`{name}` takes a pattern in quotes",
        """
        A pattern is written as a text, since its axes are no names of the table.
        wrong: rearrange(x, [B, S, H, D])
        right: rearrange(x, "b s (h d) -> b s h d", h = n_heads)
        """,
    ),
    "E0422": error(
        "pattern cannot be read",
        "the pattern `{pattern}` cannot be read at `{found}`",
        """
        A pattern is axis names, `1`, `...` in front, groups in parentheses, and one `->`.
        wrong: rearrange(x, "b s d > b d s")
        right: rearrange(x, "b s d -> b d s")
        """,
    ),
    "E0423": error(
        "axis named twice",
        "the axis `{axis}` stands twice on one side of the pattern",
        """
        Each axis of a tensor has a name of its own.
        wrong: rearrange(x, "b b d -> d b b")
        right: rearrange(x, "b s d -> d b s")
        """,
    ),
    "E0424": error(
        "pattern has other dims",
        "the pattern has {count} dims, the tensor is {shape}",
        """
        A pattern names every dim of the tensor, or begins with `...` where the tensor does.
        wrong: x : [B, S, dim]   rearrange(x, "b d -> d b")
        right: x : [B, S, dim]   rearrange(x, "b s d -> d b s")
        """,
    ),
    "E0425": error(
        "pattern does not fit",
        "`{axes}` is {size} in the pattern, but the tensor has {dim}",
        """
        The same axis has the same size everywhere; a transposed einsum shows up here.
        wrong: w : [dim, out]   einsum("b s d, e d -> b s e", x, w)
        right: w : [dim, out]   einsum("b s d, d e -> b s e", x, w)
        """,
    ),
    "E0426": error(
        "size of an axis missing",
        "the sizes of {axes} do not follow from {dim}: state all but one of them",
        """
        wrong: rearrange(x, "b s (h d) -> b s h d")
        right: rearrange(x, "b s (h d) -> b s h d", h = n_heads)
        """,
    ),
    "E0427": error(
        "axis without a size",
        "the axis `{axis}` stands only on the right and has no size",
        """
        `rearrange` keeps every number; `repeat` adds axes whose sizes are stated.
        wrong: repeat(x, "b s d -> b s h d")
        right: repeat(x, "b s d -> b s h d", h = n_heads)
        """,
    ),
    "E0428": error(
        "axis lost",
        "the axis `{axis}` stands only on the left",
        """
        `rearrange` and `repeat` keep every axis.  Sum over an axis with einsum or sum.
        wrong: rearrange(x, "b s d -> b s")
        right: sum(x)
        """,
    ),
    "E0430": error(
        "wrong shape",
        "`{name}` takes {expected}, not {found}{detail}",
        """
        Both shapes are shown in the table's own names; the sizes that differ stand behind them.
        wrong: w : dim -> hidden   w(w(x))
        right: w : dim -> hidden   w(x)
        """,
    ),
    "E0431": error(
        "pieces do not add up",
        "the pieces add up to {total}, the axis has {dim}",
        """
        The sizes of `split` cover the whole axis.
        wrong: x : [B, dim]   a, b = split(x, [dim, 1])
        right: x : [B, dim]   a, b = split(x, [dim - 1, 1])
        """,
    ),
    "E0432": error(
        "pieces do not fit",
        "{left} and {right} differ in a dim that is not joined",
        """
        Pieces of `concat` are equal in every dim but the one that is joined.
        wrong: x : [B, S, a]   y : [B, T, b]   concat([x, y])
        right: x : [B, S, a]   y : [B, S, b]   concat([x, y])
        """,
    ),
    "E0435": error(
        "division not exact",
        "nothing says that {part} divides {whole}",
        """
        Sizes are whole numbers.  A `/` in a size, or an axis split into groups, needs a
        requirement that makes it exact.
        wrong: let { half = head_dim / 2 }
        right: the same, with  require { head_dim % 2 == 0 "rotary features come in pairs" }
        """,
    ),
    "E0436": error(
        "compile-time value needed",
        "`{name}` is a tensor; a value known at compile time is needed here",
        """
        Sizes, conditions of `if` and `when`, and scalar arguments are known before the model
        runs.
        wrong: if sum(x) > 0 { ... }
        right: if n_heads > 1 { ... }        or   where(x > 0, a, b)
        """,
    ),
    "E0437": error(
        "text in dataflow",
        "a text or null is not a value of dataflow",
        """
        Texts stand in patterns and in comparisons of choices.
        wrong: x + "bias"
        right: x + bias
        """,
    ),
    "E0438": error(
        "list in dataflow",
        "a list stands only in `split` and `concat`",
        """
        A list that is written out says what `split` and `concat` take.  A param that is a list
        of numbers (`counts`, `reals`) is a tensor in dataflow.
        wrong: return x * [0.5, 2.0]
        right: params { gains : reals = [0.5, 2.0] }   and   return x * gains
        """,
    ),
}
