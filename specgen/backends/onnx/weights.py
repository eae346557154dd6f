"""The table's tensors as initializers: names, stacked experts, places in the data file.

Rows come from `analysis.rows`; an initializer is found by its row's own path in the table
(`layers.3.attn.wq_a`), where the index of a mixture's part is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from itertools import product as combinations
from math import prod
from typing import Final

from specgen.analysis.cases import Folder
from specgen.analysis.instances import environment, root
from specgen.analysis.reach import reached
from specgen.analysis.rows import Row, entries, fold
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.lowering import DTYPES
from specgen.backends.onnx.nodes import Edge
from specgen.ir.model import Program, Template
from specgen.sizes.evaluate import EvaluationError, Value, describe, evaluate
from specgen.sizes.expr import Expr, symbols
from specgen.sizes.printing import to_text

#: The naming scheme of released checkpoints; a table without it has its own names.
RELEASED: Final = "hf"

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
        self._stored: dict[str, Stored] = {}
        self._shared: dict[str, str] = {}
        self.parameters = 0
        model = root(program)
        stacks = stacked_parts(program)
        folder = Folder(environment(program))
        for entry in entries(model):
            at = [position for path, position in stacks if path == entry.path[: len(path)]]
            for row in fold(entry, folder):
                self._declare(row, at)
        # Every name is taken before a node can take it: initializers keep the released names.
        self._edges = {
            path: graph.edge(stored.name, stored.dtype, stored.shape)
            for path, stored in self._stored.items()
        }
        self._order: dict[str, None] = {}

    def read(self, path: str) -> Edge:
        """The initializer of a row; a row that shares another's tensor reads that one."""
        path = self._shared.get(path, path)
        self._order.setdefault(path)
        return self._edges[path]

    def edge(self, path: str) -> Edge:
        """The initializer of a row, without reading it."""
        return self._edges[path]

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
        for path in dict.fromkeys((*self._order, *self._stored)):
            stored = self._stored[path]
            yield Placed(stored, offset)
            offset += -(-stored.bytes // ALIGNMENT) * ALIGNMENT

    def _declare(self, row: Row, at: Iterable[int]) -> None:
        """Enters the initializers of a folded row; `at` are its stacked indices."""
        if row.counted:
            self.parameters += row.elements
        if row.dtype not in DTYPES:
            raise EvaluationError(f"`{row.name}` is stored as {row.dtype}, which ONNX lacks")
        stacked = [row.indices[position] for position in at]
        if any(index.values != (range(index.size),) for index in stacked):
            raise EvaluationError(f"`{row.name}` cannot be stacked: its instances differ")
        names = frozenset(index.name for index in stacked)
        shape = (*(index.size for index in stacked), *row.dims)
        released = row.released.get(RELEASED, row.own)
        own, name = without(row.own, names), without(released, names)
        free = [index for index in row.indices if index.name not in names]
        if prod(index.size for index in free) > MAX_INITIALIZERS:
            raise EvaluationError(f"`{row.name}` would be over {MAX_INITIALIZERS:,} initializers")
        for chosen in combinations(*([v for r in index.values for v in r] for index in free)):
            values = dict(zip((index.name for index in free), chosen, strict=True))
            path = written(own, row.values, values)
            if row.shared is not None and row.target is not None:
                scale = path.rpartition(".")[2]
                target = row.target
                self._shared[path] = f"{target}.{scale}" if row.kind == "scale" else target
                continue
            self._stored[path] = Stored(
                written(name, row.values, values),
                row.dtype,
                shape,
                written(released, row.values, values, names),
                tuple((index.name, index.size) for index in stacked),
            )


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
