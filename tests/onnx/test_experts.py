"""Only the experts that some token chose are computed: counted, in what onnxruntime ran.

benchmarks/onnx_experts.py says what that saves.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Ops, Options
from specgen.frontend.load import load_program
from specgen.ir.model import Program
from tests.onnx.checkpoints import quantised, random_weights
from tests.onnx.references import Override, in_f32, load_spec
from tests.onnx.session import Session, fill, ort, parsed

pytestmark = pytest.mark.slow

EXPERTS, CHOSEN, MATRICES = 64, 4, 3

#: The hidden width of an expert, which nothing else has.
WIDTH = 20

SIZES: dict[str, Override] = {
    "vocab_size": 64, "dim": 32, "inter_dim": 32, "moe_inter_dim": WIDTH, "n_layers": 2,
    "n_heads": 2, "n_activated_experts": CHOSEN,
}  # fmt: skip

TABLES: dict[str, dict[str, Override]] = {
    "qwen3_moe": {**SIZES, "n_experts": EXPERTS, "n_kv_heads": 1, "head_dim": 16},
    "deepseek_v3": {
        **SIZES, "n_routed_experts": EXPERTS, "n_dense_layers": 1, "q_lora_rank": 8,
        "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
        "n_expert_groups": 1, "n_limited_groups": 1, "n_shared_experts": 2,
    },
}  # fmt: skip


def checkpoint(program: Program) -> dict[str, np.ndarray]:
    """Random weights, of 8 bits where the program stores them so."""
    weights = random_weights(build(program), 1)
    for scale in [name for name in weights if name.endswith("_scale_inv")]:
        name = scale.removesuffix("_scale_inv")
        weights[name], weights[scale], _ = quantised(weights[name])
    return weights


def products(program: Program, options: Options, tokens: np.ndarray, folder: Path) -> int:
    """How many matrix products of experts were computed for the tokens.

    They are told from others by the width that only experts have.
    """
    settings = ort.SessionOptions()
    settings.enable_profiling = True
    settings.profile_file_prefix = str(folder / "profile")
    path = fill(build(program, options), checkpoint(program), folder)
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    Session.start(session, len(tokens))(tokens)
    events = json.loads(Path(session.end_profiling()).read_text())
    ran = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    return sum(
        any(WIDTH in shape for dtypes in args["input_type_shape"][:2] for shape in dtypes.values())
        for args in ran
        if args["op_name"] in ("Gemm", "FusedGemm", "MatMul")
    )


@pytest.mark.parametrize("ops", ["standard", "primitive"])
@pytest.mark.parametrize("name", ["qwen3_moe", "deepseek_v3"])
def test_one_token_computes_the_experts_that_it_chose(name: str, ops: Ops, tmp_path: Path) -> None:
    """A Loop over those of the first table, stored in f32, and a Scan for the other's 8 bits."""
    program = in_f32(load_spec(name, **TABLES[name]))
    if name == "deepseek_v3" and ops == "primitive":
        program = in_f32(load_spec(name, **TABLES[name], weight_format="f32"))
    layers = {"qwen3_moe": 2, "deepseek_v3": 1}[name]
    found = products(program, Options(ops=ops), np.array([[3]]), tmp_path)
    assert found == layers * MATRICES * CHOSEN


def test_many_tokens_compute_each_expert_at_most_once(tmp_path: Path) -> None:
    program = in_f32(load_spec("qwen3_moe", **TABLES["qwen3_moe"]))
    tokens = np.random.default_rng(0).integers(0, 64, (2, 40))
    found = products(program, Options(), tokens, tmp_path)
    assert 2 * MATRICES * CHOSEN < found <= 2 * MATRICES * EXPERTS
    assert found % MATRICES == 0


def test_the_operator_of_onnxruntime_takes_the_place_of_the_loop() -> None:
    """It chooses by itself; nothing of it is seen from outside."""
    program = in_f32(load_spec("qwen3_moe", **TABLES["qwen3_moe"]))
    graph = parsed(build(program, Options(ops="ort"))).graph
    found = Counter(node.op_type for node in graph.node)
    assert found["MoE"] == 2
    assert "Loop" not in found


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize(
    ("share", "exact"),
    [
        ("softmax", True),
        ("sharp", True),  # weights that are exactly zero have no logarithm
        ("signed", False),  # nor have those below
        ("twice", False),  # a token that chooses an expert twice
    ],
)
def test_the_operator_of_onnxruntime_is_used_where_it_is_exact(
    share: str, exact: bool, bias: bool, tmp_path: Path
) -> None:
    table = load_program(
        Path(__file__).with_name("mixtures.dsv3"), None, {"share": share, "bias": bias}
    )
    data = {ops: build(table, Options(ops=ops)) for ops in get_args(Ops)}
    assert ("MoE" in {node.op_type for node in parsed(data["ort"]).graph.node}) == exact
    weights = random_weights(data["standard"], 5)
    tokens = np.random.default_rng(3).integers(0, 40, (2, 7))
    logits = {
        ops: Session.open(fill(graph, weights, tmp_path), 2)(tokens) for ops, graph in data.items()
    }
    expected = mixed(tokens, weights, share)
    for ops, found in logits.items():
        assert np.abs(found - expected).max() <= 1e-5, ops


def mixed(tokens: np.ndarray, weights: dict[str, np.ndarray], share: str) -> np.ndarray:
    """The table written out in numpy."""
    x = weights["embed"][tokens]
    scores = x @ weights["router.weight"].T
    index = np.argsort(-scores, -1)[..., :2]
    best = np.take_along_axis(scores, index, -1)
    exponents = np.exp((best - best.max(-1, keepdims=True)) * (1000 if share == "sharp" else 1))
    shares = exponents / exponents.sum(-1, keepdims=True)
    if share == "softmax":
        shares = shares * 2.5
    elif share == "signed":
        shares = best
    elif share == "twice":
        index = np.stack([index[..., 0]] * 2, -1)
    result = x.copy()
    for place in np.ndindex(index.shape):
        row, at = x[place[:-1]], f"experts.{index[place]}"
        a, b = (
            row @ weights[f"{at}.{w}.weight"].T + weights.get(f"{at}.{w}.bias", 0)
            for w in ("w1", "w3")
        )
        y = a / (1 + np.exp(-a)) * b
        result[place[:-1]] += shares[place] * (
            y @ weights[f"{at}.w2.weight"].T + weights.get(f"{at}.w2.bias", 0)
        )
    return result
