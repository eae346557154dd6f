"""The table's tensors as initializers: names, stacked experts, places in the data file.

Tensors come from `analysis.stored`; an initializer is found by the own path in the table of each
row that it holds (`layers.3.attn.wq_a`), where the index of a mixture's part is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from itertools import product as combinations
from math import prod
from typing import Final

from specgen.analysis.cases import Folder, Index
from specgen.analysis.instances import environment, root
from specgen.analysis.reach import reached
from specgen.analysis.rows import Row, entries, fold
from specgen.analysis.stored import StoredTensor, held, scheme_of
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import DTYPES
from specgen.backends.onnx.nodes import Edge
from specgen.backends.onnx.unpack import Unpacking, leads, unpacking
from specgen.ir.model import Program, Template
from specgen.sizes.evaluate import EvaluationError, Value, describe, evaluate
from specgen.sizes.expr import Expr, symbols
from specgen.sizes.printing import to_text

#: Where the weights lie, beside the graph, and how each of them is aligned: ONNX asks for
#: multiples of the page size, so that a runtime can map the file.
LOCATION: Final = "model.onnx.data"
ALIGNMENT: Final = 4096

#: More initializers than this for one row are no model; the graph would take gigabytes.
MAX_INITIALIZERS: Final = 100_000

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """An initializer: `pattern` is the released name, stacked indices in braces, and `stacked`
    the range of each of them; `shape` starts with their lengths."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pattern: str
    stacked: tuple[tuple[str, int], ...] = ()

    @property
    def bytes(self) -> int:
        size = DTYPES[self.dtype][1]
        for dim in self.shape:
            size *= dim
        return size


@dataclass(frozen=True, slots=True)
class Placed:
    """An initializer and its bytes in the data file."""

    stored: Stored
    offset: int


