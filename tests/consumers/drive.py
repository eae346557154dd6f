"""One runtime on one case: `python drive.py RUNTIME FOLDER` prints what came of it as a line of JSON.

It runs in the runtime's own environment, and so knows numpy and nothing of specgen.  A runtime is
a file in `runtimes/` with `versions() -> dict` and `open_graph(path) -> Call`: a function from the
inputs of a graph to its outputs, by name.
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]
Call = Callable[[Arrays], Arrays]


def drive(runtime: str, folder: Path) -> dict[str, object]:
    """The largest difference to the logits of each graph, or what it was refused with."""
    sys.path.insert(0, str(Path(__file__).parent / "runtimes"))
    module = importlib.import_module(f"on_{runtime}")
    found: dict[str, object] = {"versions": module.versions()}
    calls = np.load(folder / "calls.npz", allow_pickle=False)
    stage = "opening prefill.onnx"
    try:
        graphs = {}
        for name in ("prefill", "decode"):
            stage = f"opening {name}.onnx"
            graphs[name] = module.open_graph(folder / f"{name}.onnx")
        cache: dict[str, np.ndarray] = {
            name: np.zeros(shape, np.float32)
            for name, shape in cached(folder / "prefill.onnx").items()
        }
        worst = dict.fromkeys(graphs, 0.0)
        number = 0
        while f"{number}.graph" in calls:
            name = str(calls[f"{number}.graph"])
            stage = f"call {number}, of {name}.onnx"
            given = {
                key.removeprefix(f"{number}.in."): calls[key]
                for key in calls
                if key.startswith(f"{number}.in.")
            }
            results = graphs[name]({**given, **cache})
            wanted = calls[f"{number}.logits"]
            difference = float(np.abs(results["logits"] - wanted).max())
            worst[name] = max(worst[name], difference if difference == difference else np.inf)
            cache = {key: results[key.replace("past_key_values", "present")] for key in cache}
            number += 1
        assert number > 1
        found["differences"] = worst
    except Exception as error:
        found["refused"] = f"{stage}: {type(error).__name__}: {first_line(error)}"
        traceback.print_exc()
    return found


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")[
        :300
    ]


def cached(path: Path) -> dict[str, tuple[int, ...]]:
    """The inputs that are caches, with their shapes; all have these beside calls.npz."""
    shapes = json.loads((path.parent / "caches.json").read_text())
    return {name: tuple(shape) for name, shape in shapes.items()}


if __name__ == "__main__":
    print(json.dumps(drive(sys.argv[1], Path(sys.argv[2]))))
