"""Two graphs whose dims are all numbers compute what the one with symbolic dims does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import specgen
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import (
    FLOWLESS,
    CacheForm,
    Experts,
    Ops,
    Options,
    OptionsError,
    StaticLengths,
    Weights,
)
from specgen.backends.refusal import Refusal
from specgen.frontend.load import load_program
from specgen.huggingface.reading import overrides_from_config
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.onnx.checkpoints import random_weights
from tests.onnx.references import Override, in_f32, load_spec, reference
from tests.onnx.runtimes import RUNTIMES
from tests.onnx.session import Session, fill, ort, parsed
from tests.onnx.static import StaticSession, faults, graphs
from tests.references import REPOSITORY, SPECS, needs_references, saved

Array = np.ndarray

CACHES: tuple[CacheForm, ...] = ("position", "shift", "new")

#: That of a mixture's Loop over experts.
MIXTURE = frozenset({"Loop", "Unique", "NonZero", "Shape"})

#: And of its Scan, where experts are stored in 8 bits.
EIGHT_BITS = frozenset({"Scan", "If", "Range"})

ATTENTION: dict[str, Override] = {
    "vocab_size": 96, "dim": 48, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 12,
    "inter_dim": 64,
}  # fmt: skip

#: Tables in small: attention to all, or to a window, or with sinks, or to a latent.
TABLES: Mapping[str, Mapping[str, Override]] = {
    "llama": ATTENTION,
    "gpt2": {"vocab_size": 96, "dim": 48, "n_layers": 2, "n_heads": 4, "max_seq_len": 64},
    "gemma2": {**ATTENTION, "window": 5, "query_scalar": 12},
    "mistral": {**ATTENTION, "window": 5},
}

BATCH, PREFILL, CONTEXT = 2, 8, 24


def options(cache: CacheForm, ops: Ops = "standard", context: int = CONTEXT) -> Options:
    lengths = StaticLengths(BATCH, PREFILL, context)
    return Options(static=lengths, cache=cache, ops=ops)


@cache
def table(name: str) -> Program:
    return in_f32(load_spec(name, None, **TABLES[name]))


@cache
def weights(name: str) -> dict[str, Array]:
    return random_weights(build(table(name)), 4)


def padded(side: str) -> Array:
    """A mask of a prompt of which one sequence is shorter, padded on a side or in between."""
    mask = np.ones((BATCH, PREFILL), np.int64)
    mask[1, {"left": slice(0, 3), "right": slice(5, 8), "between": slice(2, 4)}[side]] = 0
    return mask


def tokens(count: int) -> Array:
    return np.random.default_rng(3).integers(0, 96, (BATCH, count))


#: Windows ask for all that there is to go wrong; the others are tried where there is time.
QUICK = [
    name if name == "mistral" else pytest.param(name, marks=pytest.mark.slow) for name in TABLES
]


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("side", ["left", "right", "between"])
def test_a_prompt_and_its_continuation(
    name: str, cache: CacheForm, side: str, tmp_path: Path
) -> None:
    ids, mask = tokens(CONTEXT), padded(side)
    usual = Session.open(fill(build(table(name)), weights(name), tmp_path), BATCH)
    static = StaticSession.open(table(name), options(cache), weights(name), tmp_path)
    expected, found = usual(ids[:, :PREFILL], mask), static.prefill(ids[:, :PREFILL], mask)
    assert np.abs(expected).max() > 0.5
    assert np.abs(found - expected)[mask == 1].max() <= 2e-5
    for at in range(PREFILL, CONTEXT):
        new = ids[:, at : at + 1]
        assert np.abs(static.decode(new) - usual(new)).max() <= 2e-5


@pytest.mark.parametrize("cache", CACHES)
def test_a_prompt_longer_than_a_prefill_comes_in_pieces(cache: CacheForm, tmp_path: Path) -> None:
    ids = tokens(2 * PREFILL + 4)
    usual = Session.open(fill(build(table("mistral")), weights("mistral"), tmp_path), BATCH)
    static = StaticSession.open(table("mistral"), options(cache), weights("mistral"), tmp_path)
    for start in (0, PREFILL):
        piece = ids[:, start : start + PREFILL]
        assert np.abs(static.prefill(piece) - usual(piece)).max() <= 2e-5
    for at in range(2 * PREFILL, ids.shape[1]):
        new = ids[:, at : at + 1]
        assert np.abs(static.decode(new) - usual(new)).max() <= 2e-5


def test_what_follows_a_shorter_prompt_is_written_over_its_padding(tmp_path: Path) -> None:
    """Padding on the right takes no room where new rows are written by position."""
    ids, short = tokens(CONTEXT), 5
    usual = Session.open(fill(build(table("mistral")), weights("mistral"), tmp_path), BATCH)
    static = StaticSession.open(table("mistral"), options("position"), weights("mistral"), tmp_path)
    mask = np.ones((BATCH, PREFILL), np.int64)
    mask[:, short:] = 0
    found = static.prefill(ids[:, :PREFILL], mask, kept=short)
    assert np.abs(found[:, :short] - usual(ids[:, :short])).max() <= 2e-5
    for at in range(short, CONTEXT):
        new = ids[:, at : at + 1]
        assert np.abs(static.decode(new) - usual(new)).max() <= 2e-5


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", ["mistral", pytest.param("llama", marks=pytest.mark.slow)])
def test_beyond_the_context_the_oldest_tokens_are_forgotten(
    name: str, cache: CacheForm, tmp_path: Path
) -> None:
    """A ring: two times round, against a graph that keeps all and is told to see the last ones."""
    context = 12
    ids = tokens(3 * context)
    usual = Session.open(fill(build(table(name)), weights(name), tmp_path), BATCH)
    static = StaticSession.open(
        table(name), options(cache, context=context), weights(name), tmp_path
    )
    short = PREFILL if cache != "new" else 0
    for at in [short, *range(short + 1, ids.shape[1])] if short else range(ids.shape[1]):
        start = 0 if at == short and short else at - bool(short)
        new = ids[:, start : max(at, start + 1)]
        total = start + new.shape[1]
        seen = np.ones((BATCH, total), np.int64)
        seen[:, : max(0, total - context)] = 0
        positions = np.broadcast_to(np.arange(start, total), new.shape)
        given = {"input_ids": new, "attention_mask": seen, "position_ids": positions}
        names = [value.name for value in usual.session.get_outputs()]
        values = usual.session.run(names, {**given, **usual.cache})
        results = dict(zip(names, values, strict=True))
        usual.cache = {n: results[n.replace("past_key_values", "present")] for n in usual.cache}
        found = static.prefill(new) if new.shape[1] > 1 else static.decode(new)
        assert np.abs(found - results["logits"]).max() <= 2e-5


@pytest.mark.parametrize("ops", ["standard", "primitive"])
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", ["gemma2", *QUICK[:2], *QUICK[3:]])
def test_every_dim_is_a_number(name: str, cache: CacheForm, ops: Ops) -> None:
    for data in graphs(table(name), options(cache, ops)).values():
        assert sorted(set(faults(data))) == []


def test_the_check_above_finds_what_is_not_static() -> None:
    found = set(faults(build(table("llama"))))
    assert {"Shape", "Range", "dims of logits", "dims of input_ids"} <= found
    assert "Expand to a computed shape" in found or "Reshape to a computed shape" in found


def test_metadata_and_inputs_say_the_lengths() -> None:
    files = graphs(table("llama"), options("position"))
    assert list(files) == ["prefill.onnx", "decode.onnx"]
    for data, new in zip(files.values(), (PREFILL, 1), strict=True):
        model = parsed(data)
        told = {entry.key: entry.value for entry in model.metadata_props}
        assert told["static"] == f"batch={BATCH},prefill={PREFILL},context={CONTEXT}"
        assert (told["new_tokens"], told["cache"]) == (str(new), "position")
        dims = {value.name: shape(value) for value in (*model.graph.input, *model.graph.output)}
        assert dims["input_ids"] == dims["position_ids"] == [BATCH, new]
        assert dims["attention_mask"] == [BATCH, CONTEXT]
        assert dims["cache_position"] == [1]
        assert dims["logits"] == [BATCH, new, 96]
        assert dims["past_key_values.0.key"] == dims["present.0.key"] == [BATCH, CONTEXT, 2, 12]


def shape(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("cache", CACHES)
def test_repeated_layers_are_those_that_are_walked(cache: CacheForm) -> None:
    from specgen.backends.onnx.build import StaticStep

    chosen = options(cache)
    assert chosen.lengths is not None
    step = StaticStep("decode.onnx", 1, chosen.lengths)
    program = table("mistral")
    assert build(program, chosen, step=step) == build(program, chosen, repeat=False, step=step)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"static": "batch=1,prefill=8"}, "static is batch=B,prefill=S,context=T"),
        ({"static": "batch=1,prefill=8,context=x"}, "static is batch=B,prefill=S,context=T"),
        ({"static": "batch=1,prefill=8,prefill=8,context=9"}, "static is batch=B"),
        ({"static": "batch=0,prefill=8,context=9"}, "batch is a whole number from 1"),
        ({"static": "batch=1,prefill=8,context=4"}, "8 new tokens exceed a context of 4"),
        ({"static": "batch=1,prefill=8,context=8", "cache": "new"}, "prefill is less than context"),
        (
            {"static": "batch=1,prefill=8,context=9", "onnx_form": "functions"},
            "static graphs are flat",
        ),
        ({"static": "batch=1,prefill=8,context=9", "experts": "released"}, "no experts by If"),
        ({"cache": "shift"}, "give static lengths"),
        ({"index": "i16"}, "index is i64, i32"),
        ({"opset": 12}, "opset is 13 to 27"),
        ({"opset": True}, "opset is 13 to 27"),
    ],
)
def test_options_that_do_not_go_together(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionsError, match=reason):
        Options(**given)


def test_a_text_and_a_record_are_equal_options() -> None:
    text = Options(static="context=9, batch=1,prefill=8")
    assert text == Options(static=StaticLengths(1, 8, 9))
    assert text.given() == {"static": "batch=1,prefill=8,context=9"}


WHOLE = """language 1
model whole "All tokens at once" {
  params {
    dim : size = 8
    vocab_size : size = 8
  }
  tensors {
    table : [vocab_size, dim]
    head  : dim -> vocab_size
  }
  forward(tokens: i64 [B, S], mask: bool [B, S]) -> [B, S, vocab_size] {
    x = take(table, tokens)
    return head(where(rearrange(mask, "b s -> b s 1"), x, 0))
  }
}
"""

LAYER = """language 1
model layer "No language model" {
  params {
    dim : size = 8
  }
  tensors {
    w : dim -> dim
  }
  forward(x: [B, S, dim]) -> [B, S, dim] {
    return w(x)
  }
}
"""


@pytest.mark.parametrize(
    ("text", "reason"), [(WHOLE, "no step that decodes"), (LAYER, "one of a language model")]
)
def test_a_forward_without_steps_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.dsv3"
    path.write_text(text)
    with pytest.raises(Refusal, match=reason):
        graphs(load_program(path), options("position"))


LLAMA = ["llama@llama32_1b", *(f"-D{name}={value}" for name, value in ATTENTION.items())]
SMALL = "--static=batch=1,prefill=4,context=8"


def test_the_command_writes_both_graphs_and_says_how_they_are_called(tmp_path: Path) -> None:
    for way in CACHES:
        given = (*LLAMA, "--target=onnx", SMALL, f"--cache={way}", "--opset=19", "--index=i32")
        done = specgen_here("build", *given, cwd=tmp_path)
        assert done.status == 0, done.err
        (folder,) = (tmp_path / "generated" / "llama").iterdir()
        names = {path.name for path in folder.iterdir()}
        assert names == {"prefill.onnx", "decode.onnx", "manifest.json"}
        manifest = json.loads((folder / "manifest.json").read_text())
        stated = {"cache": way} if way != "position" else {}
        assert manifest["onnx"] == {
            **stated,
            "index": "i32",
            "opset": 19,
            "static": "batch=1,prefill=4,context=8",
        }
        session = manifest["session"]
        assert ("cache_position" in session["call"]) == (way != "shift")
        assert "--static batch=1,prefill=4,context=8" in session["with_checkpoint"]
        assert specgen_here("build", "--check", *given, cwd=tmp_path).status == 0
        assert specgen_here("build", "--check", *LLAMA, cwd=tmp_path).status == 1


@pytest.mark.parametrize(
    ("options_", "reason"),
    [
        (["--static=batch=1"], "static is batch=B,prefill=S,context=T"),
        (["--opset=28"], "opset is 13 to 27"),
        (["--opset=x"], "invalid int value"),
        (["--cache=shift"], "give static lengths"),
        (["--index=i16"], "i16"),
        ([SMALL, "--onnx-form=functions"], "static graphs are flat"),
        ([SMALL, "--target=pytorch"], "options of the target `onnx`"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(
    options_: list[str], reason: str, tmp_path: Path
) -> None:
    done = specgen_here("build", *LLAMA, *options_, cwd=tmp_path)
    assert done.status == 2
    assert reason in done.err
    assert not list(tmp_path.iterdir())


# ---- what asks for the order of slots --------------------------------------------------

#: A table that asks for the order of slots in each way that there is; `{seen}` is its attention.
ORDERS = """language 1
model orders "Slots in order" {{
  params {{
    dim : size = 8
    vocab_size : size = 32
  }}
  tensors {{
    table : [vocab_size, dim]
    head  : dim -> vocab_size
  }}
  cache {{
    rows : [B, T, dim] along T
  }}
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, vocab_size] {{
    x    = take(table, tokens)
    k    = append(rows, x)
    real = rearrange(mask, "b t -> b 1 t")
    old  = iota(T) <= rearrange(iota(S) + (T - S), "s -> s 1") and real
    s    = where(old, einsum("b s d, b t d -> b s t", x, k), -1000)
{body}
    return head(x + y)
  }}
}}
"""

BODIES = {
    "running sum": """
    w = cumsum(where(old, softmax(s), 0), over = T)
    y = einsum("b s t, b t d -> b s d", w, k)""",
    "new rows": """
    y = slice(k, T - S, T, over = 1) * 2 + max(s, keep = true)""",
    "older and new rows": """
    before, new = split(k, [T - S, S], over = 1)
    known = rearrange(slice(mask, 0, T - S), "b t -> b t 1")
    y = new + max(s, keep = true) + rearrange(sum(where(known, before, 0), over = 1), "b d -> b 1 d")""",
    "one slot more in front": """
    more = concat([slice(s, T - 1, T, over = T), s])
    w = slice(softmax(where(more > -900, cumsum(where(more > -900, more, 0)) * 0.1, -1000)), 1, T + 1, over = -1)
    y = einsum("b s t, b t d -> b s d", w, k)""",
    "one slot more behind": """
    all = softmax(concat([s, slice(s, T - 1, T, over = T)]))
    w, more = split(all, [T, 1])
    y = einsum("b s t, b t d -> b s d", w, k) + more""",
    "slots of one slot more": """
    all = softmax(concat([s, slice(s, T - 1, T, over = T)]) * cast(T + 1 - iota(T + 1), like = s))
    y = einsum("b s t, b t d -> b s d", slice(all, 0, T, over = -1), k)""",
    "places": """
    w = where(old, cast(iota(T) - T, like = s), 0)
    y = einsum("b s t, b t d -> b s d", w, k)""",
    "best slots": """
    best, at = topk(s, 2)
    far = take(cast(iota(T) - T, like = s), at) + cast(at - T, like = s)
    near = sum(where(best > -900, far * gather(s, at), 0))
    y = rearrange(near, "b s -> b s 1") * x""",
}


@pytest.fixture
def ordering(tmp_path: Path) -> Path:
    return tmp_path / "orders.dsv3"


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("cache", CACHES)
def test_what_asks_for_the_order_of_slots_gets_it(
    body: str, cache: CacheForm, ordering: Path, tmp_path: Path
) -> None:
    ordering.write_text(ORDERS.format(body=BODIES[body]))
    program, ids, mask = load_program(ordering), tokens(20) % 32, padded("between")
    checkpoint = random_weights(build(program), 1)
    usual = Session.open(fill(build(program), checkpoint, tmp_path), BATCH)
    static = StaticSession.open(program, options(cache), checkpoint, tmp_path)
    expected = usual(ids[:, :PREFILL], mask)
    found = static.prefill(ids[:, :PREFILL], mask)
    assert np.abs(found - expected)[mask == 1].max() <= 1e-4
    for at in range(PREFILL, 20):
        new = ids[:, at : at + 1]
        assert np.abs(static.decode(new) - usual(new)).max() <= 1e-4


def test_an_order_that_slots_have_not_is_refused_by_name(ordering: Path) -> None:
    body = """
    twice = cumsum(concat([s, s]), over = -1)
    y = einsum("b s t, b t d -> b s d", slice(twice, 0, T, over = -1), k)"""
    ordering.write_text(ORDERS.format(body=body))
    program = load_program(ordering)
    with pytest.raises(Refusal, match="use `--cache shift`") as caught:
        graphs(program, options("position"))
    assert caught.value.site is not None
    graphs(program, options("shift"))


# ---- against transformers --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("name", TABLES)
def test_other_runtimes(name: str, cache: CacheForm, runtime: str, tmp_path: Path) -> None:
    """OpenVINO lacks TensorScatter; the standard's own evaluator has it."""
    if (name, runtime) == ("gpt2", "openvino"):
        pytest.skip("it dies of biases, as the test below shows")
    ids, mask = tokens(CONTEXT), padded("left")
    usual = Session.open(fill(build(table(name)), weights(name), tmp_path), BATCH)
    ops: Ops = "primitive" if runtime == "openvino" else "standard"
    lengths = StaticLengths(BATCH, PREFILL, CONTEXT)
    chosen = Options(static=lengths, cache=cache, ops=ops, index="i32")
    opened = RUNTIMES[runtime]
    static = StaticSession.open(table(name), chosen, weights(name), tmp_path, opened)
    found, expected = static.prefill(ids[:, :PREFILL], mask), usual(ids[:, :PREFILL], mask)
    assert np.abs(found - expected)[mask == 1].max() <= 2e-5
    for at in range(PREFILL, PREFILL + 6):
        new = ids[:, at : at + 1]
        assert np.abs(static.decode(new) - usual(new)).max() <= 2e-5


