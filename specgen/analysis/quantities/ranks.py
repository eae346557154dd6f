"""What one rank holds under tensor, expert, pipeline and data parallelism: closed forms.

Every row's share is in the model's names, the degrees and the rank's coordinates (VARIABLES), so
that the sum over all ranks, less what several of them hold, is the whole.  Joins rows and caches
with the table's `sharding`; knows no layout and no numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.cache_rows import CountedCache, written
from specgen.analysis.dataflow.products import limits_of_sight
from specgen.analysis.dataflow.reach import Reach, reached
from specgen.analysis.dataflow.stages import (
    Position,
    Positions,
    Stack,
    mixture_index,
    positions,
    stacks,
)
from specgen.analysis.quantities import memory
from specgen.analysis.quantities.active import targets
from specgen.analysis.quantities.faults import countable
from specgen.analysis.quantities.record import QuantityRecord
from specgen.analysis.quantities.sharding import Cut, Division, Rank, balanced
from specgen.analysis.quantities.terms import (
    STORED_OTHERWISE,
    Quantity,
    Term,
    absent,
    gathered,
)
from specgen.analysis.quantities.variables import IS_LENGTH, no_bytes
from specgen.analysis.table.cases import Folder, Index
from specgen.analysis.table.instances import definitions, environment, root
from specgen.analysis.table.rows import Row, TableEntry, entries, fold
from specgen.analysis.table.windows import within
from specgen.dtypes import DTYPES
from specgen.expr.arithmetic import added
from specgen.expr.evaluate import EvaluationError, expression
from specgen.expr.node import (
    ONE,
    ZERO,
    Apply,
    Expr,
    Sym,
    disjunction,
    product,
    symbols,
)
from specgen.ir.model import Program
from specgen.records import dataclass

#: The degrees of a layout and the coordinates of a rank in it.
VARIABLES: Final[Mapping[str, str]] = {
    "tensor_parallel": "ranks that divide the rows outside mixtures",
    "tensor_rank": "number among them, from 0",
    "expert_parallel": "ranks that divide the experts of a mixture",
    "expert_rank": "number among them, from 0",
    "expert_tensor_parallel": "ranks that divide the rows of an expert",
    "expert_tensor_rank": "number among them, from 0",
    "pipeline_parallel": "stages that divide the stack of layers",
    "pipeline_rank": "number of the stage, from 0",
    "data_parallel": "ranks that hold the same rows and divide the batch",
    "data_rank": "number among them, from 0",
}

TENSOR: Final = Rank(Sym("tensor_parallel", "size"), Sym("tensor_rank", "count"))
EXPERT: Final = Rank(Sym("expert_parallel", "size"), Sym("expert_rank", "count"))
EXPERT_TENSOR: Final = Rank(
    Sym("expert_tensor_parallel", "size"), Sym("expert_tensor_rank", "count")
)
PIPELINE: Final = Rank(Sym("pipeline_parallel", "size"), Sym("pipeline_rank", "count"))
DATA: Final = Rank(Sym("data_parallel", "size"), Sym("data_rank", "count"))

#: Where it is read -> the condition on the stage, for rows that are not divided by the stages.
STAGES: Final[Mapping[Position, Expr]] = {
    "first": Apply("==", (PIPELINE.number, ZERO)),
    "last": Apply("==", (PIPELINE.number, Apply("-", (PIPELINE.degree, ONE)))),
}

LAYOUT: Final = (
    "; tensor ranks divide the rows of which a dim has a factor that `sharding` names, and hold the"
    " others whole; expert ranks divide the experts, whose rows expert tensor ranks divide; the"
    " first stage holds what is read before the stack, the last what is read after it or not at"
    " all; the first of uneven pieces are larger by one"
)

#: The quantities of a rank, in the order in which they are shown.
RANK_QUANTITIES: Final[Mapping[str, QuantityRecord]] = {
    name: QuantityRecord(
        name, unit, {"en": title}, {"en": f"{what}{LAYOUT}"}, of_tokens=name == "rank_cache_bytes"
    )
    for name, unit, title, what in (
        ("rank_parameters", "elements", "Parameters", "the parameters that one rank holds"),
        (
            "rank_stored_bytes",
            "bytes",
            "Checkpoint",
            "what one rank loads of the checkpoint, in the stored dtypes: copies and scales included,"
            " of each tile of a scale all that its matrix touches",
        ),
        (
            "rank_weights_bytes",
            "bytes",
            "Weights in memory",
            "rank_parameters in memory, as weights_bytes: W bytes an element of a matrix",
        ),
        (
            "rank_cache_bytes",
            "bytes",
            "Cache",
            "the caches that one rank keeps of T tokens of its share of B sequences, which data ranks"
            " divide",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Share:
    """What a rank holds of a row: `held` as a parameter, `loaded` of the checkpoint.

    Both are the row with the multiplicity and the shape that they have on the rank, where its
    stage is one of those that read it.  `expert` tells rows of a mixture's experts.
    """

    row: Row
    held: Row
    loaded: Row
    readers: frozenset[Position]
    loaders: frozenset[Position]
    expert: bool
    limits: tuple[Expr, ...]

    @property
    def parameters(self) -> Expr:
        """Parameters of the row on a rank."""
        return staged(self.readers, self.held.formula) if self.row.counted else ZERO

    @property
    def stored(self) -> Expr:
        """Elements of the row's tensor that a rank loads."""
        return staged(self.loaders, self.loaded.formula) if self.row.stored else ZERO


