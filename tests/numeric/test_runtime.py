"""The runtime as modules: what generated files share, by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.pytorch.runtime import command, steps  # noqa: E402
from specgen.backends.pytorch.runtime.attention import attend  # noqa: E402
from specgen.backends.pytorch.runtime.config import check_values  # noqa: E402
from specgen.backends.pytorch.runtime.experts import linear_rows, mixture  # noqa: E402
from specgen.backends.pytorch.runtime.packing import joined, rearranged  # noqa: E402
from specgen.backends.pytorch.runtime.tracing import traceable  # noqa: E402

pytestmark = pytest.mark.slow


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def by_hand(q: Any, k: Any, v: Any, visible: Any, scale: float) -> torch.Tensor:
    """Attention from its definition, head by head."""
    shared = q.size(2) // k.size(2)
    k, v = (x.repeat_interleave(shared, dim=2) for x in (k, v))
    scores = torch.einsum("bshd,bthd->bhst", q, k) * scale
    weights = scores.masked_fill(~visible.unsqueeze(1), -torch.inf).softmax(-1)
    return torch.einsum("bhst,bthe->bshe", weights, v)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 1)])
@pytest.mark.parametrize("width", [8, 5])
def test_attention(heads: tuple[int, int], width: int) -> None:
    """A prompt and a single token, with a mask and with none where that is the same."""
    queries, keys = heads
    q, k, v = draw(2, 7, queries, 8), draw(2, 7, keys, 8), draw(2, 7, keys, width)
    causal = torch.ones(2, 7, 7, dtype=torch.bool).tril()
    wanted = by_hand(q, k, v, causal, 0.3)
    for visible in (None, causal):
        assert torch.allclose(attend(q, k, v, visible, 0.3), wanted, atol=1e-5)
        last = None if visible is None else visible[:, -1:]
        found = attend(q[:, -1:], k, v, last, 0.3)
        assert torch.allclose(found, wanted[:, -1:], atol=1e-5)
    hidden = causal.clone()
    hidden[1, :, :2] = False
    hidden[1, 0, 0] = hidden[1, 1, 1] = True  # a query sees itself
    assert torch.allclose(attend(q, k, v, hidden, 0.3), by_hand(q, k, v, hidden, 0.3), atol=1e-5)


@pytest.mark.parametrize("padded", [False, True])
def test_tokens_are_placed_alike(padded: bool) -> None:
    """With caches or without, with a mask that may be left out or not."""
    tokens, mask = torch.zeros(2, 5, dtype=torch.int64), None
    if padded:
        mask = torch.tensor([[0, 0, 1, 1, 1], [1, 0, 1, 1, 0]])
    positions, whole = steps.placed_with_mask(tokens, mask)
    assert torch.equal(positions, (whole.cumsum(-1) - 1).clamp(min=0))
    for place in (steps.placed, steps.placed_alone, steps.placed_alone_with_mask):
        found, seen = place(tokens, mask)
        assert torch.equal(found, positions)
        assert seen is None if place is not steps.placed_alone_with_mask and not padded else True
        assert seen is None or torch.equal(seen, whole)
    for wrong in (tokens[0], tokens[:, :0]):
        with pytest.raises(ValueError, match="tokens must be"):
            steps.placed_alone(wrong, None)


def test_mixtures_are_alike() -> None:
    """One token, several, and in operations that do not depend on what was chosen."""
    matrices, x = draw(5, 6, 6), draw(3, 4, 6)
    weights = draw(3, 4, 2).softmax(-1)
    index = torch.randint(5, (3, 4, 2), generator=torch.Generator().manual_seed(0))

    def expert(e: Any, rows: torch.Tensor) -> torch.Tensor:
        return linear_rows(rows, matrices[e])

    wanted = torch.einsum("bsk,bskoi,bsi->bso", weights, matrices[index], x)
    assert torch.allclose(mixture(expert, 5, x, weights, index), wanted, atol=1e-5)
    outputs = traceable(expert, 5, x, index)
    assert torch.allclose((weights.unsqueeze(-2) @ outputs).squeeze(-2), wanted, atol=1e-5)
    for s in range(4):
        one = mixture(expert, 5, x[:1, s : s + 1], weights[:1, s : s + 1], index[:1, s : s + 1])
        assert torch.allclose(one, wanted[:1, s : s + 1], atol=1e-5)


@dataclass(frozen=True)
class Fields:
    """A field of every kind; annotations are texts, as in generated files."""

    size: int = 1
    count: int = 0
    real: float = 0.5
    flag: bool = False
    counts: tuple[int, ...] = (0,)
    reals: tuple[float, ...] = (0.5,)
    kind: str = "a"
    set: Literal[True] = True


@pytest.mark.parametrize(
    ("wrong", "wanted"),
    [
        ({"size": 0}, "size to be an int from 1 to 2**48, not 0"),
        ({"size": 2**48 + 1}, "size to be an int from 1 to 2**48, not 281474976710657"),
        ({"size": True}, "size to be an int from 1 to 2**48, not True"),
        ({"count": -1}, "count to be an int from 0 to 2**48, not -1"),
        ({"real": "1"}, "real to be a number, not '1'"),
        ({"flag": 1}, "flag to be True or False, not 1"),
        ({"counts": (1, -1)}, "counts to be a tuple of ints from 0 to 2**48, not (1, -1)"),
        ({"counts": 1}, "counts to be a tuple of ints from 0 to 2**48, not 1"),
        ({"reals": ("x",)}, "reals to be some numbers, not ('x',)"),
        ({"kind": "c"}, "kind to be a text of ('a', 'b'), not 'c'"),
        ({"set": 1}, "set to be like True, not 1"),
    ],
)
def test_values_of_a_config(wrong: dict[str, Any], wanted: str) -> None:
    check_values(Fields(real=1, counts=(), reals=[1, 2.5], kind="b"), "count", kind=("a", "b"))
    with pytest.raises(ValueError, match="Config requires: ") as caught:
        check_values(Fields(**wrong), "count", kind=("a", "b"))
    assert str(caught.value) == f"Config requires: {wanted}"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_joined_and_taken_apart(data: st.DataObject) -> None:
    """Rows of several lengths along any axis, each once or stacked: what is put in comes out."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    own = data.draw(st.integers(0, len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    each = data.draw(st.integers(1, 3))
    stacked = each > 1
    rows = [draw(*shape[:own], n, *shape[own + 1 :]) + e for n in lengths for e in range(each)]
    names = ["*" if axis == own else "abc"[axis] for axis in range(len(shape))]
    packing = joined(" ".join([*"e" * stacked, *names]), {}, rows, len(lengths))
    (packed,) = packing.pack(*rows)
    assert tuple(packed.shape) == packing.shape
    assert all(map(torch.equal, packing.unpack(packed), rows))
    assert torch.equal(packing.pack(*packing.unpack(packed))[0], packed)