@pytest.mark.slow
def test_openvino_dies_of_two_residual_sums_with_biases() -> None:
    """As docs/onnx.md says: where it does no more, the skip above and the page can go."""
    pytest.importorskip("openvino", reason="openvino is not installed (extra `test`)")
    page = (REPOSITORY / "docs" / "onnx.md").read_text(encoding="utf-8")
    (block,) = (
        b for b in re.findall(r"^```python\n(.*?)^```", page, re.S | re.M) if "openvino" in b
    )
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, check=False)
    assert done.returncode < 0, done.stderr  # a signal, and no exception


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("way", ["reference", "embed"])
@pytest.mark.parametrize("name", ["llama", "qwen3_moe"])
def test_both_graphs_read_one_checkpoint(name: str, way: Weights, tmp_path: Path) -> None:
    model, source = reference(name), tmp_path / "checkpoint"
    source.mkdir()
    data = (saved(name) / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(data)
    chosen = Options(static=StaticLengths(1, 16, 24), index="i32", checkpoint=source, weights=way)
    given = overrides_from_config(load_spec(SPECS[name]), model.config)
    spec = REPOSITORY / "specs" / f"{SPECS[name]}.dsv3"
    made = specgen.load(spec, **given).build(  # type: ignore[arg-type]
        source if way == "reference" else tmp_path / "built", ["onnx"], onnx=chosen
    )
    paths = {name: made / name for name in ("prefill.onnx", "decode.onnx")}
    assert not (made / "genai_config.json").exists()
    static, arrays = StaticSession.start(chosen, paths), model.arrays
    found = static.prefill(arrays["input_ids"][None])
    assert np.abs(found[0] - arrays["prefill_logits"]).max() <= model.tolerance
    for token, expected in zip(arrays["decode_tokens"], arrays["decode_logits"], strict=True):
        found = static.decode(np.array([[token]]))
        assert np.abs(found[0, 0] - expected).max() <= model.tolerance


MIXTURES = ["qwen3_moe", "gpt_oss", "deepseek_v3"]
RELEASED = ["llama", "gpt2", "gemma2", "mistral", *MIXTURES]


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("side", ["none", "left", "right"])
@pytest.mark.parametrize("name", RELEASED)
def test_sixteen_tokens_against_transformers(name: str, side: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        saved(name), attn_implementation="eager"
    )
    ids = np.random.default_rng(7).integers(0, model.config.vocab_size, (BATCH, 32))
    prompt = np.ones((BATCH, 16), np.int64)
    if side != "none":
        prompt[1, slice(0, 5) if side == "left" else slice(11, 16)] = 0
    mask = np.concatenate([prompt, np.ones((BATCH, 16), np.int64)], axis=1)
    expected = np.zeros((*ids.shape, model.config.vocab_size), np.float32)
    for row, real in zip(range(BATCH), mask == 1, strict=True):  # each alone and without padding
        with torch.no_grad():
            expected[row, real] = model(torch.from_numpy(ids[row, real][None])).logits.numpy()[0]
    ours = reference(name)
    ways: tuple[Experts, ...] = ("loop", *(FLOWLESS if name in MIXTURES else ()))
    for cache_form, ops, experts in product(CACHES, ("standard", "primitive", "ort"), ways):
        lengths = StaticLengths(BATCH, 16, 40)
        chosen = Options(static=lengths, cache=cache_form, ops=ops, experts=experts)
        place = tmp_path / ops / experts
        static = StaticSession.open(ours.program(), chosen, ours.weights, place)
        found = [static.prefill(ids[:, :16], prompt)]
        found += [static.decode(ids[:, at : at + 1]) for at in range(16, 32)]
        off = np.abs(np.concatenate(found, axis=1) - expected)[mask == 1]
        assert off.max() <= 5e-5, (cache_form, ops, experts)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", sorted(path.stem for path in (REPOSITORY / "specs").glob("*.dsv3"))
)
def test_every_shipped_table_is_static(spec: str) -> None:
    """At full size, in two extremes: also none has a step that takes more than four axes."""
    program = load_spec(spec)
    if program.model.forward is None:
        return
    newer = Options(static=StaticLengths(1, 128, 1024))
    older = Options(static=StaticLengths(3, 16, 2048), ops="primitive", opset=19, cache="new")
    for chosen in (newer, older):
        for data in graphs(program, chosen).values():
            found = set(faults(data, allowed=MIXTURE | EIGHT_BITS))
            assert {fault for fault in found if not fault.startswith("dims of")} == set()
            assert not found or b"experts" in data


