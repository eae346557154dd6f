"""A graph with weights from a checkpoint, run in onnxruntime as a client would run it.

Knows the file (model.onnx, its data file) and the contract's names; nothing of the compiler.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

Arrays = Mapping[str, np.ndarray]

#: TensorProto.DataType of the floats that numpy lacks, as the bytes that hold them.
BFLOAT16, FLOAT8E4M3FN = 16, 17

#: Operators that compilers for hardware refuse, or whose results have dims that nobody knows.
FLOW = {"If", "Loop", "NonZero", "Scan", "SequenceMap", "Unique"}


def parsed(data: bytes) -> Any:
    model = onnx.ModelProto()
    model.ParseFromString(data)
    return model


def operators(data: bytes) -> set[str]:
    """Those of a graph, its functions and its bodies."""
    model = parsed(data)
    found, waiting = set(), [*model.graph.node, *(n for f in model.functions for n in f.node)]
    while waiting:
        node = waiting.pop()
        found.add(node.op_type)
        waiting += [inner for one in node.attribute for inner in one.g.node]
    return found


def weights_of(model: Any) -> list[Any]:
    """A graph's weights as tensors: its initializers, or the inputs in their place, the last ones."""
    props = {entry.key: entry.value for entry in model.metadata_props}
    inputs = list(model.graph.input)
    given = inputs[len(inputs) - int(props.get("weight_inputs", 0)) :]
    found = list(model.graph.initializer)
    for value in given:
        kind = value.type.tensor_type
        dims = [dim.dim_value for dim in kind.shape.dim]
        props = value.metadata_props
        found.append(
            onnx.TensorProto(
                name=value.name, data_type=kind.elem_type, dims=dims, metadata_props=props
            )
        )
    return found


def settled(model: Any) -> Any:
    """The graph with initializers in the place of weights that are inputs, all in one file."""
    tensors = weights_of(model)[len(model.graph.initializer) :]
    if not tensors:
        return model
    del model.graph.input[-len(tensors) :]
    end = 0
    for tensor in tensors:
        length = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * prod(tensor.dims)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = {"location": "model.onnx.data", "offset": end, "length": length}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        end += -(-length // 4096) * 4096
    model.graph.initializer.extend(tensors)
    return model


def released(model: Any) -> dict[str, list[str]]:
    """The released tensors in each weight: `{e}` in a name is a dim in front of theirs."""
    rules = []
    for entry in model.metadata_props:
        if entry.key == "released_names":
            for line in entry.value.splitlines():
                rule, _, stated = line.partition(",")
                place, name = rule.split(" = ")
                place = re.sub(r"{(\w+)}", r"(?P<\1>\\d+)", place.replace(".", r"\."))
                ends = re.findall(r"(\w+) = (\d+)\.\.(\d+)", stated)
                held = {index: range(int(a), int(b) + 1) for index, a, b in ends}
                rules.append((re.compile(place), name, held))
    found = {}
    for tensor in weights_of(model):
        own = {entry.key: entry.value for entry in tensor.metadata_props}
        pattern = own.get("released_name", tensor.name)
        for place, name, held in rules:
            match = place.fullmatch(tensor.name)
            if match and all(int(v) in held[index] for index, v in match.groupdict().items()):
                pattern = name
                for index, value in match.groupdict().items():
                    pattern = pattern.replace(f"{{{index}}}", value)
        names = [pattern]
        for index, length in zip(re.findall(r"{\w+}", pattern), tensor.dims, strict=False):
            names = [name.replace(index, str(i)) for name in names for i in range(length)]
        found[tensor.name] = names
    return found


def stored(tensor: Any, names: Sequence[str], weights: Arrays) -> np.ndarray:
    """The initializer's values under its released names, one under the other."""
    values = np.stack([weights[name] for name in names]).reshape(tuple(tensor.dims))
    if tensor.data_type == BFLOAT16:
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    if tensor.data_type == FLOAT8E4M3FN:
        assert values.dtype == np.uint8
    return values


def fill(data: bytes, weights: Arrays, folder: Path) -> Path:
    """model.onnx and its data files in a folder, every weight an initializer from the checkpoint."""
    path = folder / "model.onnx"
    model = parsed(data)
    names = released(model)
    model = settled(model)
    path.write_bytes(model.SerializeToString())
    files: dict[str, bytearray] = {}
    for tensor in model.graph.initializer:
        place = {entry.key: entry.value for entry in tensor.external_data}
        values = stored(tensor, names[tensor.name], weights)
        assert values.nbytes == int(place.get("length", values.nbytes)), tensor.name
        file = files.setdefault(place["location"], bytearray())
        start = int(place.get("offset", 0))
        file.extend(bytes(max(0, start + values.nbytes - len(file))))
        file[start : start + values.nbytes] = values.tobytes()
    for location, content in files.items():
        (folder / location).parent.mkdir(exist_ok=True)
        (folder / location).write_bytes(content)
    return path


@dataclass
class Session:
    """A graph in a runtime, with the cache of the tokens that it has seen."""

    session: Any
    cache: dict[str, np.ndarray]
    mask: np.ndarray

    @staticmethod
    def open(path: Path, batch: int = 1) -> Session:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return Session.start(session, batch)

    @staticmethod
    def start(session: Any, batch: int = 1) -> Session:
        """Of a graph that some runtime has opened, which is asked as onnxruntime is."""
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
