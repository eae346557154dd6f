"""What releases call otherwise, or hold besides, as tables say: loaded, verified and built alike."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.analysis.table.leeway import Leeway, leeway
from specgen.backends.onnx.build import emit
from specgen.backends.onnx.options import Options
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.frontend.selection import Selection
from specgen.huggingface.comparing import compare
from specgen.huggingface.fitting import faults, tensors
from specgen.huggingface.reading import overrides_from_config
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.onnx.checkpoints import Held, held, write_file, write_shards
from tests.onnx.references import reference
from tests.onnx.session import Session
from tests.references import SPECS, needs_references
from tests.truth.outside import REPOSITORY

# ---- the rule, for any names ------------------------------------------------------------------

WORD = st.text(string.ascii_lowercase, min_size=1, max_size=3)
NAME = st.lists(WORD, min_size=1, max_size=3).map(".".join)


@settings(max_examples=150)
@given(
    st.sets(NAME, max_size=8), st.lists(st.tuples(NAME, NAME | st.just("")), max_size=2), st.data()
)
def test_each_tensor_is_found_once_under_any_of_its_spellings(
    needed: set[str], pairs: list[tuple[str, str]], data: st.DataObject
) -> None:
    """What is needed and there in its own spelling stays; nothing is taken for two, or lost."""
    rule = Leeway(pairs, ())
    spelt: dict[str, str] = {}
    for name in sorted(needed):
        others = [name]
        for usual, other in pairs:
            if name.startswith(f"{usual}."):
                rest = name.removeprefix(f"{usual}.")
                others.append(f"{other}.{rest}" if other else rest)
        chosen = data.draw(st.sampled_from(others))
        spelt.setdefault(chosen, name)
    found = rule.under_usual_names(needed, {name: name for name in spelt})
    assert sorted(found.values()) == sorted(spelt)
    for name, was in found.items():
        assert name in rule.usual(was)
        assert name == was or (name in needed and was not in needed)
    alone = [n for n in needed if n in spelt]
    assert all(found[name] == name for name in alone)


@settings(max_examples=150)
@given(st.lists(NAME, max_size=3), NAME)
def test_nothing_is_held_besides_but_what_is_named(names: list[str], name: str) -> None:
    rule = Leeway((), [f"{one}.{{layer}}.bias" for one in names])
    assert rule.may_hold(name) is False
    for one in names:
        assert rule.may_hold(f"{one}.17.bias")
        assert not rule.may_hold(f"{one}.x.bias")
        assert not rule.may_hold(f"{one}x17.bias")
        assert not rule.may_hold(f"{one}.17.biases")


# ---- what tables say --------------------------------------------------------------------------

#: What releases of each model have besides, of each layer.
BUFFERS: Mapping[str, tuple[str, ...]] = {
    "gpt2": ("transformer.h.{}.attn.bias", "transformer.h.{}.attn.masked_bias"),
    "gpt_neox": (
        "gpt_neox.layers.{}.attention.bias", "gpt_neox.layers.{}.attention.masked_bias",
        "gpt_neox.layers.{}.attention.rotary_emb.inv_freq",
    ),
    "llama": ("model.layers.{}.self_attn.rotary_emb.inv_freq",),
}  # fmt: skip

#: What the class without a head leaves out of names.
PREFIX = {"gpt2": "transformer", "llama": "model", "qwen2": "model", "qwen3": "model",
          "mistral": "model", "gemma2": "model"}  # fmt: skip

CASES = sorted({*((name, "buffers") for name in BUFFERS), *((name, "short") for name in PREFIX),
                ("gpt2", "both"), ("llama", "both")})  # fmt: skip


def as_released(name: str, how: str, layers: int) -> dict[str, Held]:
    """The tensors of a reference as some release has them."""
    found = {name: held(array) for name, array in reference(name).weights.items()}
    if how != "short":
        for pattern in BUFFERS[name]:
            found |= {
                pattern.format(i): held(np.zeros((1, 1, 2), np.float32)) for i in range(layers)
            }
    if how != "buffers":
        found = {key.removeprefix(f"{PREFIX[name]}."): value for key, value in found.items()}
    return found


def table(name: str) -> Program:
    spec = REPOSITORY / "specs" / f"{SPECS[name]}.dsv3"
    given = overrides_from_config(load_program(spec), reference(name).config)
    return load_program(spec, None, given)


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize(("name", "how"), CASES)
def test_a_release_is_loaded_verified_and_built_as_it_is(
    name: str, how: str, tmp_path: Path
) -> None:
    torch = pytest.importorskip("torch")
    from tests.numeric.generated import imported

    model, program = reference(name), table(name)
    (tmp_path / "c").mkdir()
    layers = int(program.values["n_layers"])  # type: ignore[arg-type]
    write_file(tmp_path / "c" / "model.safetensors", as_released(name, how, layers))
    given = overrides_from_config(program, model.config)
    selection = Selection(REPOSITORY / "specs" / f"{SPECS[name]}.dsv3", None, given)
    assert not compare(selection, tmp_path / "c").differences
    tokens = model.arrays["input_ids"][None]
    (tmp_path / "c" / "model.onnx").write_bytes(
        emit(program, Options(checkpoint=tmp_path / "c"))["model.onnx"]  # type: ignore[arg-type]
    )
    logits = Session.open(tmp_path / "c" / "model.onnx")(tokens)
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance
    module = imported(program, tmp_path)
    built = module.Model(module.Config())
    built.load_checkpoint(tmp_path / "c")
    with torch.no_grad():
        logits = built.float()(torch.from_numpy(tokens)).numpy()
    assert np.abs(logits[0] - model.arrays["prefill_logits"]).max() <= model.tolerance


@needs_references
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUFFERS))
def test_what_no_release_has_is_still_in_excess(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.numeric.generated import imported

    program = table(name)
    found = as_released(name, "buffers", int(program.values["n_layers"]))  # type: ignore[arg-type]
    first = sorted(found)[0]
    missing = sorted(set(tensors(program)))[0]
    del found[missing]
    more = {"other.attn.bias": held(np.zeros(2, np.float32)),
            f"copy.{first}": held(np.zeros(2, np.float32))}  # fmt: skip
    write_file(tmp_path / "model.safetensors", {**found, **more})
    headers = dict.fromkeys([*found, *more])
    listed = set(faults(program, headers, ()))
    assert {(kind, which.split()[0]) for kind, which in listed} == {
        ("missing", missing), *(("in excess", extra) for extra in more),
    }  # fmt: skip
    module = imported(program, tmp_path)
    with pytest.raises(ValueError, match="in excess") as caught:
        module.Model(module.Config()).load_checkpoint(tmp_path / "model.safetensors")
    said = re.findall(r"(missing|in excess): (\S+)", str(caught.value))
    assert set(said) == {("missing", missing), *(("in excess", extra) for extra in more)}


def test_a_name_that_is_there_is_not_taken_for_another() -> None:
    program = load_program(REPOSITORY / "specs" / "gpt2.dsv3", None, {"n_layers": 1})
    whole = dict.fromkeys(tensors(program))
    assert not list(faults(program, whole, ()))
    twice = {**whole, "wte.weight": None}
    assert list(faults(program, twice, ())) == [("in excess", "wte.weight")]


# ---- tables of any shape -----------------------------------------------------------------------

TABLE = """language 1
model m {{
  params {{ n : size = 3 }}
  tensors {{ w : [4] }}
  parts {{ a[i] : one × n  b : one }}
  names hf {{
    w -> "base.w"
    a -> "base.a.{{i}}"
    b -> "base.b"
    {rows}
  }}
  module one {{
    tensors {{ v : [2] }}
    names hf {{ v -> "v.weight"  _ -> "deep.table"  {inner} }}
  }}
}}
"""


def written(tmp_path: Path, rows: str = "", inner: str = "") -> Path:
    path = tmp_path / "m.dsv3"
    path.write_text(TABLE.format(rows=rows, inner=inner), encoding="utf-8")
    return path


def test_names_besides_are_those_of_each_place_of_the_module(tmp_path: Path) -> None:
    path = written(tmp_path, 'bias -> "x"'.replace("bias", "_") + ' "base" -> "other.base"')
    rule = leeway(load_program(path), "hf")
    assert set(rule.besides) == {"base.a.{i}.deep.table", "base.b.deep.table", "x"}
    assert rule.may_hold("base.a.2.deep.table")
    assert rule.may_hold("other.base.b.deep.table")
    assert not rule.may_hold("base.a.i.deep.table")
    assert "other.base.w" not in rule.under_usual_names({"base.w"}, {"other.base.w": 1})


@pytest.mark.parametrize(
    ("rows", "inner", "code"),
    [
        ('"bse" -> ""', "", "E0716"),
        ('"base.a" -> "base.a"', "", "E0716"),
        ('"base.{n}" -> ""', "", "E0716"),
        ('"base." -> ""', "", "E0716"),
        ('"" -> "base"', "", "E0716"),
        ("", '"v" -> ""', "E0716"),
        ('"base.b" -> "base.a.0"', "", "E0706"),  # two tensors may then be one name
        ('_ -> "x{"', "", "E0703"),
        ('_ -> "x" as rearrange("a -> a")', "", "E0701"),
        ('w, _ -> "x"', "", "E0701"),
    ],
)  # fmt: skip
def test_spellings_of_nothing_are_refused(rows: str, inner: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_program(written(tmp_path, rows, inner))
    assert code in {diagnostic.code for diagnostic in caught.value.diagnostics}


# ---- links, and files that are not there ------------------------------------------------------------------

SMALL = {"n_layers": 2, "dim": 8, "n_heads": 2, "n_kv_heads": 1, "inter_dim": 12, "vocab_size": 16,
         "dtype": "f32"}  # fmt: skip


@pytest.mark.slow
def test_links_are_loaded_and_verified(tmp_path: Path) -> None:
    """A folder, an index, a file: each may be a link, as those of a hub's cache are."""
    pytest.importorskip("torch")
    from tests.numeric.generated import imported

    spec = REPOSITORY / "specs" / "llama.dsv3"
    program = load_program(spec, None, SMALL)
    whole = {n: held(np.ones(t.dims, np.float32)) for n, t in tensors(program).items()}
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    write_shards(tmp_path / "blobs", whole, 2)
    for number, path in enumerate(sorted((tmp_path / "blobs").iterdir())):
        blob = path.rename(path.with_name(f"{number:064x}"))
        (tmp_path / "snapshot" / path.name).symlink_to(f"../blobs/{blob.name}")
    (tmp_path / "latest").symlink_to("snapshot")
    module = imported(program, tmp_path)
    for place in ("snapshot", "latest", "latest/model.safetensors.index.json"):
        model = module.Model(module.Config())
        model.load_checkpoint(tmp_path / place)
        assert all((row == 1).all() for row in model.parameters())
        assert not compare(Selection(spec, None, SMALL), tmp_path / place).differences
    one = tmp_path / "snapshot" / "model-00002-of-00002.safetensors"
    assert not compare(Selection(spec, None, SMALL), one).differences


@pytest.mark.slow
@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_missing_file_of_several_is_named(gone: int, tmp_path: Path) -> None:
    """By the command, and by model.py."""
    pytest.importorskip("torch")
    from tests.numeric.generated import imported

    program = load_program(REPOSITORY / "specs" / "llama.dsv3", None, SMALL)
    whole = {n: held(np.zeros(t.dims, np.float32)) for n, t in tensors(program).items()}
    write_shards(tmp_path, whole, 3)
    file = f"model-{gone + 1:05}-of-00003.safetensors"
    (tmp_path / file).unlink()
    defines = [text for name, value in SMALL.items() for text in ("-D", f"{name}={value}")]
    commands: list[Callable[[], Any]] = [
        lambda: specgen_here("verify", "llama", ".", *defines, cwd=tmp_path),
        lambda: specgen_here("build", "llama", "--checkpoint", ".", *defines, cwd=tmp_path),
    ]
    for command in commands:
        done = command()
        assert done.status == 1
        assert f"{file}: there is no such file" in done.err
    module = imported(program, tmp_path)
    with pytest.raises((FileNotFoundError, ValueError), match=file):
        module.Model(module.Config()).load_checkpoint(tmp_path)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert file in index["weight_map"].values()