def test_one_memory_may_be_what_comes_in_and_what_comes_out(tmp_path: Path) -> None:
    """As docs/onnx.md says of caches by position: a step writes its rows in place."""
    static = StaticSession.open(table("llama"), options("position"), weights("llama"), tmp_path)
    ids = tokens(PREFILL + 1)
    static.prefill(ids[:, :PREFILL])
    binding, held = static.sessions["decode.onnx"].io_binding(), {}
    mask = static.mask.copy()
    mask[:, PREFILL] = 1
    given = {"input_ids": ids[:, PREFILL:], "position_ids": np.full((BATCH, 1), PREFILL)}
    given |= {"attention_mask": mask, "cache_position": np.array([PREFILL])}
    for name, array in given.items():
        binding.bind_cpu_input(name, array)
    for name, array in static.cache.items():
        held[name] = ort.OrtValue.ortvalue_from_numpy(array.copy())
        binding.bind_ortvalue_input(name, held[name])
        binding.bind_ortvalue_output(name.replace("past_key_values", "present"), held[name])
    binding.bind_output("logits")
    static.sessions["decode.onnx"].run_with_iobinding(binding)
    expected = static.decode(ids[:, PREFILL:])
    assert np.array_equal(binding.get_outputs()[-1].numpy(), expected)
    assert all(np.array_equal(held[name].numpy(), array) for name, array in static.cache.items())


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("experts", FLOWLESS)
@pytest.mark.parametrize("name", [*MIXTURES, "mixtral", "kimi_k2"])
def test_all_of_a_mixture_without_control_flow_is_static(name: str, experts: Experts) -> None:
    lengths = StaticLengths(1, 16, 40)
    for ops, opset in product(("standard", "primitive"), (None, 13, 17, 25)):
        chosen = Options(static=lengths, ops=ops, opset=opset, experts=experts)
        for data in graphs(reference(name).program(), chosen).values():
            assert set(faults(data)) == set()


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("name", MIXTURES)
def test_all_of_a_mixture_is_static_but_its_loop(name: str) -> None:
    for ops in ("standard", "primitive"):
        chosen = Options(static=StaticLengths(1, 16, 40), ops=ops)
        for data in graphs(reference(name).program(), chosen).values():
            found = set(faults(data, allowed=MIXTURE))
            unknown = {fault for fault in found if fault.startswith("dims of")}
            assert found == unknown
            assert len(unknown) <= 4  # which experts are active, once a layer


@pytest.mark.slow
@needs_references
@pytest.mark.parametrize("name", ["qwen3_moe", "mixtral", "deepseek_v3"])
def test_a_mixture_that_is_an_operator_is_static_as_a_whole(name: str) -> None:
    """Values behind operators that inference does not know say their dims."""
    for opset in (17, 24):
        chosen = Options(static=StaticLengths(1, 16, 40), ops="ort", opset=opset)
        for data in graphs(reference(name).program(), chosen).values():
            assert sorted(set(faults(data))) == []
