"""Apache TVM: relax, compiled for the CPU with LLVM."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def versions():
    return {"apache-tvm": version("apache-tvm")}


def open_graph(path):
    model = onnx.load(path)
    takes = [value.name for value in model.graph.input]
    gives = [value.name for value in model.graph.output]
    module = from_onnx(model, keep_params_in_input=False)
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())

    def call(given):
        arguments = [tvm.runtime.tensor(np.ascontiguousarray(given[name])) for name in takes]
        results = machine["main"](*arguments)
        results = [results] if hasattr(results, "numpy") else list(results)
        return {name: one.numpy() for name, one in zip(gives, results, strict=True)}

    return call
