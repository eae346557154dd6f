"""Steps of a cache: one that fails changes nothing, and each function continues its own tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.frontend.load import load_program
from tests.numeric.generated import caches, imported, program, randomised
from tests.numeric.interpreted import interpreter
from tests.numeric.test_torch_tracing import COMMON, GROUPED, SHAPES, near, tokens

pytestmark = pytest.mark.slow

#: A latent cache and experts, heads that predict further, windows, sinks, biases, positions by a row.
FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{name: (name, shape) for name, shape in SHAPES.items()},
    "further_heads": ("deepseek_v3", {**SHAPES["deepseek_v3"], "n_mtp_layers": 2}),
    "gemma2": ("gemma2", {**GROUPED, "inter_dim": 48, "window": 3}),
    "gpt_oss": (
        "gpt_oss",
        {**GROUPED, "inter_dim": 24, "n_experts": 4, "n_activated_experts": 2, "window": 3},
    ),
    "gpt2": ("gpt2", {**COMMON, "inter_dim": 48, "max_seq_len": 64}),
}


class Failure(Exception):
    """What memory that has run out would raise."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    spec, shape = FAMILIES[request.param]
    file = imported(program(spec, **shape), tmp_path_factory.mktemp(request.param))
    return randomised(file.Model(file.Config()))


@contextmanager
def failing(module: torch.nn.Module, *, before: bool) -> Iterator[None]:
    """The first call of a module fails: before it has done anything, or when it has."""

    def fail(*_: object) -> None:
        handle.remove()
        raise Failure

    handle = (
        module.register_forward_pre_hook(fail) if before else module.register_forward_hook(fail)
    )
    try:
        yield
    finally:
        handle.remove()


def run(
    model: Any, pieces: Sequence[int], capacity: int, padding: int, fault: tuple[int, str, bool]
) -> list[torch.Tensor]:
    """Logits of each piece; at one of them a module fails, and the step is tried again."""
    at, name, before = fault
    inputs, mask = tokens(2, sum(pieces)), torch.ones(2, sum(pieces), dtype=torch.bool)
    mask[1, :padding] = False
    cache, found, stop = model.new_cache(2, capacity), [], 0
    with torch.no_grad():
        for number, piece in enumerate(pieces):
            start, stop = stop, stop + piece
            given = {"mask": mask[:, :stop]} if padding else {}
            if number == at:
                held = [tensor.clone() for tensor in cache.tensors()]
                with failing(model.get_submodule(name), before=before), suppress(Failure):
                    found.append(model(inputs[:, start:stop], cache=cache, **given))
                    continue  # another forward of a module around it was the cheaper one
                assert cache.length == start
                assert all(map(torch.equal, cache.tensors(), held))
            found.append(model(inputs[:, start:stop], cache=cache, **given))
            assert caches(cache)["layers"].length == stop
            assert {tensor.size(1) for tensor in caches(cache)["layers"].tensors()} == {stop}
    return found


def reached(model: Any) -> list[str]:
    """The modules that a step calls, but for the model itself: it has ended when that returns."""
    found: list[str] = []
    handles = [
        module.register_forward_hook(lambda *_, name=name: found.append(name))
        for name, module in model.named_modules()
        if name
    ]
    with torch.no_grad():
        model(tokens(1, 2))
    for handle in handles:
        handle.remove()
    return sorted(set(found))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_step_that_fails_can_be_tried_again(model: Any, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4), "pieces")
    total = sum(pieces)
    capacity = data.draw(st.sampled_from([0, total, total + 3]), "capacity")
    padding = data.draw(st.integers(0, pieces[0] - 1), "padding")
    at = data.draw(st.integers(0, len(pieces) - 1), "piece that fails")
    names = reached(model)
    name = data.draw(st.sampled_from(names), "module that fails")
    fault = (at, name, data.draw(st.booleans(), "before"))
    found = run(model, pieces, capacity, padding, fault)
    undisturbed = run(model, pieces, capacity, padding, (-1, "", False))
    assert all(map(torch.equal, found, undisturbed))


def test_every_layer_may_fail(model: Any) -> None:
    """Each module that a step calls, in a prompt and in a single token behind one."""
    undisturbed = run(model, (4, 1, 2), 0, 0, (-1, "", False))
    for name in reached(model):
        for at in (0, 1):
            found = run(model, (4, 1, 2), 0, 0, (at, name, False))
            assert all(map(torch.equal, found, undisturbed)), name


