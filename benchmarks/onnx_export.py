"""What people use to get this graph: torch.onnx.export of transformers' class, as a program.

Dynamic batch, sequence and cache, as model.onnx has them.  transformers' default experts do not
export; `batched_mm` does.  With --fake no weights are made, and none are saved.

    python benchmarks/onnx_export.py CHECKPOINT_FOLDER OUTPUT.onnx [--fake]
"""

from __future__ import annotations

import argparse
import logging
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

#: Of the example that is traced: sizes that are told apart, and none of them 1.
BATCH, SEQUENCE, PAST = 2, 5, 7


class Step(torch.nn.Module):
    """The model with its cache as plain tensors: the one form that exports with a cache."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Any, attention_mask: Any, position_ids: Any, past: Any
    ) -> tuple[Any, ...]:
        cache = DynamicCache()
        for layer, (key, value) in enumerate(past):
            cache.update(key, value, layer)
        found = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        return found.logits, *(x for layer in cache.layers for x in (layer.keys, layer.values))


def names(prefix: str, layers: int) -> list[str]:
    return [f"{prefix}.{layer}.{half}" for layer in range(layers) for half in ("key", "value")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--fake", action="store_true")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    ways = {"attn_implementation": "sdpa", "experts_implementation": "batched_mm"}
    config = AutoConfig.from_pretrained(arguments.folder)
    layers = config.num_hidden_layers
    with FakeTensorMode() if arguments.fake else nullcontext():
        if arguments.fake:
            model = AutoModelForCausalLM.from_config(config, **ways)
        else:
            model = AutoModelForCausalLM.from_pretrained(arguments.folder, **ways)
        # transformers keeps DeepSeek's latent as the one key head, the rotary key as the value.
        halves = [
            torch.zeros(BATCH, 1, PAST, width)
            for width in (config.kv_lora_rank, config.qk_rope_head_dim)
        ]
        given = (
            torch.zeros(BATCH, SEQUENCE, dtype=torch.long),
            torch.ones(BATCH, PAST + SEQUENCE, dtype=torch.long),
            torch.arange(PAST, PAST + SEQUENCE).repeat(BATCH, 1),
            [tuple(half.clone() for half in halves) for _ in range(layers)],
        )
        free = torch.export.Dim.DYNAMIC
        two, cache = {0: free, 1: free}, {0: free, 2: free}
        program = torch.onnx.export(
            Step(model.eval()),
            given,
            dynamic_shapes=(two, two, two, [(cache, cache)] * layers),
            dynamo=True,
            opset_version=23,
            input_names=[
                *("input_ids", "attention_mask", "position_ids"),
                *names("past_key_values", layers),
            ],
            output_names=["logits", *names("present", layers)],
            verbose=False,
            optimize=not arguments.fake,  # its optimiser reads the values of weights
        )
        program.save(arguments.output, external_data=True, include_initializers=not arguments.fake)


if __name__ == "__main__":
    main()
