"""Runtimes other than onnxruntime, asked for inputs, outputs and results as onnxruntime is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.onnx.session import Arrays, onnx


@dataclass(frozen=True)
class Value:
    name: str
    shape: list[str | int]


@dataclass(frozen=True)
class Opened:
    """A graph in a runtime: `evaluate` gives each output by its name."""

    graph: Any
    evaluate: Callable[[Arrays], Arrays]

    def get_inputs(self) -> list[Value]:
        return [described(value) for value in self.graph.input]

    def get_outputs(self) -> list[Value]:
        return [described(value) for value in self.graph.output]

    def run(self, names: Sequence[str], feeds: Arrays) -> list[np.ndarray]:
        results = self.evaluate(feeds)
        return [results[name] for name in names]


def described(value: Any) -> Value:
    dims = value.type.tensor_type.shape.dim
    return Value(value.name, [dim.dim_param or dim.dim_value for dim in dims])


def reference_evaluator(path: Path) -> Opened:
    """The standard's own: the definition of each operator in Python."""
    model = onnx.load(path)
    evaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator(model)
    names = [value.name for value in model.graph.output]
    return Opened(
        model.graph, lambda feeds: dict(zip(names, evaluator.run(names, feeds), strict=True))
    )


def openvino(path: Path) -> Opened:
    """OpenVINO on the CPU, in f32."""
    ov = pytest.importorskip("openvino", reason="openvino is not installed (extra `test`)")
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    core = ov.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", settings)
    taken = {name for port in compiled.inputs for name in port.get_names()}

    def evaluate(feeds: Arrays) -> Arrays:
        results = compiled({name: array for name, array in feeds.items() if name in taken})
        # Its arrays are windows on memory that the next call writes.
        return {
            name: np.array(results[port]) for port in compiled.outputs for name in port.get_names()
        }

    model = onnx.load(path, load_external_data=False)
    return Opened(model.graph, evaluate)


RUNTIMES = {"reference evaluator": reference_evaluator, "openvino": openvino}
