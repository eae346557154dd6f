"""Operations as torch's own counter finds them in model.py: product by product, and at full size.

model.py computes two things in another way than the table says them, and the counter sees it:

- The weighted sum over a token's experts is a matrix product in model.py; in the table it is
  elementwise work, which is not counted.
- Attention kernels want keys and values of one width: model.py pads the narrower values, and
  multiplies the zeros.

Attention runs as torch's plain products here: of its fused kernels the counter knows some only.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.nn.attention import SDPBackend, sdpa_kernel  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from specgen.analysis.quantities.ledger import Ledger, ledger  # noqa: E402
from specgen.analysis.quantities.terms import evaluated  # noqa: E402
from specgen.documents.operations import count_operations, list_operations  # noqa: E402
from specgen.expr.evaluate import evaluate_int  # noqa: E402
from tests.analysis.released import SPECS, table  # noqa: E402
from tests.numeric.generated import config_of, imported  # noqa: E402
from tests.promises.configurations import structures  # noqa: E402

pytestmark = pytest.mark.slow

BATCH, TOKENS = 2, 6

#: The two products of attention in std.attention.
SCORES = "b s k g d, b t k d -> b k g s t"
MIXED = "b k g s t, b t k e -> b s k g e"


def by_module(found: Ledger, modules: set[str], at: dict[str, int]) -> Counter[str]:
    """The table's operations by the module of model.py that carries them out."""
    counts: Counter[str] = Counter()
    for operation in list_operations(found, "flops_prefill"):
        name = operation.name if operation.name != found.program.name else ""
        while name not in modules:  # a row that is no module, or one of stacked experts
            name = name.rpartition(".")[0]
        counts[name] += count_operations(operation, found, at)
    return counts


def explained(found: Ledger, modules: set[str], at: dict[str, int]) -> Counter[str]:
    """What model.py multiplies and the table does not."""
    env = {**found.values, **at}
    counts: Counter[str] = Counter()
    listed = list_operations(found, "flops_prefill")
    for one, other in pairwise(listed):
        if (one.kind, other.kind) == (SCORES, MIXED) and fused(found):
            width, own = (evaluate_int(axis, env) for axis in (one.axes[4], other.axes[5]))
            rest = count_operations(other, found, at) // own
            counts[one.name] += rest * max(width - own, 0)
    for mixture in {o.name.rpartition(".{e}")[0] for o in listed if ".{e}" in o.name}:
        last = next(o for o in reversed(listed) if o.name.startswith(f"{mixture}.{{e}}"))
        # Its operations are 2 x chosen x tokens x width in x width out, for each instance.
        counts[mixture] += count_operations(last, found, at) // evaluate_int(last.axes[-2], env)
    return counts


def fused(found: Ledger) -> bool:
    return any(
        function.intrinsic == "scaled_dot_product_attention"
        for function in found.program.functions.values()
    )


def folded(name: str) -> str:
    """The name of a module with its layer's number as the table writes it."""
    return re.sub(r"^layers\.\d+", "layers.{layer}", name)


def counted(model: Any, tokens: Any) -> Counter[str]:
    """What torch counts in each module itself, without its children; layers together."""
    counter = FlopCounterMode(display=False, depth=None)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(tokens)
    totals = {
        name.removeprefix("Model").removeprefix("."): sum(counts.values())
        for name, counts in counter.get_flop_counts().items()
        if name.startswith("Model")
    }
    own: Counter[str] = Counter()
    for name, total in totals.items():
        own[folded(name)] += total
        if name:
            parent = name.rpartition(".")[0]
            while parent not in totals:
                parent = parent.rpartition(".")[0]
            own[folded(parent)] -= total
    return own


@pytest.mark.parametrize("spec", sorted(p.stem for p in SPECS.glob("*.dsv3")))
def test_every_product_is_what_torch_counts(spec: str, tmp_path: Path) -> None:
    (structure,) = structures(spec, 1)
    if not structure.program.has_dataflow:
        pytest.skip("the table has no forward")
    module = imported(structure.program, tmp_path)
    torch.manual_seed(0)
    for values in structure.drawn(random.Random(spec), 3):
        if "max_seq_len" in values:  # where positions are learned, there are no others
            values["max_seq_len"] = max(values["max_seq_len"], TOKENS)
            assert structure.holds(values)
        found = ledger(structure.program_of(values))
        model = module.Model(config_of(module, values))
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.1)
        tokens = torch.randint(0, values["vocab_size"], (BATCH, TOKENS))
        at = {"B": BATCH, "S": TOKENS}
        modules = {folded(name) for name, _ in model.named_modules()}
        mine = by_module(found, modules, at)
        assert sum(mine.values()) == evaluated(
            found.quantities["flops_prefill"], {**found.values, **at}
        )
        assert counted(model, tokens) == mine + explained(found, modules, at), values


def test_a_prefill_of_2048_tokens_at_full_size(tmp_path: Path) -> None:
    """Llama 3 70B on the meta device: the published figure, by torch's counter."""
    module = imported(table("llama@llama3_70b"), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
        tokens = torch.zeros(1, 2048, dtype=torch.int64)
    assert sum(counted(model, tokens).values()) == 295_674_138_591_232


def test_a_prefill_of_a_mixture_at_full_size(tmp_path: Path) -> None:
    """DeepSeek-V3 on the meta device, where nobody can tell which experts are chosen.

    All tokens go to one expert, each as often as it chooses: the products are as large.
    """
    found = ledger(table("deepseek_v3@v3_671b"))
    module = imported(found.program, tmp_path)

    def mixture(one: Any, count: int, x: Any, weights: Any, index: Any) -> Any:
        rows = x.flatten(0, -2).repeat_interleave(index.size(-1), dim=0)
        outputs = one(0, rows).unflatten(0, index.shape)
        return (weights.unsqueeze(-2) @ outputs).squeeze(-2)

    module.mixture = mixture
    with torch.device("meta"):
        model = module.Model(module.Config())
        tokens = torch.zeros(1, 2048, dtype=torch.int64)
    at = {"B": 1, "S": 2048}
    modules = {folded(name) for name, _ in model.named_modules()}
    extra = explained(found, modules, at)
    assert sum(counted(model, tokens).values()) - sum(extra.values()) == 170_973_789_683_712
    heads, layers, dim = 128, 61, 7168
    assert extra == {
        "layers.{layer}.attn": layers * 2 * heads * 2048**2 * (192 - 128),
        "layers.{layer}.ffn.experts": 58 * 2 * 2048 * 8 * dim,
    }
