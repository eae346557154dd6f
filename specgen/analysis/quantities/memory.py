"""What weights take in memory: to run the model in any precision, and to train it.

Knows rows only; activations are `activations`', caches `caches`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Final

from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.counts import count_parameters
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import RECIPES, Quantity, Term, quantity
from specgen.analysis.table.rows import Row
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import expression
from specgen.expr.node import Sym, product, total

#: Bytes of a weight, of its gradient, and of its optimizer states.
STATES = ("W", "G", "O")


WEIGHTS_BYTES: Final = QuantityRecord(
    "weights_bytes",
    "bytes",
    title={"en": "Weights in memory", "zh": "内存中的权重"},
    convention={
        "en": (
            "the parameters in memory, W bytes an element of a matrix: rows that are no "
            "matrices, and matrices to which the table gives a dtype of their own, keep "
            "theirs; no scales"
        ),
        "zh": (
            "参数占用的内存，矩阵每个元素 W 字节：不是矩阵的行，以及本表另行指定数据类型的矩"
            "阵，各按其类型；缩放因子不计"
        ),
    },
    variables=("W",),
)

TRAINING_BYTES: Final = QuantityRecord(
    "training_bytes",
    "bytes",
    title={"en": "Training memory", "zh": "训练内存"},
    convention={
        "en": (
            "every parameter with W bytes of its own, G of its gradient and O of its "
            "optimizer states; activations apart"
        ),
        "zh": "每个参数 W 字节，其梯度 G 字节，其优化器状态 O 字节；激活另计",
    },
    variables=STATES,
)


def count(context: CountingContext) -> Iterable[Quantity]:
    """The weights of a forward; and what training holds for each of them besides."""
    yield quantity(WEIGHTS_BYTES, (held(row) for row in context.rows if row.counted))
    parameters = count_parameters(context.rows)
    each = total(*map(Sym, STATES))
    yield replace(
        parameters,
        name=TRAINING_BYTES.name,
        unit=TRAINING_BYTES.unit,
        convention=TRAINING_BYTES.convention["en"],
        expr=None if parameters.expr is None else product(each, parameters.expr),
        value=None,
        variables=TRAINING_BYTES.variables,
        recipes=RECIPES,
    )


def follows(row: Row) -> bool:
    """Whether a row is held in whatever precision is chosen: a matrix without a dtype of its own."""
    return row.kind == "map" and not row.fixed


def held(row: Row) -> Term:
    """A matrix that follows the table's precision, in any; other rows in their own."""
    amount = (
        product(*row.in_out, Sym(STATES[0]))
        if follows(row)
        else product(expression(DTYPES[row.dtype].bytes), *row.in_out)
    )
    return Term(row.multiplicity, amount, Fraction(0), row.assumptions, row.closed)


GROUP: Final = QuantityGroup((WEIGHTS_BYTES, TRAINING_BYTES), count, need_forward=False)
