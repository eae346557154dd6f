"""The tensors of a mixture's instances: of one, whose number is known only when the graph runs.

Gathered where a stack holds them; where they lie in several initializers, a tree of Ifs decides.
Or of many at once, as stacks: those of many numbers, or all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Final

from specgen.backends.onnx.dims import Shape
from specgen.backends.onnx.expert_shards import ExpertShard, divided
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import convert
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.openvino_if import once
from specgen.dtypes import DTYPES, UNGATHERED
from specgen.expr.evaluate import EvaluationError
from specgen.ir.verify import InternalFault
from specgen.records import dataclass

#: The initializers of a row that are all gathered from, each as often as there are choices.
MAX_GATHERED: Final = 8

#: Rows of which an instance has this much less than of all together are put together instead.
MIN_SHARE: Final = 64

#: Gives the stored tensor of a row by its path.
Read = Callable[[str], Edge]


@dataclass(frozen=True, slots=True)
class Instances:
    """The rows of `count` instances: the pieces of each, and what reads an initializer.

    `decoded` gives the numbers of a row that was gathered.
    """

    graph: Graph
    name: str
    count: int
    pieces: Mapping[str, Sequence[ExpertShard]]
    read: Read
    decoded: Callable[[str, Edge], Edge]

    def reader(self, which: Edge, known: Mapping[str, Edge] | None = None) -> Read:
        """What reads the rows of the instance that `which`, an i64 scalar, says.

        `known` are rows of it that are there already.
        """
        split = {path: found for path, found in self.pieces.items() if len(found) > 1}
        found = {**(self._picked(which, split) if split else {}), **(known or {})}

        def row(path: str) -> Edge:
            if path not in found and path not in self.pieces:
                found[path] = self.read(path)  # a row outside, which all instances share
            elif path not in found:
                (piece,) = self.pieces[path]
                found[path] = self.take(path, piece, which)
            return found[path]

        return row

    def chosen(self, index: Edge) -> Read:
        """What reads the rows of the instances that `index`, i64 [count], says, as stacks.

        What lies in a few initializers is gathered from each of them.

        Raises:
            EvaluationError: it lies in many, and is not small beside the other rows.
        """

        def row(path: str, pieces: Sequence[ExpertShard]) -> Edge:
            if len(pieces) > 1 and self._small(path):
                stack = self._joined(path, pieces)
                return self.decoded(path, self._gathered(path, stack, index))
            if len(pieces) > MAX_GATHERED:
                reason = f"`{path}` lies in {len(pieces)} initializers, too many to gather from all"
                way = "use `--weights embed`, which stacks them, or `--experts loop` or `dense`"
                raise EvaluationError(f"{reason}: {way}")
            return self.decoded(path, self._selected(path, pieces, index))

        return self._stacks(row)

    def every(self) -> Read:
        """What reads the rows of all instances, as stacks.

        Where they lie in several initializers these are put together, and reordered where they
        lie in another order: all of that is of constants.
        """
        return self._stacks(self._joined)

    def _selected(self, path: str, pieces: Sequence[ExpertShard], index: Edge) -> Edge:
        """Some instances of a row, gathered from each of its initializers: each has some of them."""
        graph, found = self.graph, None
        stored = [self._opened(path, piece) for piece in pieces]
        dtypes = {edge.dtype for edge in stored}
        dtype = stored[0].dtype if len(dtypes) == 1 else "f32"
        if len(pieces) > 1 and DTYPES[dtype].kind == "float":
            dtype = "f32"  # the others have no Where in onnxruntime
        for piece, edge in zip(pieces, stored, strict=True):
            place = self._looked_up(index, [piece.place(i) for i in range(self.count)])
            taken = convert(graph, f"{path}.cast", self._gathered(path, edge, place), dtype)
            if found is not None:
                held = [piece.holds(i) for i in range(self.count)]
                table = graph.constant("bool", held, (self.count,))
                holds = graph.one(f"{path}.holds", "Gather", (table, index), "bool", index.shape)
                wide = (*index.shape, *(1 for _ in taken.shape[1:]))
                test = graph.reshape(f"{path}.holds", holds, wide)
                name = f"{path}.selected"
                found = graph.one(name, "Where", (test, taken, found), dtype, taken.shape)
            else:
                found = taken
        if found is None:
            raise InternalFault(f"{path} lies in no initializer")
        return found

    def _gathered(self, path: str, stack: Edge, place: Edge) -> Edge:
        shape = (*place.shape, *stack.shape[1:])
        return self.graph.one(f"{path}.stored", "Gather", (stack, place), stack.dtype, shape)

    def _small(self, path: str) -> bool:
        """Whether a row is little of an instance, as scales and biases are."""
        sizes = {}
        for row, pieces in self.pieces.items():
            stored = self.read(pieces[0].path)
            own = stored.shape[pieces[0].only is None :]
            sizes[row] = (
                prod(dim for dim in own if isinstance(dim, int)) * DTYPES[stored.dtype].bits
            )
        return sizes[path] * MIN_SHARE <= sum(sizes.values())

    def _joined(self, path: str, pieces: Sequence[ExpertShard]) -> Edge:
        """All instances of a row, in order."""
        stored = [self._opened(path, piece) for piece in pieces]
        order = [[i for i in range(self.count) if piece.holds(i)] for piece in pieces]
        dtypes = {edge.dtype for edge in stored}
        dtype = stored[0].dtype if len(dtypes) == 1 else "f32"
        found = [
            self._reordered(f"{path}.held", edge, [piece.place(i) for i in held], dtype)
            for piece, edge, held in zip(pieces, stored, order, strict=True)
        ]
        stack = found[0]
        if len(found) > 1:
            shape = (self.count, *stack.shape[1:])
            found = [self._movable(f"{path}.cast", edge) for edge in found]
            stack = self.graph.one(f"{path}.joined", "Concat", found, found[0].dtype, shape, axis=0)
        places = [instance for held in order for instance in held]
        wanted = [places.index(instance) for instance in range(self.count)]
        return self._reordered(f"{path}.ordered", stack, wanted, dtype)

    def _reordered(self, name: str, stored: Edge, places: Sequence[int], dtype: str) -> Edge:
        """What is at these places along the first dim."""
        if [*places] == [*range(len(places))] and len(places) == stored.shape[0]:
            return convert(self.graph, f"{name}.cast", stored, dtype)
        stored = self._movable(f"{name}.cast", convert(self.graph, f"{name}.cast", stored, dtype))
        shape = (len(places), *stored.shape[1:])
        operands = (stored, self.graph.integers(places))
        return self.graph.one(name, "Gather", operands, stored.dtype, shape)

    def _movable(self, name: str, stored: Edge) -> Edge:
        """In a dtype that Gather and Concat take, and which holds it exactly."""
        dtype = "f32" if stored.dtype in UNGATHERED else stored.dtype
        return convert(self.graph, name, stored, dtype)

    def _opened(self, path: str, piece: ExpertShard) -> Edge:
        """What an initializer holds, as a stack even if it is one instance."""
        stored = self.read(piece.path)
        if piece.only is None:
            return stored
        stored = self._movable(f"{path}.cast", stored)
        return self.graph.reshape(f"{path}.alone", stored, (1, *stored.shape))

    def _stacks(self, found: Callable[[str, Sequence[ExpertShard]], Edge]) -> Read:
        """What reads the rows of many instances, and as it is a row that all of them share."""
        known: dict[str, Edge] = {}

        def row(path: str) -> Edge:
            if path not in self.pieces:
                return self.read(path)
            if path not in known:
                known[path] = EdgeStack.of(found(path, self.pieces[path]))
            return known[path]

        return row

    def whole(self, path: str) -> bool:
        """Whether one initializer holds the row of all instances, in order, and nothing else."""
        found, places = self.pieces.get(path, ()), range(self.count)
        return (
            len(found) == 1
            and found[0].only is None
            and [*places] == [*map(found[0].place, places)]
        )

    def scanned(self) -> dict[str, Edge]:
        """The stacks that nothing but Scan takes apart, by the rows that lie in them."""
        stacks = {
            path: self.read(found[0].path)
            for path, found in self.pieces.items()
            if len(found) == 1 and found[0].only is None
        }
        return {path: stack for path, stack in stacks.items() if stack.dtype in UNGATHERED}

    def order(self) -> tuple[int, ...] | None:
        """The order of the instances in those stacks; None where it is that of their numbers.

        Raises:
            EvaluationError: it is not the same in all of them.
        """
        found = {self.pieces[path][0].order for path in self.scanned()}
        if len(found) > 1:
            reason = "its tensors lie in several orders in the checkpoint"
            raise EvaluationError(f"`{self.name}`: {reason}: use `--experts released`")
        return found.pop()

    def take(self, path: str, piece: ExpertShard, which: Edge) -> Edge:
        """One instance, out of the piece that holds it."""
        graph, name, stored = self.graph, f"{path}.stored", self.read(piece.path)
        if piece.only is not None:
            # One of very many names: the shortest that says which it is.
            return self._alone(f"{self.name}.{piece.only}", stored, which)
        place = self._looked_up(which, [piece.place(i) for i in range(self.count)])
        return graph.one(name, "Gather", (stored, place), stored.dtype, stored.shape[1:])

    def _alone(self, name: str, stored: Edge, which: Edge) -> Edge:
        """An initializer as the result of a branch.

        Not Identity: onnxruntime would carry it out when it opens the file, for every expert.  It
        cannot do so with a Reshape whose shape it does not know yet.
        """
        shape = self.late(stored.shape, which)
        return self.graph.one(name, "Reshape", (stored, shape), stored.dtype, stored.shape)

    def late(self, shape: Shape, which: Edge) -> Edge:
        """A known shape as a value that only exists when the graph runs."""
        graph, dims = self.graph, [dim for dim in shape if isinstance(dim, int)]
        nothing = graph.one(f"{self.name}.nothing", "Sub", (which, which), "i64", ())
        operands = (graph.integers(dims), nothing)
        return graph.one(f"{self.name}.shape", "Add", operands, "i64", (len(dims),))

    def _looked_up(self, which: Edge, table: Sequence[int]) -> Edge:
        """The number in the instance's place of a table."""
        if list(table) == list(range(self.count)):
            return which
        operands = (self.graph.integers(table), which)
        return self.graph.one(f"{self.name}.place", "Gather", operands, "i64", which.shape)

    def _picked(
        self, which: Edge, split: Mapping[str, Sequence[ExpertShard]]
    ) -> Mapping[str, Edge]:
        """The rows that lie in several initializers, of the instance."""
        # Rows that lie in the same initializers are picked once.
        rows = {tuple(piece.path for piece in found): path for path, found in split.items()}
        leading = {path: split[path] for path in rows.values()}
        groups = divided(leading.values(), self.count)
        numbers = [0] * self.count
        for number, instances in enumerate(groups.values()):
            for instance in instances:
                numbers[instance] = number
        tree = Tree(self, which, self._looked_up(which, numbers), leading, list(groups))
        picked = once(self.graph, self.name, lambda: tree.pick(0, len(groups)))
        found = dict(zip(rows, picked, strict=True))
        return {path: found[tuple(p.path for p in pieces)] for path, pieces in split.items()}


