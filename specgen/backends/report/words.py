"""What the report says in its own words, in each language that it speaks.

A report in another language gets the English words around its own headings and labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from specgen.analysis.quantities.activation_peak import TOO_LONG, TOO_MANY
from specgen.analysis.quantities.caches import UNMET
from specgen.analysis.quantities.record import NO_CACHE, NO_DATAFLOW, NO_TOKENS
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.terms import STORED_OTHERWISE, UNSEEN, Quantity
from specgen.expr.printing import TABLE, to_text
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.ir.model import Program


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language; `units`, `conventions` and `reasons` translate ours."""

    name: str
    row: str
    shape: str
    numbers: str
    each: str
    instances: str
    total: str
    section_total: str
    absent: str
    counted_above: str
    tied: str
    copy: str
    output: str
    outline: str
    heading: str
    whole: str
    other_rows: str
    other_rows_note: str
    summary: str
    summary_note: str
    module: str
    share: str
    all_rows: str
    ledger: str
    quantity: str
    value: str
    convention: str
    storage: str
    storage_note: str
    stored_otherwise: str
    unseen: str
    dtype: str
    tensors: str
    elements: str
    bytes: str
    caches: str
    grown: str
    assumptions: str
    assumptions_note: str
    counted_one_by_one: str
    decided: str
    decided_note: str
    requirements: str
    at: str
    depends: str
    units: Mapping[str, str]
    conventions: Mapping[str, str]
    reasons: Mapping[str, str]

    def counted(self, quantity: Quantity) -> str:
        """What is counted, and which tokens among it a query may not see."""
        found = self.conventions.get(quantity.name, quantity.convention)
        limits = ", ".join(to_text(limit, TABLE) for limit in quantity.limits)
        return f"{found}; {self.unseen.format(limits=limits)}" if quantity.remark else found

    def reason(self, absent: str, program: Program) -> str:
        """Why a quantity has no value."""
        if absent == STORED_OTHERWISE.format(way=program.stored_otherwise):
            return self.stored_otherwise.format(way=program.stored_otherwise)
        return self.reasons.get(absent, absent)


ENGLISH: Final = Words(
    name="name",
    row="row",
    shape="shape",
    numbers="numbers",
    each="elements each",
    instances="instances",
    total="total",
    section_total="Section total",
    absent="not in this variant",
    counted_above="counted above",
    tied="the same tensor as {target}: not stored, not counted",
    copy="stored copy of {target}: not counted",
    output="output",
    outline="{title}: architecture and parameters",
    heading="{number}. {text}",
    whole="The whole model",
    other_rows="Other rows",
    other_rows_note="Rows that no section above names.",
    summary="Summary",
    summary_note="Every parameter stands in exactly one line, so the lines add up to the total.",
    module="section",
    share="share",
    all_rows="all parameters",
    ledger="Ledger",
    quantity="quantity",
    value="value",
    convention="what is counted",
    storage="What the checkpoint stores",
    storage_note="Scales and copies included.",
    stored_otherwise=STORED_OTHERWISE,
    unseen=UNSEEN,
    dtype="dtype",
    tensors="tensors",
    elements="elements",
    bytes="bytes",
    caches="Caches",
    grown="elements per token",
    assumptions="Assumptions of the formulas",
    assumptions_note="The counts above are exact for this variant. As formulas in the"
    " parameters they hold under these conditions:",
    counted_one_by_one="{row} has no closed form: it was counted for this variant",
    decided="What the variant decides",
    decided_note="Other parameters that decide one of these otherwise have other rows, and other"
    " formulas:",
    requirements="What the table requires",
    at="{quantity} at {values}",
    depends="depends on {variables}",
    units={"elements": "elements", "tensors": "tensors", "bytes": "bytes", "operations": "FLOPs"},
    conventions={name: record.convention["en"] for name, record in QUANTITIES.items()},
    reasons={
        reason: reason for reason in (NO_DATAFLOW, NO_CACHE, NO_TOKENS, UNMET, TOO_LONG, TOO_MANY)
    },
)

CHINESE: Final = Words(
    name="名称",
    row="表中的行",
    shape="张量大小",
    numbers="计算",
    each="每个的元素数",
    instances="个数",
    total="合计",
    section_total="本节合计",
    absent="此变体中不存在",
    counted_above="上文已计",
    tied="与 {target} 是同一张量：不另存储，不另计数",
    copy="{target} 的重复存储：不另计数",
    output="输出",
    outline="{title} 架构与参数规模",
    heading="{number}、{text}",
    whole="整体模型结构",
    other_rows="其他行",
    other_rows_note="以上各节没有提到的行。",
    summary="参数规模总结",
    summary_note="每个参数恰好出现在一行中，因此各行之和等于总数。",
    module="模块",
    share="占比",
    all_rows="全部参数",
    ledger="规模账本",
    quantity="量",
    value="数值",
    convention="计数口径",
    storage="检查点中存储的内容",
    storage_note="包含缩放因子与重复存储的张量。",
    stored_otherwise="发布的权重不按本表的方式存储：{way}",
    unseen="每层的每个 token 都计入，包括因 {limits} 而看不到的",
    dtype="数据类型",
    tensors="张量数",
    elements="元素数",
    bytes="字节数",
    caches="缓存",
    grown="每个 token 的元素数",
    assumptions="公式的前提",
    assumptions_note="以上数字对此变体是精确的；作为参数的公式，它们在下列条件下成立：",
    counted_one_by_one="{row} 没有闭式：其个数是对此变体逐个数出的",
    decided="此变体的取舍",
    decided_note="参数若使下列条件之一改变，表中的行与公式也随之改变：",
    requirements="本表的要求",
    at="{quantity}，{values}",
    depends="取决于 {variables}",
    units={"elements": "个元素", "tensors": "个张量", "bytes": "字节", "operations": "FLOPs"},
    conventions={name: record.convention["zh"] for name, record in QUANTITIES.items()},
    reasons={
        NO_DATAFLOW: "本表没有前向",
        NO_CACHE: "前向没有缓存",
        NO_TOKENS: "前向不是语言模型的前向，不给出 logits",
        UNMET: "没有乘积逐个 token 地读缓存",
        TOO_LONG: "前向中的尺寸表达式太长，无法比较",
        TOO_MANY: "前向中可能占用最多的时刻太多",
    },
)

LANGUAGES: Final[Mapping[str, Words]] = {"en": ENGLISH, "zh": CHINESE}


def words(language: str) -> Words:
    """The words of a language, English where it is not spoken here."""
    return LANGUAGES.get(language, ENGLISH)
