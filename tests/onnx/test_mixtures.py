"""Mixtures of any part that the language has: every way to evaluate them computes the same.

A part is carried out for many instances at once (`dense`, `gathered`) by a rule for each op; here
are parts that use each op with rows of their own, with rows that all share, and with both.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("torch", reason="torch is not installed")

from specgen.backends.onnx import build as building
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import Experts, Ops, Options
from specgen.backends.onnx.proto import serialize
from specgen.backends.refusal import Refusal, RefusalSite
from specgen.frontend.load import load_program
from specgen.ir import model as ir
from specgen.ir.visit import walk
from specgen.ops.registry import OPS
from tests.agreement import Layers, checked, steps, unequal
from tests.onnx.session import FLOW, operators

#: What is around a part: a choice of `k` of its instances for each token.
AROUND = """language 1
use std.norm {{ layernorm, rmsnorm }}
use std.ffn {{ gelu, gelu_tanh, mlp, swiglu }}
model t "T" {{
  params {{ vocab_size : size = 9   dim : size = 8   hidden : size = 6   n : size = {count}   k : size = {chosen}   levels : reals = [0.5, 1.5] }}
  require {{ dim % 2 == 0 "even"   hidden % 2 == 0 "even" }}
  dtypes {{ maps = f32  arrays = f32  activations = f32  caches = f32 }}
  tensors {{ embed : [vocab_size, dim]   router : dim -> n   shared : dim -> hidden   vector : [hidden] }}
  parts {{ experts[e] : {part} × n }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{
    x = take(embed, tokens)
    weights, index = topk(softmax(router(x)), k)
    return mixture(experts, x, weights, index) + sum(shared(x) * vector, keep = true)
  }}
  {module}
}}
function scaled(x: [...]) -> [...] {{ return x * 0.5 + tanh(x) }}
function crossed(x: [..., N], w: [N, N]) -> [..., N] {{ return einsum("... n, n m -> ... m", x, softmax(w)) }}
"""

#: Rows of a part and the body of its forward, which takes `x: [..., dim]`.
BODIES = {
    "no rows": ("", "return tanh(x)"),
    "a map": ("w : dim -> dim", "return w(x)"),
    "a bias": ("w : dim -> dim  w.bias : [dim]", "return w(x)"),
    "only a bias": ("w : [dim]", "return x + w"),
    "a shared map": ("w : hidden -> dim  m : tied shared", "return w(silu(m(x)))"),
    "a shared map alone": ("m : tied shared  w : hidden -> dim", "return x + w(m(x))"),
    "a shared vector": ("v : tied vector  w : dim -> hidden  u : hidden -> dim", "return u(w(x) * v)"),
    "one row twice": ("w : dim -> dim  twin : tied w", "return tanh(w(x) + twin(x))"),
    "rows read": ("w : [dim, dim]  u : [dim]", 'return einsum("... d, d f -> ... f", x, w) * u'),
    "rows as matrices": ("w : dim -> hidden", 'return einsum("... f, f d -> ... d", w(x), w)'),
    "rows with rows": (
        "w : [hidden, dim]  u : [dim, hidden]",
        'return einsum("... d, d f -> ... f", x, einsum("d h, h f -> d f", u, w))',
    ),
    "products of three": (
        "w : [hidden, dim]  u : [dim, hidden]",
        'return einsum("... d, d h, h f -> ... f", x, u, w)',
    ),
    "outer products": (
        "w : [dim]  u : [dim]", 'return einsum("... d, d f -> ... f", x, einsum("d, f -> d f", w, u))'
    ),
    "heads": (
        "w : [hidden, 2, dim]",
        'h = rearrange(x, "... (a d) -> ... a d", a = 2)\n'
        '    return x + mean(einsum("... a d, h a e -> ... e", h, w), keep = true)',
    ),
    "a choice of rows": (
        "w : [n, dim]  u : dim -> n",
        "best, at = topk(u(x), 2)\n    return sum(take(w, at), over = -2) * sum(best, keep = true)",
    ),
    "a choice of shared rows": (
        "u : dim -> n", "best, at = topk(u(x), 1)\n    return x + take(iota(n), at) * best"
    ),
    "rows chosen by rows": (
        "w : [n, dim]  u : [n]", "_, at = topk(u, 2)\n    return x + sum(take(w, at), over = -2)"
    ),
    "elements chosen": (
        "u : dim -> dim  w : [dim]",
        "_, at = topk(u(x), 2)\n"
        "    _, place = topk(w, 2)\n"
        "    return x + sum(gather(u(x), at) * gather(w, place), keep = true)",
    ),
    "elements of rows": (
        "u : dim -> dim  w : [dim]",
        "best, at = topk(u(x), 2)\n    return x + sum(gather(w, at) * best, keep = true)",
    ),
    "pieces": (
        "w : [dim]  u : [dim]",
        "a, b = split(concat([w, u]), [3, 2 * dim - 3])\n    return x * sum(a) + slice(b, 0, dim)",
    ),
    "joined with shared": (
        "v : tied vector  w : [2]", "return x + sum(concat([v, w]) * concat([w, v]))"
    ),
    "joined with tokens": (
        "w : dim -> hidden  u : dim + hidden -> dim", "return u(concat([x, w(x)]))"
    ),
    "rows rearranged": (
        "w : [2, dim]  u : 2 -> dim",
        'return u(einsum("... d, b d -> ... b", x, rearrange(w, "a (b c) -> b (a c)", b = 2)))',
    ),
    "rows turned": ("w : [dim, dim]", 'return einsum("... d, d f -> ... f", x, rearrange(w, "a b -> b a"))'),
    "rows repeated": ("w : [hidden]  u : hidden * 2 -> dim  v : dim -> hidden * 2", 'return u(v(x) * repeat(w, "a -> (a b)", b = 2))'),
    "tiles": ("w : [2, 2]", 'return einsum("... d, d f -> ... f", x, repeat(w, "a b -> (a i) (b j)", i = dim / 2, j = dim / 2))'),
    "reductions": ("w : [dim, 3]  u : [3, dim]", "return x * mean(w) + max(u, over = -2) - sum(u, over = -2)"),
    "sums so far": ("w : [dim]", "return x + cumsum(w) * cumsum(x)"),
    "softmax": ("w : [dim]", "return softmax(w) + softmax(x * w)"),
    "comparisons": ("w : [dim]  u : dim -> dim", "return where(u(x) < w, x, w) + where(x == x, w, u(x))"),
    "truths": (
        "w : [dim]",
        "y = where(any(w > 0.9, keep = true) and not (x <= w), x, w * 2)\n"
        "    return where(x != w or w >= 0, y, x)",
    ),
    "numbers": ("w : [dim]", "return x ** 2 + 2 ** clamp(w, -1, 1) - x % 3 + sqrt(w * w + 1) / (1 + exp(-x)) + rsqrt(x * x + w * w + 1)"),
    "waves": ("w : [dim]", "return cos(x * w) + sin(w) + erf(x) - sigmoid(-w)"),
    "places": ("w : [dim]", "return x + cast(iota(dim), like = x) * w"),
    "constants": ("w : [dim]", "return x * w + sum(cast(levels, like = x))"),
    "precision": ("w : [dim]", "return cast(cast(x, f32) * cast(w, f32), like = x)"),
    "functions": ("w : [dim, dim]  u : dim -> dim", "return crossed(scaled(u(x)), w) + scaled(x)"),
    # Of one value both, and onnxruntime 1.32 drops their common factor when it fuses the first.
    "activations": (
        "u : dim -> hidden  v : dim -> hidden  w : hidden -> dim",
        "return w(gelu(u(x)) + gelu_tanh(v(x)))",
    ),
    "names": ("w : dim -> hidden  u : hidden -> dim", "h = w(x)\n    y = clamp(h, -inf, 1)\n    z = y * h\n    return u(z + y)"),
}  # fmt: skip

#: Modules that are mixed: their parts are carried out for all instances as well.
MODULES = {
    "a norm inside": (
        "parts { norm : rmsnorm(width = dim, norm_eps = 0.01) }  tensors { w : dim -> dim }",
        "return w(norm(x))",
    ),
    "a layer norm inside": (
        "parts { norm : layernorm(width = dim, norm_eps = 0.01) }  tensors { w : dim -> dim }",
        "return norm(w(norm(x)))",
    ),
    "layers inside": (
        "parts { layers[l] : swiglu(width = dim, hidden = hidden, bias = true) × 3 }",
        "return layers(x)",
    ),
    "layers and norms": (
        "parts { first : mlp(width = dim, hidden = hidden)  norm : rmsnorm(width = dim, norm_eps = 0.01)"
        "  then : swiglu(width = dim, hidden = hidden) }",
        "return then(norm(first(x)))",
    ),
    "a function of its own": (
        "tensors { w : dim -> dim }  function twice(y: [..., dim]) -> [..., dim] { return w(tanh(w(y))) }",
        "return twice(x)",
    ),
    "lets": (
        "let { half = hidden / 2 }  tensors { w : dim -> half  u : half -> dim }",
        "return u(w(x))",
    ),
}


def table(name: str, count: int = 4, chosen: int = 2) -> str:
    if name in BODIES:
        rows, body = BODIES[name]
        sections = f"tensors {{ {rows} }}" if rows else ""
    else:
        sections, body = MODULES[name]
    module = f"module part {{\n  {sections}\n  forward(x: [..., dim]) -> [..., dim] {{\n    {body}\n  }}\n}}"
    return AROUND.format(part="part", module=module, count=count, chosen=chosen)


NAMES = [*BODIES, *MODULES]
FEW = ["a bias", "a choice of rows", "rows as matrices"]

#: Ways without control flow.
FREE: tuple[Experts, ...] = ("dense", "gathered")

#: Ways to evaluate a mixture, and the forms of a graph that they meet.
FORMS = [
    *(Options(experts=experts) for experts in get_args(Experts)),
    *(Options(experts=e, ops="primitive", onnx_form="functions") for e in FREE),
    *(Options(experts=e, ops="ort") for e in FREE),
]


def written(folder: Path, name: str, count: int = 4, chosen: int = 2) -> Path:
    (path := folder / "t.dsv3").write_text(table(name, count, chosen), encoding="utf-8")
    return path


def unlike(layers: Layers, forms: Sequence[Options]) -> list[str]:
    """What differs from the interpreter, in words."""
    taken = steps(9, (5, 1, 1), 0)
    expected = [layers.interpreted([step])[0] for step in taken]
    found = {"model.py": layers.torch(taken, masked=False)}
    found |= {str(form.given()): layers.onnx(taken, form) for form in forms}
    return [
        f"{layer}: {reason}"
        for layer, arrays in found.items()
        if (reason := unequal(arrays, expected))
    ]


@pytest.mark.parametrize("name", FEW)
def test_a_few_parts_can_be_mixed(name: str, tmp_path: Path) -> None:
    layers = Layers(checked(written(tmp_path, name)), tmp_path / "t")
    assert unlike(layers, FORMS[:3]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_part_can_be_mixed(name: str, tmp_path: Path) -> None:
    layers = Layers(checked(written(tmp_path, name)), tmp_path / "t")
    assert unlike(layers, FORMS) == []


@pytest.mark.slow
@pytest.mark.parametrize(("count", "chosen"), [(1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("name", ["a bias", "pieces", "layers inside"])
def test_any_number_of_instances_can_be_mixed(
    name: str, count: int, chosen: int, tmp_path: Path
) -> None:
    layers = Layers(checked(written(tmp_path, name, count, chosen)), tmp_path / "t")
    assert unlike(layers, FORMS) == []


@pytest.mark.parametrize("experts", FREE)
@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_no_control_flow_and_few_dims(name: str, experts: Experts, tmp_path: Path) -> None:
    program = load_program(written(tmp_path, name))
    for ops in get_args(Ops):
        found = building.checked(program, Options(experts=experts, ops=ops))
        assert not operators(serialize(found)) & FLOW
        assert max(len(edge.shape) for edge in found.edges.values()) <= 4
        assert build(program, Options(experts=experts, ops=ops), repeat=False) == serialize(found)


def test_tokens_may_have_any_number_of_dims(tmp_path: Path) -> None:
    """Here of heads, each of which chooses by itself, and one expert twice."""
    text = table("a bias").replace("dim : size = 8 ", "dim : size = 8   heads : size = 3 ")
    mixed = """
    y = rearrange(wide(x), "b s (h d) -> b s h d", h = heads, d = dim)
    weights, index = topk(softmax(router(y)), k)
    twice = mixture(experts, y, weights, index * 0 + 1)
    return sum(mixture(experts, y, weights, index) + twice, over = -2) + sum(shared(x) * vector, keep = true)"""
    start, end = text.index("weights, index ="), text.index("\n  }\n  module part")
    text = text[:start].rstrip() + mixed + text[end:]
    text = text.replace("router : dim -> n ", "router : dim -> n   wide : dim -> heads × dim ")
    (path := tmp_path / "t.dsv3").write_text(text, encoding="utf-8")
    layers = Layers(checked(path), tmp_path / "t")
    assert unlike(layers, FORMS[:3]) == []


def test_a_mixture_in_a_mixture_is_refused_by_name(tmp_path: Path) -> None:
    """The Loop takes it."""
    text = table("no rows").replace(
        "return tanh(x)",
        "weights, index = topk(softmax(choose(x)), 2)\n    return mixture(deeper, x, weights, index)",
    )
    rows = "parts { deeper[d] : swiglu(width = dim, hidden = hidden) × 3 }  tensors { choose : dim -> 3 }"
    (path := tmp_path / "t.dsv3").write_text(
        text.replace("module part {", f"module part {{ {rows}")
    )
    program = load_program(path)
    assert "Loop" in operators(build(program))
    for experts in FREE:
        with pytest.raises(Refusal) as caught:
            build(program, Options(experts=experts))
        assert "`experts.deeper` is a mixture inside of a mixture's part" in caught.value.reason
        assert caught.value.site == RefusalSite("part")


def test_elements_that_share_a_byte_are_not_gathered(tmp_path: Path) -> None:
    text = table("only a bias").replace("w : [dim]", "w : [dim] as f4e2m1")
    (path := tmp_path / "t.dsv3").write_text(text, encoding="utf-8")
    program = load_program(path)
    with pytest.raises(Refusal, match=r"`experts\.w` is stored as f4e2m1") as caught:
        build(program, Options(experts="gathered"))
    assert caught.value.site == RefusalSite("part", "w")
    assert not operators(build(program, Options(experts="dense"))) & FLOW


def test_the_parts_here_use_every_op(tmp_path: Path) -> None:
    used: set[str] = set()
    for name in NAMES:
        program = load_program(written(tmp_path, name))
        modules = (module for key, module in program.modules.items() if key != program.model.id)
        functions = (*program.functions.values(), *(f for m in modules for f in m.forwards))
        values = (value for function in functions for value in walk(function.body))
        used |= {value.name for value in values if isinstance(value, ir.Op)}
    assert used == OPS.keys()
