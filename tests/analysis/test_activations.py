"""What is alive at once: by hand in small tables, and against model.py measured in torch."""

from __future__ import annotations

import random
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.dataflow.activations import Memory
from specgen.analysis.quantities.activation_peak import TOO_MANY
from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.terms import evaluated
from specgen.analysis.table.cases import Folder
from specgen.analysis.table.instances import root
from specgen.expr.evaluate import evaluate_int
from specgen.expr.node import Apply, Expr, walk
from specgen.huggingface.select import select
from tests.analysis.released import table
from tests.promises.configurations import structure

# ---- by hand -----------------------------------------------------------------------------

HEAD = """language 1
model small {{
  params {{ dim : size = 8  wide : size = 32  vocab : size = 5  n : size = 3 }}
  require {{ wide % 4 == 0 "in four pieces" }}
  dtypes {{ activations = bf16 }}
  parts {{ layers[layer] : block × n }}
  tensors {{ embed : [vocab, dim]  head : dim -> vocab }}
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab] {{
    {body}
  }}
  module block {{
    params {{ layer : count }}
    tensors {{ up : dim -> wide  down : wide -> dim }}
    forward(x: [B, S, dim]) -> [B, S, dim] {{
      {block}
    }}
  }}
}}
"""

PLAIN = "return head(layers(take(embed, tokens)))"


def peak(folder: Path, *, body: str = PLAIN, block: str) -> int:
    """The peak of a table for one token, in bytes of bf16 as far as that is all there is."""
    path = folder / "small.dsv3"
    path.write_text(HEAD.format(body=body, block=block), encoding="utf-8")
    found = ledger(select(str(path)).program())
    return at(found, 1, 1, 1)


def at(found: Ledger, batch: int, new: int, total: int) -> int:
    env = {**found.values, "B": batch, "S": new, "T": total}
    return evaluated(found.quantities["activation_peak_bytes"], env)


@pytest.mark.parametrize(
    ("block", "elements"),
    [
        # x and up's result; then down's instead of nothing: x, wide, dim.
        ("return down(up(x))", 8 + 32 + 8),
        # A name lives until the end: x, h, silu(h), its product.
        ("h = up(x)\n return down(silu(h) * h)", 8 + 32 + 32 + 32),
        # An intermediate result lives until it is used: x, up's result, and silu of it.
        ("return down(silu(up(x)))", 8 + 32 + 32),
        # Views are free: x, h, the sum of its halves, twice that, and down's result.
        ("h = up(x)\n a, b = split(h, [wide / 2, wide / 2])\n y = a + b\n return down(concat([y, y]))", 8 + 32 + 16 + 32 + 8),
        # A rearrangement that only renames axes is free, one that moves numbers is not.
        ('h = rearrange(up(x), "b s (a c) -> b s a c", a = 4)\n return down(rearrange(h, "b s a c -> b s (a c)"))', 8 + 32 + 8),
        ('h = rearrange(up(x), "b s (a c) -> b s a c", a = 4)\n return down(rearrange(h, "b s a c -> b s (c a)"))', 8 + 32 + 32 + 8),
        # f32 takes twice as much; a cast to the same dtype nothing.
        ("return down(cast(cast(up(x), f32), like = x))", 8 + 32 + 2 * 32),
        ("return down(cast(up(x), like = x))", 8 + 32 + 8),
    ],
)  # fmt: skip
def test_what_is_alive_in_a_layer(block: str, elements: int, tmp_path: Path) -> None:
    assert peak(tmp_path, block=block) == 2 * elements


@pytest.mark.parametrize("kept", [False, True])
def test_a_branch_may_return_in_the_branches_inside_it(kept: bool, tmp_path: Path) -> None:
    wide, wider = "return down(up(x))", "return down(silu(up(x)))"
    inner = f"if layer < 1 {{ {wide} }} else {{ {wider} }}"
    block = f"if layer < 2 {{ {inner} }} else {{ return x }}"
    body = "y = layers(take(embed, tokens))\n return head(y)" if kept else PLAIN
    assert peak(tmp_path, body=body, block=block) == 2 * (8 + 32 + 32)


