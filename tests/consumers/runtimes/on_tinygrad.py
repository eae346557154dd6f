"""tinygrad, which compiles with clang."""

from __future__ import annotations

from importlib.metadata import version

from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner


def versions():
    return {"tinygrad": version("tinygrad")}


def open_graph(path):
    runner = OnnxRunner(path)
    takes = list(runner.graph_inputs)

    def call(given):
        results = runner({name: Tensor(given[name]) for name in takes})
        return {name: one.numpy() for name, one in results.items()}

    return call
