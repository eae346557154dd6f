"""Intrinsics against the bodies that they stand for, mixtures, caches and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.frontend.load import load_program  # noqa: E402
from specgen.ir.model import Program  # noqa: E402
from tests.numeric.generated import (  # noqa: E402
    REPOSITORY,
    caches,
    expanded,
    form,
    imported,
    program,
    randomised,
)
from tests.numeric.interpreted import logits  # noqa: E402

pytestmark = pytest.mark.slow

DTYPES = [torch.float32, torch.bfloat16, torch.float16]

SMALL = {
    "vocab_size": 40,
    "dim": 48,
    "inter_dim": 64,
    "moe_inter_dim": 24,
    "n_layers": 3,
    "n_dense_layers": 1,
    "n_heads": 4,
    "q_lora_rank": 20,
    "kv_lora_rank": 12,
    "qk_nope_head_dim": 12,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "n_routed_experts": 8,
    "n_activated_experts": 3,
    "n_expert_groups": 4,
    "n_limited_groups": 2,
    "gate_bias": True,
    "weight_format": "bf16",
}


@pytest.fixture(scope="module")
def table() -> Program:
    return program("deepseek_v3", **SMALL)


@pytest.fixture(scope="module")
def fused(table: Program, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return imported(table, tmp_path_factory.mktemp("fused"))


@pytest.fixture(scope="module")
def written_out(table: Program, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return imported(expanded(table), tmp_path_factory.mktemp("written_out"))


# ---- intrinsics


def test_the_files_differ(fused: ModuleType, written_out: ModuleType) -> None:
    """Otherwise the tests below compare a thing with itself."""
    ours, bodies = (Path(str(m.__file__)).read_text() for m in (fused, written_out))
    for operation in ("F.scaled_dot_product_attention", "F.rms_norm"):
        assert operation in ours
        assert operation not in bodies


@pytest.mark.parametrize("dtype", DTYPES)
def test_rms_norm(fused: ModuleType, written_out: ModuleType, dtype: torch.dtype) -> None:
    """Equal to the last bit: the gain is applied after rounding, as the body has it."""
    torch.manual_seed(0)
    norms = [module.RMSNorm(width=48, norm_eps=1e-3).to(dtype) for module in (fused, written_out)]
    weight, x = torch.randn(48).to(dtype), (3 * torch.randn(5, 7, 48)).to(dtype)
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(weight)
        ours, body = (norm(x) for norm in norms)
    if dtype == torch.float32:  # the order of a sum differs
        assert torch.allclose(ours, body, rtol=1e-6, atol=1e-7)
    else:
        assert (ours != body).float().mean() < 0.01
        assert torch.allclose(ours, body, rtol=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "groups"), [(1, 4), (2, 2), (4, 1)])
def test_attention(
    fused: ModuleType, written_out: ModuleType, dtype: torch.dtype, heads: int, groups: int
) -> None:
    """As near to the exact result as the body, in every dtype."""
    torch.manual_seed(0)
    q = torch.randn(2, 5, heads * groups, 8).to(dtype)
    k, v = torch.randn(2, 9, heads, 8).to(dtype), torch.randn(2, 9, heads, 6).to(dtype)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, :3] = False
    positions = torch.arange(4, 9).expand(2, 5)
    seen = fused.causal(positions, mask)
    assert torch.equal(seen, written_out.causal(positions, mask))
    ours, body = (m.attention(q, k, v, seen, 0.3) for m in (fused, written_out))
    exact = written_out.attention(q.double(), k.double(), v.double(), seen, 0.3)
    assert ours.dtype == body.dtype == dtype
    assert ours.shape == body.shape == (2, 5, heads * groups, 6)
    allowed = 2 * (body - exact).abs().max() + 2 * torch.finfo(dtype).eps
    assert (ours - exact).abs().max() <= allowed


@pytest.mark.parametrize("way", ["main", "absorbed"])
def test_whole_model(fused: ModuleType, written_out: ModuleType, way: str) -> None:
    tokens = torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(0))
    logits = []
    for module in (fused, written_out):
        model = randomised(module.Model(module.Config()))
        with torch.no_grad(), form(module, way):
            logits.append(model(tokens))
    assert torch.allclose(*logits, atol=1e-5)


# ---- mixtures


def dense(
    one: Callable[[int, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    weights: torch.Tensor,
    index: torch.Tensor,
) -> torch.Tensor:
    """The sum that a mixture stands for, one row and one choice after the other."""
    rows = x.flatten(0, -2)
    result = torch.zeros_like(rows)
    for n, (row, chosen, ws) in enumerate(
        zip(rows, index.flatten(0, -2), weights.flatten(0, -2), strict=True)
    ):
        for e, w in zip(chosen.tolist(), ws, strict=True):
            result[n] += w * one(e, row[None])[0]
    return result.view_as(x)


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (1, 40), (3, 2, 2)])
def test_stacked_mixture(fused: ModuleType, shape: tuple[int, ...]) -> None:
    """One token, some that nobody or everybody chooses, more tokens than instances."""
    experts = randomised(fused.StackedSwiGLU(8, 48, 24))
    x = torch.randn(*shape, 48)
    scores = torch.randn(*shape, 8)
    scores[..., 5], scores[..., 2] = -9, 9
    weights, index = scores.softmax(dim=-1).topk(3, dim=-1)
    with torch.no_grad():
        found = experts(x, weights, index)
        assert torch.allclose(found, dense(experts.expert, x, weights, index), atol=1e-6)
        traced = fused.traceable(experts.expert, 8, x, index)
        assert traced.shape == (*shape, 3, 48)
        assert torch.allclose((traced * weights[..., None]).sum(-2), found, atol=1e-6)


def test_mixture_of_modules(tmp_path: Path) -> None:
    """Instances with parts of their own are not stacked, and give the same sum."""
    module = imported(load_program(REPOSITORY / "tests" / "onnx" / "unusual.dsv3"), tmp_path)
    model = randomised(module.Model(module.Config()))
    layer = model.layers[1].ffn
    x = torch.randn(2, 6, 24)
    with torch.no_grad():
        weights, index = layer.router(x).softmax(dim=-1).topk(2, dim=-1)
        wanted = dense(lambda e, row: layer.experts[e](row), x, weights, index)
        assert torch.allclose(layer(x), wanted, atol=1e-6)


# ---- caches and masks


def test_unusual_caches(tmp_path: Path) -> None:
    """Two caches in some layers, chunks and padding: as without a cache, and as alone."""
    module = imported(load_program(REPOSITORY / "tests" / "onnx" / "unusual.dsv3"), tmp_path)
    model = randomised(module.Model(module.Config()))
    tokens = torch.randint(48, (2, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 9, dtype=torch.int64)
    mask[1, :3] = 0
    with torch.no_grad():
        whole = model(tokens, mask=mask)
        cache, found, stop = model.new_cache(2, 9), [], 0
        for count in (4, 3, 1, 1):
            start, stop = stop, stop + count
            found.append(model(tokens[:, start:stop], mask=mask[:, :stop], cache=cache))
        assert torch.allclose(torch.cat(found, dim=1), whole, atol=1e-5)
        assert torch.allclose(model(tokens[1:, 3:])[0], whole[1, 3:], atol=1e-5)


def test_bad_input_is_refused(fused: ModuleType) -> None:
    model = randomised(fused.Model(fused.Config()))
    tokens = torch.ones(2, 5, dtype=torch.int64)
    other = fused.Model(fused.Config())
    with torch.no_grad():
        cache = model.new_cache(2, 8)
        model(tokens, cache=cache)
        for faulty, message in (
            (lambda: model(tokens[0]), r"tokens must be \[B, S\] and not empty, not \[5\]"),
            (lambda: model(tokens[:, :0]), r"not empty, not \[2, 0\]"),
            (
                lambda: model(tokens, mask=torch.ones(2, 4, dtype=torch.bool)),
                r"mask must be \[2, 5\], not \[2, 4\]",
            ),
            (
                lambda: model(tokens[:, :1], mask=torch.ones(2, 1, dtype=torch.bool), cache=cache),
                r"mask must be \[2, 6\], not \[2, 1\]",
            ),
            (lambda: model(tokens, mask=torch.zeros(2, 5)), "whole numbers, not of torch.float32"),
            (lambda: other(tokens[:, :1], cache=cache), "the cache is another model's"),
            (lambda: model(tokens[:1], cache=cache), "the cache is for 2 sequences, not for 1"),
            (
                lambda: model(tokens, cache=cache),
                "the cache has room for 8 tokens: 5 are there, 5 do not fit",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                faulty()
        with pytest.raises(RuntimeError, match="FloatTensor"):
            model(tokens.float())
        with pytest.raises(IndexError, match="out of range"):
            model(tokens + model.config.vocab_size)
        assert cache.length == 5
        before = model(torch.ones(2, 8, dtype=torch.int64))
        after = model(tokens[:, :3], cache=cache)
        assert torch.allclose(after, before[:, 5:], atol=1e-5)


def test_cache_holds_no_more_than_the_table_says(fused: ModuleType) -> None:
    model = fused.Model(fused.Config())
    cache = model.to(torch.bfloat16).new_cache(3, 11)
    held = [row.values for part in caches(cache).values() for row in part.rows.values()]
    assert sum(values.numel() for values in held) == 3 * 11 * 3 * (12 + 8)
    assert {values.dtype for values in held} == {torch.bfloat16}


def test_float32_rows_survive_conversions(fused: ModuleType) -> None:
    model = randomised(fused.Model(fused.Config()))
    router = model.layers[1].ffn.router
    bias = router.bias.detach().clone()
    for converted in (model.to(torch.bfloat16), model.half(), model.double(), model.float()):
        assert router.bias.dtype == torch.float32
        assert torch.equal(router.bias, bias)
        assert converted.head.weight.dtype == router.weight.dtype


def test_layers_with_and_without_a_cache(tmp_path: Path) -> None:
    """Alternatives of one name are called alike; the cache grows along its last axis."""
    table = load_program(REPOSITORY / "tests" / "pytorch" / "hybrid.dsv3")
    module = imported(table, tmp_path)
    model = randomised(module.Model(module.Config()))
    tokens = torch.randint(20, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole = model(tokens)
        cache = model.new_cache(2, 9)
        pieces = [model(piece, cache=cache) for piece in tokens.split([4, 1, 3, 1], dim=1)]
    assert torch.allclose(torch.cat(pieces, dim=1), whole, atol=1e-6)
    assert [values.shape for values in cache.tensors()] == [(2, 8, 9)] * 3


@pytest.mark.parametrize("path", ["onnx/unusual", "pytorch/hybrid", "pytorch/names"])
def test_unusual_tables_as_interpreted(path: str, tmp_path: Path) -> None:
    """The IR's interpreter computes the same in 64 bits."""
    table = load_program(REPOSITORY / "tests" / f"{path}.dsv3")
    module = imported(table, tmp_path)
    model = randomised(module.Model(module.Config())).double()
    tokens = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(tokens).numpy()
    expected = logits(table, model, tokens)
    assert np.abs(found - expected).max() <= 1e-9 * max(1, np.abs(expected).max())


def test_shipped_tables_as_interpreted(table: Program, fused: ModuleType) -> None:
    model = randomised(fused.Model(fused.Config())).double()
    tokens = torch.randint(40, (1, 5), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(tokens).numpy()
    expected = logits(table, model, tokens)
    assert np.abs(found - expected).max() <= 1e-5  # rotary tables and the router are in float32
