"""The table's tensors as initializers: names, experts stacked or apart, places in files.

Tensors come from `analysis.stored`; an initializer is found by the own path in the table of each
row that it holds (`layers.3.attn.wq_a`).  Rows of a mixture's part have a path without its index,
for which there are pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from itertools import product as combinations
from math import prod
from typing import Final

from specgen.analysis.dataflow.reach import reached
from specgen.analysis.table.cases import Folder, Index
from specgen.analysis.table.instances import environment, root
from specgen.analysis.table.rows import Row, TableEntry, entries, fold
from specgen.analysis.table.stored import StoredTensor, held, scheme_of
from specgen.backends.onnx.expert_shards import ExpertShard
from specgen.backends.onnx.graph import Graph
from specgen.backends.onnx.initializers import (
    RowPlace,
    StoredInitializer,
    initializers,
    without,
    written,
)
from specgen.backends.onnx.lowering import convert
from specgen.backends.onnx.nodes import Edge, EdgeStack
from specgen.backends.onnx.numerals import SHORT, numeral
from specgen.backends.onnx.options import DEFAULT, Experts, Options
from specgen.backends.onnx.unpack import Arranged, Unpacking, fronted, leads, unpacking
from specgen.backends.refusal import RefusalSite, note_site
from specgen.dtypes import CODES, DTYPES, UNGATHERED
from specgen.expr.evaluate import EvaluationError
from specgen.expr.node import Sym, symbols
from specgen.huggingface.safetensors import ByteRange
from specgen.ir.model import Program
from specgen.records import dataclass

#: Where the weights lie, beside the graph, and how each of them is aligned: ONNX asks for
#: multiples of the page size, so that a runtime can map the file.
LOCATION: Final = "model.onnx.data"
ALIGNMENT: Final = 4096

#: The folder of the files that hold one released tensor each; a byte of it is 0.1 MB of a file
#: with 90,000 initializers.
FOLDER: Final = "w"

#: What the names of caches begin with, in and out.
CACHES: Final = ("past_key_values.", "present.")

#: More initializers than this for one row are no model; the graph would take gigabytes.
MAX_INITIALIZERS: Final = 100_000

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Embedded:
    """An initializer and its bytes."""

    stored: StoredInitializer
    data: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """An initializer and where its bytes start in a file beside the graph.

    Of an `alone` one the file has nothing else, so that neither offset nor length need be said.
    """

    stored: StoredInitializer
    location: str
    offset: int = 0
    alone: bool = False


class Weights:
    """All initializers of a program, in the order in which the graph first reads them.

    With a `checkpoint`, dtypes are those of its tensors.  `reserved` are the names of inputs and
    outputs that clients know: a weight of such a name gets another, and has its own as metadata.

    Raises:
        EvaluationError: a dtype that ONNX lacks, or experts that cannot be stacked.
    """

    def __init__(
        self,
        program: Program,
        graph: Graph,
        options: Options = DEFAULT,
        checkpoint: Mapping[str, ByteRange] | None = None,
        reserved: Collection[str] = (),
    ) -> None:
        self._reserved = frozenset(reserved)
        self._options = options
        self._checkpoint = checkpoint or {}
        self._stored: dict[str, StoredInitializer] = {}
        self._pieces: dict[str, tuple[ExpertShard, ...]] = {}
        self._packed: dict[str, Unpacking] = {}
        self._fronted: dict[str, Arranged] = {}
        self._shared: dict[str, str] = {}
        self._coded: dict[str, str] = {}  # rows of which the initializers are bytes, by dtype
        self.parameters = 0
        #: What released tensors the rows of the table are in: a rule for all instances of a row.
        self.rules: list[str] = []
        #: Whether equal modules read their rows in different ways: other places of one tensor,
        #: other dtypes, other pieces.
        self.sliced = False
        model = root(program)
        table, folder = tuple(entries(model)), Folder(environment(program))
        stacks = stacked_parts(program)
        for entry in table:
            for row in fold(entry, folder):
                if row.counted:
                    self.parameters += row.elements
                if row.shared is not None:
                    self._share(row, entry, mixed(row, stacks))
        for tensor in held(model, table, scheme_of(program), folder):
            if tensor.first.shared is None:
                try:
                    self._declare(tensor, mixed(tensor.first, stacks))
                except EvaluationError as error:
                    place = next(e for e in table if ".".join(e.path) == tensor.first.path)
                    note_site(error, RefusalSite(place.instance.module.name, place.tensor.name))
                    raise
        self._keep_apart()
        # Every name is taken before a node can take it: initializers keep the released names.
        edges = {s.name: s for s in self._stored.values()}
        self._edges = {
            name: graph.edge(name, stored.dtype, stored.shape) for name, stored in edges.items()
        }
        self._order: dict[str, None] = {}
        self._left_out: Collection[str] = ()

    @property
    def experts(self) -> Experts:
        """How mixtures are evaluated."""
        return self._options.experts

    def places(self) -> Mapping[str, str]:
        """The path in the table of each initializer: of its first row, where it holds several."""
        return {one.name: self._apart(path) for path, one in reversed(self._stored.items())}

    def patterns(self) -> Mapping[str, str]:
        """The released name of each whole stack, with its indices in braces."""
        found = {}
        for one in self._stored.values():
            whole = [f"0..{length - 1}" for length in one.shape[: len(one.stacked)]]
            if one.stacked and [values for _, values in one.stacked] == whole:
                found[one.name] = one.pattern
        return found

    def read(self, path: str) -> Edge:
        """The initializer of a row; a row that shares another's tensor reads that one."""
        path = self._shared.get(path, path)
        self._order.setdefault(path)
        return self.edge(path)

    def edge(self, path: str) -> Edge:
        """The initializer of a row, without reading it."""
        return self._edges[self._stored[path].name]

    def unpacked(self, graph: Graph, path: str, stored: Edge) -> Edge:
        """The row itself, out of its initializer or the one instance of it that was gathered."""
        unpacking = self._packed.get(self._shared.get(path, path))
        if unpacking is None:
            return stored
        taken = unpacking.take(graph, path, stored)
        return EdgeStack.of(taken) if isinstance(stored, EdgeStack) else taken

    def decoded(self, graph: Graph, path: str, stored: Edge) -> Edge:
        """The numbers of a mixture's row, out of bytes where its initializers are bytes."""
        dtype = self._coded.get(self._shared.get(path, path))
        if dtype is None:
            return stored
        values = graph.constant("f32", CODES[dtype](), (256,))
        places = convert(graph, f"{path}.codes", stored, "i32")
        return graph.one(f"{path}.decoded", "Gather", (values, places), "f32", stored.shape)

    def instances(self, graph: Graph, path: str, stored: Edge) -> Edge:
        """All instances of a mixture's row along the first dim, out of the initializer."""
        arranged = self._fronted.get(self._shared.get(path, path))
        return stored if arranged is None else arranged.take(graph, path, stored)

    def rearranged(self, paths: Iterable[str]) -> tuple[str, ...]:
        """Those of the rows of which `instances` is more than the initializer."""
        return tuple(path for path in paths if self._shared.get(path, path) in self._fronted)

    def alone(self, path: str) -> bool:
        """Whether a row has an initializer to itself, which holds it as the table does."""
        path = self._shared.get(path, path)
        return path in self._stored and path not in self._packed and path not in self._fronted

    @property
    def position(self) -> int:
        """How many initializers were read."""
        return len(self._order)

    def read_since(self, position: int) -> tuple[str, ...]:
        """The rows that were read for the first time since then, in order."""
        return tuple(islice(self._order, position, None))

    def below(self, prefix: str) -> Iterator[StoredInitializer]:
        """The initializers of the rows below a part."""
        return (s for path, s in self._stored.items() if path.startswith(f"{prefix}."))

    def pieces(self, prefix: str) -> Mapping[str, tuple[ExpertShard, ...]]:
        """Of each row below a mixture's part, the initializers that hold its instances."""
        below = f"{prefix}."
        found = {path: held for path, held in self._pieces.items() if path.startswith(below)}
        shared = (path for path in self._shared if path.startswith(below))
        return found | {p: self._pieces[t] for p in shared if (t := self._shared[p]) in found}

    def ordered(self) -> tuple[StoredInitializer, ...]:
        """The initializers in the order in which they are read; those never read come last.

        Of a checkpoint those that `leave_out` left.
        """
        stored = (self._stored[path] for path in (*self._order, *self._stored))
        return tuple({one.name: one for one in stored if one.name not in self._left_out}.values())

    def leave_out(self, read: Collection[str]) -> None:
        """Of a checkpoint leaves out what is not `read`: parts that the main forward never reaches.

        A graph without a checkpoint has them: it counts what the table counts.
        """
        if self._checkpoint:
            self._left_out = self._edges.keys() - read

    def placed(self) -> Iterator[Placed]:
        """The initializers and where they lie: in the checkpoint, or in files of their own."""
        if not self._checkpoint:
            yield from (one_each if self._options.apart else laid_out)(self.ordered())
            return
        for one in self.ordered():
            first = min(one.sources, key=lambda source: source.start)
            yield Placed(one, first.file, first.start)

    def _keep_apart(self) -> None:
        """Gives other names to weights, and paths to rules, where inputs or outputs have theirs."""
        names = {one.name: self._apart(one.name) for one in self._stored.values()}
        for path, one in self._stored.items():
            if names[one.name] != one.name:
                released = one.pattern or one.name
                self._stored[path] = replace(one, name=names[one.name], pattern=released)
        ruled = (rule.partition(" = ") for rule in self.rules)
        self.rules = [f"{self._apart(path)} = {name}" for path, _, name in ruled]

    def _apart(self, name: str) -> str:
        """The name, or another that no input, output or weight has."""
        if name not in self._reserved and not name.startswith(CACHES):
            return name
        taken = {*self._reserved, *self._stored, *(one.name for one in self._stored.values())}
        while name in taken or name.startswith(CACHES):
            name = f"weight.{name}"
        return name

    def _gatherable(self, path: str, stored: StoredInitializer) -> StoredInitializer:
        """An initializer that Gather takes: of narrow floats the bytes, each of which is a number.

        Raises:
            EvaluationError: several share a byte.
        """
        if stored.dtype not in UNGATHERED:
            return stored
        if stored.dtype not in CODES:
            reason = f"`{path}` is stored as {stored.dtype}, of which no element can be gathered"
            raise EvaluationError(f"{reason}: use `--experts loop` or `dense`")
        self._coded[path] = stored.dtype
        return replace(stored, dtype="u8")

    def _share(self, row: Row, entry: TableEntry, stacked: Sequence[Index]) -> None:
        """Enters rows that read another row's tensor: one of their own module, or of the model."""
        target, steps = row.target or "", entry.tensor.name.count(".") + 1
        if row.kind == "scale":
            target += "." + row.name.rpartition(".")[2]
            steps += 1
        within = entry.instance.module.is_within(row.target or "")
        for path, _ in paths(row, stacked):
            around = path.split(".")[:-steps] if within else []
            self._shared[path] = ".".join((*around, target))

    def _declare(self, tensor: StoredTensor, stacked: Sequence[Index]) -> None:
        """Enters the initializers of a folded tensor; `stacked` are the indices of mixtures.

        Such an index is a dim in front: of the tensor itself, or of many that are put together.
        """
        row = tensor.first
        if row.dtype not in DTYPES:
            raise EvaluationError(f"`{row.name}` is stored as {row.dtype}, which ONNX lacks")
        inside = [index for index in stacked if index in tensor.stacked]
        outside = [index for index in stacked if index not in inside]
        if any(index.values != (range(index.size),) for index in stacked):
            raise EvaluationError(f"`{row.name}` cannot be stacked: its instances differ")
        in_front = (
            [*outside, *inside] == stacked
            and list(tensor.stacked[: len(inside)]) == inside
            and leads(tensor, len(inside))
        )
        if not in_front and (outside or tensor.rearrangement is None or row.dtype in UNGATHERED):
            reason = "its instances lie among other things in the checkpoint"
            raise EvaluationError(f"`{row.name}` cannot be stacked: {reason}")
        others = [index for index in tensor.stacked if index not in inside]
        self.sliced = self.sliced or bool(others)
        self.rules += rules(tensor, frozenset(index.name for index in stacked))
        ways = set()
        for number, held_row in enumerate(tensor.rows):
            for path, values in paths(held_row, stacked):
                place = RowPlace(tensor, held_row, path, values, tuple(outside))
                found = list(initializers(place, self._options, self._checkpoint))
                if stacked and self.experts == "gathered":
                    found = [(piece, self._gatherable(path, one)) for piece, one in found]
                self._stored.update((piece.path, stored) for piece, stored in found)
                if stacked:
                    self._pieces[path] = tuple(piece for piece, _ in found)
                ways.add(tuple((piece.way, one.dtype) for piece, one in found))
                if not in_front:
                    known = {index.name: values[index.name] for index in others}
                    arranged = fronted(tensor, number, known)
                    if arranged is not None:
                        self._fronted[path] = arranged
                    continue
                chosen = [values[index.name] for index in others]
                unpacking_ = unpacking(tensor, number, len(inside), chosen)
                if unpacking_ is not None:
                    self._packed[path] = unpacking_
        self.sliced = self.sliced or bool(others) or len(ways) > 1