@dataclass(frozen=True, slots=True)
class CacheShare:
    """What a rank keeps of a cache row, of one token of one sequence."""

    row: CountedCache
    held: CountedCache
    readers: frozenset[Position]
    limits: tuple[Expr, ...]
    indices: tuple[Index, ...]

    @property
    def bytes(self) -> Expr:
        """Bytes on a rank, of T tokens of its share of B sequences."""
        return staged(self.readers, product(self.held.multiplicity, amount(self.held)))


@dataclass(frozen=True, slots=True)
class Shares:
    """Everything that ranks hold of a table.

    `stack` is what the stages divide; None where `candidates`, the parts that could be it, are
    none or several.  `experts` are the numbers of experts that the mixtures have, `limits` the
    sizes that a degree of tensor parallelism may not pass: of rows outside mixtures, and of those
    of experts.
    """

    stack: Stack | None
    candidates: tuple[Stack, ...]
    experts: tuple[Expr, ...]
    limits: tuple[Expr, ...]
    expert_limits: tuple[Expr, ...]
    rows: tuple[Share, ...]
    caches: tuple[CacheShare, ...]


def shares(program: Program, stage: Cut | None = None) -> Shares:
    """What a rank holds of every row; `stage` is its stretch of the stack, if not a balanced one.

    Raises:
        SpecError: a size has no value, or a pattern over layers is beyond the limits.
    """
    with countable(program):
        return Sharing.of(program, stage).shares()


@dataclass(frozen=True, slots=True)
class Experts:
    """The index of a mixture's part, and how many there are."""

    index: str
    count: Expr


