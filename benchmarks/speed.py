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
from pathlib import Path
from types import ModuleType
from typing import Any

from allocator import settle

if __name__ == "__main__":
    settle()

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
import transformers  # noqa: E402

from specgen.backends.pytorch import emit  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface.reading import overrides_from_config  # noqa: E402

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
class Pair:
    """One set of weights in both programs."""

    ours: Any
    theirs: Any
    compiled: Any

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
    module = sys.modules[shape] = ModuleType(shape)  # dataclasses look there
    exec(compile(emit(table)["model.py"], f"{shape}.py", "exec"), vars(module))
    ours = module.Model(module.Config()).eval()
    ours.load_checkpoint(folder)
    module.lay_out(ours)  # for decoding in float32, as docs/pytorch.md says
    return Pair(ours, theirs, torch.compile(ours, fullgraph=True))


@dataclass
class Timing:
    """CPU seconds of each call, ours and theirs in turn."""

    case: Case
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
        return f"| {self.case.name} | {theirs:.1f} | {ours:.1f} | {self.ratio:.2f} | {share} | {load:.1f} |"


def timed(both: Pair, case: Case) -> Timing:
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
    timing = Timing(case)
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
    for shape in arguments.shape or SHAPES:
        with tempfile.TemporaryDirectory() as folder:
            both = pair(shape, Path(folder))
        print(f"\n{shape}; transformers with {settings(both.theirs)}, its default and its best\n")
        print("| case | transformers, ms | model.py, ms | times faster | system time | load |")
        print("|---|---:|---:|---:|---:|---:|")
        with torch.inference_mode():
            for case in CASES:
                if case.kind == "compiled" and not arguments.compiled:
                    continue
                for _ in range(ATTEMPTS):
                    timing = timed(both, case)
                    if timing.system_share <= SYSTEM_SHARE:
                        print(timing.row(), flush=True)
                        break
                else:
                    print(f"| {case.name} | rejected: {timing.system_share:.0%} system time |")


if __name__ == "__main__":
    main()
