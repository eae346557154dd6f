"""The graph against the generated model.py: one table, two programs, the same numbers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.pytorch import emit as emit_pytorch
from tests.onnx.references import reference
from tests.onnx.session import Session, fill
from tests.references import DECODED, needs_references, saved

pytestmark = [pytest.mark.slow, needs_references]


def generated(files: Mapping[str, bytes], folder: Path) -> ModuleType:
    """model.py imported from its file, as a user would, with checkpoint.py beside it."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    path = folder / "model.py"
    spec = spec_from_file_location(f"generated_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", DECODED)
def test_graph_and_model_agree(name: str, tmp_path: Path) -> None:
    """A padded batch: full, and as a prefill with four cached steps."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    ours = reference(name)
    program = ours.program()
    module = generated(emit_pytorch(program), tmp_path)
    model = module.Model(module.Config())
    model.load_checkpoint(saved(name))
    row = np.concatenate([ours.arrays["input_ids"], ours.arrays["decode_tokens"]])
    tokens = np.stack([row, np.concatenate([np.zeros(7, np.int64), row[:-7]])])
    mask = np.ones_like(tokens)
    mask[1, :7] = 0
    with torch.no_grad():
        expected = model(torch.from_numpy(tokens), mask=torch.from_numpy(mask)).numpy()
    path = fill(build(program), ours.weights, tmp_path)
    full = Session.open(path, 2)(tokens, mask)
    session = Session.open(path, 2)
    cached = [session(tokens[:, :16], mask[:, :16])]
    cached += [session(tokens[:, i : i + 1]) for i in range(16, 20)]
    for found in (full, np.concatenate(cached, axis=1)):
        assert np.abs(found - expected)[mask == 1].max() <= ours.tolerance