@dataclass(frozen=True, slots=True)
class Sharing:
    """A table on the way to its shares."""

    program: Program
    folder: Folder
    places: tuple[Reach, ...]
    table: tuple[TableEntry, ...]
    candidates: tuple[Stack, ...]
    positions: Positions
    division: Division
    stage: Cut | None

    @classmethod
    def of(cls, program: Program, stage: Cut | None) -> Sharing:
        model = root(program)
        places = tuple(reached(model))
        candidates = stacks(places)
        stack = candidates[0] if len(candidates) == 1 else None
        names = {d.name: d for a in program.sharding if a.name == "tensor" for d in a.divided}
        if stack is not None and stage is None:
            stage = balanced(stack.count, PIPELINE)
        return cls(
            program,
            Folder(environment(program)),
            places,
            tuple(entries(model)),
            candidates,
            positions(model, stack),
            Division(names, definitions(program)),
            stage,
        )

    def shares(self) -> Shares:
        rows = tuple(self.rows())
        caches = tuple(self.caches())
        dense = [limit for s in rows if not s.expert for limit in s.limits]
        dense += [limit for c in caches for limit in c.limits]
        return Shares(
            self.positions.stack,
            self.candidates,
            unique(e.count for e in map(self.expert, self.places) if e is not None),
            unique(dense),
            unique(limit for s in rows if s.expert for limit in s.limits),
            rows,
            caches,
        )

    def rows(self) -> Iterator[Share]:
        places = {place.instance: place for place in self.places}
        readers, loaders = self.readers(("tied", "copy")), self.readers(("tied",))
        for entry in self.table:
            expert = self.expert(places[entry.instance])
            rank = TENSOR if expert is None else EXPERT_TENSOR
            read, load = readers[id(entry)], loaders[id(entry)]
            for row in fold(entry, self.folder):
                shape, cut = self.division.shape(row.shape, rank)
                held, loaded = (
                    replace(
                        row, shape=shape, multiplicity=self.multiplicity(row.indices, at, expert)
                    )
                    for at in (read, load)
                )
                limits = () if cut is None else cut.limits
                yield Share(row, held, loaded, read, load, expert is not None, limits)

    def caches(self) -> Iterator[CacheShare]:
        for place, row, indices in written(self.places, self.folder):
            at = self.positions.of(place.instance, row.name.rpartition(".")[2])
            shape, cut = self.division.shape(row.shape, TENSOR)
            multiplicity = self.multiplicity(indices, at, None)
            held = replace(row, shape=shape, multiplicity=multiplicity)
            yield CacheShare(row, held, at, () if cut is None else cut.limits, indices)

    def expert(self, place: Reach) -> Experts | None:
        """The experts on the way to a module, if it is in one."""
        index = mixture_index(place)
        if index is None:
            return None
        count = dict(place.instance.indices)[index]
        if symbols(count) & {name for name, _ in place.instance.indices}:
            raise EvaluationError(f"how many instances `{index}` counts depends on another index")
        return Experts(index, count)

    def multiplicity(
        self, indices: Sequence[Index], at: frozenset[Position], expert: Experts | None
    ) -> Expr:
        """How many instances a rank has; of what is read all over the model, every one."""
        stack = self.positions.stack
        counts = []
        for index in indices:
            count = index.count
            if stack is not None and index.name == stack.index and at == {"stack"}:
                assert self.stage is not None
                count = within(index, stack.count, self.stage)
            elif expert is not None and index.name == expert.index:
                count = within(index, expert.count, balanced(expert.count, EXPERT))
            counts.append(count)
        return product(*counts)

    def readers(self, shared: tuple[str, ...]) -> Mapping[int, frozenset[Position]]:
        """Where each entry is read, also by the rows that share it in one of these ways."""
        by_path: dict[tuple[str, ...], list[TableEntry]] = {}
        for entry in self.table:
            by_path.setdefault(entry.path, []).append(entry)
        own = {id(e): self.positions.of(e.instance, e.tensor.name) for e in self.table}
        found = dict(own)
        for entry in self.table:
            if entry.tensor.shared in shared:
                for target in targets(entry, by_path):
                    found[id(target)] |= own[id(entry)]
        return found


def unique(found: Iterable[Expr]) -> tuple[Expr, ...]:
    return tuple(dict.fromkeys(found))


def staged(at: frozenset[Position], amount: Expr) -> Expr:
    """An amount on the stages that read it; what is read all over the model is on every stage."""
    if "stack" in at:
        return amount
    condition = disjunction(*(STAGES[end] for end in STAGES if end in at))
    return Apply("cond", (condition, amount, ZERO))


