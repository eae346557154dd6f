"""Small models as static graphs, the calls of a conversation, and the logits that transformers gives.

A folder holds prefill.onnx and decode.onnx, complete with weights, and calls.npz: for the call of
number i, `i.graph` names the graph, `i.in.NAME` are the inputs that are no cache, and `i.logits`
what is to come out for `i.kept` of the tokens, the last ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from specgen.backends.onnx.options import Options
from tests.onnx.references import Reference, reference
from tests.onnx.session import fill, onnx
from tests.onnx.static import graphs
from tests.references import saved

FAMILIES = ("llama", "gpt2", "qwen3_moe", "gemma2", "gpt_oss", "deepseek_v3")

#: New tokens of the prefill, tokens decoded after it, and slots of the cache.
PROMPT, DECODED, CONTEXT = 16, 16, 40


def write_case(family: str, options: Mapping[str, Any], folder: Path) -> None:
    """The graphs of a family under some options beside those of `static`, and its calls."""
    model = reference(family)
    static = f"batch=1,prefill={PROMPT},context={CONTEXT}"
    chosen = Options(static=static, **options)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in graphs(model.program(), chosen).items():
        place = folder / name.removesuffix(".onnx")
        place.mkdir(exist_ok=True)
        whole = fill(data, model.weights, place)
        embed(whole, folder / name)
    np.savez(folder / "calls.npz", allow_pickle=False, **calls(model, chosen))
    (folder / "caches.json").write_text(json.dumps(caches(folder / "decode.onnx")))


def caches(path: Path) -> dict[str, list[int]]:
    """The inputs of a graph that are caches, with their shapes."""
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in onnx.load(path).graph.input
    }
    return {name: dims for name, dims in shapes.items() if name.startswith("past_key_values.")}


def embed(path: Path, target: Path) -> None:
    """The graph with its weights in the one file."""
    onnx.save(onnx.load(path), target)


def calls(model: Reference, options: Options) -> dict[str, Any]:
    """A prompt and the tokens that transformers likes best after it."""
    tokens = [int(token) for token in model.arrays["input_ids"]][:PROMPT]
    found: dict[str, Any] = {}
    dtype = {"i64": np.int64, "i32": np.int32}[options.index]
    whole, logits = conversation(model, tokens)
    for number in range(1 + DECODED):
        start, stop = (0, PROMPT) if number == 0 else (PROMPT + number - 1, PROMPT + number)
        mask = (np.arange(CONTEXT) < stop)[None]
        given = {
            "input_ids": np.array([whole[start:stop]]),
            "position_ids": np.arange(start, stop)[None],
            "attention_mask": mask,
            "cache_position": np.array([start]),
        }
        found[f"{number}.graph"] = "prefill" if number == 0 else "decode"
        found |= {f"{number}.in.{name}": array.astype(dtype) for name, array in given.items()}
        found[f"{number}.logits"] = logits[None, start:stop]
    return found


def conversation(model: Reference, tokens: list[int]) -> tuple[list[int], np.ndarray]:
    """The tokens with those decoded, and the logits [T, V] of all, by transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(saved(model.name), dtype=torch.float32).eval()
    with torch.no_grad():
        for _ in range(DECODED):
            best = net(torch.tensor([tokens])).logits[0, -1].argmax()
            tokens = [*tokens, int(best)]
        return tokens, net(torch.tensor([tokens])).logits[0].numpy()
