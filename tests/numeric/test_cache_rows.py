"""What a cache keeps: rows that fit it alone, padding that stays padding, and what backward reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.frontend.load import load_program
from tests.numeric.generated import caches, imported, program, randomised
from tests.numeric.test_steps import FAMILIES, near, tokens, written

pytestmark = pytest.mark.slow

DRAWN = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module", params=FAMILIES)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    spec, shape = FAMILIES[request.param]
    return imported(program(spec, **shape), tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def model(file: ModuleType) -> Any:
    return randomised(file.Model(file.Config()))


# ---- restore

#: What is wrong with one of the tensors, and what the error says it must be and is.
MISFITS: Mapping[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "another batch": (lambda t: torch.cat([t, t[:1]]), r"must be \(\[2, 'T', .*not \(\[3, 'T', "),
    "one sequence, that would spread": (lambda t: t[:1], r"\[2, 'T', .*not \(\[1, 'T', "),
    "another width": (lambda t: torch.cat([t, t], -1), r"must be .*not "),
    "another dtype": (lambda t: t.bfloat16(), r"torch\.float32, 'cpu'\), not .*torch\.bfloat16"),
    "another device": (lambda t: t.to("meta"), r"'cpu'\), not .*'meta'"),
    "another rank": (lambda t: t[..., None], r"must be .*not .*, 1\]"),
    "a rank less": (lambda t: t[..., 0], r"must be .*not "),
    "another length": (lambda t: t[:, :3], r"as long as each other: .*(3.*5|5.*3)"),
}


def test_what_is_restored_keeps_the_room(model: Any) -> None:
    text = tokens(2, 6)
    with torch.no_grad():
        first, roomy = model.new_cache(2), model.new_cache(2, 12)
        model(text[:, :5], cache=first)
        roomy.restore(first.tensors())
        rows = [row for cache in caches(roomy).values() for row in cache.rows.values()]
        places = [row.values.data_ptr() for row in rows]
        assert near(model(text[:, 5:], cache=roomy), model(text[:, 5:], cache=first))
    assert rows
    assert [row.values.data_ptr() for row in rows] == places


@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("at", ["first", "last", "all"])
def test_rows_that_do_not_fit_are_refused_and_nothing_changes(
    model: Any, misfit: str, at: str
) -> None:
    spoil, reason = MISFITS[misfit]
    if at == "all" and misfit == "another length":
        return  # that is what a shorter cache keeps
    source, cache = model.new_cache(2), model.new_cache(2, 12)
    with torch.no_grad():
        model(tokens(2, 5), cache=source)
        model(tokens(2, 4), cache=cache)
        stretch = caches(source)["layers"]
        kept, before = source.tensors(), [tensor.clone() for tensor in cache.tensors()]
        chosen = {"first": [0], "last": [len(stretch.rows) - 1], "all": range(len(stretch.rows))}
        for number in chosen[at]:
            kept[number] = spoil(kept[number])
        with pytest.raises(ValueError, match=reason) as raised:
            cache.restore(kept)
        if "as long" not in str(raised.value):
            assert re.search(r"cache row (\w+\.)+\d+(\.\w+)* must", str(raised.value))
        assert cache.length == 4
        assert all(map(torch.equal, cache.tensors(), before))
        whole = torch.cat([tokens(2, 4), tokens(2, 2)], 1)
        assert near(model(tokens(2, 2), cache=cache), model(whole)[:, 4:])


def test_another_number_of_rows_is_refused(model: Any) -> None:
    source, cache = model.new_cache(2), model.new_cache(2)
    with torch.no_grad():
        model(tokens(2, 5), cache=source)
    kept = source.tensors()
    for wrong in (kept[:-1], [*kept, kept[0]], [], [torch.ones(2, 5, dtype=torch.bool), *kept]):
        with pytest.raises(ValueError, match=f"{len(kept)} rows .* not {len(wrong)}"):
            cache.restore(wrong)
    with pytest.raises(ValueError, match=r"room for 4 tokens, not 5"):
        model.new_cache(2, 4).restore(kept)
    stretch, mask = len(caches(source)["layers"].rows), torch.ones(2, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"mask must be \[2, 5\], not \[2, 4\]"):
        cache.restore([*kept[:stretch], mask, *kept[stretch:]])
    assert cache.length == 0


class Averages(torch.nn.Module):
    """A module of somebody's own: the mean of all that there is so far."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cache_rows = {"kept": ("B", "T", width)}

    def forward(self, x: torch.Tensor, *given: object) -> torch.Tensor:
        cache: Any = given[-1]
        kept = cache.append(self, "kept", x) if cache else x
        counts = torch.arange(1, kept.size(1) + 1)[:, None]
        return (kept.cumsum(1) / counts)[:, -x.size(1) :]


