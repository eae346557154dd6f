"""onnxruntime-node: a process of Node.js beside this one, asked a line of JSON at a time."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("node.cjs")


def versions():
    package = modules() / "onnxruntime-node" / "package.json"
    return {"onnxruntime-node": json.loads(package.read_text())["version"]}


def modules():
    return Path(sys.prefix) / "node_modules"


def open_graph(path):
    process = subprocess.Popen(
        ["node", SCRIPT, modules() / "onnxruntime-node", path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    takes = answer(process)["takes"]

    def call(given):
        feeds = {name: packed(given[name]) for name in takes}
        process.stdin.write(json.dumps(feeds) + "\n")
        process.stdin.flush()
        return {name: unpacked(one) for name, one in answer(process)["gives"].items()}

    return call


def answer(process):
    line = process.stdout.readline()
    found = json.loads(line) if line else {"error": "the process has ended"}
    if "error" in found:
        raise RuntimeError(found["error"])
    return found


def packed(array):
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": str(array.dtype), "dims": array.shape, "data": data}


def unpacked(one):
    data = np.frombuffer(base64.b64decode(one["data"]), one["type"])
    return data.reshape(one["dims"])