def amount(row: CountedCache) -> Expr:
    """Bytes of a cache row, of T tokens of a data rank's share of B sequences."""
    sequences = balanced(Sym("B", "axis"), DATA).size
    return product(expression(DTYPES[row.dtype].bytes), sequences, Sym("T", "axis"), *row.shape)


def taken(program: Program, more: Iterable[str] = ()) -> str | None:
    """A name of the table that is a variable of a rank as well."""
    own = {*program.values, *(let.name for let in program.model.lets)}
    return next((name for name in (*VARIABLES, "B", "T", "W", *more) if name in own), None)


# ---- quantities ------------------------------------------------------------------------


def rank_quantities(program: Program) -> Mapping[str, Quantity]:
    """The quantities of a rank by name; see `shares` for the errors."""
    found = shares(program)
    return {name: rank_quantity(name, found, program) for name in RANK_QUANTITIES}


def rank_quantity(name: str, found: Shares, program: Program) -> Quantity:
    record = RANK_QUANTITIES[name]
    clash = taken(program)
    reason = None
    if clash is not None:
        reason = f"the table has a name `{clash}`, which is a variable of this quantity"
    elif name == "rank_weights_bytes" and "W" in no_bytes(program):
        reason = IS_LENGTH.format(name="W")
    elif name == "rank_cache_bytes" and not found.caches:
        reason = "the table keeps no cache"
    elif name == "rank_stored_bytes" and program.stored_otherwise:
        reason = STORED_OTHERWISE.format(way=program.stored_otherwise)
    if reason is not None:
        return absent(record, reason)
    groups: dict[frozenset[Position], list[Term]] = {}
    for at, term in terms(name, found):
        groups.setdefault(at, []).append(term)
    kept = [term for group in groups.values() for term in group]
    expr = added([staged(at, gathered(group)) for at, group in groups.items()])
    conditions = (*(a for term in kept for a in term.assumptions), *conditions_of(found))
    return Quantity(
        name,
        record.unit,
        record.convention["en"],
        expr,
        None,
        tuple(v for v in ("B", "T", "W", *VARIABLES) if v in symbols(expr)),
        unique(conditions),
        all(term.closed for term in kept),
        limits=limits_of_sight(program) if record.of_tokens else (),
    )


def terms(name: str, found: Shares) -> Iterator[tuple[frozenset[Position], Term]]:
    """What the rows add to a quantity, and where."""
    if name == "rank_cache_bytes":
        for cache in found.caches:
            assumed = tuple(a for index in cache.indices for a in index.assumptions)
            closed = all(index.closed for index in cache.indices)
            held = cache.held
            yield (
                cache.readers,
                Term(held.multiplicity, amount(held), Fraction(0), assumed, closed),
            )
        return
    for share in found.rows:
        if name == "rank_stored_bytes":
            if share.row.stored:
                yield share.loaders, counted(share.loaded, DTYPES[share.row.dtype].bytes)
        elif share.row.counted:
            weights = name == "rank_weights_bytes"
            yield share.readers, memory.held(share.held) if weights else counted(share.held, 1)


def counted(row: Row, scale: int | Fraction) -> Term:
    size = product(expression(scale), *row.in_out)
    return Term(row.multiplicity, size, Fraction(0), row.assumptions, row.closed)


def conditions_of(found: Shares) -> Iterator[Expr]:
    """What a layout has to be for the forms to hold."""
    for rank, limits in ((TENSOR, found.limits), (EXPERT_TENSOR, found.expert_limits)):
        yield from (Apply("<=", (rank.degree, limit)) for limit in limits)
    yield from (Apply("<=", (EXPERT.degree, count)) for count in found.experts)
    if found.stack is None:
        yield Apply("==", (PIPELINE.degree, ONE))
    else:
        yield Apply("<=", (PIPELINE.degree, found.stack.count))
    if found.experts:
        ranks = product(TENSOR.degree, DATA.degree)
        of_experts = product(EXPERT.degree, EXPERT_TENSOR.degree)
        yield Apply("==", (Apply("%", (ranks, of_experts)), ZERO))
