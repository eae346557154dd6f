"""A row taken out of the stored tensor that holds it together with others: a few operators.

All of them work on initializers, so a runtime can carry them out when it loads the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from specgen.analysis.table.stored import StoredTensor
from specgen.backends.onnx.dims import Shape
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.expr.evaluate import evaluate_int
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class Arranged:
    """One choice of the `chosen` axes of a rearranged tensor, its other axes put back in order.

    `axes` are those of the tensor with their lengths, `kept` those of the row in its own order.
    """

    axes: Mapping[str, int]
    chosen: Mapping[str, int]
    kept: tuple[str, ...]
    shape: tuple[int, ...]

    def take(self, graph: Graph, path: str, stored: Edge) -> Edge:
        lead = in_front(stored)
        axes = [*("" for _ in lead), *self.axes]
        found = graph.reshape(f"{path}.axes", stored, (*lead, *self.axes.values()))
        for axis, index in self.chosen.items():
            found = picked(graph, path, found, axes.index(axis), index)
            axes.remove(axis)
        order = (*range(len(lead)), *(axes.index(axis) for axis in self.kept))
        if order != tuple(range(len(order))):
            shape = tuple(found.shape[at] for at in order)
            name = f"{path}.transposed"
            found = graph.one(name, "Transpose", (found,), found.dtype, shape, perm=order)
        return graph.reshape(f"{path}.row", found, (*lead, *self.shape))


@dataclass(frozen=True, slots=True)
class Joined:
    """A stretch of the first dim of one instance (`at`, from the outside in) of joined rows."""

    at: tuple[int, ...]
    start: int
    stop: int

    def take(self, graph: Graph, path: str, stored: Edge) -> Edge:
        found, lead = stored, in_front(stored)
        axis = len(lead)
        for index in self.at:
            found = picked(graph, path, found, axis, index)
        if (self.start, self.stop) == (0, found.shape[axis]):
            return found
        shape = (*lead, self.stop - self.start, *found.shape[axis + 1 :])
        bounds = [graph.integers([bound]) for bound in (self.start, self.stop, axis)]
        return graph.one(f"{path}.row", "Slice", (found, *bounds), found.dtype, shape)


Unpacking = Arranged | Joined


def in_front(stored: Edge) -> Shape:
    """The dim of a stack that counts its instances, which all of this leaves alone."""
    return stored.shape[:1] if isinstance(stored, EdgeStack) else ()


def picked(graph: Graph, path: str, edge: Edge, axis: int, index: int) -> Edge:
    """One place of an axis, which is gone then."""
    shape = (*edge.shape[:axis], *edge.shape[axis + 1 :])
    operands = (edge, graph.scalar("i64", index))
    return graph.one(f"{path}.picked", "Gather", operands, edge.dtype, shape, axis=axis)


def unpacking(
    tensor: StoredTensor, row: int, inside: int, chosen: Sequence[int]
) -> Unpacking | None:
    """How to get a row out of a tensor; None where nothing is to be done.

    The first `inside` of the stacked indices are gone already: each stood for a dim in front.
    `chosen` are the values of the others.
    """
    dims = tensor.rows[row].dims
    whole = tensor.rearrangement
    if whole is None:
        start = sum(held.dims[0] for held in tensor.rows[:row]) if len(tensor.rows) > 1 else 0
        plain = len(tensor.rows) == 1 and not chosen
        return None if plain else Joined(tuple(chosen), start, start + dims[0])
    sizes = {axis: evaluate_int(n, tensor.first.values) for axis, n in whole.sizes.items()}
    several = len(tensor.rows) > 1
    lead = several + len(tensor.stacked)
    places = [*([row] if several else []), *chosen]
    groups = [*whole.inputs[:several], *whole.inputs[several + inside : lead]]
    picks = digits(groups, places, sizes)
    left = {axis: sizes[axis] for group in whole.outputs[inside:] for axis in group}
    return Arranged(left, picks, tuple(a for group in whole.inputs[lead:] for a in group), dims)


def digits(
    groups: Sequence[Sequence[str]], places: Sequence[int], sizes: Mapping[str, int]
) -> dict[str, int]:
    """The place along each axis that a place along its group of axes means."""
    found: dict[str, int] = {}
    for group, place in zip(groups, places, strict=True):
        rest = place
        for axis in reversed(group):
            rest, found[axis] = divmod(rest, sizes[axis])
    return found


def fronted(tensor: StoredTensor, row: int, values: Mapping[str, int]) -> Arranged | None:
    """How to get all instances of a row out of a tensor, one after the other along a first dim.

    `values` are those of the stacked indices that are known; the others count the instances.
    None where the tensor is not rearranged, so that its indices are dims of it in any case.
    """
    whole = tensor.rearrangement
    if whole is None:
        return None
    sizes = {axis: evaluate_int(n, tensor.first.values) for axis, n in whole.sizes.items()}
    several = len(tensor.rows) > 1
    places = [row] if several else []
    groups = list(whole.inputs[:several])
    open_: list[str] = []
    for index, group in zip(tensor.stacked, whole.inputs[several:], strict=False):
        if index.name in values:
            places.append(values[index.name])
            groups.append(group)
        else:
            open_ += group
    picks = digits(groups, places, sizes)
    own = (axis for group in whole.inputs[several + len(tensor.stacked) :] for axis in group)
    left = {axis: sizes[axis] for group in whole.outputs for axis in group}
    count = prod(sizes[axis] for axis in open_)
    return Arranged(left, picks, (*open_, *own), (count, *tensor.rows[row].dims))


def leads(tensor: StoredTensor, inside: int) -> bool:
    """Whether the first stacked indices are the first dims of the tensor, each by itself."""
    whole = tensor.rearrangement
    if whole is None:
        return True
    several = len(tensor.rows) > 1
    return whole.outputs[:inside] == whole.inputs[several : several + inside]
