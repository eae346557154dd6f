"""The generated model on the meta device, at full size: one count, and quickly."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.analysis.table.stored import expand, scheme_of, stored  # noqa: E402
from tests.numeric.generated import SPECS, imported, program  # noqa: E402

pytestmark = pytest.mark.slow

PARAMETERS = {
    ("deepseek_v3", "v3_671b"): 671_026_419_200,
    ("deepseek_v3", "v3_671b_mtp"): 682_636_487_424,
    ("deepseek_v3", "v2_236b"): 235_741_434_880,
    ("deepseek_v3", "v2_lite_16b"): 15_706_484_224,
    ("deepseek_v3", "kimi_k2_1t"): 1_026_408_232_448,
    ("llama", "llama3_8b"): 8_030_261_248,
    ("llama", "llama31_405b"): 405_853_388_800,
    ("llama", "llama32_1b"): 1_235_814_400,
    ("cohere2", "command_r7b"): 8_028_033_024,
    ("gemma2", "gemma2_9b"): 9_241_705_984,
    ("glm4_moe", "glm45_air"): 106_852_251_264,
    ("gpt2", "gpt2_124m"): 124_439_808,
    ("gpt_neox", "neox_20b"): 20_554_567_680,
    ("gpt_oss", "gpt_oss_120b"): 116_829_156_672,
    ("mixtral", "mixtral_8x7b"): 46_702_792_704,
    ("phi3", "phi4_mini"): 3_836_021_760,
    ("qwen2_moe", "qwen15_moe_a2b7"): 14_315_784_192,
    ("qwen3_moe", "qwen3_235b_a22b"): 235_093_634_560,
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


@pytest.mark.parametrize("spec", sorted(path.stem for path in SPECS.glob("*.dsv3")))
def test_every_stored_tensor_is_asked_for(spec: str, tmp_path: Path) -> None:
    """At full size: the names and shapes that the table counts, and each parameter once."""
    table = program(spec)
    if not table.has_dataflow:
        pytest.skip("the table has no forward")
    module = imported(table, tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
        plan = list(module.checkpoints().stored_tensors(model))
        asked = {name: shape for one in plan for name, (_, shape) in one.kinds.items()}
        filled = sum(row.numel() for one in plan for row in one.rows)
    counted = {
        name: tensor.dims
        for tensor in stored(table, scheme_of(table))
        if tensor.first.shared is None
        for name, _ in expand(tensor)
    }
    assert asked == counted
    assert filled == sum(parameter.numel() for parameter in model.parameters())


def test_tensors_of_the_release(tmp_path: Path) -> None:
    """The main model of DeepSeek-V3 has 90,427 tensors, scales among them."""
    module = imported(program("deepseek_v3", "v3_671b"), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
        names = [name for one in module.checkpoints().stored_tensors(model) for name in one.kinds]
    assert len(names) == len(set(names)) == 90_427
