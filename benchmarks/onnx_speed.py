"""The graph in onnxruntime beside torch.onnx.export's graph, and beside the generated model.py.

One set of weights, one process, one thread; the three take turns, and of each the median CPU time
counts.  Before anything is timed, the logits are compared.  The export takes minutes: with --keep
its graph stays in a folder and is used again.  Prints the table of benchmarks/README.md.

    python benchmarks/onnx_speed.py [--rounds N] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocator import settle

if __name__ == "__main__":
    settle()

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import torch  # noqa: E402
from speed import pair  # noqa: E402

from specgen.backends.onnx import Options, emit  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface.reading import overrides_from_config  # noqa: E402

SHAPE = "deepseek_v3"
SPEC = ROOT / "specs" / f"{SHAPE}.dsv3"

#: New tokens and all tokens: prompts, and one token behind a context.
CASES = ((512, 512), (1, 512), (1, 2048))
TOLERANCE = 1e-4

Arrays = Mapping[str, np.ndarray]
Step = Callable[[], np.ndarray]


def opened(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feeds(tokens: np.ndarray, past: int) -> dict[str, np.ndarray]:
    """The inputs besides the cache, for tokens [1, new] behind so many others."""
    total = past + tokens.shape[1]
    return {
        "input_ids": tokens,
        "attention_mask": np.ones((1, total), np.int64),
        "position_ids": np.arange(past, total)[None],
    }


def cached(graph: Any, tokens: np.ndarray) -> dict[str, np.ndarray]:
    """The cache that our graph leaves after these tokens, by the names of its inputs."""
    empty = {
        value.name: np.zeros((1, 0, value.shape[2]), np.float32)
        for value in graph.get_inputs()
        if value.name.startswith("past_key_values.")
    }
    if tokens.shape[1] == 0:
        return empty
    names = [name.replace("past_key_values", "present") for name in empty]
    return dict(zip(empty, graph.run(names, {**feeds(tokens, 0), **empty}), strict=True))


def theirs(ours: Arrays, rank: int) -> dict[str, np.ndarray]:
    """The cache as transformers keeps it: one head of the latent, which is `rank` wide, and one of
    the rotary pairs as two halves.
    """
    found = {}
    for name, values in ours.items():
        layer = name.rpartition(".")[0]
        rotary = values[..., rank:]
        halves = np.concatenate([rotary[..., 0::2], rotary[..., 1::2]], axis=-1)
        found[f"{layer}.key"] = values[:, None, :, :rank]
        found[f"{layer}.value"] = halves[:, None]
    return found


@dataclass(frozen=True)
class Programs:
    """The same weights three times: two graphs in onnxruntime, and a module of torch."""

    graph: Any
    export: Any
    model: Any

    def steps(self, new: int, total: int, rounds: int) -> dict[str, Step]:
        """One step of each, behind the same tokens."""
        vocabulary = self.graph.get_outputs()[0].shape[-1]
        tokens = np.random.default_rng(total).integers(0, vocabulary, (1, total))
        before, after = tokens[:, : total - new], tokens[:, total - new :]
        past = cached(self.graph, before)
        given = feeds(after, total - new)
        known = {value.name for value in self.export.get_inputs()}
        other = {
            n: x
            for n, x in {**given, **theirs(past, self.model.config.kv_lora_rank)}.items()
            if n in known
        }
        # model.py's cache grows with each step, by one in thousands.
        cache = self.model.new_cache(1, total + rounds + 1) if new < total else None
        with torch.inference_mode():
            if cache is not None:
                self.model(torch.from_numpy(before), cache=cache)

        def module() -> np.ndarray:
            with torch.inference_mode():
                if cache is None:
                    found = self.model(torch.from_numpy(after))
                else:
                    found = self.model(torch.from_numpy(after), cache=cache)
            logits: np.ndarray = found.numpy()
            return logits

        return {
            "ours": lambda: self.graph.run(["logits"], {**given, **past})[0],
            "export": lambda: self.export.run(["logits"], other)[0],
            "model.py": module,
        }


def measured(steps: Mapping[str, Step], rounds: int) -> tuple[dict[str, float], float]:
    """Median CPU seconds of each, in turn, and the share that the system took of all."""
    results = {name: step() for name, step in steps.items()}
    for name, found in results.items():
        apart = float(np.abs(found - results["ours"]).max())
        if apart > TOLERANCE:
            sys.exit(f"{name} computes something else: logits differ by {apart:.2g}")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.process_time()
            step()
            seconds[name].append(time.process_time() - started)
    after = resource.getrusage(resource.RUSAGE_SELF)
    system, user = after.ru_stime - before.ru_stime, after.ru_utime - before.ru_utime
    return {n: statistics.median(s) for n, s in seconds.items()}, system / (system + user)


def prepared(folder: Path, keep: Path) -> Programs:
    """Random weights, saved by transformers; our graph points into its file, the export copies it."""
    torch.set_num_threads(1)
    made = pair(SHAPE, folder)
    config = json.loads((folder / "config.json").read_text())
    program = load_program(SPEC, None, overrides_from_config(load_program(SPEC), config))
    for name, data in emit(program, Options(checkpoint=folder)).items():
        if isinstance(data, bytes):
            (folder / name).write_bytes(data)
    if not (keep / "export.onnx").exists():
        script = Path(__file__).with_name("onnx_export.py")
        subprocess.run([sys.executable, script, folder, keep / "export.onnx"], check=True)
    return Programs(opened(folder / "model.onnx"), opened(keep / "export.onnx"), made.ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="where the export stays, and is looked for")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keep = arguments.keep or Path(folder)
        programs = prepared(Path(folder), keep)
        print("| new tokens, all tokens | ours, ms | export, ms | × | model.py, ms | × | system |")
        print("|---|---:|---:|---:|---:|---:|---:|")
        for new, total in CASES:
            rounds = arguments.rounds if new == 1 else max(3, arguments.rounds // 3)
            found, system = measured(programs.steps(new, total, rounds), rounds)
            ours = found.pop("ours")
            others = " | ".join(f"{1000 * s:.1f} | {s / ours:.2f}" for s in found.values())
            print(f"| {new}, {total} | {1000 * ours:.1f} | {others} | {system:.0%} |", flush=True)


if __name__ == "__main__":
    main()
