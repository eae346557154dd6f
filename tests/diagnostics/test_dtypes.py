"""Dtypes in messages are those that a table has: where it says none, `the activation dtype`."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.frontend.load import check_file

#: Values of f32 and of the activation dtype that meet, wherever values may.
MIXED = (
    "x + y", "where(x > 0, x, y)", "concat([x, y])", 'einsum("b d, b d -> b", x, y)', "w(y)", "v(x)",
    "mixture(parts_, x, cast(i, f32), i)", "mixture(parts_, x, cast(i, like = x), cast(i, like = x))",
    "f(x)", "x and y", "take(x, x)", "append(kept, y)",
)  # fmt: skip


@pytest.mark.parametrize("value", MIXED)
def test_messages_have_no_dtype_that_no_table_has(value: str, tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(
        f"""language 1
function f(x: f32 [..., D]) -> f32 [..., D] {{ return x }}
module part {{ params {{ dim : size }} tensors {{ w : dim -> dim }}
  forward(x: [..., dim]) -> [..., dim] {{ return w(x) }} }}
module m {{
  params {{ dim : size }}
  tensors {{ w : dim -> dim   v : dim -> dim as f32 }}
  parts {{ parts_[e] : part × 4 }}
  cache {{ kept : [B, T, dim] along T }}
  forward(x: [B, dim], y: f32 [B, dim], i: i64 [B, 2]) -> [B, dim] {{ z = {value} return z }}
}}
""",
        encoding="utf-8",
    )
    faults = [fault for fault in check_file(path).all if fault.code.startswith("E04")]
    assert faults
    for fault in faults:
        assert " act " not in f" {fault.message} ".replace("`", " ").replace(":", " "), (
            fault.message
        )
