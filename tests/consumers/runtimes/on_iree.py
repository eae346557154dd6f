"""IREE: compiled for the CPU with LLVM."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import iree.runtime
import numpy as np
import onnx


def versions():
    return {name: version(name) for name in ("iree-base-compiler", "iree-base-runtime")}


def open_graph(path):
    tools = Path(sys.executable).parent
    source, binary = path.with_suffix(".mlir"), path.with_suffix(".vmfb")
    run(tools / "iree-import-onnx", path, "-o", source)
    target = ("--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu")
    run(tools / "iree-compile", source, *target, "--iree-llvmcpu-target-cpu=host", "-o", binary)
    graph = onnx.load(path).graph
    takes, gives = ([value.name for value in values] for values in (graph.input, graph.output))
    config = iree.runtime.Config("local-task")
    context = iree.runtime.SystemContext(config=config)
    context.add_vm_module(iree.runtime.VmModule.copy_buffer(context.instance, binary.read_bytes()))
    (entry,) = (one for name, one in context.modules.items() if name not in ("hal", "vm"))
    function = (
        entry[graph.name] if graph.name in entry.vm_module.function_names else entry["main_graph"]
    )

    def call(given):
        results = function(*(np.ascontiguousarray(given[name]) for name in takes))
        results = results if isinstance(results, tuple | list) else [results]
        return {name: np.asarray(one) for name, one in zip(gives, results, strict=True)}

    return call


def run(*words):
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
