"""Alternative forwards are compared by numbers; names of a checkpoint by rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from specgen.frontend.checks.equivalence import arguments, disagreements, draw
from specgen.frontend.load import check_file, load_program
from specgen.ir.interpret import EvaluatedInstance

SPECS = Path(__file__).resolve().parents[2] / "specs"
DEEPSEEK = SPECS / "deepseek_v3.dsv3"


@pytest.mark.parametrize("variant", ["v3_671b", "v2_lite_16b"])
def test_both_forwards_are_evaluated_and_agree(variant: str) -> None:
    program = load_program(DEEPSEEK, variant)
    module = next(m for m in program.modules.values() if len(m.forwards) > 1)
    values = draw(program, module)
    assert values is not None
    instance = EvaluatedInstance(program, module, values, np.random.default_rng(0), past=3)
    axes = {"B": 2, "S": 2, "T": 5}
    args = arguments(module, instance.environment(axes), np.random.default_rng(1))
    first, second = (instance.call(forward, args, axes)[0] for forward in module.forwards)
    assert first.shape == (2, 2, values["dim"])
    assert np.abs(first).max() > 0.1, "the comparison must not be one of zeros"
    assert np.abs(first - second).max() < 1e-10
    assert list(disagreements(program)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("concat([q_latent, q_rope])", "concat([q_latent, 2 * q_rope])"),
        ("compress(x, cos, sin))\n      up ", "compress(x, cos, sin) + 1)\n      up "),
        ("up_k, up_v     = split(up, [qk", "up_k, up_v     = split(2 * up, [qk"),
        ("rearrange(wkv_b(c), ", "rearrange(wkv_b(kv_norm(c)), "),
    ],
)
def test_a_forward_that_differs_is_found(tmp_path: Path, old: str, new: str) -> None:
    text = DEEPSEEK.read_text()
    assert text.count(old) == 1
    spec = tmp_path / "mutant.dsv3"
    spec.write_text(text.replace(old, new))
    assert {d.code for d in check_file(spec).all} == {"E0458"}


@pytest.mark.parametrize(("body", "codes"), [("factors * x", set()), ("x / factors", {"E0458"})])
def test_lists_are_drawn_as_long_as_they_are_required_to_be(
    tmp_path: Path, body: str, codes: set[str]
) -> None:
    spec = tmp_path / "scaled.dsv3"
    spec.write_text(f"""language 1
module scaled {{
  params {{ width : size  factors : reals }}
  require {{ length(factors) == width "one each" }}
  forward(x: f32 [B, width]) -> f32 [B, width] {{ return x * factors }}
  forward other(x: f32 [B, width]) -> f32 [B, width] {{ return {body} }}
}}
model m {{
  params {{ width : size = 3  given : reals = [2, 3, 4] }}
  parts {{ a : scaled(factors = given) }}
  forward(x: f32 [B, width]) -> f32 [B, width] {{ return a(x) }}
}}
""")
    assert {d.code for d in check_file(spec).all} == codes


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('-> "model.layers.{layer}"', '-> "model.layers"', "all instances of"),
        ('"post_attention_layernorm"', '"input_layernorm"', "attn_norm"),
    ],
)
def test_released_names_collide(tmp_path: Path, old: str, new: str, said: str) -> None:
    spec = tmp_path / "mutant.dsv3"
    spec.write_text(DEEPSEEK.read_text().replace(old, new))
    found = check_file(spec).all
    assert {d.code for d in found} == {"E0706"}
    assert any(said in d.message for d in found)
