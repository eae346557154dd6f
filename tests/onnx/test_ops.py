"""Every op's operators against numpy: by number, and by the dims that the compiler states.

Each operand has symbolic dims, as `batch` and `sequence` are, except where a name ends in a
digit; strict inference then refuses a stated dim that is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from specgen.backends.onnx import emit, folding, ops, ranks
from specgen.backends.onnx.dims import DimExtent, symbol
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.levels import chosen_level
from specgen.backends.onnx.lowering import Number, OnnxCall
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.options import OPSETS
from specgen.backends.onnx.proto import Document, serialize
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.node import Apply, Const, Expr, Sym
from specgen.frontend.load import load_program
from tests.onnx.session import onnx, ort, parsed
from tests.references import REPOSITORY

DTYPES = {"float32": "f32", "int64": "i64", "bool": "bool"}


@dataclass
class FormTried:
    """The opset of the graphs, and whether their dims are numbers."""

    opset: int | None = None
    static: bool = False


FORM = FormTried()


@pytest.fixture(autouse=True, params=[
    (None, False), (17, True),
    *(pytest.param((opset, static), marks=pytest.mark.slow)
      for opset in OPSETS for static in (False, True)),
])  # fmt: skip
def form(request: pytest.FixtureRequest) -> None:
    """Every op is tried at every opset, with symbolic dims and with numbers."""
    FORM.opset, FORM.static = request.param


#: An operand: an array and the names of its dims; or a compile-time number.
Operand = tuple[np.ndarray, str] | Number


def run(
    op: str, operands: Sequence[Operand], dtypes: Sequence[str], **attrs: object
) -> tuple[list[np.ndarray], set[str]]:
    """The results of an op in onnxruntime, and the operators that it became."""
    graph = Graph(chosen_level("standard", FORM.opset), {} if FORM.static else None)
    graph.rewrites = (folding.folded, ranks.narrowed) if FORM.static else ()
    env: dict[str, int | DimExtent] = {}
    lowered: list[Edge | Number] = []
    feeds: dict[str, np.ndarray] = {}
    for operand in operands:
        if not isinstance(operand, tuple):
            lowered.append(operand)
            continue
        array, axes = operand
        for name, size in zip(axes.split(), array.shape, strict=True):
            env[name] = size if FORM.static or name[-1].isdigit() else symbol(name)
        shape = tuple(env[name] for name in axes.split())
        edge = graph.edge(f"x{len(feeds)}", DTYPES[str(array.dtype)], shape)
        for axis, dim in enumerate(shape):
            if isinstance(dim, DimExtent):
                graph.measure(edge, axis)
        feeds[edge.name] = array
        lowered.append(edge)
    inputs = [graph.edges[name] for name in feeds]
    call = OnnxCall(graph, ("y", "z")[: len(dtypes)], op, tuple(lowered), attrs, tuple(dtypes), env)
    results = {f"y{i}": edge for i, edge in enumerate(ops.lower(call))}
    nodes = graph.finish(results)
    outputs = [graph.edges[name] for name in results]
    level = graph.level
    data = serialize(Document("test", "", inputs, outputs, nodes, graph.edges, (), (), {}, level))
    onnx.checker.check_model(parsed(data), full_check=True)
    onnx.shape_inference.infer_shapes(parsed(data), strict_mode=True, data_prop=True)
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run([edge.name for edge in outputs], feeds)
    sizes = {
        str(dim): size
        for edge in inputs
        for dim, size in zip(edge.shape, feeds[edge.name].shape, strict=True)
    }
    for edge, array in zip(outputs, found, strict=True):
        stated = [sizes.get(str(dim), dim) for dim in edge.shape]
        plain = [dim for dim in stated if isinstance(dim, int)]
        assert len(stated) == array.ndim
        assert len(plain) < len(stated) or plain == list(array.shape)
    return found, {node.op for node in nodes}


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


X = floats(2, 3, 4)
POSITIVE = np.abs(X) + 0.1

UNARY: Mapping[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]] = {
    "neg": (X, np.negative),
    "sqrt": (POSITIVE, np.sqrt),
    "rsqrt": (POSITIVE, lambda x: 1 / np.sqrt(x)),
    "exp": (X, np.exp),
    "silu": (X, lambda x: x / (1 + np.exp(-x))),
    "sigmoid": (X, lambda x: 1 / (1 + np.exp(-x))),
    "cos": (X, np.cos),
    "sin": (X, np.sin),
    "tanh": (X, np.tanh),
    "erf": (X, np.vectorize(math.erf, otypes=[np.float32])),
    "not": (X > 0, np.logical_not),
}


@pytest.mark.parametrize("op", UNARY)
def test_unary(op: str) -> None:
    x, expected = UNARY[op]
    (found,), _ = run(op, [(x, "b s d4")], [DTYPES[str(x.dtype)]])
    close(found, expected(x))


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "pow"])
def test_arithmetic_broadcasts_and_takes_numbers(op: str) -> None:
    function = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    }[op]  # fmt: skip
    y = np.abs(floats(3, 1)) + 0.5
    close(run(op, [(POSITIVE, "b s d4"), (y, "s i1")], ["f32"])[0][0], function(POSITIVE, y))
    close(run(op, [2.5, (POSITIVE, "b s d4")], ["f32"])[0][0], function(np.float32(2.5), POSITIVE))
    whole = np.arange(3)
    result = function(whole.astype(np.float32), np.float32(4))
    close(run(op, [(whole, "s"), 4], ["f32"])[0][0], result)


@pytest.mark.parametrize("op", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons_of_whole_and_broken_numbers(op: str) -> None:
    function = {
        "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
        "gt": np.greater, "ge": np.greater_equal,
    }[op]  # fmt: skip
    x = np.array([0, 1, 2, 3])
    close(run(op, [(x, "s"), (x[::-1].copy(), "s")], ["bool"])[0][0], function(x, x[::-1]))
    for number in (2, 1.5, float("inf")):
        close(run(op, [(x, "s"), number], ["bool"])[0][0], function(x, number))


def test_logic_where_clamp_cast() -> None:
    a, b = X > 0, X > 0.5
    close(run("and", [(a, "b s d"), (b, "b s d")], ["bool"])[0][0], a & b)
    close(run("or", [(a, "b s d"), (b, "b s d")], ["bool"])[0][0], a | b)
    masked = run("where", [(a, "b s d"), (X, "b s d"), float("-inf")], ["f32"])[0][0]
    close(masked, np.where(a, X, np.float32(-np.inf)))
    low, high = Const(-0.5), Const(1)
    close(run("clamp", [(X, "b s d")], ["f32"], low=low, high=high)[0][0], np.clip(X, -0.5, 1))
    close(run("clamp", [(X, "b s d")], ["f32"], low=None, high=high)[0][0], np.minimum(X, 1))
    close(run("cast", [(np.arange(3), "s")], ["f32"])[0][0], np.arange(3, dtype=np.float32))
    close(run("cast", [0.5], ["f32"])[0][0], np.float32(0.5))


@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("keep", [False, True])
def test_reductions(axis: int, keep: bool) -> None:
    for op, function in (("sum", np.sum), ("mean", np.mean), ("max", np.max)):
        found = run(op, [(X, "b s d4")], ["f32"], axis=axis, keep=keep)[0][0]
        close(found, function(X, axis=axis, keepdims=keep))
    found = run("any", [(X > 1, "b s d4")], ["bool"], axis=axis, keep=keep)[0][0]
    close(found, np.any(X > 1, axis=axis, keepdims=keep))


@pytest.mark.parametrize("axis", [-1, -2])
def test_cumsum(axis: int) -> None:
    close(run("cumsum", [(X, "b s d4")], ["f32"], axis=axis)[0][0], X.cumsum(axis))


def test_softmax_topk_gather_take_iota() -> None:
    e = np.exp(X - X.max(-1, keepdims=True))
    close(run("softmax", [(X, "b s d4")], ["f32"], axis=-1)[0][0], e / e.sum(-1, keepdims=True))
    (values, index), _ = run("topk", [(X, "b s d4")], ["f32", "i64"], k=Const(2))
    expected = np.argsort(-X, -1)[..., :2]
    close(index, expected)
    close(values, np.take_along_axis(X, expected, -1))
    close(run("gather", [(X, "b s d4"), (expected, "b s k2")], ["f32"])[0][0], values)
    table, rows = floats(7, 4), np.array([[6, 0], [3, 3]])
    close(run("take", [(table, "v7 d4"), (rows, "b s")], ["f32"])[0][0], table[rows])
    close(run("iota", [(X, "b s d4")], ["i64"], n=Sym("s"))[0][0], np.arange(3))


@pytest.mark.parametrize(
    ("dtype", "values"), [("f32", (0.5, 2, 1e-8)), ("i64", (3, 0)), ("f32", ())]
)
def test_constant(dtype: str, values: tuple[float, ...]) -> None:
    listed = Apply("list", tuple(map(Const, values)))
    (found,), used = run("constant", [], [dtype], value=listed)
    close(found, np.asarray(values, np.float32 if dtype == "f32" else np.int64))
    assert used == {"Constant"}


def test_split_concat_slice() -> None:
    sizes = (Const(1), Const(3))
    (a, b), _ = run("split", [(X, "b s d4")], ["f32", "f32"], sizes=sizes, axis=-1)
    close(a, X[..., :1])
    close(b, X[..., 1:])
    close(run("concat", [(a, "b s one1"), (b, "b s k3")], ["f32"], axis=-1)[0][0], X)
    part = run("slice", [(X, "b s d4")], ["f32"], start=Const(1), stop=Sym("s"), axis=-2)[0][0]
    close(part, X[:, 1:])
    whole, used = run("slice", [(X, "b s d4")], ["f32"], start=Const(0), stop=Const(4), axis=-1)
    close(whole[0], X)
    assert "Slice" not in used


def groups(text: str) -> tuple[tuple[str, ...], ...]:
    found: list[tuple[str, ...]] = []
    for piece in text.replace("(", " ( ").replace(")", " ) ").split():
        if piece == "(":
            found.append(("(",))
        elif piece == ")":
            found[-1] = found[-1][1:]
        elif found and found[-1][:1] == ("(",):
            found[-1] = (*found[-1], piece)
        else:
            found.append(() if piece == "1" else (piece,))
    return tuple(found)


REARRANGE = [
    ("b s (h d)", "b s h d", "b s f12", {"h": 3, "d": 4}),
    ("b s h d", "b s (h d)", "b s h3 d4", {}),
    ("b s h d", "b h s d", "b s h3 d4", {}),
    ("b s h d", "(b s) h d", "b s h3 d4", {}),
    ("b s r", "b s 1 r", "b s r4", {}),
    ("b s 1 r", "b s r", "b s one1 r4", {}),
    ("b s t", "b 1 1 s t", "b s t", {}),
    ("... (r two)", "... (two r)", "b s f12", {"r": 6, "two": 2}),
    ("... g e", "... (g e)", "b s g3 e4", {}),
    ("b (s w) d", "b w (s d)", "b s6 d4", {"s": 2, "w": 3}),
]


@pytest.mark.parametrize(("left", "right", "axes", "sizes"), REARRANGE)
def test_rearrange(left: str, right: str, axes: str, sizes: dict[str, int]) -> None:
    extents = [
        int("".join(c for c in n if c.isdigit()) or 5 + i) for i, n in enumerate(axes.split())
    ]
    x = floats(*extents)
    inputs, outputs = groups(left), groups(right)
    known: dict[str, Expr] = {name: Const(size) for name, size in sizes.items()}
    found = run("rearrange", [(x, axes)], ["f32"], inputs=inputs, outputs=outputs, sizes=known)[0]
    rest = x.ndim - len(inputs) + 1
    names = {f"r{i}": x.shape[i] for i in range(rest)} if inputs[0] == ("...",) else {}
    if names:
        inputs = (*((n,) for n in names), *inputs[1:])
        outputs = (*((n,) for n in names), *outputs[1:])
    size = {**names, **sizes}
    for group, extent in zip(inputs, x.shape, strict=True):
        if len(group) == 1:
            size[group[0]] = extent
    old = [a for g in inputs for a in g]
    new = [a for g in outputs for a in g]
    expected = x.reshape([size[a] for a in old]).transpose([old.index(a) for a in new])
    shape = [int(np.prod([size[a] for a in group])) for group in outputs]
    close(found[0], expected.reshape(shape))


def test_repeat() -> None:
    x = floats(2, 3)
    sizes = {"i": Const(4), "j": Const(2)}
    found = run(
        "repeat", [(x, "r2 c3")], ["f32"],
        inputs=groups("r c"), outputs=groups("(r i) (c j)"), sizes=sizes,
    )[0][0]  # fmt: skip
    close(found, np.repeat(np.repeat(x, 4, 0), 2, 1))
    found = run(
        "repeat", [(x, "b s")], ["f32"],
        inputs=groups("b s"), outputs=groups("b h s"), sizes={"h": Const(4)},
    )[0][0]  # fmt: skip
    close(found, np.repeat(x[:, None], 4, 1))


EINSUM = [
    # pattern, dims of the operands, an operator that it must become
    ("b s d, e d -> b s e", ["b s d4", "e5 d4"], "Gemm"),
    ("b s h d, b t h d -> b h s t", ["b s h3 d4", "b t h3 d4"], "MatMul"),
    ("b h s t, b t h d -> b s h d", ["b h3 s t", "b t h3 d4"], "MatMul"),
    ("b s k g d, b t k d -> b k g s t", ["b s k2 g3 d4", "b t k2 d4"], "MatMul"),
    ("b k g s t, b t k e -> b s k g e", ["b k2 g3 s t", "b t k2 e4"], "MatMul"),
    ("b s h d, h d c -> b s h c", ["b s h3 d4", "h3 d4 c5"], "MatMul"),
    ("b s h c, h d c -> b s h d", ["b s h3 c5", "h3 d4 c5"], "MatMul"),
    ("b s h r, b t r -> b h s t", ["b s h3 r4", "b t r4"], "MatMul"),
    ("s d, d -> s", ["s d4", "d4"], "Gemm"),
    ("b s, r -> b s r", ["b s", "r4"], "Mul"),
    ("b s d, b s d -> b s d", ["b s d4", "b s d4"], "Mul"),
    ("b s d, s -> b d s", ["b s d4", "s"], "Mul"),
    ("b s d, d -> b", ["b s d4", "d4"], "Einsum"),
    ("b s d -> b d", ["b s d4"], "Einsum"),
    ("b s, s t, t d -> b d", ["b s", "s t", "t d4"], "Einsum"),
]


@pytest.mark.parametrize(("pattern", "axes", "operator"), EINSUM)
def test_einsum(pattern: str, axes: list[str], operator: str) -> None:
    extents = {"b": 2, "s": 7, "t": 6}
    arrays = [floats(*(extents.get(n) or int(n[-1]) for n in names.split())) for names in axes]
    left, right = pattern.split("->")
    sides = [tuple(side.split()) for side in left.split(",")]
    found, used = run(
        "einsum",
        [(x, names) for x, names in zip(arrays, axes, strict=True)],
        ["f32"],
        inputs=tuple(sides),
        output=tuple(right.split()),
        sizes={},
    )
    close(found[0], np.einsum(pattern.replace(" ", ""), *arrays))
    assert operator in used


def test_einsum_with_leading_dims() -> None:
    x, w = floats(2, 7, 4), floats(5, 4)
    found, used = run(
        "einsum", [(x, "b s d4"), (w, "e5 d4")], ["f32"],
        inputs=(("...", "d"), ("e", "d")), output=("...", "e"), sizes={},
    )  # fmt: skip
    close(found[0], x @ w.T)
    assert "Gemm" in used


def test_equal_values_are_computed_once() -> None:
    graph = Graph()
    x = graph.edge("x", "f32", (symbol("n"),))
    a = graph.one("a", "Exp", (x,), "f32", x.shape)
    b = graph.one("b", "Exp", (x,), "f32", x.shape)
    assert a == b
    graph.one("unused", "Neg", (x,), "f32", x.shape)
    c = graph.one("c", "Add", (a, b), "f32", x.shape)
    nodes = graph.finish({"c": c, "again": c})
    assert [node.op for node in nodes] == ["Exp", "Add", "Identity"]


def test_a_name_of_the_contract_is_never_taken_by_a_value() -> None:
    graph = Graph()
    x = graph.edge("x", "f32", (symbol("n"),))
    own = graph.one("logits", "Exp", (x,), "f32", x.shape)
    result = graph.one("result", "Neg", (own,), "f32", x.shape)
    nodes = graph.finish({"logits": result})
    assert [node.outputs for node in nodes] == [("logits_2",), ("logits",)]
    assert nodes[1].inputs == ("logits_2",)


def test_a_graph_without_bound_is_refused() -> None:
    spec = REPOSITORY / "specs" / "llama.dsv3"
    with pytest.raises(SpecError) as found:
        emit(load_program(spec, "llama3_8b", {"n_layers": 10**9}))
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "E0905"
    assert "over 100,000 initializers" in diagnostic.message
