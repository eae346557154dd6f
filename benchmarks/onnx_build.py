"""What it takes to get a graph without weights: whole processes, specgen and its peers in turn.

DeepSeek-V3 with its released sizes and fewer layers and experts, so that the peers finish.  Theirs
grow with the layers (and mobius' with the experts of each), and their full-size figures stand in
benchmarks/README.md.  Needs onnxscript for torch.onnx.export; mobius-onnx may be installed here
or for another Python, whose path is given.

    python benchmarks/onnx_build.py [--rounds N] [--layers N] [--experts N] [--mobius PYTHON]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from startup import CONFIG, ROOT, Job, alternate, ratio

sys.path.insert(0, str(ROOT))

from specgen.frontend.load import load_program
from specgen.huggingface.reading import overrides_from_config

SPEC = "specs/deepseek_v3.dsv3"
FULL = "specs/deepseek_v3.dsv3@v3_671b"

#: Runs a program with another Python in the place of this process.
OTHER = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


def built(*arguments: str) -> Callable[[str], Sequence[str]]:
    return lambda scratch: [
        *("-m", "specgen", "build", *arguments, "--target", "onnx", "-o", f"{scratch}/out")
    ]


def peers(folder: Path, mobius: str | None) -> list[Job]:
    """torch.onnx.export, and mobius if it is there."""
    own = Path(__file__).parent
    export, direct = str(own / "onnx_export.py"), str(own / "onnx_mobius.py")
    jobs = [
        Job(
            "torch.onnx.export, fake weights",
            lambda scratch: [export, str(folder), f"{scratch}/model.onnx", "--fake"],
            "off",
        )
    ]
    if mobius is None and importlib.util.find_spec("mobius") is None:
        print("mobius-onnx is not installed, and no --mobius given: it is left out\n")
        return jobs
    python = mobius or sys.executable
    jobs.append(
        Job(
            "mobius",
            lambda scratch: ["-c", OTHER, python, direct, str(folder), f"{scratch}/out"],
            "off",
        )
    )
    return jobs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--experts", type=int, default=16)
    parser.add_argument("--mobius", metavar="PYTHON")
    arguments = parser.parse_args()

    config = json.loads(CONFIG.read_text())
    config |= {"num_hidden_layers": arguments.layers, "n_routed_experts": arguments.experts}
    for key in ("quantization_config", "torch_dtype"):  # for the peers, everything is float32
        config.pop(key, None)
    config |= {"first_k_dense_replace": 1}
    given = overrides_from_config(load_program(ROOT / SPEC), config)
    defines = [part for name, value in given.items() for part in ("-D", f"{name}={spelt(value)}")]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        jobs = peers(Path(folder), arguments.mobius)
        ours = Job("`specgen build`", built(SPEC, *defines), "fresh")
        alternate([*jobs, ours], arguments.rounds)
    full = Job("`specgen build`, 61 layers × 256 experts", built(FULL), "fresh")
    alternate([full], arguments.rounds)
    print(f"{arguments.layers} layers × {arguments.experts} experts, {arguments.rounds} rounds\n")
    print("| whole process | seconds (median) | peak MB | specgen is faster by |")
    print("|---|---:|---:|---:|")
    for job in (*jobs, ours, full):
        costs = f"{statistics.median(job.seconds):.2f} | {max(job.peak_mb):.0f}"
        print(f"| {job.name} | {costs} | {'' if job is full else f'{ratio(job, ours):.0f}'} |")


def spelt(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
