"""Functions and modules that the table says equal a platform operation, as that operation.

Tests hold each of these against the expanded body of the table.
"""

from __future__ import annotations

from specgen.backends.onnx.dims import multiply
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import convert, elementwise
from specgen.backends.onnx.nodes import Edge


def rms_norm(graph: Graph, name: str, x: Edge, weight: Edge, epsilon: float) -> Edge:
    """x / sqrt(mean(x ** 2) + epsilon) * weight over the last axis."""
    rows = features(graph, x)
    made = graph.one(name, "RMSNormalization", (rows, weight), x.dtype, rows.shape, epsilon=epsilon)
    return graph.reshape(f"{name}.view", made, x.shape)


def layer_norm(
    graph: Graph, name: str, x: Edge, weight: Edge, bias: Edge | None, epsilon: float
) -> Edge:
    """(x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias over the last axis."""
    rows = features(graph, x)
    operands = (rows, weight, *([bias] if bias is not None else []))
    made = graph.one(name, "LayerNormalization", operands, x.dtype, rows.shape, epsilon=epsilon)
    return graph.reshape(f"{name}.view", made, x.shape)


def features(graph: Graph, x: Edge) -> Edge:
    """The value that this one is a reshape of, if that has the same last dim; or itself."""
    source = graph.view(x)
    return source if source.shape[-1:] == x.shape[-1:] else x


def gelu(graph: Graph, name: str, x: Edge, approximate: str) -> Edge:
    """x times the normal distribution's cumulative function, `none` or `tanh` approximate."""
    return elementwise(graph, name, "Gelu", (x,), x.dtype, approximate=approximate)


def rotary(
    graph: Graph, name: str, x: Edge, cos: Edge, sin: Edge, *, interleaved: bool
) -> Edge | None:
    """x [B, S, H, 2 × R] turned by cos and sin [B, S, R]: halves, or neighbouring features.

    RotaryEmbedding's form with merged heads, as Attention's.  None where the number of heads is
    not known.
    """
    heads = x.shape[2]
    if not isinstance(heads, int):
        return None
    merged = graph.reshape(f"{name}.merged", x, (*x.shape[:2], multiply(heads, x.shape[3])))
    tables = (convert(graph, f"{name}.cast", table, x.dtype) for table in (cos, sin))
    result = graph.one(
        name,
        "RotaryEmbedding",
        (merged, *tables),
        x.dtype,
        merged.shape,
        interleaved=int(interleaved),
        num_heads=heads,
    )
    return graph.reshape(f"{name}.heads", result, x.shape)


def attention(
    graph: Graph,
    name: str,
    q: Edge,
    k: Edge,
    v: Edge,
    seen: Edge,
    scale: float,
    *,
    kept: bool = True,
) -> Edge | None:
    """q [B, S, H, D], k [B, T, K, D], v [B, T, K, E], seen [B, S, T] to [B, S, H, E].

    Attention's form with merged heads: [batch, sequence, heads * features], no Transpose.
    None where the number of heads is not known.  Values that are not `kept` in a cache row say
    their width, which onnx's inference may not find out, and then takes the result's to be 0.
    """
    heads, shared = q.shape[2], k.shape[2]
    if not isinstance(heads, int) or not isinstance(shared, int):
        return None
    operands = [
        graph.reshape(f"{name}.{which}", x, (*x.shape[:2], multiply(x.shape[2], x.shape[3])))
        for which, x in (("query", q), ("key", k), ("value", v))
    ]
    width = operands[2].shape[2]
    if not kept and isinstance(width, int):
        wide = (operands[2], graph.integers([1, 1, width]))
        operands[2] = graph.one(f"{name}.wide", "Expand", wide, v.dtype, operands[2].shape)
    # One mask for all heads; onnxruntime takes no mask that is broadcast over the queries.
    mask = graph.reshape(f"{name}.mask", seen, (seen.shape[0], 1, *seen.shape[1:]))
    result = graph.one(
        name,
        "Attention",
        (*operands, mask),
        q.dtype,
        (*q.shape[:2], multiply(heads, v.shape[3])),
        q_num_heads=heads,
        kv_num_heads=shared,
        scale=scale,
    )
    return graph.reshape(f"{name}.heads", result, (*q.shape[:3], v.shape[3]))
