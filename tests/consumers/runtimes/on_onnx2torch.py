"""onnx2torch: the graph as a module of PyTorch."""

from __future__ import annotations

import sys
from importlib.metadata import version
from unittest.mock import MagicMock

import onnx
import torch

# It takes from torchvision what no language model has, and torchvision wants a torch of its own.
for name in ("torchvision", "torchvision.ops"):
    sys.modules[name] = MagicMock()

from onnx2torch import convert  # noqa: E402


def versions():
    return {name: version(name) for name in ("onnx2torch", "torch")}


def open_graph(path):
    model = onnx.load(path)
    takes = [value.name for value in model.graph.input]
    gives = [value.name for value in model.graph.output]
    module = convert(model)

    def call(given):
        with torch.no_grad():
            results = module(*(torch.from_numpy(given[name].copy()) for name in takes))
        results = results if isinstance(results, tuple | list) else [results]
        return {name: one.numpy() for name, one in zip(gives, results, strict=True)}

    return call
