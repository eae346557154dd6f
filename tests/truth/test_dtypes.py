"""The table of dtypes against the libraries whose names and widths it holds."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from specgen.analysis.quantities.ledger import quantities
from specgen.diagnostics.diagnostic import SpecError
from specgen.dtypes import DTYPES, Dtype
from specgen.frontend.load import load_program
from specgen.resources import folder

ROOT = Path(__file__).resolve().parents[2]
ROWS = [pytest.param(row, id=row.name) for row in DTYPES.values()]

#: What onnx calls a kind of float by its bits for exponent and mantissa.
ONNX = {"f8e4m3": "FLOAT8E4M3FN", "f4e2m1": "FLOAT4E2M1", "bf16": "BFLOAT16", "f64": "DOUBLE",
        "f32": "FLOAT", "f16": "FLOAT16", "u8": "UINT8", "bool": "BOOL"}  # fmt: skip


def test_the_grammar_and_the_reference_name_all_of_them() -> None:
    grammar = (folder("grammar") / "dsv3.lark").read_text(encoding="utf-8")
    (words,) = re.findall(r"^DTYPE: +/\(([a-z0-9|]+)\)", grammar, re.MULTILINE)
    assert words.split("|") == list(DTYPES)
    language = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    assert f"`{' '.join(DTYPES)}`" in language


@pytest.mark.parametrize("row", ROWS)
def test_onnx_has_it_by_that_number(row: Dtype) -> None:
    name = ONNX.get(row.name, f"INT{row.bits}")
    assert onnx.TensorProto.DataType.Name(row.onnx) == name
    if row.packing is not None:
        assert struct.calcsize(f"<{row.packing}") * 8 == row.bits
        assert np.dtype(row.packing) == helper.tensor_dtype_to_np_dtype(row.onnx)


@pytest.mark.parametrize("row", ROWS)
def test_the_oldest_cast_that_takes_it_is_of_its_opset(row: Dtype) -> None:
    def taken(opset: int) -> bool:
        schema = onnx.defs.get_schema("Cast", opset)
        types = next(c for c in schema.type_constraints if c.type_param_str == "T1")
        return f"tensor({ONNX.get(row.name, f'INT{row.bits}').lower()})" in types.allowed_type_strs

    assert taken(max(row.since, 17))
    assert row.since == 0 or not taken(row.since - 1)


@pytest.mark.parametrize("row", ROWS)
def test_torch_and_safetensors_have_it_in_that_width(row: Dtype, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    files = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    dtype = getattr(torch, row.torch)
    elements = 16
    data = torch.zeros(elements * row.bits // 8, dtype=torch.uint8).view(dtype)
    files.save_file({"x": data}, tmp_path / "x.safetensors")
    header = (tmp_path / "x.safetensors").read_bytes()
    assert f'"dtype":"{row.safetensors}","shape":[{elements}]'.encode() in header
    assert (row.kind == "float") == dtype.is_floating_point
    assert (
        not row.computes
        or (torch.zeros(1, dtype=dtype) + torch.ones(1, dtype=dtype)).dtype == dtype
    )


NARROW = """language 1
model narrow "a map of four bits" {
  params { vocab_size : size = 11   dim : size = 6   wide : size = 8 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  tensors { embed : [vocab_size, dim]   up : dim -> wide  as f4e2m1   head : wide -> vocab_size }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] { return head(up(take(embed, tokens))) }
}
"""


def test_narrow_elements_are_counted_in_bits(tmp_path: Path) -> None:
    path = tmp_path / "narrow.dsv3"
    path.write_text(NARROW, encoding="utf-8")
    found = quantities(load_program(path))
    assert found["stored_bytes"].value == 4 * (11 * 6 + 8 * 11) + 6 * 8 // 2
    with pytest.raises(SpecError, match="no whole number of bytes"):
        quantities(load_program(path, overrides={"dim": 5, "wide": 7}))
