"""What the report says in its own words, in each language that it speaks.

A report in another language gets the English words around its own headings and labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from specgen.analysis.dataflow.peak import TOO_LONG, TOO_MANY
from specgen.analysis.quantities.caches import UNMET
from specgen.analysis.quantities.ledger import (
    CONVENTIONS,
    NO_CACHE,
    NO_DATAFLOW,
    NO_TOKENS,
)
from specgen.analysis.quantities.terms import STORED_OTHERWISE, UNSEEN, Quantity
from specgen.expr.printing import TABLE, to_text

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
    conventions={name: convention for name, (_, convention) in CONVENTIONS.items()},
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
    conventions={
        "parameters": "每个训练得到的数计一次：共享的行和重复存储的行不重复计，"
        "存储格式的缩放因子不计；路由偏置计入",
        "parameters_active": "一个 token 经过主前向时用到的全部参数：整个 Embedding 与输出层计入，"
        "混合专家只计被选中的专家；前向到不了的部分不计",
        "parameters_active_no_embedding": "parameters_active 去掉只按下标取行的行"
        "（输入 Embedding，除非它与输出层共享）",
        "parameters_active_no_vocabulary": "parameters_active 去掉宽度为词表大小的行："
        "Embedding 与输出层都不计",
        "parameters_outside_forward": "parameters 中主前向到不了的部分，例如多 token 预测层",
        "stored_tensors": "检查点中的每个张量：包含缩放因子与重复存储的张量",
        "stored_elements": "存储的全部张量：包含缩放因子与重复存储的张量",
        "stored_scales": "存储格式的缩放因子；不是参数",
        "stored_copies": "以另一个名字再存储一次的行",
        "stored_bytes": "全部张量按其存储类型的字节数，不含文件头",
        "cache_elements_per_token": "一个序列多一个 token 时各层缓存增加的元素数",
        "cache_bytes_per_token": "按缓存的数据类型计的 cache_elements_per_token",
        "flops_prefill": "只计矩阵乘法，每次乘加计 2；B 个序列，每个 S 个新 token，没有缓存："
        "每个 query 对每个 key（非因果），每个位置都算到前向的末尾，路由计入",
        "flops_decode": "只计矩阵乘法，每次乘加计 2；B 个长度为 T 的序列各一个新 token，"
        "各模块用其最省的前向",
        "weights_bytes": "参数占用的内存，矩阵每个元素 W 字节：不是矩阵的行，以及本表另行指定"
        "数据类型的矩阵，各按其类型；缩放因子不计",
        "cache_elements_per_token_expanded": "若不存缓存而存主前向由它算出的 key 与 value，每多一个"
        " token 增加的元素数：凡只取决于缓存、与新 token 无关，且在乘积中与新 token 相遇的值",
        "cache_bytes_per_token_expanded": "按与新 token 相遇时的数据类型计的"
        " cache_elements_per_token_expanded",
        "cache_bytes": "B 个长度为 T 的序列的缓存，按缓存的数据类型；带窗口的层也计全部 T 个，虽然只读窗口内的",
        "flops_prefill_causal": "同 flops_prefill，但 query 与 key 的乘积按一半计："
        "S × S / 2 对，而非 S × (S + 1) / 2；有窗口的层也一样",
        "flops_decode_main": "同 flops_decode，但各模块都用主前向：每一步都由缓存重新算出 key 与 value",
        "flops_training": "flops_prefill_causal 的三倍：前向一次，反向两次，不重算（没有窗口的模型与 MaxText 相同）",
        "activation_peak_bytes": "一次主前向的值同时占用的最多字节数：B 个序列，每个 S 个新 token，"
        "共 T 个，逐步求值，不留梯度；名字到其函数返回为止，中间结果到用完为止；声明为平台操作的"
        "函数算一步，因果掩码不存在，被选中的专家同时计算；权重与缓存不计",
        "training_bytes": "每个参数 W 字节，其梯度 G 字节，其优化器状态 O 字节；激活另计",
    },
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
