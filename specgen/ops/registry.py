"""The closed set of ops: one record each, with signature, meaning and rule.

An op is admitted only if it cannot be expressed by the others, two architectures need it, and
its meaning is an equation; docs/language.md is checked against this table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from specgen.ir.model import Value
from specgen.ops import patterns, rules
from specgen.ops.context import OpCall
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class OpRecord:
    """How an op is written, what it means, and its typing rule."""

    signature: str
    meaning: str
    rule: Callable[[OpCall], Value]


OPS: Mapping[str, OpRecord] = {
    "rsqrt": OpRecord("rsqrt(x)", "x ** -0.5, elementwise", rules.unary),
    "sqrt": OpRecord("sqrt(x)", "x ** 0.5, elementwise", rules.unary),
    "exp": OpRecord("exp(x)", "e ** x, elementwise", rules.unary),
    "silu": OpRecord("silu(x)", "x * sigmoid(x), elementwise", rules.unary),
    "sigmoid": OpRecord("sigmoid(x)", "1 / (1 + e ** -x), elementwise", rules.unary),
    "tanh": OpRecord("tanh(x)", "the hyperbolic tangent, elementwise", rules.unary),
    "erf": OpRecord(
        "erf(x)", "2 / sqrt(pi) * the integral of e ** -t**2 from 0 to x, elementwise", rules.unary
    ),
    "cos": OpRecord("cos(x)", "the cosine of radians, elementwise", rules.unary),
    "sin": OpRecord("sin(x)", "the sine of radians, elementwise", rules.unary),
    "cast": OpRecord(
        "cast(x, dtype) or cast(x, like = y)",
        "x in another dtype; a compile-time number becomes a tensor without dims",
        rules.cast,
    ),
    "softmax": OpRecord(
        "softmax(x, over = -1)", "e ** x / sum(e ** x) along an axis", rules.softmax
    ),
    "sum": OpRecord("sum(x, over = -1, keep = false)", "the sum along an axis", rules.reduction),
    "cumsum": OpRecord(
        "cumsum(x, over = -1)", "along an axis, the sum of each number and those before it",
        rules.cumulative,
    ),
    "mean": OpRecord("mean(x, over = -1, keep = false)", "the mean along an axis", rules.reduction),
    "max": OpRecord(
        "max(x, over = -1, keep = false)", "the greatest along an axis", rules.reduction
    ),
    "any": OpRecord(
        "any(x, over = -1, keep = false)", "whether one is true along an axis", rules.reduction
    ),
    "where": OpRecord(
        "where(condition, a, b)", "a where the condition is true, else b", rules.where
    ),
    "clamp": OpRecord("clamp(x, low, high)", "min(max(x, low), high), elementwise", rules.clamp),
    "iota": OpRecord("iota(n)", "0, 1, ..., n - 1 as i64 [n]", rules.iota),
    "take": OpRecord("take(table, index)", "the rows of a table at an index", rules.take),
    "gather": OpRecord(
        "gather(x, index)", "y[..., i] = x[..., index[..., i]]", rules.gather
    ),
    "topk": OpRecord(
        "values, index = topk(x, k)", "the k greatest of the last axis, greatest first", rules.topk
    ),
    "split": OpRecord(
        "a, b = split(x, [m, n], over = -1)", "pieces of the given sizes", rules.split
    ),
    "concat": OpRecord("concat([a, b], over = -1)", "pieces joined along an axis", rules.concat),
    "slice": OpRecord(
        "slice(x, start, stop, over = -1)", "elements start to stop - 1 of an axis", rules.slice_
    ),
    "rearrange": OpRecord(
        'rearrange(x, "b s (h d) -> b h s d", h = n)',
        "the same numbers with axes split, merged, permuted, or added as 1",
        patterns.rearrange,
    ),
    "repeat": OpRecord(
        'repeat(x, "b s d -> b s h d", h = n)',
        "as rearrange, and axes that stand only on the right repeat the numbers",
        patterns.rearrange,
    ),
    "einsum": OpRecord(
        'einsum("s d, t d -> s t", a, b)',
        "products summed over the axes that the result lacks",
        patterns.einsum,
    ),
}  # fmt: skip

#: Forms that the checker types itself, since they refer to rows of the module.
FORMS: Mapping[str, tuple[str, str]] = {
    "append": (
        "append(cache_row, x)",
        "the cache row with x appended along its growing axis; all of it is read",
    ),
    "mixture": (
        "mixture(part, x, weights, index)",
        "sum over k of weights[..., k] * part[index[..., k]](x); only the chosen are evaluated",
    ),
    "has": ("has(row)", "whether a row exists; known at compile time"),
}
