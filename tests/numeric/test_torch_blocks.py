"""Std blocks and lists in generated code: against their bodies, torch, transformers and numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.frontend.load import load_program  # noqa: E402
from tests.numeric.generated import REPOSITORY, expanded, imported, randomised  # noqa: E402
from tests.numeric.interpreted import logits  # noqa: E402

pytestmark = pytest.mark.slow

TABLES = REPOSITORY / "tests" / "pytorch"
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    table = load_program(TABLES / "activations.dsv3")
    return imported(table, tmp_path_factory.mktemp("fused"))


@pytest.fixture(scope="module")
def written_out(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    table = expanded(load_program(TABLES / "activations.dsv3"))
    return imported(table, tmp_path_factory.mktemp("written_out"))


def test_the_files_differ(fused: ModuleType, written_out: ModuleType) -> None:
    ours, bodies = (Path(str(m.__file__)).read_text() for m in (fused, written_out))
    for operation in ("F.layer_norm", "F.gelu(x)", 'F.gelu(x, approximate="tanh")'):
        assert operation in ours
        assert operation not in bodies


def same_but_for_rounding(ours: torch.Tensor, body: torch.Tensor, dtype: torch.dtype) -> None:
    """One rounding at the end of both: values may lie on two sides of it, few of them."""
    assert ours.dtype == body.dtype == dtype
    assert torch.allclose(ours, body, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
    if dtype != torch.float32:
        assert (ours != body).float().mean() < 0.01


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelu(fused: ModuleType, written_out: ModuleType, name: str, dtype: torch.dtype) -> None:
    """Below -2 both subtract numbers that are nearly equal, each in its own way."""
    x = torch.linspace(-6, 6, 4001).to(dtype)
    ours, body = (getattr(module, name)(x) for module in (fused, written_out))
    assert torch.allclose(ours, body, rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
    same_but_for_rounding(ours[x > -2], body[x > -2], dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", ["first", "plain", "last"])
def test_layer_norm(
    fused: ModuleType, written_out: ModuleType, part: str, dtype: torch.dtype
) -> None:
    ours, body = (
        getattr(randomised(m.Model(m.Config())), part).to(dtype) for m in (fused, written_out)
    )
    assert hasattr(ours, "bias") == (part != "plain")
    torch.manual_seed(0)
    x = (3 * torch.randn(50, 16) + 1).to(dtype)
    with torch.no_grad():
        same_but_for_rounding(ours(x), body(x), dtype)


def gemma(width: int) -> torch.nn.Module:
    from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm

    return Gemma2RMSNorm(width, eps=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("part", "theirs"),
    [
        ("gain", gemma),
        ("first", lambda width: torch.nn.LayerNorm(width, eps=1e-5)),
        ("plain", lambda width: torch.nn.LayerNorm(width, eps=1e-5, bias=False)),
    ],
    ids=["rmsnorm_plus_one", "layernorm", "layernorm without bias"],
)
def test_norms_of_others(
    fused: ModuleType, part: str, theirs: Callable[[int], torch.nn.Module], dtype: torch.dtype
) -> None:
    pytest.importorskip("transformers", reason="transformers is not installed")
    ours, other = getattr(fused.Model(fused.Config()), part).to(dtype), theirs(16).to(dtype)
    torch.manual_seed(0)
    x = (3 * torch.randn(50, 16) + 1).to(dtype)
    with torch.no_grad():
        for (name, row), (other_name, other_row) in zip(
            ours.named_parameters(), other.named_parameters(), strict=True
        ):
            assert name == other_name
            row.normal_()
            other_row.copy_(row)
        same_but_for_rounding(ours(x), other(x), dtype)


@pytest.mark.parametrize(
    ("part", "name"), [("exact", "gelu"), ("tanh", "gelu_pytorch_tanh"), ("relu", "relu")]
)
def test_activations_of_others(fused: ModuleType, part: str, name: str) -> None:
    activations = pytest.importorskip("transformers.activations", reason="no transformers")
    mlp = getattr(randomised(fused.Model(fused.Config())), part)
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = mlp.w2(activations.ACT2FN[name](mlp.w1(x)))
        assert torch.allclose(mlp(x), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "variant"),
    [("activations", None), ("lists", None), ("lists", "none"), ("lists", "ends")],
)
def test_as_interpreted(name: str, variant: str | None, tmp_path: Path) -> None:
    """The IR's interpreter computes the same in 64 bits, but for what is cast to f32."""
    table = load_program(TABLES / f"{name}.dsv3", variant)
    module = imported(table, tmp_path)
    model = randomised(module.Model(module.Config())).double()
    tokens = torch.randint(20, (2, 6), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = model(tokens).numpy()
    expected = logits(table, model, tokens)
    assert np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_lists_decide_layers(tmp_path: Path) -> None:
    module = imported(load_program(TABLES / "lists.dsv3"), tmp_path)
    model = module.Model(module.Config(dense=(2, 3, 6), long=False))
    dense = [i for i, layer in enumerate(model.layers) if type(layer.ffn) is module.GeGLU]
    assert dense == [2, 3, 6]
    assert all(layer.scale.factors == (1.0, 1.0, 1.0, 1.25) for layer in model.layers)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"long_factor": (1.0, 2.0)}, "one factor for each feature"),
        ({"loud": (1,)}, r"loud == \[\]"),  # the branch for loud layers was left out
    ],
)
def test_lists_that_do_not_fit_are_refused(
    given: dict[str, tuple[float, ...]], reason: str, tmp_path: Path
) -> None:
    module = imported(load_program(TABLES / "lists.dsv3"), tmp_path)
    with pytest.raises(ValueError, match=reason):
        module.Config(**given)