def laid_out(stored: Iterable[StoredInitializer]) -> Iterator[Placed]:
    """The initializers one after the other in a file of their own."""
    offset = 0
    for one in stored:
        yield Placed(one, LOCATION, offset)
        offset += -(-one.bytes // ALIGNMENT) * ALIGNMENT


def one_each(stored: Iterable[StoredInitializer]) -> Iterator[Placed]:
    """The initializers, each in a file of its own, which has a number for a name.

    Of a released tensor the graph says the name twice, and that is most of its size.  A place in
    a common file would be a third as much again, a file says it in a few characters.
    """
    for number, one in enumerate(stored):
        yield Placed(one, f"{FOLDER}/{numeral(number, SHORT)}", alone=True)


def rules(tensor: StoredTensor, stacked: frozenset[str]) -> Iterator[str]:
    """`path = released name, index = first..last`, for all instances of a tensor's first row.

    An index that the released name does not simply repeat has a rule for each of its values, and one
    with gaps, where there are other rows of that path, a rule for each stretch without.
    """
    row = tensor.first
    computed = [symbols(p) for p in tensor.name if not isinstance(p, str | Sym)]
    bound = [i for i in row.indices if any(i.name in found for found in computed)]
    free = [index for index in row.indices if index not in bound]
    names = frozenset(index.name for index in free)
    ranges = [
        "".join(f", {i.name} = {run[0]}..{run[-1]}" for i, run in zip(free, chosen, strict=True))
        for chosen in combinations(*(runs(index.values) for index in free))
    ]
    own = without(row.own, stacked)
    for chosen in combinations(*([v for r in index.values for v in r] for index in bound)):
        values = dict(zip((index.name for index in bound), chosen, strict=True))
        path = written(own, row.values, values, names)
        name = written(tensor.name, row.values, values, names)
        yield from (f"{path} = {name}{stretch}" for stretch in ranges)


def runs(values: Iterable[range]) -> Iterator[range]:
    """The numbers of ranges as ranges without gaps."""
    for found in values:
        yield from [found] if found.step == 1 else (range(v, v + 1) for v in found)


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