def test_what_a_repeated_part_is_given_may_outlive_it(tmp_path: Path) -> None:
    """The first of the layers is given what is used later: the others are given their own."""
    block = "return down(up(x))"
    kept = "x = take(embed, tokens)\n y = layers(x)\n return head(y + x)"
    assert peak(tmp_path, body=kept, block=block) == 2 * (8 + (8 + 32 + 8))


def test_a_large_vocabulary_is_the_peak() -> None:
    found = ledger(table("llama@llama3_8b"))
    logits = 2 * 8 * 128_256
    rest = 2 * 8 * 4096 + 2 * 4 * 8 * 64  # the normed hidden state; cosines and sines in f32
    assert at(found, 1, 8, 8) == logits + rest


def test_the_closed_form_has_few_moments() -> None:
    """Those that are never greatest are left out, so that it stays readable."""

    def moments(expr: Expr | None) -> int:
        assert expr is not None
        return 1 + sum(1 for node in walk(expr) if isinstance(node, Apply) and node.op == "max")

    for spec, most in (("llama@llama3_8b", 6), ("deepseek_v3@v3_671b", 24)):
        peak_ = ledger(table(spec)).quantities["activation_peak_bytes"]
        assert peak_.closed
        assert 1 < moments(peak_.expr) <= most


def test_a_forward_of_too_many_kinds_of_moments_has_no_peak(tmp_path: Path) -> None:
    """The work and the formula stay bounded, whatever a table says."""
    params = " ".join(f"a{i} : size = {i + 1}" for i in range(120))
    rows = " ".join(f"w{i} : dim -> a{i}" for i in range(120))
    body = "\n".join(f"h{i + 1} = h{i} + sum(w{i}(h0), keep = true)" for i in range(120))
    path = tmp_path / "wide.dsv3"
    path.write_text(
        "language 1\nmodel wide {\n"
        f"params {{ dim : size = 8 vocab : size = 5 {params} }}\n"
        f"tensors {{ embed : [vocab, dim] head : dim -> vocab {rows} }}\n"
        "forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T])"
        f" -> [B, S, vocab] {{\nh0 = take(embed, tokens)\n{body}\nreturn head(h120)\n}}\n}}\n",
        encoding="utf-8",
    )
    found = ledger(select(str(path)).program())
    assert found.quantities["activation_peak_bytes"].absent == TOO_MANY


@pytest.mark.parametrize("spec", ["llama", "deepseek_v3", "gemma2"])
def test_no_moment_that_can_be_the_fullest_is_left_out(spec: str) -> None:
    """The closed form against every moment of the forward, at random sizes."""
    found = structure(table(spec))
    quantity = found.found.quantities["activation_peak_bytes"]
    memory = Memory()
    memory.run(root(found.program))
    draw = random.Random(spec)
    for sizes in found.drawn(draw, 20):
        tokens = draw.randint(1, 40)
        rest = {"B": draw.randint(1, 4), "S": tokens, "T": tokens + draw.randint(0, 40)}
        env = {**found.environment(sizes), **rest}
        folder = Folder(env)
        fullest = max(
            sum(count * evaluate_int(size, env) for size, count in alive.items())
            for place, all_alive in memory.moments.items()
            if folder.fold(place)
            for alive in all_alive
        )
        assert evaluated(quantity, env) == fullest, sizes


# ---- measured ----------------------------------------------------------------------------


