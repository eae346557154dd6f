"""What the released tables do not use, against the same computation written out in numpy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Options
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from tests.onnx.checkpoints import random_weights
from tests.onnx.session import Session, fill, onnx, parsed

SPEC = Path(__file__).with_name("unusual.dsv3")
HEADS, FEATURES, EXPERTS, CHOSEN, LAYERS = 2, 8, 5, 2, 4

Weights = Mapping[str, np.ndarray]


def rms(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gain


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gated(x: np.ndarray, w: Weights, at: str) -> np.ndarray:
    def apply(row: str, x: np.ndarray) -> np.ndarray:
        return x @ w[f"{at}.{row}.weight"].T + w.get(f"{at}.{row}.bias", 0)

    a = apply("gate_proj", x)
    return apply("down_proj", a / (1 + np.exp(-a)) * apply("up_proj", x))


def mixer(x: np.ndarray, mask: np.ndarray, w: Weights, at: str) -> np.ndarray:
    batch, length, _ = x.shape
    q = (x @ w[f"{at}.wq.weight"].T).reshape(batch, length, HEADS, FEATURES)
    k = x @ w[f"{at}.wk.weight"].T
    scores = np.einsum("bshd,btd->bhst", q, k) / np.sqrt(FEATURES)
    seen = np.tril(np.ones((length, length), bool)) & mask[:, None, None, :]
    sinks = np.broadcast_to(w[f"{at}.sink"][None, :, None, None], (batch, HEADS, length, 1))
    scores = np.concatenate([np.where(seen, scores, -np.inf), sinks], -1)
    read = np.einsum("bhst,btd->bshd", softmax(scores)[..., :length], k)
    return read.reshape(batch, length, -1) @ w[f"{at}.wo.weight"].T


def experts(x: np.ndarray, w: Weights, at: str) -> np.ndarray:
    shares = softmax(x @ w[f"{at}.router.weight"].T)
    order = np.argsort(-shares, -1)
    result = np.zeros_like(x)
    for e in range(EXPERTS):
        inside = f"{at}.experts.{e}"
        y = gated(rms(x, w[f"{inside}.norm.weight"]), w, f"{inside}.mlp")
        chosen = (order[..., :CHOSEN] == e).any(-1)
        result += np.where(chosen, shares[..., e], 0)[..., None] * y
    return result


def logits(tokens: np.ndarray, mask: np.ndarray, w: Weights) -> np.ndarray:
    x = w["wte.weight"][tokens]
    for layer in range(LAYERS):
        at = f"layers.{layer}"
        h = x + mixer(x, mask, w, f"{at}.left")
        if layer % 2 == 0:
            x = h - mixer(x, mask, w, f"{at}.right")
            x = x + gated(x, w, f"{at}.ffn")
        else:
            x = h + experts(h, w, f"{at}.ffn") * (2 if layer == 1 else 1)
    result = rms(x, w["norm.weight"]) @ w["head.weight"].T + w["head.bias"]
    return 3 * np.tanh(result / 3)


@pytest.mark.parametrize("ops", ["standard", "primitive"])
def test_unusual_table(ops: str, tmp_path: Path) -> None:
    data = build(load_program(SPEC), Options(ops=ops))
    weights = random_weights(data, 1)
    path = fill(data, weights, tmp_path)
    tokens = np.random.default_rng(2).integers(0, 48, (2, 9))
    mask = np.ones_like(tokens)
    mask[1, :3] = 0
    expected = logits(tokens, mask == 1, weights)
    full = Session.open(path, 2)(tokens, mask)
    session = Session.open(path, 2)
    pieces = [session(tokens[:, a:b], mask[:, a:b]) for a, b in ((0, 5), (5, 6), (6, 9))]
    for found in (full, np.concatenate(pieces, axis=1)):
        assert np.abs(found - expected)[mask == 1].max() <= 1e-5
    onnx.checker.check_model(parsed(data), full_check=True)
    onnx.shape_inference.infer_shapes(parsed(data), strict_mode=True, data_prop=True)


def test_caches_of_one_name_in_one_layer_are_told_apart() -> None:
    names = [value.name for value in parsed(build(load_program(SPEC))).graph.input]
    assert names[3:6] == [
        "past_key_values.0.key",
        "past_key_values.0.right.key",
        "past_key_values.1.key",
    ]


def edited(folder: Path, *edits: tuple[str, str]) -> Path:
    text = SPEC.read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    path = folder / "edited.dsv3"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ((("dim, bias = true)", "dim × (1 + e), bias = true)"),
          ('module expert "An expert with a norm and biases" {',
           'module expert "An expert" {\n    params { e : count }')),
         "differ"),
    ],
    ids=["experts of several widths"],
)  # fmt: skip
def test_what_onnx_cannot_express_is_a_diagnostic(
    edits: tuple[tuple[str, str], ...], reason: str, tmp_path: Path
) -> None:
    program = load_program(edited(tmp_path, *edits))
    with pytest.raises(SpecError) as caught:
        build(program)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0905"
    assert reason in diagnostic.message


def test_tokens_of_another_name_are_an_input_of_that_name(tmp_path: Path) -> None:
    renamed = ("tokens: i64 [B, S], mask: bool", "ids: i64 [B, S], mask: bool")
    program = load_program(edited(tmp_path, renamed, ("embed(tokens)", "embed(ids)")))
    graph = parsed(build(program, Options(weights="reference"))).graph
    inputs = [value.name for value in graph.input]
    assert [name for name in inputs if not name.startswith("past_key_values.")] == ["ids", "mask"]
