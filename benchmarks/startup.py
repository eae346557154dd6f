"""What a whole process costs: specgen's main jobs beside transformers counting the same model.

Every figure is a ratio within one run: the programs take turns, so that a busy machine slows
all of them, and the median of the rounds counts.  Prints the table of benchmarks/README.md.

    python benchmarks/startup.py [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SPEC = "specs/deepseek_v3.dsv3@v3_671b"
CONFIG = ROOT / "generated" / "deepseek_v3" / "v3_671b" / "config.json"

#: transformers at what specgen does: this model, on the meta device, and its exact count.
TRANSFORMERS = f"""
import json, torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
config = DeepseekV3Config(**json.load(open({str(CONFIG)!r})))
with torch.device("meta"):
    model = DeepseekV3ForCausalLM(config)
total = sum(t.numel() for t in model.state_dict().values())
assert total == 671026419200, total
"""


@dataclass
class Job:
    """A program to run: its arguments, given a scratch folder and a cache folder."""

    name: str
    command: Callable[[str], Sequence[str]]
    cache: str  # "fresh", "kept" or "off"
    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def run(self, kept_cache: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            caches = {"fresh": f"{scratch}/cache", "kept": kept_cache, "off": "off"}
            environment = {**os.environ, "SPECGEN_CACHE": caches[self.cache]}
            # All programs run from bytecode, as after an installation; the first round writes it.
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            started = time.perf_counter()
            child = subprocess.Popen(
                [sys.executable, *self.command(scratch)],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            elapsed = time.perf_counter() - started
            if child.returncode != 0:
                assert child.stderr is not None
                sys.exit(f"{self.name} failed:\n{child.stderr.read().decode()}")
        self.seconds.append(elapsed)
        self.peak_mb.append(usage.ru_maxrss / 1024)


def specgen(*arguments: str) -> Callable[[str], Sequence[str]]:
    return lambda scratch: [
        "-m", "specgen", *(a.replace("SCRATCH", f"{scratch}/out") for a in arguments)
    ]  # fmt: skip


def params(*overrides: str) -> Callable[[str], Sequence[str]]:
    defines = [part for override in overrides for part in ("-D", override)]
    return specgen("params", SPEC, "--format", "json", *defines)


def alternate(jobs: Sequence[Job], rounds: int) -> None:
    """Runs the jobs in turn; the first round warms the file cache and does not count."""
    with tempfile.TemporaryDirectory() as kept:
        for number in range(rounds + 1):
            for job in jobs:
                job.run(f"{kept}/cache")
            if number == 0:
                for job in jobs:
                    job.seconds.clear()
                    job.peak_mb.clear()


def ratio(slow: Job, fast: Job) -> float:
    """The median over the rounds of slow / fast in the same round."""
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds, strict=True))


def table(peer: Job, jobs: Sequence[Job], wanted: Mapping[str, float]) -> str:
    lines = [
        "| whole process | seconds (median) | peak MB | times faster | wanted |",
        "|---|---:|---:|---:|---:|",
    ]
    for job in (peer, *jobs):
        costs = f"{statistics.median(job.seconds):.3f} | {max(job.peak_mb):.0f}"
        compared = "1 |" if job is peer else f"{ratio(peer, job):.1f} | {wanted[job.name]:g}"
        lines += [f"| {job.name} | {costs} | {compared} |"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds

    peer = Job("transformers, meta device", lambda _: ["-c", TRANSFORMERS], "off")
    jobs = [
        Job("`build`, nothing cached", specgen("build", SPEC, "-o", "SCRATCH"), "fresh"),
        Job("`params`, nothing cached", params(), "fresh"),
        Job("`build`, again", specgen("build", SPEC, "-o", "SCRATCH"), "kept"),
        Job("`params`, again", params(), "kept"),
    ]
    wanted = dict(zip((job.name for job in jobs), (4, 8, 10, 20), strict=True))
    alternate([peer, *jobs], rounds)
    print(f"{SPEC}, {rounds} rounds, Python {sys.version.split()[0]}\n")
    print(table(peer, jobs, wanted))

    released = Job("`params` of 61 layers × 256 experts", params(), "off")
    huge = Job(
        "`params` of 10,000 layers × 10,000 experts",
        params("n_layers=10000", "n_routed_experts=10000"),
        "off",
    )
    alternate([released, huge], 3 * rounds)
    print(
        f"\n{huge.name} takes {ratio(huge, released):.3f} times as long as 61 × 256 (wanted: 1.1)"
    )


if __name__ == "__main__":
    main()
