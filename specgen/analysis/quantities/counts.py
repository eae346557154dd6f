"""What a table holds, and what a checkpoint of it stores: the quantities that need no forward."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final

from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import Quantity, Term, quantity
from specgen.analysis.table.rows import Row
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import expression
from specgen.expr.node import ONE, product

PARAMETERS: Final = QuantityRecord(
    "parameters",
    "elements",
    title={"en": "Parameters", "zh": "参数量"},
    convention={
        "en": (
            "every trained number once: tied rows and stored copies are not counted again, "
            "scales of storage formats not at all; router biases are counted"
        ),
        "zh": (
            "每个训练得到的数计一次：共享的行和重复存储的行不重复计，存储格式的缩放因子不计；"
            "路由偏置计入"
        ),
    },
)

STORED_TENSORS: Final = QuantityRecord(
    "stored_tensors",
    "tensors",
    title={"en": "Stored tensors", "zh": "存储的张量"},
    convention={
        "en": "every tensor of the checkpoint: scales and copies included",
        "zh": "检查点中的每个张量：包含缩放因子与重复存储的张量",
    },
    of_storage=True,
)

STORED_ELEMENTS: Final = QuantityRecord(
    "stored_elements",
    "elements",
    title={"en": "Stored elements", "zh": "存储的元素"},
    convention={
        "en": "all stored tensors: scales and copies included",
        "zh": "存储的全部张量：包含缩放因子与重复存储的张量",
    },
    of_storage=True,
)

STORED_SCALES: Final = QuantityRecord(
    "stored_scales",
    "elements",
    title={"en": "Stored scales", "zh": "存储的缩放因子"},
    convention={
        "en": "the scales of storage formats; no parameters",
        "zh": "存储格式的缩放因子；不是参数",
    },
    of_storage=True,
)

STORED_COPIES: Final = QuantityRecord(
    "stored_copies",
    "elements",
    title={"en": "Stored copies", "zh": "重复存储"},
    convention={
        "en": "rows stored a second time under another name",
        "zh": "以另一个名字再存储一次的行",
    },
    of_storage=True,
)

STORED_BYTES: Final = QuantityRecord(
    "stored_bytes",
    "bytes",
    title={"en": "Checkpoint", "zh": "检查点"},
    convention={
        "en": "the payload of all stored tensors in their stored dtypes, without file headers",
        "zh": "全部张量按其存储类型的字节数，不含文件头",
    },
    of_storage=True,
)


def count_parameters(rows: Iterable[Row]) -> Quantity:
    return quantity(PARAMETERS, elements(row for row in rows if row.counted))


def count(context: CountingContext) -> Iterable[Quantity]:
    """Elements and bytes are the same whether rows are packed or not: they are the rows' own."""
    stored = [row for row in context.rows if row.stored]
    scales = [row for row in stored if row.kind == "scale"]
    copies = [row for row in stored if row.shared and row.kind != "scale"]
    yield count_parameters(context.rows)
    yield quantity(
        STORED_TENSORS,
        (
            Term(held.multiplicity, ONE, Fraction(held.instances), held.assumptions, held.closed)
            for held in context.stored
        ),
    )
    yield quantity(STORED_ELEMENTS, elements(stored))
    yield quantity(STORED_SCALES, elements(scales))
    yield quantity(STORED_COPIES, elements(copies))
    yield quantity(STORED_BYTES, (term(row, DTYPES[row.dtype].bytes) for row in stored))


def elements(rows: Iterable[Row]) -> Iterable[Term]:
    return (term(row, 1) for row in rows)


def term(row: Row, scale: int | Fraction) -> Term:
    return Term(
        row.multiplicity,
        product(expression(scale), *row.in_out),
        Fraction(row.elements * scale),
        row.assumptions,
        row.closed,
    )


GROUP: Final = QuantityGroup(
    (PARAMETERS, STORED_TENSORS, STORED_ELEMENTS, STORED_SCALES, STORED_COPIES, STORED_BYTES),
    count,
    need_forward=False,
)
