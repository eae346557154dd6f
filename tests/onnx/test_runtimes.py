"""Other runtimes than onnxruntime compute the reference logits too; what they lack is named here.

The table in docs/onnx.md says the same for people.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import FLOWLESS, Experts, Ops, Options
from tests.agreement import drawn
from tests.onnx.checkpoints import quantised, random_weights
from tests.onnx.references import in_f32, load_spec, reference
from tests.onnx.runtimes import RUNTIMES
from tests.onnx.session import Session, fill
from tests.onnx.test_storage import SIZES
from tests.references import REPOSITORY, needs_references

pytestmark = pytest.mark.slow

NAMES = ["deepseek_v3", "llama", "qwen3_moe", "gemma2", "gpt_oss"]

PADDING = 5

#: A small table of grouped attention and a mixture.
GROUPED = {
    "vocab_size": 128, "dim": 64, "inter_dim": 96, "moe_inter_dim": 32, "n_layers": 2,
    "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "n_experts": 8, "n_activated_experts": 2,
}  # fmt: skip

#: The sizes of a small mixture.
MIXED = {
    "vocab_size": 128, "dim": 256, "inter_dim": 256, "n_layers": 2, "n_heads": 8, "n_kv_heads": 4,
    "n_experts": 4, "n_activated_experts": 2,
}  # fmt: skip


def with_scales(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those that have a scale, as 8-bit floats."""
    found = dict(weights)
    for scale in [name for name in weights if name.endswith("_scale_inv")]:
        name = scale.removesuffix("_scale_inv")
        found[name], found[scale], _ = quantised(weights[name])
    return found


