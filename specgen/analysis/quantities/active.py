"""What one token touches: the parameters that are active, and those that never are.

Joins the rows of the table with what the forward reaches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from specgen.analysis.dataflow.reach import Reach
from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.record import NO_TOKENS, QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import Quantity, Term, quantity
from specgen.analysis.table.cases import Case, Folder, Site, amount
from specgen.analysis.table.instances import Instance
from specgen.analysis.table.rows import TableEntry
from specgen.expr.arithmetic import at_most, evident
from specgen.expr.evaluate import evaluate_int
from specgen.expr.node import (
    FALSE,
    TRUE,
    Apply,
    Expr,
    conjunction,
    disjunction,
    product,
    symbols,
)
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from specgen.records import dataclass

PARAMETERS_ACTIVE: Final = QuantityRecord(
    "parameters_active",
    "elements",
    title={"en": "Active per token", "zh": "每个 token 的激活参数"},
    convention={
        "en": (
            "all that one token touches on the way through the main forward: the whole "
            "embedding and head, of each mixture as many experts as are chosen; what no "
            "forward of the model reaches is left out"
        ),
        "zh": (
            "一个 token 经过主前向时用到的全部参数：整个 Embedding 与输出层计入，混合专家只计"
            "被选中的专家；前向到不了的部分不计"
        ),
    },
)

PARAMETERS_ACTIVE_NO_EMBEDDING: Final = QuantityRecord(
    "parameters_active_no_embedding",
    "elements",
    title={"en": "Active, no input embedding", "zh": "激活参数，不含输入 Embedding"},
    convention={
        "en": (
            "parameters_active without the rows that are only ever read one index at a time "
            "(the input embedding, unless it is tied to the head)"
        ),
        "zh": "parameters_active 去掉只按下标取行的行（输入 Embedding，除非它与输出层共享）",
    },
)

PARAMETERS_ACTIVE_NO_VOCABULARY: Final = QuantityRecord(
    "parameters_active_no_vocabulary",
    "elements",
    title={"en": "Active, no embedding or head", "zh": "激活参数，不含 Embedding 与输出层"},
    convention={
        "en": (
            "parameters_active without the rows that have the width of the logits: neither "
            "the embedding nor the head"
        ),
        "zh": "parameters_active 去掉宽度为词表大小的行：Embedding 与输出层都不计",
    },
)

PARAMETERS_OUTSIDE_FORWARD: Final = QuantityRecord(
    "parameters_outside_forward",
    "elements",
    title={"en": "Outside the main forward", "zh": "主前向之外"},
    convention={
        "en": (
            "the part of parameters that the main forward never reaches, such as "
            "multi-token-prediction layers"
        ),
        "zh": "parameters 中主前向到不了的部分，例如多 token 预测层",
    },
)


@dataclass(frozen=True, slots=True)
class Touched:
    """A row that is counted, and how the forward reads it: by an index always, or somewhere."""

    entry: TableEntry
    condition: Expr
    lookup: bool
    indexed: bool
    chosen: Mapping[str, Expr]


def touched(table: tuple[TableEntry, ...], places: Mapping[Instance, Reach]) -> list[Touched]:
    """How the forward reads each counted row; reading a shared row reads its target."""
    by_path: dict[tuple[str, ...], list[TableEntry]] = {}
    for entry in table:
        by_path.setdefault(entry.path, []).append(entry)
    reads: dict[int, list[tuple[Expr, bool, bool]]] = {}
    for entry in table:
        condition, always, ever = places[entry.instance].row(entry.tensor.name)
        if condition == FALSE:
            continue
        if entry.tensor.shared is None:
            reads.setdefault(id(entry), []).append((condition, always, ever))
            continue
        for target in targets(entry, by_path):
            own = {name for name, _ in target.instance.indices}
            foreign = {name for name, _ in entry.instance.indices} - own
            known = TRUE if foreign & symbols(condition) else condition
            reads.setdefault(id(target), []).append((known, always, ever))
    found = []
    for entry in table:
        if entry.tensor.shared is not None:
            continue
        held = reads.get(id(entry), [])
        condition = disjunction(*dict.fromkeys(c for c, _, _ in held))
        chosen = places[entry.instance].chosen
        lookup, indexed = all(a for _, a, _ in held), any(a for _, _, a in held)
        found.append(Touched(entry, condition, lookup, indexed, chosen))
    return found


def targets(
    entry: TableEntry, by_path: Mapping[tuple[str, ...], list[TableEntry]]
) -> list[TableEntry]:
    """The rows that a shared row stands for: a path from its own module, or from the model.

    Of what is there, it is a row of its own that is meant in the end.
    """
    steps = tuple((entry.tensor.target or "").split("."))
    found = by_path.get((*entry.instance.path, *steps)) or by_path.get(steps) or []
    return [target for target in found if target.tensor.shared is None]


def count(context: CountingContext) -> Iterable[Quantity]:
    """The counts of what one token touches."""
    program, folder = context.program, context.folder
    table = touched(context.table, context.places)
    vocabulary = vocabulary_of(program, table)
    everything: list[Term] = []
    no_embedding: list[Term] = []
    no_vocabulary: list[Term] = []
    outside: list[Term] = []
    for row in table:
        weight = row.entry.stored[0]
        order = weight.shape[::-1] if weight.kind == "map" else weight.shape
        size = product(*order)
        indices, condition = row.entry.instance.indices, row.entry.condition
        if row.condition != TRUE:
            unread = Apply("not", (row.condition,)) if row.condition != FALSE else TRUE
            place = Site(indices, conjunction(condition, unread), (size,))
            outside += [whole(case, folder) for case in folder.fold(place)]
        if row.condition == FALSE:
            continue
        place = Site(indices, conjunction(condition, row.condition), (size,))
        terms = [part(case, row.chosen, dict(indices), folder) for case in folder.fold(place)]
        everything += terms
        if not row.lookup:
            no_embedding += terms
        if vocabulary not in weight.shape:
            no_vocabulary += terms
    yield quantity(PARAMETERS_ACTIVE, everything)
    yield quantity(PARAMETERS_ACTIVE_NO_EMBEDDING, no_embedding)
    if vocabulary is not None:
        yield quantity(PARAMETERS_ACTIVE_NO_VOCABULARY, no_vocabulary)
    yield quantity(PARAMETERS_OUTSIDE_FORWARD, outside)


def vocabulary_of(program: Program, table: Iterable[Touched]) -> Expr | None:
    """The width of the logits: what a language model gives for each row that tokens index.

    None for other results: labels, hidden states.
    """
    forward = program.model.forward
    if forward is None or not is_language_model(forward) or not forward.results[0].shape:
        return None
    width = forward.results[0].shape[-1]
    known = {row.entry.stored[0].shape[0] for row in table if row.indexed}
    return width if width in known else None


def whole(case: Case, folder: Folder) -> Term:
    """All instances of a case."""
    assumptions = case.assumptions
    closed = case.closed
    value = amount(case, folder.env)
    return Term(case.multiplicity, case.amounts[0], value, assumptions, closed)


def part(
    case: Case, chosen: Mapping[str, Expr], lengths: Mapping[str, Expr], folder: Folder
) -> Term:
    """The instances of a case that one token touches: k of the E of a mixture."""
    factors = []
    assumptions = []
    value = amount(case, folder.env)
    for index in case.indices:
        k, length = chosen.get(index.name), lengths[index.name]
        if k is None:
            factors.append(index.count)
            continue
        value *= Fraction(evaluate_int(k, folder.env), evaluate_int(length, folder.env))
        share = k if index.count == length else Apply("/", (product(index.count, k), length))
        factors.append(share)
        least = isinstance(k, Apply) and k.op == "min" and length in k.args
        if not least and not evident(k, length):
            assumptions.append(at_most(k, length))
    full = whole(case, folder)
    assumed = (*full.assumptions, *assumptions)
    return Term(product(*factors), case.amounts[0], value, assumed, full.closed)


GROUP: Final = QuantityGroup(
    (
        PARAMETERS_ACTIVE,
        PARAMETERS_ACTIVE_NO_EMBEDDING,
        PARAMETERS_ACTIVE_NO_VOCABULARY,
        PARAMETERS_OUTSIDE_FORWARD,
    ),
    count,
    lacking=NO_TOKENS,
)