class Weights:
    """All initializers of a program, in the order in which the graph first reads them.

    Raises:
        EvaluationError: a dtype that ONNX lacks, or experts that cannot be stacked.
    """

    def __init__(self, program: Program, graph: Graph) -> None:
        self._graph = graph
        self._stored: dict[str, Stored] = {}
        self._packed: dict[str, Unpacking] = {}
        self._shared: dict[str, str] = {}
        self.parameters = 0
        #: Whether instances that are not a mixture's are stacked: equal modules read other places.
        self.sliced = False
        model = root(program)
        table, folder = tuple(entries(model)), Folder(environment(program))
        stacks = stacked_parts(program)
        for row in (row for entry in table for row in fold(entry, folder)):
            if row.counted:
                self.parameters += row.elements
            if row.shared is not None:
                self._share(row, mixed(row, stacks))
        for tensor in held(model, table, scheme_of(program), folder):
            if tensor.first.shared is None:
                self._declare(tensor, mixed(tensor.first, stacks))
        # Every name is taken before a node can take it: initializers keep the released names.
        edges = {s.name: s for s in self._stored.values()}
        self._edges = {
            name: graph.edge(name, stored.dtype, stored.shape) for name, stored in edges.items()
        }
        self._order: dict[str, None] = {}

    def read(self, path: str) -> Edge:
        """The initializer of a row; a row that shares another's tensor reads that one."""
        path = self._shared.get(path, path)
        self._order.setdefault(path)
        return self.edge(path)

    def edge(self, path: str) -> Edge:
        """The initializer of a row, without reading it."""
        return self._edges[self._stored[path].name]

    def unpacked(self, path: str, stored: Edge) -> Edge:
        """The row itself, out of its initializer or the one instance of it that was gathered."""
        unpacking = self._packed.get(self._shared.get(path, path))
        return stored if unpacking is None else unpacking.take(self._graph, path, stored)

    @property
    def position(self) -> int:
        """How many initializers were read."""
        return len(self._order)

    def read_since(self, position: int) -> tuple[str, ...]:
        """The rows that were read for the first time since then, in order."""
        return tuple(islice(self._order, position, None))

    def below(self, prefix: str) -> Iterator[Stored]:
        """The initializers of the rows below a part."""
        return (s for path, s in self._stored.items() if path.startswith(f"{prefix}."))

    def placed(self) -> Iterator[Placed]:
        """The initializers in the order of the data file; those never read come last."""
        offset = 0
        stored = (self._stored[path] for path in (*self._order, *self._stored))
        for one in {stored.name: stored for stored in stored}.values():
            yield Placed(one, offset)
            offset += -(-one.bytes // ALIGNMENT) * ALIGNMENT

    def _share(self, row: Row, stacked: Sequence[Index]) -> None:
        """Enters rows that read another row's tensor."""
        target = row.target or ""
        if row.kind == "scale":
            target += "." + row.name.rpartition(".")[2]
        for path, _ in paths(row, stacked):
            self._shared[path] = target

    def _declare(self, tensor: StoredTensor, stacked: Sequence[Index]) -> None:
        """Enters the initializers of a folded tensor; `stacked` are the indices of mixtures.

        Such an index is a dim in front: of the tensor itself, or of many that are put together.
        """
        row = tensor.first
        if row.dtype not in DTYPES:
            raise EvaluationError(f"`{row.name}` is stored as {row.dtype}, which ONNX lacks")
        inside = [index for index in stacked if index in tensor.stacked]
        outside = [index for index in stacked if index not in inside]
        if (
            any(index.values != (range(index.size),) for index in stacked)
            or [*outside, *inside] != stacked
            or list(tensor.stacked[: len(inside)]) != inside
            or not leads(tensor, len(inside))
        ):
            raise EvaluationError(f"`{row.name}` cannot be stacked: its instances differ")
        others = tensor.stacked[len(inside) :]
        self.sliced = self.sliced or bool(others)
        names = frozenset(index.name for index in stacked)
        shape = (*(index.size for index in outside), *tensor.dims)
        name, ranges = without(tensor.name, names), tuple((i.name, i.size) for i in outside)
        for number, held_row in enumerate(tensor.rows):
            for path, values in paths(held_row, stacked):
                self._stored[path] = Stored(
                    written(name, row.values, values),
                    row.dtype,
                    shape,
                    written(tensor.name, row.values, values, names),
                    ranges,
                )
                chosen = [values[index.name] for index in others]
                unpacking_ = unpacking(tensor, number, len(inside), chosen)
                if unpacking_ is not None:
                    self._packed[path] = unpacking_


def mixed(row: Row, stacks: Iterable[tuple[Path, int]]) -> list[Index]:
    """The indices of a row that are a mixture's."""
    steps = tuple(row.path.split("."))
    return [row.indices[position] for path, position in stacks if path == steps[: len(path)]]


def paths(row: Row, stacked: Sequence[Index]) -> Iterator[tuple[str, Mapping[str, int]]]:
    """The path of each instance of a row but for `stacked` indices, and its other indices.

    Raises:
        EvaluationError: there are more than MAX_INITIALIZERS.
    """
    free = [index for index in row.indices if index not in stacked]
    if prod(index.size for index in free) > MAX_INITIALIZERS:
        raise EvaluationError(f"`{row.name}` would be over {MAX_INITIALIZERS:,} initializers")
    own = without(row.own, frozenset(index.name for index in stacked))
    for chosen in combinations(*([v for r in index.values for v in r] for index in free)):
        values = dict(zip((index.name for index in free), chosen, strict=True))
        yield written(own, row.values, values), values


def stacked_parts(program: Program) -> list[tuple[Path, int]]:
    """The parts that a mixture evaluates: path, and which of its indices the part's own is."""
    found = []
    for place in reached(root(program)):
        for child in place.instance.children:
            calls = place.uses.parts.get(child.path[-1], ())
            if any(call.chosen is not None for call in calls):
                found.append((child.path, len(child.indices) - 1))
    return list(dict.fromkeys(found))


def without(name: Template, indices: frozenset[str]) -> Template:
    """The name without the pieces that hold an index, and without the dot before each."""
    kept: list[str | Expr] = []
    for piece in name:
        if isinstance(piece, str) or indices.isdisjoint(symbols(piece)):
            kept.append(piece)
        elif kept and isinstance(kept[-1], str):
            kept[-1] = kept[-1].removesuffix(".")
    return tuple(kept)


def written(
    name: Template,
    env: Mapping[str, Value],
    values: Mapping[str, int],
    open_: frozenset[str] = frozenset(),
) -> str:
    """The name with its expressions' values; those of `open_` indices stay, in braces."""
    scope = {**env, **values}
    texts = []
    for piece in name:
        if isinstance(piece, str):
            texts.append(piece)
        elif open_.isdisjoint(symbols(piece)):
            texts.append(describe(evaluate(piece, scope)))
        else:
            texts.append(f"{{{to_text(piece)}}}")
    return "".join(texts)