def measured(model: Any, tokens: Any, cache: Any) -> int:
    """The most bytes that tensors take at once while model.py runs, as torch allocates them.

    Weights, the cache and the tokens are there before.  Every allocation of an operation counts,
    until nothing in Python refers to it; what a kernel takes within itself is not seen.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    before = [
        *model.parameters(),
        *(
            row.values
            for part in getattr(cache, "parts", {"": cache}).values()
            for row in part.rows.values()
        ),
        tokens,
    ]
    known = {id(storage): storage for storage in (t.untyped_storage() for t in before)}

    class Allocations(TorchDispatchMode):
        alive: dict[int, tuple[object, int]] = {}  # noqa: RUF012
        peak = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            for storage in storages(tree_leaves(out)):
                key = id(storage)
                if key not in known and key not in self.alive:
                    watch = weakref.ref(storage, lambda _, key=key: self.alive.pop(key, None))
                    self.alive[key] = (watch, storage.nbytes())
            self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
            return out

    def storages(values: Iterable[object]) -> list[Any]:
        return [v.untyped_storage() for v in values if isinstance(v, torch.Tensor)]

    mode = Allocations()
    mode.alive = {}
    with torch.no_grad(), mode:
        model(tokens, cache=cache)
    return mode.peak


#: Sizes of small models in which one place or another is the peak.
HEADS = {"n_heads": 4, "n_kv_heads": 2, "head_dim": 16}
LATENT = {
    "n_heads": 4, "q_lora_rank": 32, "kv_lora_rank": 16, "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8, "v_head_dim": 16, "moe_inter_dim": 32, "n_routed_experts": 8,
    "n_activated_experts": 2, "n_expert_groups": 2, "n_limited_groups": 1, "n_dense_layers": 1,
}  # fmt: skip
SMALL = [
    ("llama", {**HEADS, "inter_dim": 256, "vocab_size": 128}),  # the MLP
    ("llama", {**HEADS, "inter_dim": 256, "vocab_size": 8192}),  # the logits
    ("gpt2", {"n_heads": 4, "vocab_size": 128}),
    ("gpt2", {"n_heads": 4, "vocab_size": 8192}),
    ("gemma2", {**HEADS, "inter_dim": 256, "vocab_size": 128}),  # scores, written out
    ("gemma2", {**HEADS, "inter_dim": 2560, "vocab_size": 128}),
    ("gpt_neox", {"n_heads": 4, "inter_dim": 256, "vocab_size": 128}),
    ("cohere2", {**HEADS, "inter_dim": 256, "vocab_size": 128}),
    ("deepseek_v3", {**LATENT, "inter_dim": 512, "vocab_size": 128}),  # the dense layer
    ("deepseek_v3", {**LATENT, "inter_dim": 64, "vocab_size": 4096}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "sizes"), SMALL)
def test_model_py_takes_that_much(spec: str, sizes: dict[str, int], tmp_path: Path) -> None:
    """Eager model.py on the CPU in the table's own dtype, a prefill of a batch with a cache.

    It is compared as a whole.  model.py binds a few more names than the table, and places
    tokens itself: up to 4 % more, never less.
    """
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.numeric.generated import imported, program

    batch, tokens = 2, 64
    found = program(spec, None, dim=64, n_layers=3, **sizes)
    module = imported(found, tmp_path)
    dtype = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
    model = module.Model(module.Config()).to(dtype[found.activation_dtype])
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.02)
    ids = torch.tensor([[random.Random(0).randrange(128) for _ in range(tokens)]] * batch)
    peak_ = measured(model, ids, model.new_cache(batch, tokens))
    expected = at(ledger(found), batch, tokens, tokens)
    assert expected <= peak_ <= 1.04 * expected


@pytest.mark.slow
def test_mixtures_take_no_more(tmp_path: Path) -> None:
    """model.py runs one expert after the other; with a single one that is all at once."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from tests.numeric.generated import imported, program

    peaks = []
    for experts, chosen in ((8, 4), (1, 1)):
        sizes = {**HEADS, "n_experts": experts, "n_activated_experts": chosen}
        found = program("mixtral", None, dim=64, n_layers=2, inter_dim=512, vocab_size=128, **sizes)
        (folder := tmp_path / str(experts)).mkdir()
        module = imported(found, folder)
        model = module.Model(module.Config()).to(torch.bfloat16)
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.02)
        ids = torch.zeros(2, 64, dtype=torch.int64)
        peaks.append((measured(model, ids, model.new_cache(2, 64)), at(ledger(found), 2, 64, 64)))
    assert peaks[0][0] < peaks[0][1]
    assert peaks[1][1] <= peaks[1][0] <= 1.04 * peaks[1][1]
