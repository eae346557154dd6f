"""Operators on values of many axes, as the same operators on fewer: compilers for chips take four.

Axes that an operator treats alike lie beside each other as one: what is applied element by element
has as many axes as there are ways in which its operands are repeated, and along one axis there
is what lies before it and behind it.  The reshapes between are none where two operators in a row
merge the same axes.  What has more ways than there are axes stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from specgen.backends.onnx.dims import Shape, product
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Attribute, Edge
from specgen.records import dataclass

#: How many axes a value may have.
MOST: Final = 4

ELEMENTWISE: Final = frozenset({
    "Abs", "Add", "And", "Cast", "Clip", "Cos", "Div", "Equal", "Erf", "Exp", "Expand", "Floor",
    "Gelu", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Log", "Max", "Min",
    "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Sigmoid", "Sin", "Sqrt", "Sub", "Tanh",
    "Where",
})  # fmt: skip

REDUCTIONS: Final = frozenset({"ReduceMax", "ReduceMean", "ReduceSum"})


@dataclass(frozen=True, slots=True)
class WideOperator:
    """An operator on values of more axes than may be."""

    graph: Graph
    labels: Sequence[str]
    op: str
    inputs: Sequence[Edge | None]
    results: Sequence[tuple[str, Shape]]
    attributes: Mapping[str, Attribute]

    @property
    def shape(self) -> Shape:
        return self.results[0][1]

    def edge(self, position: int) -> Edge:
        found = self.inputs[position]
        assert found is not None
        return found

    def flat(self, edge: Edge, shape: Shape, which: str = "axes") -> Edge:
        """The elements of an operand under fewer axes."""
        return self.graph.reshape(f"{self.labels[0]}.{which}", edge, shape)

    def made(
        self,
        inputs: Sequence[Edge | None],
        shapes: Sequence[Shape],
        **changed: Attribute,
    ) -> tuple[Edge, ...]:
        """The operator on these, whose results get the axes that they are to have."""
        results = [(d, shape) for (d, _), shape in zip(self.results, shapes, strict=True)]
        attributes = {**self.attributes, **changed}
        edges = self.graph.add(self.labels, self.op, inputs, *results, **attributes)
        pairs = zip(self.labels, edges, self.results, strict=True)
        return tuple(self.graph.reshape(f"{n}.axes", e, shape) for n, e, (_, shape) in pairs)


def narrowed(
    graph: Graph,
    labels: Sequence[str],
    op: str,
    inputs: Sequence[Edge | None],
    results: Sequence[tuple[str, Shape]],
    attributes: Mapping[str, Attribute],
) -> tuple[Edge, ...] | None:
    """The results of an operator on values of fewer axes; None where it has no need or no way."""
    ranks = [len(edge.shape) for edge in inputs if edge is not None]
    if max([*ranks, *(len(shape) for _, shape in results)], default=0) <= MOST:
        return None
    lower = LOWERINGS.get(op)
    return (
        None
        if lower is None
        else lower(WideOperator(graph, labels, op, inputs, results, attributes))
    )


def elementwise(wide: WideOperator) -> tuple[Edge, ...] | None:
    """Neighbouring axes along which the same operands are repeated are one."""
    graph, result = wide.graph, wide.shape
    operands = [wide.edge(0)] if wide.op == "Expand" else [e for e in wide.inputs if e is not None]
    padded = [(1,) * (len(result) - len(edge.shape)) + edge.shape for edge in operands]
    groups: list[list[int]] = []
    ways: list[tuple[bool, ...] | None] = []
    for axis, dim in enumerate(result):
        way = None if dim == 1 else tuple(shape[axis] != 1 for shape in padded)
        if groups and (way is None or ways[-1] in (None, way)):
            groups[-1].append(axis)
            ways[-1] = ways[-1] or way
        else:
            groups.append([axis])
            ways.append(way)
    if len(groups) > MOST:
        return None

    def merged(shape: Shape) -> Shape:
        return tuple(product(tuple(shape[axis] for axis in group)) for group in groups)

    given: list[Edge | None] = []
    flat = iter(zip(operands, padded, strict=True))
    for edge in wide.inputs[: len(operands)] if wide.op == "Expand" else wide.inputs:
        if edge is None:
            given.append(None)
            continue
        _, shape = next(flat)
        alone = edge.shape == ()
        given.append(edge if alone else wide.flat(edge, trimmed(edge.shape, merged(shape))))
    if wide.op == "Expand":
        given.append(graph.extents(merged(result)))
    return wide.made(given, [merged(result)])


def trimmed(own: Shape, merged: Shape) -> Shape:
    """The merged shape; of an operand with as few axes already, its own where it is the same."""
    short = merged[len(merged) - len(own) :] if len(own) <= len(merged) else merged
    return own if short == own else merged


def transposed(wide: WideOperator) -> tuple[Edge, ...] | None:
    """Axes that stay behind each other are one, and those of one element go anywhere."""
    x, perm = wide.edge(0), wide.attributes["perm"]
    assert isinstance(perm, tuple)
    order = [axis for axis in perm if x.shape[axis] != 1]
    groups: list[list[int]] = []
    for axis in order:
        kept = [a for a in range(len(x.shape)) if x.shape[a] != 1]
        before = kept.index(axis) - 1
        if groups and before >= 0 and groups[-1][-1] == kept[before]:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > MOST:
        return None
    old = sorted(groups)
    lengths = {group[0]: product(tuple(x.shape[axis] for axis in group)) for group in groups}
    if old == groups:
        return (wide.graph.reshape(wide.labels[0], x, wide.shape),)
    flat = wide.flat(x, tuple(lengths[group[0]] for group in old))
    shape = tuple(lengths[group[0]] for group in groups)
    return wide.made([flat], [shape], perm=tuple(old.index(group) for group in groups))


def along(wide: WideOperator, shape: Shape, axis: int) -> Shape:
    """A shape with what is before an axis as one, and what is behind it."""
    return (product(shape[:axis]), shape[axis], product(shape[axis + 1 :]))


def one_axis(wide: WideOperator) -> tuple[Edge, ...] | None:
    """What is done along one axis, which the attribute `axis` says: before it, it, and behind."""
    axis = wide.attributes.get("axis", -1)
    assert isinstance(axis, int)
    if wide.op == "Gather" and len(wide.edge(1).shape) != 1:
        return None  # there is another number of axes behind it
    axis %= len(wide.edge(0).shape)
    count = len(wide.inputs) if wide.op == "Concat" else 1
    given = [wide.flat(wide.edge(i), along(wide, wide.edge(i).shape, axis)) for i in range(count)]
    shapes = [along(wide, shape, axis) for _, shape in wide.results]
    return wide.made([*given, *wide.inputs[count:]], shapes, axis=1)


def stated_axis(wide: WideOperator) -> tuple[Edge, ...] | None:
    """As `one_axis`, of operators that have the axis as a constant, their last operand."""
    stated = wide.inputs[-1]
    numbers = None if stated is None else wide.graph.numbers(stated)
    x = wide.edge(0)
    if numbers is None or stated is None or len(numbers) != 1:
        return None
    axis = numbers[0] % len(x.shape)
    middle = wide.graph.constant("i64", [1], tuple(map(wide.graph.number, stated.shape)))
    given = [wide.flat(x, along(wide, x.shape, axis)), *wide.inputs[1:-1], middle]
    return wide.made(given, [along(wide, wide.shape, axis)])


def reduced(wide: WideOperator) -> tuple[Edge, ...] | None:
    """A reduction along one axis, which is an attribute or the last operand."""
    x, axes = wide.edge(0), wide.attributes.get("axes")
    numbers = wide.graph.numbers(wide.edge(1)) if axes is None else axes
    if not isinstance(numbers, tuple) or len(numbers) != 1:
        return None
    axis = numbers[0] % len(x.shape)
    before, length, behind = along(wide, x.shape, axis)
    flat = wide.flat(x, (before, length, behind))
    shape = (before, behind) if wide.attributes.get("keepdims") == 0 else (before, 1, behind)
    if axes is not None:
        return wide.made([flat], [shape], axes=(1,))
    return wide.made([flat, wide.graph.integers([1])], [shape])


def matrices(wide: WideOperator) -> tuple[Edge, ...] | None:
    """Products of as many matrices on either side: all in a row."""
    left, right = wide.edge(0), wide.edge(1)
    if left.shape[:-2] != right.shape[:-2]:
        return None
    count = product(left.shape[:-2])
    given = [wide.flat(edge, (count, *edge.shape[-2:]), "matrices") for edge in (left, right)]
    return wide.made(given, [(count, *wide.shape[-2:])])


LOWERINGS: Final[Mapping[str, Callable[[WideOperator], tuple[Edge, ...] | None]]] = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(REDUCTIONS, reduced),
    **dict.fromkeys(("Concat", "Gather", "Softmax", "Split", "TopK"), one_axis),
    **dict.fromkeys(("CumSum", "Slice"), stated_axis),
    "MatMul": matrices,
    "Transpose": transposed,
}
