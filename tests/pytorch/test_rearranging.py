"""`rearrange`, `repeat` and `einsum` as torch code, against the patterns' own meaning."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.pytorch.layout import Atom, Node, flat  # noqa: E402
from specgen.backends.pytorch.ops.contract import contracted  # noqa: E402
from specgen.backends.pytorch.ops.shape import rearranged  # noqa: E402
from specgen.expr.node import Const, Expr  # noqa: E402
from specgen.ops.record import Groups  # noqa: E402

pytestmark = pytest.mark.slow

SIZES = {"b": 2, "s": 3, "h": 4, "d": 5, "g": 6, "r": 7, "t": 8, "two": 2, "i": 2, "j": 3}
LEADING = (2, 3)

PATTERNS = {
    "b s (h d) -> b s h d": "x.unflatten(-1, (4, 5))",
    "b s h d -> b s (h d)": "x.flatten(2)",
    "b s r -> b s 1 r": "x.unsqueeze(2)",
    "b s 1 r -> b s r": "x.squeeze(2)",
    "b s h d -> b h s d": "x.transpose(1, 2)",
    "... (r two) -> ... (two r)": "x.unflatten(-1, (7, 2)).transpose(-2, -1).flatten(-2)",
    "... g -> ... g 1": "x.unsqueeze(-1)",
    "(h d) t -> h d t": "x.unflatten(0, (4, 5))",
    "b t d -> b t h d": "x.unsqueeze(2).expand(-1, -1, 4, -1)",
    "r d -> (r i) (d j)": "x.repeat_interleave(2, 0).repeat_interleave(3, -1)",
    "s -> s 1": None,
    "... g d -> ... (g d)": None,
    "(r i) (h j) -> r i h j": None,
    "... d -> ... h d": None,
    "... d -> ... (h d)": None,
    "... h d -> ... d h": None,
    "... r h d -> ... h d r": None,
    "b s (h g) d -> b h g s d": None,
    "b s h d -> (b s) h d": None,
    "b s h d -> b s d h": None,
    "b s h -> h b s": None,
    "d h -> h d": None,
    "b h -> b (g h) 1 s": None,
    "1 s 1 -> s": None,
    "b s h -> 1 b (s h) 1": None,
    "b s h d -> b h d s": None,
    "h -> b h s 1": None,
}


def side(text: str) -> Groups:
    groups: list[tuple[str, ...]] = []
    inside: list[str] | None = None
    for token in re.findall(r"\.\.\.|\w+|\(|\)", text):
        if token == "(":
            inside = []
        elif token == ")":
            groups.append(tuple(inside or ()))
            inside = None
        elif inside is not None:
            inside.append(token)
        else:
            groups.append(() if token == "1" else (token,))
    return tuple(groups)


def shape(groups: Sequence[tuple[str, ...]]) -> list[int]:
    found: list[int] = []
    for group in groups:
        found += LEADING if group == ("...",) else [math.prod(SIZES[name] for name in group)]
    return found


def meaning(x: torch.Tensor, inputs: Groups, outputs: Groups) -> torch.Tensor:
    """The pattern, axis by axis: all axes split, new ones added, then ordered and merged."""
    names = [name for group in inputs for name in group]
    new = [name for group in outputs for name in group if name not in names]
    x = x.reshape(shape([(name,) for name in names] + [()] * len(new)))
    x = x.expand(*shape([(name,) for name in [*names, *new]]))
    places: dict[str, list[int]] = {}
    for name in [*names, *new]:
        start = sum(map(len, places.values()))
        places[name] = list(range(start, start + (len(LEADING) if name == "..." else 1)))
    order = [place for group in outputs for name in group for place in places[name]]
    return x.permute(order).reshape(shape(outputs))


def number(expr: Expr) -> Node:
    assert isinstance(expr, Const)
    return Atom(str(expr.value))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_rearranged(pattern: str) -> None:
    inputs, outputs = map(side, pattern.split("->"))
    sizes = {name: Const(size) for name, size in SIZES.items()}
    code = flat(rearranged(Atom("x"), inputs, outputs, sizes, number))
    x = torch.arange(math.prod(shape(inputs))).reshape(shape(inputs)).float()
    found = eval(code, {"x": x, "torch": torch})
    assert found.shape == torch.Size(shape(outputs))
    assert torch.equal(found, meaning(x, inputs, outputs))
    assert PATTERNS[pattern] in (None, code)


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("b s h d, h d r -> b s h r", 'torch.einsum("bshd,hdr->bshr", x, y)'),
        ("... d, e d -> ... e", "F.linear(x, y)"),
        ("b s d, d e -> b s e", "x @ y"),
        ("b s, r -> b s r", "x[..., None] * y"),
        ("... d, ... d -> ...", 'torch.einsum("...d,...d->...", x, y)'),
        ("b s d, s d -> b s d", 'torch.einsum("bsd,sd->bsd", x, y)'),
        ("e d, e d -> d e", 'torch.einsum("ed,ed->de", x, y)'),
        ("head hidden, hidden -> head", 'torch.einsum("hi,i->h", x, y)'),
    ],
)
def test_contracted(pattern: str, code: str) -> None:
    """The code reads as it should, and is the sum of products that the pattern means."""
    left, right = pattern.split("->")
    inputs = [tuple(group.split()) for group in left.split(",")]
    output = tuple(right.split())
    assert flat(contracted([Atom("x"), Atom("y")], inputs, output)) == code
    axes = SIZES | {"e": 3, "head": 2, "hidden": 3}
    values = [
        torch.randn([n for name in group for n in (LEADING if name == "..." else (axes[name],))])
        for group in inputs
    ]
    names = list(dict.fromkeys(name for group in inputs for name in group if name != "..."))
    spelled = [
        "".join("..." if name == "..." else chr(97 + names.index(name)) for name in group)
        for group in (*inputs, output)
    ]
    wanted = torch.einsum(f"{','.join(spelled[:-1])}->{spelled[-1]}", *values)
    scope = {"x": values[0], "y": values[1], "torch": torch, "F": torch.nn.functional}
    assert torch.allclose(eval(code, scope), wanted, atol=1e-5)
