"""OpenVINO, on the CPU, in f32."""

from __future__ import annotations

import openvino


def versions():
    return {"openvino": openvino.__version__.partition("-")[0]}


def open_graph(path):
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    takes = {value.any_name for value in compiled.inputs}

    def call(given):
        results = compiled({name: array for name, array in given.items() if name in takes})
        return {name: results[value] for value in compiled.outputs for name in value.names}

    return call