def test_modules_put_in_later_have_rows(tmp_path: Path) -> None:
    """Rows are those of the modules that are there when a cache is made; of others none."""
    spec, shape = FAMILIES["llama"]
    file = imported(program(spec, **shape), tmp_path)
    model, text = randomised(file.Model(file.Config())), tokens(2, 6)
    before = model.new_cache(2)
    model.layers[0].attn = Averages(file.Config().dim)
    cache = model.new_cache(2, 6)
    with torch.no_grad():
        whole = model(text)
        found = [model(text[:, start : start + 2], cache=cache) for start in (0, 2, 4)]
        assert near(torch.cat(found, 1), whole)
        assert len(cache.tensors()) == 1 + 2 * (file.Config().n_layers - 1)
        with pytest.raises(ValueError, match="another model's"):
            model(text, cache=before)


# ---- padding


@DRAWN
@given(data=st.data())
def test_padding_stays_padding_in_steps_without_a_mask(model: Any, data: st.DataObject) -> None:
    """Whatever hides it, wherever it stands, and though another cache takes the rows over."""
    pieces = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=5), "pieces")
    total, start = sum(pieces), 0
    mask = torch.tensor(
        data.draw(
            st.lists(
                st.lists(st.booleans(), min_size=total, max_size=total), min_size=2, max_size=2
            )
        )
    )
    masked = [True, *(data.draw(st.lists(st.booleans(), min_size=4, max_size=4), "masked"))]
    capacity = data.draw(st.sampled_from([0, total, total + 2]), "capacity")
    taken_over = data.draw(st.integers(0, len(pieces) - 1), "taken over")
    text, cache, found = tokens(2, total), model.new_cache(2, capacity), []
    with torch.no_grad():
        for number, piece in enumerate(pieces):
            stop = start + piece
            if not masked[number]:
                mask[:, start:stop] = True
            if number == taken_over:
                other = model.new_cache(2, capacity)
                other.restore(cache.tensors())
                cache = other
            seen = mask[:, :stop].clone() if masked[number] else None
            found.append(model(text[:, start:stop], seen, cache))
            if seen is not None:
                seen.fill_(True)  # what the caller does with it is the caller's
            start = stop
        logits = torch.cat(found, 1)
        assert logits.isfinite().all()
        for row, real in enumerate(mask):
            if real.any():
                (alone,) = model(text[row : row + 1, real])
                assert torch.allclose(logits[row, real], alone, atol=1e-4)


def test_a_step_that_fails_leaves_the_mask(model: Any) -> None:
    mask = torch.tensor([[True] * 5, [False, False, True, True, True]])
    cache = model.new_cache(2)
    with torch.no_grad():
        model(tokens(2, 5), mask, cache)
        for wrong in (torch.ones(2, 4, dtype=torch.bool), torch.ones(2, 6)):
            with pytest.raises(ValueError, match="mask must be"):
                model(tokens(2, 1), wrong, cache)
        found = model(tokens(2, 1), cache=cache)
        text = torch.cat([tokens(2, 5)[1:, 2:], tokens(2, 1)[1:]], 1)
        assert near(found[1:], model(text)[:, -1:])


def test_without_padding_nothing_is_kept(model: Any) -> None:
    """Unpadded steps are what they were: where attention needs no mask, none is made."""
    cache = model.new_cache(2, 12)
    with torch.no_grad():
        for count in (5, 1, 2):
            model(tokens(2, count), cache=cache)
            assert all(part.mask is None for part in caches(cache).values())
    assert {tensor.dtype for tensor in cache.tensors()} == {torch.float32}


