"""What a whole process costs: specgen's main jobs beside others counting the same model.

Every figure is a ratio within one run: the programs take turns, and the median of the rounds
counts.  Ratios are of CPU time, which a busy machine stretches far less than the clock's.  Prints the table of benchmarks/README.md.

    python benchmarks/startup.py [--rounds N] [--accelerate PYTHON]
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

#: A model that accelerate can build: it allocates each tensor before it empties it, and one of
#: DeepSeek-V3's has 30 GB.
SMALL = "specs/llama.dsv3@llama3_8b"
SMALL_CONFIG = ROOT / "generated" / "llama" / "llama3_8b" / "config.json"

#: transformers at what specgen does: a model on the meta device, and its exact count.
TRANSFORMERS = """
import json, sys, torch
from transformers import AutoConfig, AutoModelForCausalLM
config = json.load(open(sys.argv[1]))
with torch.device("meta"):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
total = sum(t.numel() for t in model.state_dict().values())
assert total == int(sys.argv[2]), total
"""

#: `accelerate estimate-memory` as it is, but for the hub: it is told what it asks there, and
#: reads the same config.json from a folder.  Arguments: that folder.
ACCELERATE = """
import sys, types
from accelerate.commands import estimate
folder = sys.argv[1]
estimate.verify_on_hub = lambda repo, token=None: types.SimpleNamespace(
    library_name="transformers", config={}
)
arguments = estimate.estimate_command_parser().parse_args([folder, "--dtypes", "float32"])
((_, _, total, _),) = estimate.gather_data(arguments)
print(int(total) // 4)
"""


@dataclass
class Job:
    """A program to run: its arguments, given a scratch folder and a cache folder."""

    name: str
    command: Callable[[str], Sequence[str]]
    cache: str  # "fresh", "kept" or "off"
    python: str = sys.executable
    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def run(self, kept_cache: str) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            caches = {"fresh": f"{scratch}/cache", "kept": kept_cache, "off": "off"}
            environment = {**os.environ, "SPECGEN_CACHE": caches[self.cache]}
            # All programs run from bytecode, as after an installation; the first round writes it.
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            started = time.perf_counter()
            child = subprocess.Popen(
                [self.python, *self.command(scratch)],
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
        self.cpu.append(usage.ru_utime + usage.ru_stime)
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
                    job.cpu.clear()
                    job.peak_mb.clear()


def ratio(slow: Job, fast: Job) -> float:
    """The median over the rounds of slow / fast in the same round, in CPU time."""
    return statistics.median(a / b for a, b in zip(slow.cpu, fast.cpu, strict=True))


def table(peers: Sequence[Job], jobs: Sequence[Job], wanted: Mapping[str, float]) -> str:
    """Seconds, memory, and how many times less work than each of the peers."""
    heads = [f"than {peer.name.partition(',')[0]}" for peer in peers]
    lines = [
        f"| whole process | seconds (median) | of CPU | peak MB | faster {' | '.join(heads)} | wanted |",
        f"|---|---:|---:|---:|{'---:|' * len(peers)}---:|",
    ]
    for job in (*peers, *jobs):
        times = " | ".join(f"{statistics.median(t):.3f}" for t in (job.seconds, job.cpu))
        costs = f"{times} | {max(job.peak_mb):.0f}"
        ratios = " | ".join("" if job in peers else f"{ratio(peer, job):.1f}" for peer in peers)
        target = f"{wanted[job.name]:g}" if job.name in wanted else ""
        lines += [f"| {job.name} | {costs} | {ratios} | {target} |"]
    return "\n".join(lines)


def meta(config: Path, total: int) -> Callable[[str], Sequence[str]]:
    return lambda scratch: ["-c", TRANSFORMERS, str(config), str(total)]


def estimates(python: str, rounds: int) -> str:
    """The table of a model that all of them can count."""
    peers = [
        Job("transformers, meta device", meta(SMALL_CONFIG, 8030261248), "off", python),
        Job(
            "accelerate, estimate-memory",
            lambda _: ["-c", ACCELERATE, str(SMALL_CONFIG.parent)],
            "off",
            python,
        ),
    ]
    jobs = [
        Job("`params`, nothing cached", specgen("params", SMALL, "--format", "json"), "off"),
        Job("`formula parameters`", specgen("formula", SMALL, "parameters"), "off"),
        Job("`whatif`, all quantities", specgen("whatif", SMALL, "-D", "n_layers=30"), "off"),
        Job("`import` of a config.json", specgen("import", str(SMALL_CONFIG)), "off"),
    ]
    alternate([*peers, *jobs], rounds)
    return table(peers, jobs, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--accelerate", metavar="PYTHON", help="a Python that has accelerate, torch, transformers"
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds

    peers = [Job("transformers, meta device", meta(CONFIG, 671026419200), "off")]
    jobs = [
        Job("`build`, nothing cached", specgen("build", SPEC, "-o", "SCRATCH"), "fresh"),
        Job("`params`, nothing cached", params(), "fresh"),
        Job("`build`, again", specgen("build", SPEC, "-o", "SCRATCH"), "kept"),
        Job("`params`, again", params(), "kept"),
        Job("`formula parameters`", specgen("formula", SPEC, "parameters"), "off"),
        Job("`whatif`, all quantities", specgen("whatif", SPEC, "-D", "n_layers=30"), "off"),
        Job("`import` of a config.json", specgen("import", str(CONFIG)), "off"),
    ]
    wanted = dict(zip((job.name for job in jobs), (5, 8, 10, 20), strict=False))
    alternate([*peers, *jobs], rounds)
    print(f"{SPEC}, {rounds} rounds, Python {sys.version.split()[0]}\n")
    print(table(peers, jobs, wanted))

    if arguments.accelerate:
        print(f"\n{SMALL}\n\n{estimates(arguments.accelerate, rounds)}")

    # Both with values of their own, which are checked anew; a shipped table as it is was before.
    released = Job(
        "`params` of 60 layers × 264 experts",
        params("n_layers=60", "n_routed_experts=264"),
        "off",
    )
    huge = Job(
        "`params` of 10,000 layers × 10,000 experts",
        params("n_layers=10000", "n_routed_experts=10000"),
        "off",
    )
    alternate([released, huge], 3 * rounds)
    print(
        f"\n{huge.name} takes {ratio(huge, released):.3f} times as long as 60 × 264 (wanted: 1.1)"
    )


if __name__ == "__main__":
    main()
