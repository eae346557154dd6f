"""Root forwards of any signature: the interpreter, model.py and model.onnx take the same arguments."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")

import torch

import specgen
from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.record import NO_TOKENS
from specgen.analysis.quantities.terms import evaluated
from specgen.analysis.quantities.variables import DEFAULTS
from specgen.backends.onnx.build import build, emit
from specgen.backends.onnx.options import DEFAULT, Options
from specgen.expr.evaluate import evaluate_int
from specgen.expr.node import symbols
from specgen.frontend.load import check_file, load_program
from specgen.ir.roots import is_language_model
from tests.agreement import Layers, unequal
from tests.numeric.generated import imported
from tests.numeric.interpreted import interpreter
from tests.onnx.session import fill, ort

#: Values of the shape variables; no two are equal, so that one in another's place shows.
SIZES = {"B": 2, "S": 5, "T": 7, "E": 4, "N": 3}

KINDS = {"bool": np.bool_, "i64": np.int64, "i32": np.int32, "f32": np.float32, "": np.float32}

HEAD = """language 1
model t "t" {
  params { vocab_size : size = 9   dim : size = 6   side : size = 8 }
  dtypes { maps = f32 arrays = f32 activations = f32 }
  tensors { ROWS }
"""

ROWS = {
    "embed": "embed : [vocab_size, dim]",
    "w": "w : dim -> dim",
    "patch": "patch : 3 × side × side -> dim",
}

#: One table of each kind: what a language model's forward is not.
ROOTS = {
    "image": 'forward(pixels: [B, 3, side, side]) -> [B, dim] {'
    ' return patch(rearrange(pixels, "b c y x -> b (c y x)")) }',
    "one_layer": "forward(x: [B, S, dim]) -> [B, S, dim] { return x + w(x) }",
    "embeddings_called_tokens": "forward(tokens: [B, S, dim]) -> [B, S, dim] {"
    " return w(tokens + take(embed, iota(S) % 9)) }",
    "other_axes": "forward(tokens: i64 [N, E], mask: bool [N, E]) -> [N, E, dim] {"
    ' return where(rearrange(mask, "b s -> b s 1"), w(take(embed, tokens)), 0) }',
    "other_dtypes": "forward(tokens: i64 [B, S], positions: f32 [B, S], mask: i64 [B, S])"
    ' -> [B, S, dim] { return where(rearrange(positions > 0.5 and mask == 1, "b s -> b s 1"),'
    " w(take(embed, tokens)), 0) }",
    "other_order": "forward(mask: bool [B, S], tokens: i64 [B, S]) -> [B, S, dim] {"
    ' return where(rearrange(mask, "b s -> b s 1"), w(take(embed, tokens)), 0) }',
    "two_results": "forward(tokens: i64 [B, S]) -> (a: [B, S, dim], b: [B, S, dim]) {"
    " x = take(embed, tokens)  return x, w(x) }",
    "argument_given_back": "forward(x: [B, S, dim], y: [B, dim]) -> (y: [B, dim], x: [B, S, dim])"
    " { return y, w(x) }",
    "tokens_turned": "forward(tokens: i64 [B, S]) -> [S, B, dim] {"
    ' return rearrange(take(embed, tokens), "b s d -> s b d") }',
    "cast_to_a_value": "forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, S])"
    " -> [B, dim] { h = take(embed, tokens)"
    ' return sum(h * cast(rearrange(mask, "b s -> b s 1"), like = h), over = S) }',
    "pooled": "forward(tokens: i64 [B, S], mask: bool [B, S]) -> [B, dim] {"
    ' return sum(where(rearrange(mask, "b s -> b s 1"), take(embed, tokens), 0), over = S) }',
    "one_number": "forward(x: [N, dim]) -> [] { return sum(sum(w(x), over = 0)) }",
    "two_lengths": "forward(x: [B, S, dim], y: [B, E, dim], real: bool [B, E]) -> [B, S, dim] {"
    ' s = einsum("b s d, b e d -> b s e", w(x), y)'
    ' p = softmax(where(rearrange(real, "b e -> b 1 e"), s, -1e9), over = -1)'
    ' return einsum("b s e, b e d -> b s d", p, y) }',
}  # fmt: skip


def table(forward: str) -> str:
    """A model with this forward, and with the rows that it reads."""
    rows = "  ".join(row for name, row in ROWS.items() if re.search(rf"\b{name}\b", forward))
    return f"{HEAD.replace('ROWS', rows)}{forward}\n}}\n"


def differing(text: str, folder: Path, forms: tuple[Options, ...] = (DEFAULT,)) -> list[str]:
    """Where the layers differ for one table, whose arguments are drawn at random."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "t.dsv3"
    path.write_text(table(text), encoding="utf-8")
    program = load_program(path)
    assert not [d.message for d in check_file(path).all if "never used" not in d.message]
    forward = program.model.forward
    assert forward is not None
    layers, random = Layers(program, folder), np.random.default_rng(0)
    sizes = {**SIZES, **{k: int(v) for k, v in program.values.items() if isinstance(v, int)}}
    named = {name for a in forward.args for dim in a.type.shape for name in symbols(dim)}
    given = {}
    for arg in forward.args:
        shape = [evaluate_int(d, sizes) for d in arg.type.shape]
        if arg.type.dtype in ("i64", "i32"):
            drawn = random.integers(0, 9, shape)
        elif arg.type.dtype == "bool":
            drawn = random.random(shape) < 0.7
        else:
            drawn = random.normal(size=shape)
        given[arg.name] = np.asarray(drawn, KINDS.get(arg.type.dtype, np.float32))
    axes = {name: sizes[name] for name in named if name in SIZES}
    wanted = interpreter(program, layers.model).call(forward, list(given.values()), axes)
    with torch.no_grad():
        made = layers.model(*map(torch.from_numpy, given.values()))
    results = made if isinstance(made, tuple) else (made,)
    found = {"model.py": [tensor.numpy() for tensor in results]}
    fed = dict(given)
    if is_language_model(forward):  # of tokens alone; the graph of one has all three inputs
        tokens = fed["input_ids"] = fed.pop("tokens")
        fed["attention_mask"] = np.ones_like(tokens)
        fed["position_ids"] = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    for form in forms:
        at = folder / form.form
        at.mkdir(exist_ok=True)
        file = fill(build(program, form), layers.weights, at)
        session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
        assert {value.name for value in session.get_inputs()} == set(fed)
        found[f"onnx {form.form}"] = session.run(None, fed)
    expected = [np.asarray(array) for array in wanted]
    return [f"{layer}: {why}" for layer, got in found.items() if (why := unequal(got, expected))]


@pytest.mark.parametrize("kind", ROOTS)
def test_forward_of_any_signature_agrees_in_every_layer(kind: str, tmp_path: Path) -> None:
    assert differing(ROOTS[kind], tmp_path, (DEFAULT, Options(onnx_form="functions"))) == []


def counted(forward: str, folder: Path) -> Ledger:
    path = folder / "t.dsv3"
    rows = "  ".join(row for name, row in ROWS.items() if re.search(rf"\b{name}\b", forward))
    path.write_text(HEAD.replace("ROWS", rows) + forward + "\n}\n", encoding="utf-8")
    return ledger(load_program(path))


#: Forwards of tokens, and what of their result is a vocabulary's: logits, or other things.
OF_TOKENS = {
    "logits": ("[B, S, vocab_size]", 'einsum("b s d, v d -> b s v", w(take(embed, tokens)), embed)'),
    "hidden states": ("[B, S, dim]", "w(take(embed, tokens))"),
    "turned": ("[S, B, dim]", 'rearrange(take(embed, tokens), "b s d -> s b d")'),
    "one vector": ("[B, dim]", "sum(take(embed, tokens), over = 1)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OF_TOKENS)
def test_only_what_tokens_index_is_a_vocabulary(kind: str, tmp_path: Path) -> None:
    """Of hidden states the width of the model is none: its matrices would be left out."""
    result, value = OF_TOKENS[kind]
    forward = f"forward(tokens: i64 [B, S]) -> {result} {{ return {value} }}"
    found = counted(forward, tmp_path).quantities["parameters_active_no_vocabulary"]
    assert (found.absent, found.value) == ((None, 36) if kind == "logits" else (NO_TOKENS, None))


@pytest.mark.parametrize("kind", ROOTS)
def test_every_figure_has_its_variables_or_a_reason(kind: str, tmp_path: Path) -> None:
    """Whatever the lengths of the arguments are called, the table is counted and built."""
    found = counted(ROOTS[kind], tmp_path)
    assert found.quantities["parameters_active_no_vocabulary"].absent == NO_TOKENS
    for name, quantity in found.quantities.items():
        if quantity.expr is None:
            assert quantity.absent, name
            continue
        given = {variable: DEFAULTS.get(variable, 1) for variable in quantity.variables}
        assert evaluated(quantity, {**found.values, **given}) >= 0, name
        assert given.keys() <= symbols(quantity.expr), name
    own = set(found.quantities["flops_prefill"].variables) - {*DEFAULTS}
    assert bool(own) == (kind in {"two_lengths", "other_axes", "one_number"})
    folder = specgen.load(tmp_path / "t.dsv3").build(tmp_path / "built")
    assert {"model.py", "model.onnx", "report.md", "report.html"} <= set(os.listdir(folder))


def test_count_without_a_vocabulary_is_absent_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    kinds = (("one_layer", NO_TOKENS), ("tokens_turned", NO_TOKENS), ("pooled", NO_TOKENS))
    for kind, absent in kinds:
        path.write_text(table(ROOTS[kind]), encoding="utf-8")
        found = ledger(load_program(path)).quantities["parameters_active_no_vocabulary"]
        assert found.absent == absent


def test_program_of_a_pooled_forward_offers_no_text(tmp_path: Path) -> None:
    """One result for a whole text continues none: neither greedily nor by onnxruntime-genai."""
    for kind, spoken in (("pooled", False), ("cast_to_a_value", False)):
        path = tmp_path / f"{kind}.dsv3"
        path.write_text(table(ROOTS[kind]), encoding="utf-8")
        program = load_program(path)
        assert is_language_model(program.model.forwards[0]) is spoken
        assert not hasattr(imported(program, tmp_path), "main")
        assert set(emit(program, Options(weights="none"))) == {"model.onnx"}


# ---- any signature

#: Names that mean something to a target, to Python or to a checkpoint, and some that mean nothing.
NAMES = tuple(
    """
    tokens positions mask batch sequence total past input_ids attention_mask position_ids logits
    result results x y self last torch F nn Tensor embed_ main math weights device e None_ print
    B_ present steps stretch committed placed output input_0 step shape dtype_ size_
    """.split()  # noqa: SIM905
)

AXES = ("B", "S", "T", "E", "N", "dim", "side")


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """A forward whose arguments and results have any names, ranks, dims and dtypes."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    args: dict[str, tuple[str, list[str]]] = {}
    for name in names:
        dtype = draw(st.sampled_from(["", "", "f32 ", "i64 ", "i32 ", "bool "]))
        args[name] = dtype, draw(st.lists(st.sampled_from(AXES), min_size=1, max_size=4))

    def value(name: str) -> str:
        dtype = args[name][0]
        if dtype == "":
            return name
        inner = f"cast({name}, i64)" if dtype == "bool " else name
        return f"cast({inner}, like = embed)"

    lines, results, types = [], [], []
    count = draw(st.integers(1, 3))
    for number in range(count):
        name = draw(st.sampled_from(names))
        shape, made = list(args[name][1]), value(name)
        letters = list("abcd"[: len(shape)])
        match draw(st.sampled_from(["as it is", "turned", "summed", "beside", "scaled"])):
            case "turned":
                order = draw(st.permutations(range(len(shape))))
                target = " ".join(letters[axis] for axis in order)
                made = f'rearrange({made}, "{" ".join(letters)} -> {target}")'
                shape = [shape[axis] for axis in order]
            case "summed" if len(shape) > 1:
                axis = draw(st.integers(-len(shape), -1))
                made = f"sum({made}, over = {axis})"
                del shape[axis]
            case "beside":
                other = draw(st.sampled_from(names))
                more = args[other][1][:2]
                over = value(other)
                for _ in args[other][1][2:]:
                    over = f"sum({over})"
                axes = list("pq"[: len(more)])
                pattern = f"{' '.join(letters)}, {' '.join(axes)} -> {' '.join(letters + axes)}"
                made, shape = f'einsum("{pattern}", {made}, {over})', [*shape, *more]
            case "scaled":
                made = f"{made} * sum(sum(embed, over = 0)) - 0.5"
        lines.append(f"r{number} = {made}")
        results.append(f"r{number}")
        types.append(f"[{', '.join(shape)}]")
    given = ", ".join(f"{name}: {dtype}[{', '.join(dims)}]" for name, (dtype, dims) in args.items())
    called = draw(st.lists(st.sampled_from(NAMES), min_size=count, max_size=count, unique=True))
    typed = (
        types[0]
        if count == 1
        else "(" + ", ".join(f"{n}: {t}" for n, t in zip(called, types, strict=True)) + ")"
    )
    body = "  ".join([*lines, f"return {', '.join(results)}"])
    return f"forward({given}) -> {typed} {{ {body} }}"


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=signatures(), number=st.integers(0, 10**9))
def test_any_signature_agrees_in_every_layer(
    text: str, number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp(f"roots{number}")
    assume("tokens" not in text or not spoken(text, folder))
    assert differing(text, folder, (DEFAULT, Options(onnx_form="functions"))) == []


def spoken(text: str, folder: Path) -> bool:
    """Whether a drawn signature is the usual one: its callers leave arguments out."""
    path = folder / "spoken.dsv3"
    path.write_text(table(text), encoding="utf-8")
    return is_language_model(load_program(path).model.forwards[0])
