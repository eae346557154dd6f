"""model.py under torch.compile and torch.export, and what it leaves out where nothing is padded."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.numeric.generated import imported, program, randomised  # noqa: E402

pytestmark = pytest.mark.slow

COMMON: Mapping[str, Any] = {"vocab_size": 40, "dim": 32, "n_layers": 2, "n_heads": 4}
GROUPED: Mapping[str, Any] = {**COMMON, "n_kv_heads": 2, "head_dim": 8}

#: A table each of a latent cache and experts, of neither, and of experts alone.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "deepseek_v3": {
        **COMMON,
        "inter_dim": 48,
        "moe_inter_dim": 24,
        "n_dense_layers": 1,
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
    },
    "llama": {**GROUPED, "inter_dim": 48},
    "qwen3_moe": {
        **GROUPED,
        "inter_dim": 48,
        "moe_inter_dim": 24,
        "n_experts": 8,
        "n_activated_experts": 3,
    },
}


@pytest.fixture(scope="module", params=SHAPES)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    table = program(request.param, **SHAPES[request.param])
    return imported(table, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(file: ModuleType) -> Any:
    return randomised(file.Model(file.Config()))


def tokens(batch: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch * 100 + length)
    return torch.randint(40, (batch, length), generator=generator)


def near(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5)


# ---- what is left out


def test_no_mask_is_a_mask_of_ones(file: ModuleType, model: Any) -> None:
    """A prompt, a prompt behind another, and single tokens, with a cache and without."""
    prompt = tokens(2, 9)
    ones = torch.ones(2, 9, dtype=torch.bool)
    assert file.placed(prompt, None, None)[1] is None
    with torch.no_grad():
        whole = model(prompt, mask=ones)
        assert near(model(prompt), whole)
        caches, stop = [model.new_cache(2, 9), model.new_cache(2, 9), model.new_cache(2)], 0
        for count in (4, 3, 1, 1):
            start, stop = stop, stop + count
            for cache, mask in zip(caches, (None, ones[:, :stop], None), strict=True):
                found = model(prompt[:, start:stop], mask=mask, cache=cache)
                assert near(found, whole[:, start:stop])


def test_logits_of_the_last_token(model: Any) -> None:
    prompt = tokens(2, 7)
    with torch.no_grad():
        assert torch.equal(model(prompt)[:, -1:].argmax(-1), model(prompt, last=True).argmax(-1))
        assert near(model(prompt, last=True), model(prompt)[:, -1:])


def test_a_cache_grows_where_it_has_no_room(model: Any) -> None:
    grown, roomy = model.new_cache(2), model.new_cache(2, 20)
    with torch.no_grad():
        for length in (5, 1, 3):
            pieces = [model(tokens(2, length), cache=cache) for cache in (grown, roomy)]
            assert near(*pieces)
        assert [t.shape for t in grown.tensors()] == [t.shape for t in roomy.tensors()]
        again = model.new_cache(2)
        again.restore(grown.tensors())
        assert again.length == 9
        assert near(model(tokens(2, 1), cache=again), model(tokens(2, 1), cache=roomy))


# ---- torch.compile


@pytest.fixture(params=["aot_eager", "inductor"])
def backend(request: pytest.FixtureRequest) -> str:
    torch.compiler.reset()
    return str(request.param)


def test_compiled(model: Any, backend: str) -> None:
    """In one graph, at sizes other than the first, and without a new one for each step."""
    compiled = torch.compile(model, fullgraph=True, backend=backend, dynamic=True)
    with torch.no_grad():
        for size in ((2, 9), (3, 5), (4, 12)):
            assert near(compiled(tokens(*size)), model(tokens(*size)))
        caches = [model.new_cache(2, 30), model.new_cache(2, 30)]
        for cache in caches:
            model(tokens(2, 6), cache=cache)
        for step in range(8):
            if step == 3:  # the length is dynamic by now
                torch.compiler.set_stance("fail_on_recompile")
            one = tokens(2, 1) + step
            assert near(compiled(one, cache=caches[0]), model(one, cache=caches[1]))
        torch.compiler.set_stance("default")
        assert caches[0].length == 14


def test_compiled_behind_padding(model: Any, backend: str) -> None:
    """Steps without a mask remember what was padding, in the one graph that serves them all."""
    compiled = torch.compile(model, fullgraph=True, backend=backend, dynamic=True)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, :2] = False
    text = torch.cat([tokens(2, 6), *(tokens(2, 1) + step for step in range(7))], 1)
    for capacity in (0, 30):
        cache, found = model.new_cache(2, capacity), []
        with torch.no_grad():
            model(text[:, :6], mask, cache)
            for step in range(7):
                if step == 3:  # the length is dynamic by now
                    torch.compiler.set_stance("fail_on_recompile")
                found.append(compiled(text[:, 6 + step : 7 + step], cache=cache))
            torch.compiler.set_stance("default")
            alone = model(text[1:, 2:])
        assert near(torch.cat(found, 1)[1:], alone[:, 4:])


# ---- torch.export


def test_exported_prefill(file: ModuleType, model: Any) -> None:
    dynamic = {"tokens": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    step = file.Step(model)
    with torch.no_grad():
        run = torch.export.export(step, (tokens(2, 9),), dynamic_shapes=dynamic).module()
        for size in ((2, 9), (5, 4), (3, 17)):
            (found, kept), (wanted, expected) = run(tokens(*size)), step(tokens(*size))
            assert near(found, wanted)
            assert all(map(near, kept, expected))


def test_exported_decoding(file: ModuleType, model: Any) -> None:
    """One step: tensors go in, and come out one token longer."""
    step = file.Step(model)
    auto = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        _, past = step(tokens(2, 9))
        dynamic = {"tokens": {0: auto}, "past": [{0: auto, 1: auto} for _ in past]}
        run = torch.export.export(step, (tokens(2, 1), past), dynamic_shapes=dynamic).module()
        for batch, length in ((2, 9), (5, 4), (3, 17)):
            whole = model(torch.cat([tokens(batch, length), tokens(batch, 1)], dim=1))
            _, past = step(tokens(batch, length))
            found, grown = run(tokens(batch, 1), past)
            assert near(found, whole[:, -1:])
            assert {tensor.size(1) for tensor in grown} == {length + 1}


def test_exported_chunk(file: ModuleType, model: Any) -> None:
    """Several tokens behind others, with a mask that hides padding."""
    step = file.Step(model)
    auto = torch.export.Dim.DYNAMIC
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[1, :2] = False
    with torch.no_grad():
        _, past = step(tokens(2, 9), (), mask[:, :9])
        dynamic = {
            "tokens": {0: auto, 1: auto},
            "past": [{0: auto, 1: auto} for _ in past],
            "mask": {0: auto, 1: auto},
        }
        given = (tokens(2, 4), past, mask)
        run = torch.export.export(step, given, dynamic_shapes=dynamic).module()
        for count in (4, 2):
            given = (tokens(2, count), past, mask[:, : 9 + count])
            assert near(run(*given)[0], step(*given)[0])


def test_exported_step_behind_padding(file: ModuleType, model: Any) -> None:
    """The mask of what is there travels with it, so that later steps need none."""
    step = file.Step(model)
    auto = torch.export.Dim.DYNAMIC
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, :2] = False
    with torch.no_grad():
        _, past = step(tokens(2, 9), (), mask)
        dynamic = {"tokens": {0: auto}, "past": [{0: auto, 1: auto} for _ in past]}
        run = torch.export.export(step, (tokens(2, 1), past), dynamic_shapes=dynamic).module()
        text = tokens(2, 9)[1:, 2:]
        for one in (tokens(2, 1), tokens(2, 1) + 1):
            found, past = run(one, past)
            text = torch.cat([text, one[1:]], 1)
            assert near(found[1:], model(text)[:, -1:])
