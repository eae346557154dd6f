"""model.py against the logits of transformers (tests/references.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import load_file  # noqa: E402

from specgen.huggingface.reading import overrides_from_config  # noqa: E402
from tests.numeric.generated import form, forms, imported, program  # noqa: E402
from tests.references import DECODED, SPECS, needs_references, saved, sizes, tolerance  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    needs_references,
]


@dataclass(frozen=True)
class Reference:
    module: ModuleType
    model: Any
    arrays: Mapping[str, torch.Tensor]
    tolerance: float


def loaded(name: str, spec: str, folder: Path, **more: Any) -> Reference:
    config = json.loads((saved(name) / "config.json").read_text())
    overrides = overrides_from_config(program(spec), config) | more
    module = imported(program(spec, **overrides), folder)
    model = module.Model(module.Config()).eval()
    model.load_checkpoint(saved(name))
    meta = json.loads((saved(name) / "meta.json").read_text())
    arrays = load_file(saved(name) / "reference.safetensors")
    return Reference(module, model, arrays, tolerance(meta))


@pytest.fixture(scope="module", params=DECODED)
def reference(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Reference:
    return loaded(request.param, SPECS[request.param], tmp_path_factory.mktemp("reference"))


def test_every_reference_is_of_a_spec() -> None:
    assert sizes().keys() == SPECS.keys()


def test_full_pass(reference: Reference) -> None:
    arrays = reference.arrays
    prompt = arrays["input_ids"][None]
    whole = torch.cat([prompt, arrays["decode_tokens"][None]], dim=1)
    with torch.no_grad():
        for tokens, wanted in (
            (prompt, arrays["prefill_logits"]),
            (whole, arrays["full_logits"]),
        ):
            found = reference.model(tokens)[0]
            assert (found - wanted).abs().max() <= reference.tolerance


@pytest.mark.parametrize("chunks", [(16,), (5, 1, 10)], ids=["whole", "chunked"])
def test_cached_decoding(reference: Reference, chunks: tuple[int, ...]) -> None:
    """The prompt in one piece or in several, then one token at a time, in every way there is."""
    arrays = reference.arrays
    prompt = arrays["input_ids"][None]
    wanted = torch.cat([arrays["prefill_logits"], arrays["decode_logits"]])
    for way in forms(reference.module):
        with torch.no_grad(), form(reference.module, way):
            cache = reference.model.new_cache(1, 20)
            steps = [*prompt.split(chunks, dim=1), *arrays["decode_tokens"].view(-1, 1, 1)]
            found = [reference.model(tokens, cache=cache) for tokens in steps]
        assert (torch.cat(found, dim=1)[0] - wanted).abs().max() <= reference.tolerance, way
        assert cache.length == 20


def test_greedy_decoding(reference: Reference) -> None:
    """The tokens that transformers chose, each step fed with what the last one gave."""
    arrays = reference.arrays
    with torch.no_grad():
        cache = reference.model.new_cache(1, 20)
        tokens, chosen = arrays["input_ids"][None], []
        for _ in arrays["decode_tokens"]:
            tokens = reference.model(tokens, cache=cache)[:, -1:].argmax(-1)
            chosen.append(tokens.item())
    assert chosen == arrays["decode_tokens"].tolist()


def test_multi_token_prediction(tmp_path: Path) -> None:
    """The main model, and the head that sees one token further."""
    found = loaded("deepseek_v3_mtp", "deepseek_v3", tmp_path, gate_bias=True)
    arrays, model = found.arrays, found.model
    tokens, following = arrays["input_ids"][None], arrays["mtp_input_ids"][None]
    with torch.no_grad():
        positions, mask = found.module.placed(tokens, None, None)
        hidden = model.trunk(tokens, positions, mask)
        logits = model(tokens)
        further = model.predict_next(hidden, following, positions, mask)
        placed = model.predict_next(model.trunk(tokens), following)
        shifted = model.trunk(tokens, positions + 3)
    assert torch.equal(placed, further)  # who gives no positions and mask gets the usual ones
    assert torch.equal(model.trunk(tokens, mask=torch.ones_like(tokens)), hidden)
    assert not torch.equal(shifted, hidden)  # those that are given are taken
    for ours, wanted in (
        (logits, arrays["main_logits"]),
        (hidden, arrays["main_hidden_after_norm"]),
        (further, arrays["mtp_logits"]),
    ):
        assert (ours[0] - wanted).abs().max() <= found.tolerance