def test_a_step_of_one_function_does_not_commit_what_failed_in_another(model: Any) -> None:
    if not hasattr(model, "predict_next"):
        return
    cache, text = model.new_cache(2), tokens(2, 6)
    with torch.no_grad():
        hidden = model.trunk(text[:, :3], cache=cache)
        with failing(model.layers[1], before=True), pytest.raises(Failure):
            model(text[:, 3:], cache=cache)
        model.predict_next(hidden[:, :2], text[:, 1:4], cache=cache)
        assert {name: one.length for name, one in caches(cache).items()} == {
            "layers": 3,
            "mtp": 2,
        }
        assert near(model(text[:, 3:], cache=cache), model(text)[:, 3:])


# ---- functions of a model that have a cache of their own


def test_a_further_head_continues_behind_what_its_cache_holds(tmp_path: Path) -> None:
    spec, shape = FAMILIES["further_heads"]
    file = imported(program(spec, **shape), tmp_path)
    model, text = randomised(file.Model(file.Config())), tokens(2, 10)
    with torch.no_grad():
        hidden = model.trunk(text[:, :8])
        whole = model.predict_next(hidden, text[:, 1:10])
        for pieces in ((3, 5), (1, 1, 6), (5, 1, 1, 1)):
            cache, stop = model.new_cache(2, 8), 0
            for piece in pieces:
                start, stop = stop, stop + piece
                following = text[:, start + 1 : stop + 2]
                found = model.predict_next(hidden[:, start:stop], following, cache=cache)
                assert near(found, whole[:, start:stop])


DECODER = """language 1
use std.attention { causal, attention }
model decoder "A decoder that only a function calls" {
  params { vocab_size : size = 9   dim : size = 6   length : size = 16 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { embed : [vocab_size, dim]   place : [length, dim]   head : tied embed }
  parts { layers[layer] : block × 2   other : block }
  function decode(tokens: i64 [B, S], extra: [B, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {
    x = take(embed, tokens) + take(place, positions) + rearrange(extra, "b d -> b 1 d")
    return head(layers(x, causal(positions, mask)))
  }
  function both(tokens: i64 [B, S], extra: [B, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {
    return decode(tokens, extra, positions, mask) + head(other(take(embed, tokens), causal(positions, mask)))
  }
  forward(tokens: i64 [B, S]) -> [B, S, dim] { return take(embed, tokens) }
  module block {
    tensors { wk : dim -> dim   wv : dim -> dim }
    cache { key : [B, T, 1, dim] along T   value : [B, T, 1, dim] along T }
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {
      k = append(key, rearrange(wk(x), "b s d -> b s 1 d"))
      v = append(value, rearrange(wv(x), "b s d -> b s 1 d"))
      return x + rearrange(attention(rearrange(x, "b s d -> b s 1 d"), k, v, seen, 1.0), "b s 1 d -> b s d")
    }
  }
}
"""


def written(text: str, folder: Path) -> Path:
    path = folder / "t.dsv3"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("function", ["decode", "both"])
@pytest.mark.parametrize("pieces", [(8,), (3, 5), (4, 1, 1, 2)])
@pytest.mark.parametrize("padding", [0, 2])
def test_a_function_with_a_cache_places_tokens_behind_what_it_holds(
    function: str, pieces: Sequence[int], padding: int, tmp_path: Path
) -> None:
    table = load_program(written(DECODER, tmp_path))
    file = imported(table, tmp_path)
    model = randomised(file.Model(file.Config()))
    assert "cache" not in signature(model.forward).parameters  # it has none to fill
    root = interpreter(table, model)
    called = next(f for f in table.model.functions if f.name == function)
    text, extra = tokens(2, 8) % 9, torch.randn(2, 6, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, 8, dtype=torch.bool)
    mask[1, :padding] = False
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, stop = model.new_cache(2), 0
    with torch.no_grad():
        whole = getattr(model, function)(text, extra, mask=mask)
        for piece in pieces:
            start, stop = stop, stop + piece
            given = {"mask": mask[:, :stop]} if padding else {}
            found = getattr(model, function)(text[:, start:stop], extra, cache=cache, **given)
            args = [text[:, start:stop], extra, positions[:, start:stop], mask[:, :stop]]
            axes = {"B": 2, "S": piece, "T": stop}
            (meant,) = root.call(called, [arg.numpy() for arg in args], axes)
            root.advance()
            assert near(found, whole[:, start:stop])
            assert np.allclose(found.numpy(), meant, atol=1e-4)


def test_parts_may_be_called_as_what_modules_have(tmp_path: Path) -> None:
    """Names of Python and torch, which stand for parts with caches of their own."""
    named = DECODER.replace("layers", "half").replace("other", "float")
    file = imported(load_program(written(named, tmp_path)), tmp_path)
    model = randomised(file.Model(file.Config()))
    cache, text, extra = model.new_cache(1), tokens(1, 4) % 9, torch.zeros(1, 6)
    with torch.no_grad():
        whole = model.both(text, extra)
        for start in range(4):
            found = model.both(text[:, start : start + 1], extra, cache=cache)
            assert near(found, whole[:, start : start + 1])
        assert len(cache.tensors()) == 2 * 3
        again = model.new_cache(1)
        again.restore(cache.tensors())
        assert again.length == 4


