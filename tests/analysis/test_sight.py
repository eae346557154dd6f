"""A figure that counts tokens which a query does not see says so, wherever it is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.dataflow.products import limits_of_sight
from specgen.analysis.quantities.ledger import ledger
from specgen.expr.printing import TABLE, to_text
from specgen.frontend.load import load_program
from tests.cli.running import specgen_here
from tests.truth.outside import REPOSITORY

WINDOWED = {"cohere2": "window", "gemma2": "window", "gpt_oss": "window",
            "mistral@mistral_7b_v01": "window", "phi3@phi3_mini_4k": "window"}  # fmt: skip
UNLIMITED = ("llama", "gpt2", "deepseek_v3", "mistral@mistral_7b_v03", "qwen3_moe", "gpt_neox")


def program(spec: str, **changes: Any) -> Any:
    name, _, variant = spec.partition("@")
    return load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant or None, changes)


@pytest.mark.parametrize("spec", [*WINDOWED, *UNLIMITED])
def test_windows_are_found_in_the_dataflow_and_nothing_else_is(spec: str) -> None:
    found = [to_text(limit, TABLE) for limit in limits_of_sight(program(spec))]
    assert found == ([WINDOWED[spec]] if spec in WINDOWED else [])
    remarks = {q.name: q.remark for q in ledger(program(spec)).quantities.values() if q.remark}
    assert bool(remarks) == (spec in WINDOWED)
    if remarks:
        assert {"cache_bytes", "cache_bytes_per_token", "flops_decode"} <= remarks.keys()
        assert not {"parameters", "stored_bytes", "weights_bytes"} & remarks.keys()
        assert "`window`" in remarks["cache_bytes"]


TABLE_TEXT = """language 1
use std.attention {{ gqa, causal }}
use std.embedding {{ embedding }}
use std.rope {{ rotary_table }}
model m {{
  params {{ vocab_size : size = 32  dim : size = 8  n_heads : size = 2  n_kv_heads : size = 1
    head_dim : size = 4  near : size = 3  wide : count = {wide}  max_seq_len : size = 64
    rope_theta : real = 1e4 }}
  let {{ half = head_dim / 2 }}
  require {{ head_dim % 2 == 0 "pairs" }}
  parts {{ embed : embedding(width = dim)  rope : rotary_table(rope_width = head_dim)
    layers[layer] : block × 4 }}
  tensors {{ head : dim -> vocab_size }}
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {{
    cos, sin = rope(positions)
    seen = causal(positions, mask)
    some = {some}
    return head(layers(embed(tokens), cos, sin, seen, some))
  }}
  module block {{
    params {{ layer : count }}
    parts {{ attn : gqa }}
    forward(x: [B, S, dim], cos: f32 [B, S, half], sin: f32 [B, S, half], seen: bool [B, S, T], some: bool [B, S, T]) -> [B, S, dim] {{
      return x + attn(x, cos, sin, some when layer % 2 == 0 else seen)
    }}
  }}
  function limited(seen: bool [B, S, T], size: size) -> bool [B, S, T] {{
    return seen and iota(T) {op} rearrange(iota(S) + (T - S), "s -> s 1") {how}
  }}
}}
"""


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(("<", "<=", ">", ">=", "==")), st.sampled_from(("+ size", "- size", "/ 2", "")),
       st.sampled_from(("near", "near + wide", "2 * near")), st.booleans())  # fmt: skip
def test_any_comparison_of_tokens_with_a_size_of_the_table_is_said(
    op: str, how: str, size: str, called: bool
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.dsv3"
        some = f"limited(seen, {size})" if called else "seen"
        text = TABLE_TEXT.format(wide=1, some=some, op=op, how=how)
        path.write_text(text, encoding="utf-8")
        found = limits_of_sight(load_program(path))
    assert len(found) == int(called and "size" in how)
    if found:
        assert "near" in to_text(found[0], TABLE)


@pytest.mark.slow
def test_every_output_says_so(tmp_path: Path) -> None:
    said = "counts every token of every layer, also those that"
    spec = "mistral@mistral_7b_v01"
    for arguments in (
        ["params", spec], ["params", spec, "--format", "md"], ["params", spec, "--format", "json"],
        *(["formula", spec, "cache_bytes", "--format", f] for f in ("text", "python", "js", "json", "latex")),
        ["formula", spec, "rank_cache_bytes"],
        ["whatif", spec, "-D", "T=32768", "--quantity", "cache_bytes"],
        ["whatif", spec, "-D", "T=32768", "--quantity", "cache_bytes", "--format", "json"],
        ["whatif", spec, "--sweep", "T=1,2", "--quantity", "cache_bytes"],
        ["whatif", spec, "--sweep", "T=1,2", "--quantity", "cache_bytes", "--format", "json"],
        ["whatif", spec, "--parallel", "tensor=2"], ["diff", spec, "llama"],
        ["solve", spec, "cache_bytes == 4294967296", "--for", "T"],
    ):  # fmt: skip
        done = specgen_here(*arguments, cwd=tmp_path)
        assert done.status in (0, 1), done.err
        assert said in " ".join(done.out.split()), arguments
    for quiet in ("parameters", "weights_bytes"):
        done = specgen_here("whatif", spec, "--quantity", quiet, cwd=tmp_path)
        assert said not in done.out
    model = specgen.load("mistral", variant="mistral_7b_v01")
    assert said in model.quantity("cache_bytes").convention
    assert said in str(model.whatif(T=32768, quantities=["cache_bytes"]))
    place = model.build(tmp_path / "out", ["report", "formulas"])
    for name in ("report.md", "report.html", "formulas.json"):
        text = (place / name).read_text(encoding="utf-8")
        assert said in text
        assert name == "formulas.json" or "看不到" in text
    assert (
        "remark" in json.loads((place / "formulas.json").read_text())["quantities"]["cache_bytes"]
    )
