"""report.md: the rows of the table under its headings, adding up; nothing of a text gets out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import ledger
from specgen.backends.report import emit
from specgen.backends.report.outline import outline
from specgen.backends.report.sections import filed
from specgen.backends.report.words import CHINESE, ENGLISH, Words
from specgen.expr.node import TRUE, Const, Sym
from specgen.ir.model import Program, Report, ReportRow, ReportSection, Require
from tests.analysis.hand import latent_moe
from tests.analysis.released import table

SPECS = ["deepseek_v3@v3_671b", "deepseek_v3@v3_671b_mtp", "deepseek_v3@v2_lite_16b", "dsv3_table",
         "llama@llama32_1b"]  # fmt: skip


def report(program: Program) -> str:
    return emit(program)["report.md"].decode()


def cells(text: str, start: str) -> list[list[str]]:
    """The tables' rows whose first cell starts so."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def numbers(text: str, pattern: str) -> list[int]:
    return [int(n.replace(",", "")) for n in re.findall(pattern, text)]


@pytest.mark.parametrize("spec", SPECS)
def test_sections_and_other_rows_add_up_to_the_parameters(spec: str) -> None:
    found = ledger(table(spec))
    for one in found.program.reports:
        sections, rest = filed(found, one)
        others = sum(row.elements for row in rest if row.counted)
        assert sum(section.total for section in sections) + others == found.value("parameters")


@pytest.mark.parametrize("spec", SPECS)
def test_the_printed_summary_adds_up(spec: str) -> None:
    """Read back from the text: the lines of each summary sum to the bold total beneath."""
    found = ledger(table(spec))
    text = report(found.program)
    for said in (ENGLISH, CHINESE):
        (block,) = re.findall(rf"### {said.summary}\n(.*?)\n###", text, re.DOTALL)
        *lines, total = [line for line in block.splitlines() if line.startswith("| ")][2:]
        parts = [numbers(line, r"\| ([\d,]+) \| [\d.]+% \|$")[0] for line in lines]
        assert numbers(total, r"\*\*([\d,]+)\*\*") == [found.value("parameters")]
        assert sum(parts) == found.value("parameters")


def test_the_seeds_rows_are_there_in_both_languages() -> None:
    text = report(table("deepseek_v3@v3_671b"))
    for label in ("Token embedding", "Token Embedding"):
        ((_, row, shape, size, each, count, total),) = cells(text, label)
        assert (row, shape, size) == ("`embed.weight`", "`[vocab_size, dim]`", "129280 × 7168")
        assert (each, count, total) == ("926,679,040", "1", "926,679,040")
    ((_, _, shape, size, _, count, total),) = cells(text, "升维矩阵 (wkv_b)")
    assert shape == "`[kv_lora_rank, n_heads × (qk_nope_head_dim + v_head_dim)]`"
    assert (size, count) == ("512 × 32768", "`n_layers` = 61")
    assert total == "1,023,410,176"
    assert "- Output size: `[B, S, dim]`" in text
    assert "- MoE 层数: `n_moe_layers` = 58" in text
    assert "- Parameters (projection matrices): `weight_format` = `fp8_block`" in text
    ((_, _, absent, *_),) = cells(text, "Q (query) projection")
    assert absent == ENGLISH.absent


@pytest.mark.parametrize(
    "figure",
    ["671,026,419,200", "37,552,297,472", "36,625,618,432", "35,698,939,392", "90,427",
     "673,150,611,808", "40,838,232", "35,136", "70,272", "170,973,789,683,712"],
)  # fmt: skip
def test_the_ledger_states_every_figure_in_both_languages(figure: str) -> None:
    text = report(table("deepseek_v3@v3_671b"))
    assert len(re.findall(rf"(?<![\d,]){figure}(?![\d,])", text)) >= 2


def test_shared_rows_are_shown_and_not_counted() -> None:
    text = report(table("llama@llama32_1b"))
    assert ENGLISH.tied.format(target="`embed.weight`") in text
    text = report(table("deepseek_v3@v3_671b_mtp"))
    assert ENGLISH.copy.format(target="`head`") in text
    assert CHINESE.copy.format(target="`embed.weight`") in text


def test_every_convention_is_said_in_both_languages() -> None:
    assert set(CHINESE.conventions) == set(ENGLISH.conventions)
    assert set(CHINESE.units) == set(ENGLISH.units)
    assert set(CHINESE.reasons) == set(ENGLISH.reasons)
    assert "本表没有前向" in report(table("dsv3_table"))