@needs_references
@pytest.mark.parametrize("ops", ["standard", "primitive"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_flat_graph_runs_elsewhere(runtime: str, name: str, ops: Ops, tmp_path: Path) -> None:
    """A batch of two, one of them padded on the left: prefill, and two steps with past."""
    model = reference(name)
    tokens = model.arrays["input_ids"]
    path = fill(build(model.program(), Options(ops=ops)), model.weights, tmp_path)
    session = Session.start(RUNTIMES[runtime](path), batch=2)
    shorter = np.concatenate([np.zeros(PADDING, np.int64), tokens[:-PADDING]])
    mask = np.ones((2, len(tokens)), np.int64)
    mask[1, :PADDING] = 0
    logits = session(np.stack([tokens, shorter]), mask)
    expected = model.arrays["prefill_logits"]
    assert np.abs(logits[0] - expected).max() <= model.tolerance
    assert np.abs(logits[1, PADDING:] - expected[:-PADDING]).max() <= model.tolerance
    steps = zip(model.arrays["decode_tokens"], model.arrays["decode_logits"], strict=True)
    for token, wanted in list(steps)[:2]:
        logits = session(np.array([[token], [token]]))
        assert np.abs(logits[0, 0] - wanted).max() <= model.tolerance


@needs_references
@pytest.mark.parametrize("experts", FLOWLESS)
@pytest.mark.parametrize("name", ["deepseek_v3", "qwen3_moe", "gpt_oss"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_mixtures_without_control_flow_decode_several_rows(
    runtime: str, name: str, experts: Experts, tmp_path: Path
) -> None:
    """With a Loop, OpenVINO decodes one row alone."""
    model = reference(name)
    tokens, steps = model.arrays["input_ids"], model.arrays["decode_tokens"]
    data = build(model.program(), Options(experts=experts, form="expanded"))
    session = Session.start(RUNTIMES[runtime](fill(data, model.weights, tmp_path)), batch=3)
    logits = session(np.stack([tokens, tokens[::-1], tokens]))
    assert np.abs(logits[[0, 2]] - model.arrays["prefill_logits"]).max() <= model.tolerance
    for token, wanted in zip(steps, model.arrays["decode_logits"], strict=True):
        logits = session(np.array([[token], [tokens[0]], [token]]))
        assert np.abs(logits[[0, 2], 0] - wanted).max() <= model.tolerance


@pytest.mark.parametrize("experts", FLOWLESS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_stacks_in_8_bits_without_control_flow(
    runtime: str, experts: Experts, tmp_path: Path
) -> None:
    program = in_f32(load_spec("deepseek_v3", **SIZES))
    weights = with_scales(random_weights(build(program), 1))
    tokens = np.random.default_rng(2).integers(0, 96, (2, 9))
    expected = Session.open(fill(build(program), weights, tmp_path), batch=2)(tokens)
    data = build(program, Options(experts=experts, form="expanded"))
    path = fill(data, weights, tmp_path)
    assert np.abs(Session.open(path, batch=2)(tokens) - expected).max() <= 2e-5
    found = Session.start(RUNTIMES[runtime](path), batch=2)(tokens)
    assert np.abs(found - expected).max() <= 2e-5


@needs_references
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_released_experts_run_elsewhere(runtime: str, tmp_path: Path) -> None:
    model = reference("qwen3_moe")
    path = fill(build(model.program(), Options(experts="released")), model.weights, tmp_path)
    logits = Session.start(RUNTIMES[runtime](path))(model.arrays["input_ids"][None])
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance


@pytest.mark.parametrize("dtype", ["bf16", "f8e4m3"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_released_experts_in_narrow_floats_run_elsewhere(
    runtime: str, dtype: str, tmp_path: Path
) -> None:
    """They grow behind the If that picks them: OpenVINO gave NaNs for that."""
    table = {"bf16": "qwen3_moe", "f8e4m3": "deepseek_v3"}[dtype]
    program = load_spec(table, **(SIZES if dtype == "f8e4m3" else GROUPED))
    data = build(program, Options(experts="released"))
    weights = with_scales(random_weights(data, 1))
    path = fill(data, weights, tmp_path)
    tokens = np.random.default_rng(2).integers(0, 96, (1, 9))
    expected = Session.open(path)(tokens)
    assert np.abs(expected).max() > 1
    session = Session.start(RUNTIMES[runtime](path))
    found = np.concatenate([session(tokens[:, :1]), session(tokens[:, 1:])], axis=1)
    assert np.abs(found - expected).max() <= 2e-5


@pytest.mark.parametrize("heads", [2, 12])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_choice_of_forwards_whatever_their_width(
    runtime: str, heads: int, tmp_path: Path
) -> None:
    """All heads together narrower than the model, and wider: OpenVINO took one for memory of
    the other (see once.py), and the reference above has them equal."""
    sizes = {**SIZES, "weight_format": "f32", "n_heads": heads, "inter_dim": 1000}
    data = build(in_f32(load_spec("deepseek_v3", **sizes)))
    path = fill(data, random_weights(data, 1), tmp_path)
    tokens = np.random.default_rng(2).integers(0, 96, (1, 12))
    expected = Session.open(path)(tokens)
    session = Session.start(RUNTIMES[runtime](path))
    parts = [session(tokens[:, a:b]) for a, b in ((0, 1), (1, 10), (10, 11), (11, 12))]
    assert np.abs(np.concatenate(parts, axis=1) - expected).max() <= 2e-5


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_stacks_in_8_bits(runtime: str, tmp_path: Path) -> None:
    """OpenVINO takes no Scan whose body reads values around it."""
    program = in_f32(load_spec("deepseek_v3", **SIZES))
    path = fill(build(program), with_scales(random_weights(build(program), 1)), tmp_path)
    if runtime == "openvino":
        with pytest.raises(RuntimeError, match="Scan"):
            RUNTIMES[runtime](path)
        return
    tokens = np.random.default_rng(2).integers(0, 96, (1, 9))
    expected = Session.open(path)(tokens)
    assert np.abs(expected).max() > 1
    assert np.abs(Session.start(RUNTIMES[runtime](path))(tokens) - expected).max() <= 2e-5


@needs_references
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["deepseek_v3", "llama"])
def test_functions_run_elsewhere(runtime: str, name: str, tmp_path: Path) -> None:
    model = reference(name)
    path = fill(build(model.program(), Options(onnx_form="functions")), model.weights, tmp_path)
    if runtime == "openvino":
        with pytest.raises(RuntimeError, match="OpConversionFailure"):
            RUNTIMES[runtime](path)
        return
    logits = Session.start(RUNTIMES[runtime](path))(model.arrays["input_ids"][None])
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance


@needs_references
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_operators_of_onnxruntime_run_nowhere_else(runtime: str, tmp_path: Path) -> None:
    model = reference("qwen3_moe")
    path = fill(build(model.program(), Options(ops="ort")), model.weights, tmp_path)
    with pytest.raises(Exception, match=r"MoE"):
        Session.start(RUNTIMES[runtime](path))(model.arrays["input_ids"][None])


#: Decodes in OpenVINO and leaves what it gave in a file: it may die, and then it alone does.
DECODE = """
import sys
from pathlib import Path
import numpy as np
from tests.onnx.runtimes import openvino
from tests.onnx.session import Session
tokens = np.load(sys.argv[2])
session = Session.start(openvino(Path(sys.argv[1])), len(tokens))
found = [session(tokens[:, :6])] + [session(tokens[:, i : i + 1]) for i in range(6, 14)]
np.save(sys.argv[3], np.concatenate(found, axis=1))
"""


@pytest.mark.parametrize(("table", "rows"), [("llama", 2), ("olmoe", 1)])
def test_many_steps_in_openvino(table: str, rows: int, tmp_path: Path) -> None:
    """Rows of dense models, and one row of a mixture; of more rows docs/onnx.md says what is wrong."""
    pytest.importorskip("openvino", reason="openvino is not installed (extra `test`)")
    sizes = MIXED if table == "olmoe" else {n: s for n, s in MIXED.items() if "experts" not in n}
    program = in_f32(load_spec(table, **sizes))
    weights = drawn(program, 0)
    weights = {name: array / array.ndim**2 for name, array in weights.items()}
    path = fill(build(program), weights, tmp_path)
    tokens = np.random.default_rng(0).integers(0, 128, (rows, 14))
    np.save(tmp_path / "tokens.npy", tokens)
    names = [str(path), str(tmp_path / "tokens.npy"), str(tmp_path / "found.npy")]
    done = subprocess.run([sys.executable, "-c", DECODE, *names], cwd=REPOSITORY, check=False)
    assert done.returncode == 0
    expected = Session.open(path, rows)(tokens)
    assert np.abs(np.load(names[2]) - expected).max() <= 2e-5
