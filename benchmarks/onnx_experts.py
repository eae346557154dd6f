"""What routing saves: ways to compute the chosen experts, beside a table that computes all.

Both are tables of one mixture with the same weights, in onnxruntime in one process; they take
turns, and of each the median CPU time of one thread counts.  Before anything is timed, the
results are compared.  Prints the table of benchmarks/README.md.

    python benchmarks/onnx_experts.py [--rounds N] [--experts N] [--chosen N] [--dim N] [--hidden N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402

from specgen.backends.onnx.build import build  # noqa: E402
from specgen.backends.onnx.options import Options  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402

TABLE = """language 1

use std.ffn       {{ swiglu }}
use std.moe       {{ softmax_router }}

model mixed "One mixture of experts for each layer" {{
  params {{
    vocab_size          : size = 256
    dim                 : size = {dim}
    hidden              : size = {hidden}
    n_layers            : size = {layers}
    n_experts           : size = {experts}
    n_activated_experts : size = {chosen}
  }}

  dtypes {{
    maps = f32
    arrays = f32
    activations = f32
    caches = f32
  }}

  parts {{
    layers[layer] : block × n_layers
  }}

  tensors {{
    embed : [vocab_size, dim]
  }}

  forward(tokens: i64 [B, S]) -> [B, S, dim] {{
    return layers(take(embed, tokens))
  }}

  module block "Router and experts" {{
    parts {{
      router : softmax_router
{parts}
    }}
{rows}
    forward(x: [B, S, dim]) -> [B, S, dim] {{
      weights, index = router(x)
{body}
    }}
  }}
}}
"""

ROUTED = {
    "parts": "      experts[e] : swiglu(width = dim) × n_experts",
    "rows": "",
    "body": "      return x + mixture(experts, x, weights, index)",
}

#: Every expert for every token, weighted by nothing where it was not chosen.
ALL = {
    "parts": "",
    "rows": """
    tensors {
      gate : [n_experts, hidden, dim]
      down : [n_experts, dim, hidden]
      up   : [n_experts, hidden, dim]
    }
""",
    "body": """      same   = cast(rearrange(index, "b s k -> b s k 1") == iota(n_experts), like = x)
      share  = sum(rearrange(weights, "b s k -> b s k 1") * same, over = -2)
      h      = silu(einsum("b s d, e h d -> b s e h", x, gate)) * einsum("b s d, e h d -> b s e h", x, up)
      each   = einsum("b s e h, e d h -> b s e d", h, down)
      return x + einsum("b s e d, b s e -> b s d", each, share)""",
}

#: What the routed table's stacks are called in the other.
NAMES = {"w1": "gate", "w2": "down", "w3": "up"}

WHOLE = "all experts, written out in the table"

SIZES = {"dim": 512, "hidden": 256, "layers": 2, "experts": 64, "chosen": 4}


def opened(folder: Path, body: Mapping[str, str], sizes: Mapping[str, int], **options: Any) -> Any:
    """The table as a graph in onnxruntime; equal tensors of all tables have equal values."""
    folder.mkdir()
    spec = folder / "mixed.dsv3"
    spec.write_text(TABLE.format(**sizes, **body))
    data = build(load_program(spec), Options(weights="reference", **options))
    path = folder / "model.onnx"
    path.write_bytes(data)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    with (folder / "model.onnx.data").open("wb") as file:
        for tensor in model.graph.initializer:
            head, _, last = (
                tensor.name.removesuffix(".weight").replace(".experts.{e}.", ".").rpartition(".")
            )
            key = f"{head}.{NAMES.get(last, last)}".encode()
            rng = np.random.default_rng(list(key))
            values = rng.standard_normal(tuple(tensor.dims), np.float32)
            place = {entry.key: entry.value for entry in tensor.external_data}
            file.seek(int(place["offset"]))
            file.write((values / tensor.dims[-1] ** 0.5).tobytes())
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    for name, default in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    sizes = {name: getattr(given, name) for name in SIZES}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        programs = {
            WHOLE: opened(folder / "all", ALL, sizes),
            "`--experts loop`": opened(folder / "loop", ROUTED, sizes),
            "`--experts gathered`": opened(folder / "gathered", ROUTED, sizes, experts="gathered"),
            "`--experts dense`": opened(folder / "dense", ROUTED, sizes, experts="dense"),
            "`--ops ort`: com.microsoft.MoE": opened(folder / "ort", ROUTED, sizes, ops="ort"),
        }
        print(", ".join(f"{name} {size}" for name, size in sizes.items()), "\n")
        print("| tokens | | ms (median) | of all experts |\n|---:|---|---:|---:|")
        for count in (1, 16, 128):
            tokens = np.random.default_rng(1).integers(0, 256, (1, count))
            feeds = {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "position_ids": np.arange(count)[None],
            }
            expected = programs[WHOLE].run(["logits"], feeds)[0]
            times: dict[str, list[float]] = {name: [] for name in programs}
            for name, session in programs.items():
                found = session.run(["logits"], feeds)[0]
                assert np.abs(found - expected).max() < 1e-4, name
            for _ in range(given.rounds):
                for name, session in programs.items():
                    start = time.process_time()
                    session.run(["logits"], feeds)
                    times[name].append(time.process_time() - start)
            medians = {name: statistics.median(found) for name, found in times.items()}
            for name, seconds in medians.items():
                ratio = seconds / medians[WHOLE]
                print(f"| {count} | {name} | {1000 * seconds:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
