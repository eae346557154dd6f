"""Operators of static graphs on fewer axes, and on constants, give what numpy does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.backends.onnx import folding, ranks
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.levels import chosen_level
from specgen.backends.onnx.lowering import broadcast, reduced
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.proto import Document, serialize
from tests.onnx.session import onnx, ort, parsed

Array = np.ndarray

LENGTHS = st.integers(1, 3)
SHAPES = st.lists(LENGTHS, min_size=5, max_size=6).map(tuple)


def static() -> Graph:
    graph = Graph(chosen_level("standard", 17), {})
    graph.rewrites = (folding.folded, ranks.narrowed)
    return graph


def values(shape: Sequence[int], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(tuple(shape)).astype(np.float32)


def computed(graph: Graph, inputs: Sequence[Edge], results: Sequence[Edge], given: Any) -> Any:
    """The results in onnxruntime, and the greatest number of axes of any value behind a node."""
    outputs = {f"out{i}": edge for i, edge in enumerate(results)}
    nodes = graph.finish(outputs)
    edges = [graph.edges[name] for name in outputs]
    document = Document("t", "1", inputs, edges, nodes, graph.edges, (), (), {}, graph.level)
    data = serialize(document)
    onnx.checker.check_model(parsed(data), full_check=True)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    feeds = {edge.name: array for edge, array in zip(inputs, given, strict=True)}
    most = max(
        (len(graph.edges[name].shape) for n in nodes if n.op != "Reshape" for name in n.outputs),
        default=0,
    )
    return session.run(None, feeds), most


def operand(graph: Graph, name: str, shape: Sequence[int]) -> Edge:
    return graph.edge(name, "f32", tuple(shape))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_elementwise(shape: tuple[int, ...], data: st.DataObject) -> None:
    kept = [data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))]
    kept.append(data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape))))
    owns = [tuple(d if k else 1 for d, k in zip(shape, keep, strict=True)) for keep in kept]
    owns[1] = owns[1][data.draw(st.integers(0, len(shape))) :]
    graph = static()
    edges = [operand(graph, f"in{i}", own) for i, own in enumerate(owns)]
    wanted = broadcast([edge.shape for edge in edges])
    result = graph.one("sum", "Add", edges, "f32", wanted)
    arrays = [values(own, seed) for seed, own in enumerate(owns)]
    (found,), most = computed(graph, edges, [result], arrays)
    assert np.array_equal(found, arrays[0] + arrays[1])
    ways = {tuple(own[-i] != 1 for own in owns if len(own) >= i) for i in range(1, len(shape) + 1)}
    assert most <= 4 or len(ways) > 1


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.randoms(use_true_random=False))
def test_transposed(shape: tuple[int, ...], random: Any) -> None:
    perm = list(range(len(shape)))
    random.shuffle(perm)
    graph = static()
    x = operand(graph, "x", shape)
    turned = tuple(shape[axis] for axis in perm)
    result = graph.one("turned", "Transpose", (x,), "f32", turned, perm=tuple(perm))
    array = values(shape, 1)
    (found,), _ = computed(graph, [x], [result], [array])
    assert np.array_equal(found, array.transpose(perm))


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_along_one_axis(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    graph, array = static(), values(shape, 2)
    x = operand(graph, "x", shape)
    joined = (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :])
    doubled = graph.one("doubled", "Concat", (x, x), "f32", joined, axis=axis)
    bounds = [graph.integers([bound]) for bound in (1, shape[axis] + 1)]
    middle = graph.one(
        "middle", "Slice", (doubled, *bounds, graph.integers([axis - len(shape)])), "f32", shape
    )
    share = graph.one("share", "Softmax", (middle,), "f32", shape, axis=axis)
    running = graph.one("running", "CumSum", (share, graph.scalar("i64", axis)), "f32", shape)
    order = graph.integers([0, shape[axis] - 1])
    ends = (*shape[:axis], 2, *shape[axis + 1 :])
    taken = graph.one("taken", "Gather", (running, order), "f32", ends, axis=axis)
    first, last = graph.add(
        ["first", "last"],
        "Split",
        (taken, graph.integers([1, 1])),
        ("f32", (*shape[:axis], 1, *shape[axis + 1 :])),
        ("f32", (*shape[:axis], 1, *shape[axis + 1 :])),
        axis=axis,
    )
    gone = reduced(graph, "sum", "ReduceSum", taken, axis - len(shape), keep=False)
    most_of = reduced(graph, "max", "ReduceMax", taken, axis - len(shape), keep=True)
    (a, b, c, d), most = computed(graph, [x], [first, last, gone, most_of], [array])
    cut = np.concatenate([array, array], axis).take(range(1, shape[axis] + 1), axis)
    expected = np.exp(cut) / np.exp(cut).sum(axis, keepdims=True)
    expected = expected.cumsum(axis).take([0, shape[axis] - 1], axis)
    assert np.abs(a - expected.take([0], axis)).max() <= 1e-6
    assert np.abs(b - expected.take([1], axis)).max() <= 1e-6
    assert np.abs(c - expected.sum(axis)).max() <= 1e-6
    assert np.abs(d - expected.max(axis, keepdims=True)).max() <= 1e-6
    assert most <= 4 or len(shape) > 5  # a reduction's result is not wide itself


@settings(max_examples=60, deadline=None)
@given(
    st.lists(LENGTHS, max_size=4).map(tuple), st.data(), st.sampled_from(sorted(folding.COMPUTED))
)
def test_whole_numbers_are_folded(shape: tuple[int, ...], data: st.DataObject, op: str) -> None:
    flags = op in ("And", "Or", "Not")
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    arrays = []
    for _ in range(1 if op == "Not" else 2):
        keep = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        own = tuple(d if k else 1 for d, k in zip(shape, keep, strict=True))
        own = own[data.draw(st.integers(0, len(own))) :]
        arrays.append(random.integers(0, 2, own) == 1 if flags else random.integers(-9, 9, own))
    graph = static()
    dtype = "bool" if flags else "i64"
    edges = [graph.constant(dtype, a.flatten().tolist(), a.shape) for a in arrays]
    result = "i64" if op in ("Add", "Mul", "Sub") else "bool"
    made = graph.one("made", op, edges, result, broadcast([edge.shape for edge in edges]))
    assert graph.producers[made.name].op == "Constant"
    plain = Graph(chosen_level("standard", 17))
    edges = [plain.constant(dtype, a.flatten().tolist(), a.shape) for a in arrays]
    run = plain.one("made", op, edges, result, broadcast([edge.shape for edge in edges]))
    (expected,), _ = computed(plain, [], [run], [])
    assert graph.numbers(made) == tuple(expected.flatten().tolist())


@pytest.mark.parametrize("value", [2**24 + 1, -(2**24) - 1])
def test_what_f32_cannot_hold_is_cast_by_the_runtime(value: int) -> None:
    graph = static()
    cast = graph.one("cast", "Cast", (graph.integers([value]),), "f32", (1,), to=1)
    assert graph.producers[cast.name].op == "Cast"


def test_what_is_repeated_in_many_ways_stays_as_it_is() -> None:
    graph = static()
    shapes = [(2, 1, 2, 1, 2), (1, 2, 1, 2, 1)]
    edges = [operand(graph, f"in{i}", shape) for i, shape in enumerate(shapes)]
    result = graph.one("sum", "Add", edges, "f32", (2,) * 5)
    arrays = [values(shape, seed) for seed, shape in enumerate(shapes)]
    (found,), most = computed(graph, edges, [result], arrays)
    assert np.array_equal(found, arrays[0] + arrays[1])
    assert most == 5
