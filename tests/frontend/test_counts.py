"""What no command counts, `check` refuses: at the row, under every variant and every choice."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specgen.dtypes import DTYPES
from specgen.frontend.load import check_file
from tests.cli.running import specgen_here as run

ROWS = """language 1
model rows "Rows in a dtype" {{
  params {{ a : size = {a}   b : size = {b}   vocab : size = 4 }}
  variant other {{ b = {other} }}
  tensors {{
    embed : [vocab, a]
    mix : a -> b   as {dtype}
  }}
  {names}
  forward(tokens: i64 [B, S]) -> [B, S, b] {{ return mix(take(embed, tokens)) }}
}}
"""
NAMED = 'names hf { embed -> "wte.weight"   mix -> "lm_head.weight" }'

SIZES = st.integers(1, 9)


@settings(max_examples=12, deadline=None)
@given(
    a=SIZES, b=SIZES, other=SIZES,
    dtype=st.sampled_from([name for name, row in DTYPES.items() if row.bits < 16 and row.kind == "float"]),
    names=st.sampled_from(["", NAMED]),
)  # fmt: skip
@example(a=5, b=3, other=2, dtype="f4e2m1", names="")
@example(a=5, b=2, other=3, dtype="f4e2m1", names=NAMED)
def test_check_finds_what_other_commands_find(
    a: int, b: int, other: int, dtype: str, names: str
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.dsv3"
        text = ROWS.format(a=a, b=b, other=other, dtype=dtype, names=names)
        path.write_text(text, encoding="utf-8")
        found = check_file(path).all
        whole = [a * size * DTYPES[dtype].bits % 8 == 0 for size in (b, other)]
        assert bool(found) != all(whole)
        for fault in found:
            assert fault.code == "E0801"
            assert fault.span is not None
            assert text[fault.span.start :].startswith("mix : a -> b")
        for variant, is_whole in zip(("", "@other"), whole, strict=True):
            counted = run("params", f"{path}{variant}", cwd=path.parent)
            assert (counted.status == 0) == is_whole, counted.err
        mended = run("check", str(path), "-D", "a=2", cwd=path.parent)
        assert (mended.status == 0) == all(whole)  # the table itself is looked at, too


def test_check_counts_what_was_chosen(tmp_path: Path) -> None:
    path = tmp_path / "rows.dsv3"
    text = ROWS.format(a=4, b=3, other=5, dtype="f4e2m1", names="")
    path.write_text(text, encoding="utf-8")
    for spec in (str(path), f"{path}@other"):
        assert run("check", spec, cwd=tmp_path).status == 0
        chosen = run("check", spec, "-D", "a=3", cwd=tmp_path)
        assert chosen.status == 1
        assert "E0801" in chosen.err
        assert "rows.dsv3:7:5" in chosen.err


@pytest.mark.parametrize("free", ["W", "V"])
def test_a_cache_with_a_dim_that_nothing_gives_is_refused(free: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.dsv3"
    path.write_text(
        f"""language 1
model rows "A cache that nothing measures" {{
  params {{ dim : size = 4   vocab : size = 9 }}
  tensors {{ embed : [vocab, dim] }}
  parts {{ held : store(dim = dim) }}
  forward(tokens: i64 [B, S, H]) -> [B, H, dim] {{ return held(take(embed, tokens)) }}
}}
module store {{
  params {{ dim : size }}
  cache {{ k : [B, T, {free}, dim] along T }}
  forward(x: [B, S, {free}, dim]) -> [B, {free}, dim] {{ return sum(append(k, x), over = 1) }}
}}
""",
        encoding="utf-8",
    )
    assert run("params", str(path), cwd=tmp_path).status == 1
    assert [fault.code for fault in check_file(path).all] == ["E0801"]
