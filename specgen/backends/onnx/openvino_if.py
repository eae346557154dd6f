"""An If whose results have memory of their own: they are those of a Loop of one step.

Note [One step]: OpenVINO (2026.4) lets later values share the memory of an If's results.  When a
larger one makes that memory grow, some of them are wrong, and nothing says so.  The results of a
body are not shared.  What a Loop starts with may have any size, and this one does not read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specgen.backends.onnx.dims import UNKNOWN
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import convert
from specgen.backends.onnx.nodes import Edge


def once(graph: Graph, name: str, add: Callable[[], Sequence[Edge]]) -> Sequence[Edge]:
    """What `add` gives, out of a Loop that does it once; see Note [One step]."""
    with graph.body() as close:
        step = graph.edge(f"{name}.step", "i64", ())
        going = graph.edge(f"{name}.going", "bool", ())
        results = add()
        unread = [
            graph.edge(f"{name}.unread", edge.dtype, (UNKNOWN,) * len(edge.shape))
            for edge in results
        ]
        still = graph.one(f"{name}.still", "Identity", (going,), "bool", ())
        body = close((step, going, *unread), (still, *results))
    first = [
        convert(graph, f"{name}.first", graph.constant("f32", [0], (1,) * len(e.shape)), e.dtype)
        for e in results
    ]
    operands = (graph.scalar("i64", 1), graph.scalar("bool", True), *first)
    types = [(edge.dtype, edge.shape) for edge in results]
    return graph.add([name] * len(results), "Loop", operands, *types, body=body)
