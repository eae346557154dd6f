"""Root forwards of any signature: the interpreter, model.py and model.onnx take the same arguments."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import specgen
from specgen.analysis.quantities import NO_TOKENS, OTHER_LENGTH, Ledger, ledger
from specgen.analysis.terms import DEFAULTS, evaluated
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import DEFAULT, Options
from specgen.elaborate.load import check_file, load_program
from specgen.ir.roots import is_language_model
from specgen.sizes.evaluate import evaluate_int
from specgen.sizes.expr import symbols
from tests.agreement import Layers, unequal
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
    "two_lengths": "forward(x: [B, S, dim], y: [B, E, dim], real: bool [B, E]) -> [B, S, dim] {"
    ' s = einsum("b s d, b e d -> b s e", w(x), y)'
    ' p = softmax(where(rearrange(real, "b e -> b 1 e"), s, -1e9), over = -1)'
    ' return einsum("b s e, b e d -> b s d", p, y) }',
}  # fmt: skip


def differing(text: str, folder: Path, forms: tuple[Options, ...] = (DEFAULT,)) -> list[str]:
    """Where the layers differ for one table, whose arguments are drawn at random."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "t.dsv3"
    rows = "  ".join(row for name, row in ROWS.items() if re.search(rf"\b{name}\b", text))
    path.write_text(HEAD.replace("ROWS", rows) + text + "\n}\n", encoding="utf-8")
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
    assert differing(ROOTS[kind], tmp_path, (DEFAULT, Options(form="functions"))) == []


def counted(forward: str, folder: Path) -> Ledger:
    path = folder / "t.dsv3"
    rows = "  ".join(row for name, row in ROWS.items() if re.search(rf"\b{name}\b", forward))
    path.write_text(HEAD.replace("ROWS", rows) + forward + "\n}\n", encoding="utf-8")
    return ledger(load_program(path))


#: Those of ROOTS that are language models' by their signature.
TOKENS_ALONE = {"tokens_turned"}

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
        given = {variable: DEFAULTS[variable] for variable in quantity.variables}
        assert evaluated(quantity, {**found.values, **given}) >= 0, name
        # A language model's have the variables that callers of any of them give.
        assert given.keys() <= symbols(quantity.expr) or kind in TOKENS_ALONE, name
    lengths = {"two_lengths", "other_axes"}
    assert (found.quantities["flops_prefill"].absent == OTHER_LENGTH) == (kind in lengths)
    folder = specgen.load(tmp_path / "t.dsv3").build(tmp_path / "built")
    assert {"model.py", "model.onnx", "report.md", "report.html"} <= set(os.listdir(folder))
