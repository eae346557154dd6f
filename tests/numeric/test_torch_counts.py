"""The generated model on the meta device, at full size: one count, and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.numeric.generated import imported, program  # noqa: E402

pytestmark = pytest.mark.slow

PARAMETERS = {
    ("deepseek_v3", "v3_671b"): 671_026_419_200,
    ("deepseek_v3", "v3_671b_mtp"): 682_636_487_424,
    ("deepseek_v3", "v2_236b"): 235_741_434_880,
    ("deepseek_v3", "v2_lite_16b"): 15_706_484_224,
    ("deepseek_v3", "kimi_k2_1t"): 1_026_408_232_448,
    ("llama3", "llama3_8b"): 8_030_261_248,
    ("llama3", "llama31_405b"): 405_853_388_800,
    ("llama3", "llama32_1b"): 1_235_814_400,
}


@pytest.mark.parametrize(("spec", "variant"), PARAMETERS)
def test_parameters_at_full_size(spec: str, variant: str, tmp_path: Path) -> None:
    module = imported(program(spec, variant), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
    assert sum(1 for _ in model.modules()) < 2_000, "experts are stacked"
    parameters = PARAMETERS[spec, variant]
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert not list(model.buffers())
    tokens = torch.zeros(1, 1, dtype=torch.int64, device="meta")
    assert model.embed(tokens).shape == (1, 1, module.Config().dim)


def test_every_stored_tensor_is_asked_for(tmp_path: Path) -> None:
    """Released names at full size: the main model's 90,427 tensors, scales among them."""
    module = imported(program("deepseek_v3", "v3_671b"), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
        names = [name for _, _, stored in module.stored_tensors(model) for name in stored]
    assert len(names) == len(set(names)) == 90_427