class Tree:
    """Ifs, each of which leaves half of the groups of instances; a leaf reads one group's rows.

    A group is the instances of which each row lies in the same piece; `number` is that of the
    group which holds the instance.
    """

    def __init__(
        self,
        instances: Instances,
        which: Edge,
        number: Edge,
        rows: Mapping[str, Sequence[ExpertShard]],
        groups: Sequence[Sequence[int]],
    ) -> None:
        self.instances = instances
        self.graph = instances.graph
        self.which = which
        self.number = number
        self.rows = rows
        self.groups = groups
        self.dtypes = {path: self._dtype(pieces) for path, pieces in rows.items()}
        for piece in (piece for pieces in rows.values() for piece in pieces):
            if piece.only is not None:  # made here once, and found again in every branch
                instances.late(instances.read(piece.path).shape, which)

    def _dtype(self, pieces: Sequence[ExpertShard]) -> str:
        """The dtype of a row's tensors, f32 where they have several."""
        found = {self.instances.read(piece.path).dtype for piece in pieces}
        return found.pop() if len(found) == 1 else "f32"

    def pick(self, first: int, stop: int) -> Sequence[Edge]:
        """The rows of the instance, which is known to be in one of these groups."""
        if stop - first == 1:
            return self._leaf(self.groups[first])
        graph, name, half = self.graph, self.instances.name, (first + stop) // 2
        limit = graph.scalar("i64", half)
        lower = graph.one(f"{name}.lower", "Less", (self.number, limit), "bool", ())
        with graph.body() as close:
            then = close((), self.pick(first, half))
        with graph.body() as close:
            otherwise = close((), self.pick(half, stop))
        return graph.add(
            [f"{name}.{first}_{stop - 1}"] * len(self.rows),
            "If",
            (lower,),
            *((edge.dtype, edge.shape) for edge in then.outputs),
            then_branch=then,
            else_branch=otherwise,
        )

    def _leaf(self, group: Sequence[int]) -> Sequence[Edge]:
        found = []
        for (path, pieces), number in zip(self.rows.items(), group, strict=True):
            stored = self.instances.take(path, pieces[number], self.which)
            found.append(convert(self.graph, f"{path}.cast", stored, self.dtypes[path]))
        return found
