"""Operations of a forward and of training: matrix products only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from specgen.analysis.dataflow.costs import ProductCounting, counted
from specgen.analysis.quantities.context import CountingContext
from specgen.analysis.quantities.record import QuantityGroup, QuantityRecord
from specgen.analysis.quantities.terms import Quantity, quantity

FLOPS_PREFILL: Final = QuantityRecord(
    "flops_prefill",
    "operations",
    title={"en": "Prefill, non-causal", "zh": "预填充，非因果"},
    convention={
        "en": (
            "matrix products only, 2 per multiply-add, of B sequences of S new tokens and no "
            "cache: every query meets every key (non-causal), every position is taken to the "
            "end of the forward, routers count"
        ),
        "zh": (
            "只计矩阵乘法，每次乘加计 2；B 个序列，每个 S 个新 token，没有缓存：每个 query 对"
            "每个 key（非因果），每个位置都算到前向的末尾，路由计入"
        ),
    },
    variables=("B", "S"),
    of_tokens=True,
)

FLOPS_DECODE: Final = QuantityRecord(
    "flops_decode",
    "operations",
    title={"en": "One decoding step", "zh": "解码一步"},
    convention={
        "en": (
            "matrix products only, 2 per multiply-add, of one new token for each of B "
            "sequences of T tokens, with the cheapest of each module's forwards"
        ),
        "zh": (
            "只计矩阵乘法，每次乘加计 2；B 个长度为 T 的序列各一个新 token，各模块用其最省的前向"
        ),
    },
    variables=("B", "T"),
    of_tokens=True,
)

FLOPS_PREFILL_CAUSAL: Final = QuantityRecord(
    "flops_prefill_causal",
    "operations",
    title={"en": "Prefill, causal", "zh": "预填充，因果"},
    convention={
        "en": (
            "flops_prefill, products of every query with every key counted half: S × S / 2 pairs"
            ", not S × (S + 1) / 2, and the same on layers with a window"
        ),
        "zh": (
            "同 flops_prefill，但 query 与 key 的乘积按一半计：S × S / 2 对，而非 S × (S + 1"
            ") / 2；有窗口的层也一样"
        ),
    },
    variables=("B", "S"),
    of_tokens=True,
)

FLOPS_DECODE_MAIN: Final = QuantityRecord(
    "flops_decode_main",
    "operations",
    title={"en": "One decoding step, main forward", "zh": "解码一步，主前向"},
    convention={
        "en": (
            "flops_decode with every module's main forward: keys and values are computed "
            "from the caches anew at each step"
        ),
        "zh": "同 flops_decode，但各模块都用主前向：每一步都由缓存重新算出 key 与 value",
    },
    variables=("B", "T"),
    of_tokens=True,
)

FLOPS_TRAINING: Final = QuantityRecord(
    "flops_training",
    "operations",
    title={"en": "Training step", "zh": "训练一步"},
    convention={
        "en": (
            "three times flops_prefill_causal: once forward, twice backward, nothing "
            "recomputed (as MaxText counts models without windows)"
        ),
        "zh": (
            "flops_prefill_causal 的三倍：前向一次，反向两次，不重算（没有窗口的模型与 MaxText"
            " 相同）"
        ),
    },
    variables=("B", "S"),
    of_tokens=True,
)

RECORDS: Final = (
    FLOPS_PREFILL,
    FLOPS_DECODE,
    FLOPS_PREFILL_CAUSAL,
    FLOPS_DECODE_MAIN,
    FLOPS_TRAINING,
)

#: How each counts products; only flops_decode is not of the main forwards.
COUNTED: Final[Mapping[str, ProductCounting]] = {
    "flops_prefill": ProductCounting(decoding=False),
    "flops_decode": ProductCounting(decoding=True),
    "flops_prefill_causal": ProductCounting(decoding=False, causal=True),
    "flops_decode_main": ProductCounting(decoding=True),
    "flops_training": ProductCounting(decoding=False, causal=True, times=3),
}


def count(context: CountingContext) -> Iterable[Quantity]:
    """The operations of a prefill, of a step of decoding and of training."""
    for record in RECORDS:
        decodes = record is FLOPS_DECODE
        products = context.decode_products if decodes else context.products
        found = quantity(
            record, [cost.term for cost in counted(products, COUNTED[record.name], context.folder)]
        )
        if decodes:
            more = (c for choice in context.choices.values() for c in choice.conditions)
            found = replace(found, assumptions=(*found.assumptions, *more))
        yield found


GROUP: Final = QuantityGroup(RECORDS, count)
