"""onnxruntime, on the CPU."""

from __future__ import annotations

import onnxruntime


def versions():
    return {"onnxruntime": onnxruntime.__version__}


def open_graph(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    takes = {value.name for value in session.get_inputs()}

    def call(given):
        feeds = {name: array for name, array in given.items() if name in takes}
        return dict(zip(names, session.run(names, feeds), strict=True))

    return call