def test_rows_that_hold_other_tokens_are_refused_together(tmp_path: Path) -> None:
    file = imported(load_program(written(DECODER, tmp_path)), tmp_path)
    model = randomised(file.Model(file.Config()))
    cache, text, extra = model.new_cache(1), tokens(1, 3) % 9, torch.zeros(1, 6)
    with torch.no_grad():
        model.decode(text, extra, cache=cache)
        with pytest.raises(ValueError, match="the cache holds"):
            model.both(text, extra, cache=cache)
        other = model.new_cache(1)
        tensors = cache.tensors()
        tensors[0] = tensors[0][:, :1]
        with pytest.raises(ValueError, match="rows that grow together"):
            other.restore(tensors)


LAYER = """language 1
model layer "A layer alone, called with all that it needs" {
  params { dim : size = 6 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { wk : dim -> dim }
  cache { key : [B, T, dim] along T }
  forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {
    k = append(key, wk(x))
    p = softmax(where(seen, einsum("b s d, b t d -> b s t", x, k), -inf))
    return x + einsum("b s t, b t d -> b s d", p, k)
  }
}
"""


def test_a_forward_of_any_signature_continues_its_cache(tmp_path: Path) -> None:
    file = imported(load_program(written(LAYER, tmp_path)), tmp_path)
    model = randomised(file.Model(file.Config()))
    x = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(1))
    seen = torch.ones(2, 7, 7, dtype=torch.bool).tril()
    with torch.no_grad():
        whole, cache, stop = model(x, seen), model.new_cache(2, 7), 0
        for piece in (3, 1, 3):
            start, stop = stop, stop + piece
            with pytest.raises(ValueError, match=f"T must be {stop}"):
                model(x[:, start:stop], seen[:, start:stop, : stop - 1], cache=cache)
            with pytest.raises(ValueError, match="the cache is for 2 sequences"):
                model(x[:1, start:stop], seen[:1, start:stop, :stop], cache=cache)
            found = model(x[:, start:stop], seen[:, start:stop, :stop], cache=cache)
            assert near(found, whole[:, start:stop])
        with pytest.raises(ValueError, match="has room for 7"):
            model(x[:, :1], torch.ones(2, 1, 8, dtype=torch.bool), cache=cache)


#: As LAYER, with a mask that attention makes something of, and nothing else looks at.
MASKED = """language 1
use std.attention { causal, attention }
model layer "A layer of a language model" {
  params { dim : size = 6 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { wk : dim -> dim }
  cache { key : [B, T, 1, dim] along T }
  forward(x: [B, S, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    k = append(key, rearrange(wk(x), "b s d -> b s 1 d"))
    q = rearrange(x, "b s d -> b s 1 d")
    return x + rearrange(attention(q, k, k, causal(positions, mask), 1.0), "b s 1 d -> b s d")
  }
}
"""


def test_a_forward_that_places_no_tokens_needs_its_mask(tmp_path: Path) -> None:
    """No mask means that nothing is hidden; several tokens behind others hide some of each other."""
    file = imported(load_program(written(MASKED, tmp_path)), tmp_path)
    assert "None" not in str(signature(file.Model.forward).parameters["mask"].annotation)
    model = randomised(file.Model(file.Config()))
    x = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(1))
    mask, positions = torch.ones(2, 7, dtype=torch.bool), torch.arange(7).expand(2, -1)
    with torch.no_grad():
        whole, cache, stop = model(x, positions, mask), model.new_cache(2, 7), 0
        for piece in (3, 1, 3):
            start, stop = stop, stop + piece
            here = positions[:, start:stop]
            assert near(
                model(x[:, start:stop], here, mask[:, :stop], cache=cache), whole[:, start:stop]
            )


def test_a_model_without_weights_makes_a_cache(tmp_path: Path) -> None:
    table = tmp_path / "bare.dsv3"
    table.write_text(
        """language 1
model bare "B" {
  params { dim : size = 4 }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  cache { held : [B, T, dim] along T }
  forward(x: [B, S, dim]) -> [B, S, dim] {
    h = append(held, x)
    return x + sum(h, over = 1, keep = true) / 8
  }
}
""",
        encoding="utf-8",
    )
    module = imported(load_program(table), tmp_path)
    model = module.Model(module.Config())
    x = torch.ones(1, 2, 4)
    cache = model.new_cache(1)
    first = model(x, cache=cache)
    second = model(x, cache=cache)
    assert torch.equal(first, x + 2 / 8)
    assert torch.equal(second, x + 4 / 8)
