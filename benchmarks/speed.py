"""What a forward costs: the generated model.py beside transformers, with the same weights.

Both stand in one process and take turns, step by step, so that a busy machine slows both; CPU
time of one thread counts, and of each case the median.  Before anything is timed, the logits are
compared.  Prints the tables of benchmarks/README.md.

    python benchmarks/speed.py [--shape NAME] [--compiled]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from allocator import settle

if __name__ == "__main__":
    settle()

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
import transformers  # noqa: E402

from specgen.analysis.quantities.ledger import ledger  # noqa: E402
from specgen.analysis.quantities.terms import evaluated  # noqa: E402
from specgen.backends.pytorch import emit  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface.reading import overrides_from_config  # noqa: E402
from specgen.ir.model import Program  # noqa: E402

SIZES: Mapping[str, Any] = {
    "vocab_size": 8192,
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
}
EXPERTS: Mapping[str, Any] = {"moe_intermediate_size": 256, "num_experts_per_tok": 4}
GROUPED: Mapping[str, Any] = {"num_key_value_heads": 4, "head_dim": 64}

#: A table, the class of transformers, and its configuration.
SHAPES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "deepseek_v3": (
        "deepseek_v3",
        "DeepseekV3",
        {**SIZES, **EXPERTS, "first_k_dense_replace": 1, "n_routed_experts": 32}
        | {"n_shared_experts": 1, "n_group": 4, "topk_group": 2, "num_nextn_predict_layers": 0}
        | {"q_lora_rank": 192, "kv_lora_rank": 128, "num_key_value_heads": 16}
        | {"qk_nope_head_dim": 64, "qk_rope_head_dim": 32, "v_head_dim": 64},
    ),
    "llama": ("llama", "Llama", {**SIZES, **GROUPED}),
    "qwen3_moe": (
        "qwen3_moe",
        "Qwen3Moe",
        {**SIZES, **GROUPED, **EXPERTS, "num_experts": 32, "norm_topk_prob": True},
    ),
    "mixtral": (
        "mixtral",
        "Mixtral",
        {**SIZES, **GROUPED, "intermediate_size": 512, "num_local_experts": 8}
        | {"num_experts_per_tok": 2},
    ),
}


#: How far apart logits may be; random weights of standard deviation 0.02 give logits below 2.
TOLERANCE = 1e-4

#: Steps of a decoding case that are not counted: caches, allocator and compiler warm up.
WARM = 4

#: More system time than this share means that the kernel was measured, and no model.
SYSTEM_SHARE = 0.1
ATTEMPTS = 3

Run = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """`batch` prompts of `length` tokens, or one more token behind as many."""

    kind: str  # "prefill", "decode" or "compiled"
    batch: int
    length: int

    @property
    def name(self) -> str:
        if self.kind == "prefill":
            return f"prefill {self.batch} × {self.length}"
        more = ", compiled" if self.kind == "compiled" else ""
        return f"decode {self.batch} at {self.length}{more}"

    @property
    def rounds(self) -> int:
        return 7 if self.kind == "prefill" else max(11, 48 * 512 // (self.batch * self.length))


CASES = (
    *(Case("prefill", *size) for size in ((1, 512), (1, 2048), (4, 128))),
    *(Case("decode", *size) for size in ((1, 512), (1, 2048), (8, 512), (8, 2048))),
    *(Case("compiled", *size) for size in ((1, 512), (8, 512), (8, 2048))),
)


@dataclass(frozen=True)
class Machine:
    """What one thread can do at most, as measured: bytes read a second, operations a second."""

    bandwidth: float
    rate: float


def measured() -> Machine:
    """A matrix larger than the caches times a vector, and a product that stays in them."""

    def seconds(run: Run) -> float:
        run()
        times = []
        for _ in range(9):
            started = time.process_time()
            run()
            times.append(time.process_time() - started)
        return min(times)

    matrix, vector = torch.randn(8192, 8192), torch.randn(8192)
    bandwidth = matrix.numel() * 4 / seconds(lambda: matrix.mv(vector))
    left, right = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return Machine(bandwidth, 2 * 1024**3 / seconds(lambda: left @ right))


@dataclass(frozen=True)
class Work:
    """What a case cannot do without: bytes of weights to read, and operations."""

    bytes: float
    operations: float

    def limit(self, machine: Machine) -> float:
        """Seconds: nothing that reads and multiplies one after the other is quicker."""
        return max(self.bytes / machine.bandwidth, self.operations / machine.rate)


def work(program: Program, case: Case) -> Work:
    """Every weight that the tokens of the case touch once, and the products of the forward.

    Of the experts those that so many tokens choose if each chooses like by chance.  A prompt needs
    the logits of its last token only.
    """
    found = ledger(program)
    count, tokens = found.quantities, case.batch * (case.length if case.kind == "prefill" else 1)
    active = count["parameters_active_no_embedding"].value or 0
    whole = (count["parameters"].value or 0) - (count["parameters_outside_forward"].value or 0)
    embedding = (count["parameters_active"].value or 0) - active
    experts, chosen = expert_counts(program)
    share = (1 - (1 - chosen / experts) ** tokens) * experts if experts else 0
    one = (whole - embedding - active) / (experts - chosen) if experts else 0
    size = 4 * (active + one * (share - chosen if experts else 0))
    name = "flops_prefill_causal" if case.kind == "prefill" else "flops_decode"
    values = {**found.values, "B": case.batch, "S": case.length, "T": case.length}
    operations = evaluated(count[name], values)
    if case.kind == "prefill":
        head = 2 * found.values["vocab_size"] * found.values["dim"]
        operations -= head * (tokens - case.batch)
    return Work(size, operations)


def expert_counts(program: Program) -> tuple[int, int]:
    """How many experts a layer has, and how many a token chooses; 0 without a mixture."""
    values = program.values
    experts = values.get("n_experts", values.get("n_routed_experts", 0))
    return int(experts), int(values.get("n_activated_experts", 0))


@dataclass(frozen=True)
class Pair:
    """One set of weights in both programs."""

    ours: Any
    theirs: Any
    compiled: Any
    program: Program

    def runs(self, case: Case) -> tuple[Run, Run]:
        """What to time: each call is one prompt, or one step further."""
        generator = torch.Generator().manual_seed(0)
        shape = (case.batch, case.length)
        tokens = torch.randint(SIZES["vocab_size"], shape, generator=generator)
        if case.kind == "prefill":
            return (
                lambda: self.ours(tokens, last=True),
                lambda: self.theirs(tokens, use_cache=False, logits_to_keep=1).logits,
            )
        cache = self.ours.new_cache(case.batch, case.length + case.rounds + WARM + 1)
        past = transformers.DynamicCache(config=self.theirs.config)
        for piece in tokens.split(512, dim=1):
            self.ours(piece, cache=cache, last=True)
            self.theirs(piece, past_key_values=past, logits_to_keep=1)
        one, model = tokens[:, :1], self.compiled if case.kind == "compiled" else self.ours
        return (
            lambda: model(one, cache=cache),
            lambda: self.theirs(one, past_key_values=past, logits_to_keep=1).logits,
        )


def pair(shape: str, folder: Path) -> Pair:
    """Random weights, saved by transformers and read by the generated loader."""
    spec, kind, settings = SHAPES[shape]
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**settings)
    theirs = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    theirs.save_pretrained(folder)
    path = ROOT / "specs" / f"{spec}.dsv3"
    released = json.loads((folder / "config.json").read_text())
    table = load_program(path, None, overrides_from_config(load_program(path), released))
    for name, text in emit(table).items():
        (folder / name).write_bytes(text)
    found = spec_from_file_location(shape, folder / "model.py")
    assert found is not None
    assert found.loader is not None
    module = sys.modules[shape] = module_from_spec(found)  # dataclasses look there
    found.loader.exec_module(module)
    ours = module.Model(module.Config()).eval()
    ours.load_checkpoint(folder)
    module.lay_out(ours)  # for decoding in float32, as docs/pytorch.md says
    return Pair(ours, theirs, torch.compile(ours, fullgraph=True), table)


@dataclass
class Timing:
    """CPU seconds of each call, ours and theirs in turn."""

    case: Case
    limit: float
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    system_share: float = 0.0

    @property
    def ratio(self) -> float:
        return statistics.median(self.theirs) / statistics.median(self.ours)

    def row(self) -> str:
        ours, theirs = (1000 * statistics.median(times) for times in (self.ours, self.theirs))
        load = os.getloadavg()[0]
        share = f"{self.system_share:.0%}"
        limit = f"{1000 * self.limit / ours:.0%}"
        cells = [self.case.name, f"{theirs:.1f}", f"{ours:.1f}", f"{self.ratio:.2f}", limit, share]
        return f"| {' | '.join(cells)} | {load:.1f} |"


def timed(both: Pair, case: Case, machine: Machine) -> Timing:
    """The case, after both have given the same logits.

    Tokens whose experts are a near tie may be routed otherwise by either, so that of several
    sequences the median difference counts.
    """
    runs = both.runs(case)
    for _ in range(WARM if case.kind != "prefill" else 1):
        ours, theirs = (run()[:, -1] for run in runs)
    apart = (ours - theirs).abs().amax(-1).median().item()
    if apart > TOLERANCE:
        sys.exit(f"{case.name}: the logits are {apart} apart")
    timing = Timing(case, work(both.program, case).limit(machine))
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(case.rounds):
        for run, seconds in zip(runs, (timing.ours, timing.theirs), strict=True):
            started = time.process_time()
            run()
            seconds.append(time.process_time() - started)
    after = resource.getrusage(resource.RUSAGE_SELF)
    system, user = after.ru_stime - before.ru_stime, after.ru_utime - before.ru_utime
    timing.system_share = system / (system + user)
    return timing


def settings(model: Any) -> str:
    """The implementations that transformers uses; those that it takes by default are its best."""
    config = model.config
    attention = config._attn_implementation
    experts = getattr(config, "_experts_implementation", None) or "no experts"
    return f"{attention}, {experts}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shape", action="append", choices=SHAPES, help="one of several; all")
    parser.add_argument("--compiled", action="store_true", help="decoding with torch.compile, too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, float32, 1 thread")
    machine = measured()
    print(f"one thread: {machine.bandwidth / 1e9:.1f} GB/s, {machine.rate / 1e9:.0f} GFLOP/s")
    for shape in arguments.shape or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            both = pair(shape, Path(folder))
        print(f"\n{shape}; transformers with {settings(both.theirs)}, its default and its best\n")
        print(
            "| case | transformers, ms | model.py, ms | times faster | of the limit | system time | load |"
        )
        print("|---|---:|---:|---:|---:|---:|---:|")
        with torch.inference_mode():
            for case in CASES:
                if case.kind == "compiled" and not arguments.compiled:
                    continue
                for _ in range(ATTEMPTS):
                    timing = timed(both, case, machine)
                    if timing.system_share <= SYSTEM_SHARE:
                        print(timing.row(), flush=True)
                        break
                else:
                    print(f"| {case.name} | rejected: {timing.system_share:.0%} system time |")


if __name__ == "__main__":
    main()
