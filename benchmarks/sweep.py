"""A million configurations of DeepSeek-V3, four quantities: ours beside llm-analysis' own loop.

Both take turns in one run, and CPU time counts: a busy machine slows neither.  llm-analysis is given its fastest use: one object whose configuration
is changed from point to point, logging off.  Some of our rows are compared with exact integers.

    python benchmarks/sweep.py [--rounds N] [--peer PYTHON]

PYTHON is an interpreter that has llm-analysis (`pip install llm-analysis` in a venv of its own:
it wants other versions than we do); without it, only our side is measured.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SPEC = ROOT / "specs" / "deepseek_v3.dsv3"
AXES = (("dim", "128:12800:128"), ("n_layers", "3:102"), ("n_routed_experts", "8:800:8"))
QUANTITIES = ("parameters", "parameters_active", "stored_bytes", "cache_bytes_per_token")
WANTED = 50
SAMPLE = 500

#: llm-analysis over the same product, as many points as arguments say; it prints seconds of CPU time.
PEER = """
import itertools, logging, sys, time
logging.disable(logging.CRITICAL)
from llm_analysis.analysis import LLMAnalysis
from llm_analysis.config import GPUConfig, ModelConfig

config = ModelConfig("v3", 61, 128, 7168, 129280, ffn_embed_dim=2048, expansion_ratio=2048 / 7168,
                     model_type="llama", moe_num_experts=256, moe_top_k=8)
gpu = GPUConfig("gpu", 80, 2039, 300, 8e-6, 312)
analysis = LLMAnalysis(config, gpu)
points = itertools.product(range(128, 12801, 128), range(3, 103), range(8, 801, 8))
points = list(itertools.islice(points, 0, 1_000_000, 1_000_000 // int(sys.argv[1])))
rows = []
start = time.process_time()
for dim, layers, experts in points:
    config.hidden_dim = dim
    config.num_layers = layers
    config.moe_num_experts = experts
    rows.append((
        analysis.get_num_params_total(),
        analysis.get_num_active_params_total(),
        layers * analysis.get_weight_memory_per_layer() + analysis.get_memory_embedding(),
        layers * analysis.get_memory_kv_cache_per_layer(1, 1),
    ))
print(time.process_time() - start, len(rows))
"""


def peer(python: str, points: int) -> float:
    """Configurations per second of llm-analysis' loop."""
    found = subprocess.run(
        [python, "-c", PEER, str(points)], capture_output=True, text=True, check=False
    )
    if found.returncode:
        sys.exit(f"llm-analysis does not run with {python}:\n{found.stderr}")
    seconds, rows = found.stdout.split()
    return int(rows) / float(seconds)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer", help="an interpreter with llm-analysis")
    options = parser.parse_args(arguments)

    from specgen.analysis.quantities.terms import evaluated
    from specgen.expr.columns.vector import evaluate_all
    from specgen.expr.simplify import fold
    from specgen.huggingface.select import select
    from specgen.questions.forms import Family
    from specgen.questions.points import make_columns, read_axes
    from specgen.questions.sweep import sweep_family

    family = Family(select(f"{SPEC}@v3_671b"))
    axes = read_axes(AXES, family.loaded[1])
    points = 1
    for axis in axes:
        points *= len(axis.values)
    columns = make_columns(axes, 0, points)
    base = family.base
    free = [axis.name for axis in axes]

    folding, evaluating, whole, theirs = [], [], [], []
    for _ in range(options.rounds):
        start = time.process_time()
        names = family.names(free)
        forms = [fold(base.quantities[q].expr, names, free) for q in QUANTITIES]
        folding.append(time.process_time() - start)
        start = time.process_time()
        values = evaluate_all(forms, columns)
        evaluating.append(time.process_time() - start)
        start = time.process_time()
        found = sweep_family(family, axes, QUANTITIES)
        whole.append(time.process_time() - start)
        if options.peer:
            theirs.append(peer(options.peer, 20_000))

    chance = random.Random(0)
    for i in chance.sample(range(points), SAMPLE):
        env = family.environment({name: int(column[i]) for name, column in columns.items()})
        for name, column in zip(QUANTITIES, values, strict=True):
            assert column[i] == evaluated(base.quantities[name], env), (name, i)
    rows = {name: column.tolist() for name, column in found.columns.items()}
    for i in chance.sample(range(found.rows), SAMPLE):
        changes = {name: rows[name][i] for name in free}
        env = family.environment(changes)
        for name in QUANTITIES:
            quantity = family.ledger_at(changes).quantities[name]
            assert rows[name][i] == evaluated(quantity, env), (name, i)

    speed = points / statistics.median(evaluating)
    print(
        f"{points:,} configurations × {len(QUANTITIES)} quantities, {options.rounds} rounds, medians"
    )
    print(f"{'constants folded':32} {statistics.median(folding):9.4f} s")
    print(f"{'evaluated':32} {statistics.median(evaluating):9.4f} s  {speed:14,.0f} a second")
    sweeping = statistics.median(whole)
    print(
        f"{'whole sweep, with requirements':32} {sweeping:9.4f} s  {points / sweeping:14,.0f} a second"
        f"  ({found.structures} structures, {found.rows:,} rows)"
    )
    print(f"{SAMPLE} + {SAMPLE} sampled rows equal exact integers")
    if theirs:
        loop = statistics.median(theirs)
        ratio = speed / loop
        print(f"{'llm-analysis, its loop':32} {1e6 / loop:9.4f} s  {loop:14,.0f} a second")
        print(
            f"evaluation {ratio:.0f} times, whole sweep {points / sweeping / loop:.0f} times llm-analysis"
        )
        return 0 if ratio >= WANTED else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
