"""A graph with weights from a checkpoint, run in onnxruntime as a client would run it.

Knows the file (model.onnx, its data file) and the contract's names; nothing of the compiler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

Arrays = Mapping[str, np.ndarray]

#: TensorProto.DataType of the floats that numpy lacks, as the bytes that hold them.
BFLOAT16, FLOAT8E4M3FN = 16, 17


def parsed(data: bytes) -> Any:
    model = onnx.ModelProto()
    model.ParseFromString(data)
    return model


def stored(tensor: Any, weights: Arrays) -> np.ndarray:
    """The initializer's values under its released name; a stack's, one under the other."""
    entries = {entry.key: entry.value for entry in tensor.metadata_props}
    names = [entries.pop("released_name")]
    for index, values in entries.items():
        first, _, last = values.partition("..")
        names = [
            name.replace(f"{{{index}}}", str(i))
            for name in names
            for i in range(int(first), int(last) + 1)
        ]
    values = np.stack([weights[name] for name in names]).reshape(tuple(tensor.dims))
    if tensor.data_type == BFLOAT16:
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if tensor.data_type == FLOAT8E4M3FN:
        assert values.dtype == np.uint8
    return values


def fill(data: bytes, weights: Arrays, folder: Path) -> Path:
    """model.onnx and its data file in a folder, every initializer from the checkpoint."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    with (folder / "model.onnx.data").open("wb") as file:
        for tensor in parsed(data).graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            values = stored(tensor, weights)
            assert values.nbytes == int(place["length"]), tensor.name
            file.seek(int(place["offset"]))
            file.write(values.tobytes())
    return path


@dataclass
class Session:
    """A graph in onnxruntime, with the cache of the tokens that it has seen."""

    session: Any
    cache: dict[str, np.ndarray]
    mask: np.ndarray

    @staticmethod
    def open(path: Path, batch: int = 1) -> Session:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        cache = {
            value.name: np.zeros(
                [{"batch": batch, "past": 0}.get(d, d) for d in value.shape], np.float32
            )
            for value in session.get_inputs()
            if value.name.startswith("past_key_values.")
        }
        return Session(session, cache, np.zeros((batch, 0), np.int64))

    def __call__(self, tokens: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The logits [batch, sequence, vocabulary] of new tokens; the cache grows by them."""
        new = np.ones_like(tokens) if mask is None else mask
        self.mask = np.concatenate([self.mask, new], axis=1)
        positions = np.maximum(np.cumsum(self.mask, axis=1) - 1, 0)[:, -tokens.shape[1] :]
        feeds = {"input_ids": tokens, "attention_mask": self.mask, "position_ids": positions}
        names = [value.name for value in self.session.get_outputs()]
        results = dict(zip(names, self.session.run(names, {**feeds, **self.cache}), strict=True))
        self.cache = {
            name: results[name.replace("past_key_values", "present")] for name in self.cache
        }
        return results["logits"]