@pytest.mark.parametrize(
    ("pattern", "sizes", "kinds", "each", "shape"),
    [
        ("a b -> b a", {}, 1, 1, (3, 5)),
        ("k (h d) a -> (h k d) a", {"h": 2}, 3, 1, (6, 5)),
        ("e a b -> e b a", {}, 1, 4, (3, 5)),
        ("k e a b -> e (a k) b", {}, 2, 3, (4, 5)),
        ("e a -> a e", {}, 1, 3, (4,)),
    ],
)
def test_rearranged_and_back(
    pattern: str, sizes: dict[str, int], kinds: int, each: int, shape: tuple[int, ...]
) -> None:
    rows = [draw(*shape) + n for n in range(kinds * each)]
    packing = rearranged(pattern, dict(sizes), rows, kinds)
    (packed,) = packing.pack(*rows)
    assert tuple(packed.shape) == packing.shape
    assert packed.numel() == sum(row.numel() for row in rows)
    assert all(map(torch.equal, packing.unpack(packed), rows))


class Counting(torch.nn.Module):
    """Says the number after the last token; with a cache it is handed one token at a time."""

    def new_cache(self, batch: int, length: int) -> list[int]:
        return []

    def forward(self, tokens: Any, cache: Any = None, last: bool = False) -> torch.Tensor:
        if cache is not None:
            assert tokens.size(1) == 1 or not cache
            cache.append(tokens.size(1))
        return torch.nn.functional.one_hot(tokens[:, -1:] + 1, 20).float()


@pytest.mark.parametrize("cached", [True, False])
def test_greedy(cached: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CACHED", cached)
    assert list(command.greedy(Counting(), torch.tensor([[3, 4]]), 4)) == [5, 6, 7, 8]