def test_a_row_named_twice_counts_once() -> None:
    program = latent_moe()
    section = ReportSection(
        "all", (ReportRow("a", "rows", "layers"), ReportRow("b", "rows", "layers.attn"))
    )
    found = ledger(program)
    (filed_section,), rest = filed(found, Report("en", "twice", (section,)))
    rows = [row for row in found.rows if row.path.startswith("layers.") and row.counted]
    assert filed_section.total == sum(row.elements for row in rows)
    assert {row.path.split(".")[0] for row in rest} == {"embed", "norm", "mtp", "head"}


@pytest.mark.parametrize("spec", ["qwen3_moe@qwen3_30b_a3b", "qwen2_moe@qwen15_moe_a2b7",
                                  "cohere2@command_r7b"])  # fmt: skip
@pytest.mark.parametrize("said", [ENGLISH, CHINESE])
def test_a_table_without_a_report_is_told_by_its_tree(spec: str, said: Words) -> None:
    """Every row stands in a section of its place, once, and the sections add up."""
    found = ledger(table(spec))
    assert not found.program.reports
    language = "en" if said is ENGLISH else "zh"
    sections, rest = filed(found, outline(found, language))
    assert rest == ()
    assert sum(section.total for section in sections) == found.value("parameters")
    lines = [row for section in sections for row in section.all_rows]
    assert len(lines) == len([row for row in found.rows if row.kind != "scale"])
    text = report(found.program)
    assert f"## {said.outline.format(title=found.program.title)}" in text.replace("\\", "")
    assert said.other_rows not in text


def test_the_outline_of_a_mixture() -> None:
    text = report(table("qwen3_moe@qwen3_30b_a3b"))
    assert "### 1. Token embedding (embed)" in text.replace("\\", "")
    assert "### 5、The stack (layers): mixture of experts (layers.ffn)" in text.replace("\\", "")
    up, again = cells(text, "routed experts: a token uses few of them: up projection")
    assert up == again
    assert up[1:] == [
        "`layers.{layer}.ffn.experts.{e}.w3`", "`[dim, moe_inter_dim]`", "2048 × 768",
        "1,572,864", "`n_layers × n_experts` = 6,144", "9,663,676,416",
    ]  # fmt: skip
    assert re.search(r"^- .*n_experts` = 128$", text, re.MULTILINE)
    ((_, row, *_),) = cells(text.partition("## Qwen3-MoE 架构")[0], "on each query head")
    assert row == "`layers.{layer}.attn.q_norm.weight`"


def test_the_same_bytes_twice() -> None:
    assert emit(table(SPECS[0])) == emit(table(SPECS[0]))


# ---- hostile texts ---------------------------------------------------------------------

EVIL = 'x`|<img src=x onerror=alert(1)>\n# h\n- [l](javascript:1) {{ 7*7 }} {% x %} """ \\'


@pytest.mark.parametrize("told", [True, False], ids=["report", "outline"])
def test_no_text_of_a_table_gets_out_of_its_place(told: bool) -> None:
    """The same headings, items and cells stand in the report whatever the texts say."""

    def made(text: str) -> Program:
        program = program_with(text)
        return program if told else replace(program, reports=())

    def shaped(text: str) -> list[str]:
        found = report(made(text))
        marks = [re.sub(r"[^#|\s-].*", "", line) for line in found.splitlines()]
        return [
            f"{m}{line.count(' | ')}" for m, line in zip(marks, found.splitlines(), strict=True)
        ]

    assert shaped(EVIL) == shaped("harmless")
    found = report(made(EVIL))
    outside = re.sub(r"`[^`\n]*`", "", found)
    assert "<img" not in outside
    assert "{{" not in outside
    assert "](" not in re.sub(r"\\.", "", outside)


def program_with(text: str) -> Program:
    program = latent_moe()
    model = program.model
    rows = (
        ReportRow(text, "rows", "embed"),
        ReportRow(text, "rows", "nowhere"),
        ReportRow(text, "value", "", Sym("dim")),
        ReportRow(None, "value", "", Const(text)),
        ReportRow(text, "value", "", Const(text)),
        ReportRow(text, "output", "embed"),
    )
    tensors = tuple(replace(t, description=text) for t in model.tensors)
    changed: dict[str, Any] = {
        "parts": tuple(replace(part, description=text) for part in model.parts),
        "tensors": tensors,
        "requires": (Require(TRUE, text),),
        "params": (*model.params, replace(model.params[0], name="choice", value=text)),
    }
    return replace(
        program,
        title=text,
        modules={**program.modules, model.id: replace(model, **changed)},
        reports=(Report(text, text, (ReportSection(text, rows),)),),
    )
