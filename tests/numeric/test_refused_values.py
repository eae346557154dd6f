"""What model.py is given by hand and cannot be: refused in words, before torch fails at it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.expr.evaluate import evaluate_int  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from tests.numeric.generated import imported, program, randomised  # noqa: E402
from tests.numeric.test_padding import FAMILIES  # noqa: E402

pytestmark = pytest.mark.slow

EVERY_KIND = """language 1
model kinds "A param of every kind" {
  params {
    vocab : size = 9      dim : size = 4      more : count = 0      rate : real = 0.5
    on : flag = true      kept : flag = true
    mode : "plain" | "twice" | "style" = "plain"
    style : "one" | "two" = "one"
    steps : counts = [1, 2]    weights : reals = [0.5]
  }
  require { on or dim > 1   "what is narrow has more" }
  tensors { embed : [vocab, dim]   extra : [dim] when on }
  forward(tokens: i64 [B, S]) -> [B, S, dim] {
    x = take(embed, tokens)
    if on { return x + extra } else { return x }
  }
}
"""

#: Values of each kind, and others.
FITTING: dict[str, st.SearchStrategy[Any]] = {
    "dim": st.integers(1, 2**48),
    "more": st.integers(0, 2**48),
    "rate": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-5, 5),
    "kept": st.booleans(),
    "mode": st.sampled_from(["plain", "twice", "style"]),
    "style": st.sampled_from(["one", "two"]),
    "steps": st.lists(st.integers(0, 2**48)).map(tuple),
    "weights": st.lists(st.floats(0, 1)).map(tuple),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "kinds.dsv3").write_text(EVERY_KIND, encoding="utf-8")
    return imported(load_program(folder / "kinds.dsv3"), folder)


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from(sorted(FITTING)), data=st.data())
def test_a_config_takes_what_the_table_takes(
    kinds: ModuleType, name: str, data: st.DataObject
) -> None:
    value = data.draw(FITTING[name])
    assert getattr(kinds.Config(**{name: value}), name) == value


OTHERS = {
    "dim": (None, 0, -1, 2**48 + 1, 2**70, True, 1.0, "1", [1]),
    "more": (None, -1, 2**70, False, 0.0, "0"),
    "rate": (None, True, "0.5", 1j, []),
    "on": (None, 1, 0, "true", 1.0, False),
    "kept": (None, 1, 0, "true", 1.0),
    "mode": (None, "", "other", "one", 0, True, b"plain", ["plain"]),
    "style": (None, "three", "plain", 1),
    "steps": (None, 1, [1, 2.0], (True,), (2**70,), (-1,), "12"),
    "weights": (None, 0.5, (True,), ("0.5",), "12"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_config_refuses_values_of_other_kinds(kinds: ModuleType, name: str) -> None:
    for value in OTHERS[name]:
        with pytest.raises(ValueError, match=rf"Config requires: .*\b{name}\b"):
            kinds.Config(**{name: value})


# ---- caches and masks


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = imported(program("llama", **FAMILIES["llama"][1]), tmp_path_factory.mktemp("llama"))
    return randomised(module.Model(module.Config()), 0).eval()


@contextmanager
def nothing() -> Iterator[None]:
    yield


MODES = {"grad": nothing, "no_grad": torch.no_grad, "inference": torch.inference_mode}


@settings(max_examples=20, deadline=None)
@example(made="inference", steps=["no_grad"], room=8)
@given(
    made=st.sampled_from(sorted(MODES)),
    steps=st.lists(st.sampled_from(sorted(MODES)), min_size=1, max_size=4),
    room=st.sampled_from([0, 8]),
)
def test_a_cache_works_in_every_mode(llama: Any, made: str, steps: list[str], room: int) -> None:
    """Made in one mode, filled in others: what comes out is what one call gives."""
    tokens = torch.arange(1, len(steps) + 1).unsqueeze(0)
    with MODES[made]():
        cache = llama.new_cache(1, room)
    found = []
    for place, mode in enumerate(steps):
        with MODES[mode]():
            found.append(llama(tokens[:, place : place + 1], cache=cache).detach().clone())
    with torch.no_grad():
        wanted = llama(tokens)
    assert torch.allclose(torch.cat(found, dim=1), wanted, atol=1e-5)
    assert cache.length == len(steps)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1,), "batch"), ((True,), "batch"), ((1.0,), "batch"), ((None,), "batch"), (("1",), "batch"),
        ((3, -1), "length"), ((3, 2.5), "length"), ((3, True), "length"), ((3, None), "length"),
    ],
)  # fmt: skip
def test_a_cache_of_no_size_is_refused(llama: Any, arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 0 on, not"):
        llama.new_cache(*arguments)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("kind", ["list", "tuple", "ndarray", "int"])
def test_what_is_no_tensor_is_said_to_be_none(llama: Any, kind: str, cached: bool) -> None:
    tokens = torch.ones(1, 3, dtype=torch.int64)
    values = {
        "list": tokens.tolist(), "tuple": tuple(tokens.tolist()), "ndarray": tokens.numpy(), "int": 1,
    }  # fmt: skip
    cache = llama.new_cache(1) if cached else None
    with pytest.raises(TypeError, match=f"mask must be a tensor, not {kind}"):
        llama(tokens, values[kind], cache)
    with pytest.raises(TypeError, match=f"tokens must be a tensor, not {kind}"):
        llama(values[kind], None, cache)


# ---- masks of forwards that are no language model's

HEAD = """language 1
use std.attention { causal, attention }
model masked "What a mask hides" {
  params { dim : size = 6 }
  dtypes { maps = f32 arrays = f32 activations = f32 caches = f32 }
  tensors { ROWS }
"""

#: Forwards and functions, and the call that is made of each; every flag among their arguments is a mask.
MASKED = {
    "one layer": "forward(x: [B, S, dim], mask: bool [B, S]) -> [B, S, dim] {"
    ' return where(rearrange(mask, "b s -> b s 1"), w(x), 0) }',
    "the mask first": "forward(mask: bool [B, S], x: [B, S, dim]) -> [B, S, dim] {"
    ' return where(rearrange(mask, "b s -> b s 1"), w(x), 0) }',
    "negated": "forward(x: [B, S, dim], hidden: bool [B, S]) -> [B, S, dim] {"
    ' return where(rearrange(not hidden, "b s -> b s 1"), w(x), 0) }',
    "two lengths": "forward(x: [B, S, dim], y: [B, E, dim], real: bool [B, E]) -> [B, S, dim] {"
    ' s = where(rearrange(real, "b e -> b 1 e"), einsum("b s d, b e d -> b s e", w(x), y), -1e9)'
    ' return einsum("b s e, b e d -> b s d", softmax(s), y) }',
    "masks alone": "forward(one: bool [B, S], other: bool [B, S]) -> bool [B, S] {"
    " return one and not other }",
    "features": "forward(x: [N, dim], kept: bool [dim]) -> [N, dim] { return where(kept, w(x), 0) }",
    "a whole text": "forward(tokens: i64 [B, S], mask: bool [B, S]) -> [B, dim] {"
    ' return sum(where(rearrange(mask, "b s -> b s 1"), take(embed, tokens), 0), over = S) }',
    "a function": "forward(tokens: i64 [B, S]) -> [B, S, dim] { return gated(take(embed, tokens), tokens > 3) }"
    " function gated(h: [B, S, dim], live: bool [B, S]) -> [B, S, dim] {"
    ' return where(rearrange(live, "b s -> b s 1"), w(h), 0) }',
    "cached": "forward(x: [B, S, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {"
    ' k = append(key, rearrange(w(x), "b s d -> b s 1 d"))  q = rearrange(x, "b s d -> b s 1 d")'
    ' return x + rearrange(attention(q, k, k, causal(positions, mask), 1.0), "b s 1 d -> b s d") }'
    " cache { key : [B, T, 1, dim] along T }",
}  # fmt: skip

LENGTHS = {"B": 2, "S": 5, "E": 4, "N": 3, "T": 5, "dim": 6}


def masked_call(kind: str, folder: Path) -> tuple[Any, dict[str, Any], Any]:
    """The function, arguments that it takes, and a cache that holds nothing, if it has one."""
    rows = {"w": "w : dim -> dim", "embed": "embed : [9, dim]"}
    used = "  ".join(row for name, row in rows.items() if re.search(rf"\b{name}\b", MASKED[kind]))
    text = HEAD.replace("ROWS", used) + MASKED[kind] + "\n}\n"
    if "causal" not in MASKED[kind]:
        text = text.replace("use std.attention { causal, attention }\n", "")
    if not used:
        text = text.replace("  tensors {  }\n", "").replace("  params { dim : size = 6 }\n", "")
    (folder / "masked.dsv3").write_text(text, encoding="utf-8")
    program = load_program(folder / "masked.dsv3")
    module = imported(program, folder)
    model = randomised(module.Model(module.Config()), 0).eval()
    called = (program.model.functions or program.model.forwards)[0]
    generator = torch.Generator().manual_seed(0)
    given = {}
    for arg in called.args:
        shape = [evaluate_int(dim, LENGTHS) for dim in arg.type.shape]
        drawn = torch.rand(shape, generator=generator)
        given[arg.name] = {"bool": drawn < 0.7, "i64": (9 * drawn).long()}.get(
            arg.type.dtype, drawn
        )
        if arg.name == "positions":
            given[arg.name] = torch.arange(shape[1]).expand(shape)
    function = getattr(model, called.name) if program.model.functions else model
    return function, given, model.new_cache(LENGTHS["B"]) if kind == "cached" else None


@pytest.mark.parametrize("kind", MASKED)
def test_masks_of_any_forward_are_checked(kind: str, tmp_path: Path) -> None:
    """As those of tokens: whole numbers are taken for booleans, and nothing else is, nor other sizes."""
    function, given, cache = masked_call(kind, tmp_path)
    held = {} if cache is None else {"cache": cache}
    masks = [name for name, value in given.items() if value.dtype == torch.bool]
    assert masks
    with torch.no_grad():
        wanted = function(**given)
        for name in masks:
            mask = given[name]
            for dtype in (torch.int64, torch.int32, torch.uint8):
                assert torch.equal(function(**{**given, name: mask.to(dtype)}), wanted)
            for other in (mask.tolist(), tuple(mask.tolist()), mask.numpy(), True, None):
                kind_of = type(other).__name__
                with pytest.raises(TypeError, match=f"{name} must be a tensor, not {kind_of}"):
                    function(**{**given, name: other}, **held)
            for dtype in (torch.float32, torch.bfloat16, torch.float64):
                with pytest.raises(ValueError, match=f"{name} must be of booleans"):
                    function(**{**given, name: mask.to(dtype)}, **held)
            others = [
                mask[None],
                mask[0],
                mask[..., None],
                *(mask.narrow(a, 0, 1) for a in range(mask.dim())),
            ]
            others += [torch.cat([mask, mask], dim=axis) for axis in range(mask.dim())]
            if kind == "masks alone" and name == masks[0]:
                others = [
                    other for other in others if other.dim() != mask.dim()
                ]  # its sizes are the other's
            for other in others:
                with pytest.raises(ValueError, match=rf"({name}|{masks[-1]}|T) must be "):
                    function(**{**given, name: other}, **held)
        if cache is not None:
            assert cache.length == 0
            assert torch.equal(function(**given, **held), wanted)