#: Two functions append to one row: one is placed, the other is given all that it needs.
MIXED = """language 1
use std.attention { causal, attention }
model mixed "One stack, read by tokens and by vectors" {
  params { vocab_size : size = 40   dim : size = 6 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { embed : [vocab_size, dim]   head : tied embed }
  parts { layers[layer] : block × 2 }
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {
    return head(layers(take(embed, tokens), causal(positions, mask)))
  }
  function vectors(mask: bool [B, T], positions: i64 [B, S], x: [B, S, dim]) -> [B, S, vocab_size] {
    return head(layers(x, causal(positions, mask)))
  }
  module block {
    tensors { wk : dim -> dim }
    cache { key : [B, T, 1, dim] along T }
    forward(x: [B, S, dim], seen: bool [B, S, T]) -> [B, S, dim] {
      k = append(key, rearrange(wk(x), "b s d -> b s 1 d"))
      return x + rearrange(attention(rearrange(x, "b s d -> b s 1 d"), k, k, seen, 1.0), "b s 1 d -> b s d")
    }
  }
}
"""


@pytest.mark.parametrize(
    "order", [("vectors", "tokens", "tokens"), ("tokens", "vectors", "tokens")]
)
def test_functions_of_one_row_share_its_padding(order: Sequence[str], tmp_path: Path) -> None:
    file = imported(load_program(written(MIXED, tmp_path)), tmp_path)
    model, text = randomised(file.Model(file.Config())), tokens(2, 6)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 1:2], mask[1, :2] = False, False
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, found = model.new_cache(2), []
    with torch.no_grad():
        for number, name in enumerate(order):
            start, stop = 2 * number, 2 * number + 2
            new = text[:, start:stop]
            if name == "vectors":
                x = model.embed[new]
                found.append(
                    model.vectors(mask[:, :stop], positions[:, start:stop], x, cache=cache)
                )
            else:
                given = {} if number else {"mask": mask[:, :stop]}
                found.append(model(new, cache=cache, **given))
        assert near(torch.cat(found, 1)[mask], model(text, mask)[mask])


# ---- training


@DRAWN
@given(data=st.data())
def test_backward_through_steps_of_a_cache(model: Any, data: st.DataObject) -> None:
    """With room or without, from a prompt with gradients or without: the gradients of one pass."""
    pieces = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=4), "pieces")
    total = sum(pieces)
    capacity = data.draw(st.sampled_from([0, total, total + 3]), "capacity")
    masked = data.draw(st.booleans(), "masked")
    text, mask = tokens(2, total), torch.ones(2, total, dtype=torch.bool)
    if masked:
        mask[1, : pieces[0] - 1] = False
    cache, stop, found = model.new_cache(2, capacity), 0, []
    for piece in pieces:
        start, stop = stop, stop + piece
        seen = mask[:, :stop] if masked else None
        found.append(model(text[:, start:stop], seen, cache))
    steps = gradients(model, torch.cat(found, 1)[mask])
    whole = gradients(model, model(text, mask if masked else None)[mask])
    for name, gradient in whole.items():
        assert torch.allclose(steps[name], gradient, rtol=1e-3, atol=1e-4), name


def gradients(model: Any, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    logits.logsumexp(-1).sum().backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("quiet", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("trained", ["all", "wq", "none"])
def test_steps_with_and_without_gradients_take_turns(
    trained: str, quiet: Any, tmp_path: Path
) -> None:
    """Though a row itself needs no gradient, what backward reads of it stays as it was."""
    spec, shape = FAMILIES["llama"]
    file = imported(program(spec, **shape), tmp_path)
    model, text = randomised(file.Model(file.Config())), tokens(2, 9)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained == "all" or trained in name)
    cache = model.new_cache(2, 9)
    with quiet():
        first = model(text[:, :3], cache=cache)
    second = model(text[:, 3:5], cache=cache)
    with quiet():
        third = model(text[:, 5:6], cache=cache)
    fourth = model(text[:, 6:], cache=cache)
    if trained != "none":
        (second.sum() + fourth.sum()).backward()
        assert model.layers[0].attn.wq.weight.grad.isfinite().all()
    with torch.no_grad():
        assert near(torch.cat([first, second, third, fourth], 1), model(text))
