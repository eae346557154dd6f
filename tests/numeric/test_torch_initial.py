"""A model that nothing was loaded into: it computes, says how it is loaded, and shows what it has."""

from __future__ import annotations

import inspect
import json
import re
import sys
import textwrap
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from safetensors.torch import save_file  # noqa: E402

from specgen.backends.pytorch.initial import beginning  # noqa: E402
from specgen.frontend.load import load_program  # noqa: E402
from specgen.huggingface.reading import overrides_from_config  # noqa: E402
from specgen.ir.model import Program  # noqa: E402
from tests.numeric.generated import config_of, imported, program, stored  # noqa: E402
from tests.numeric.test_torch_checkpoints import SMALL  # noqa: E402
from tests.references import DECODED, SPECS, needs_references, saved  # noqa: E402

pytestmark = pytest.mark.slow


def small(name: str) -> Program:
    """The table of a reference model, at the reference's sizes."""
    config = json.loads((saved(name) / "config.json").read_text())
    return program(SPECS[name], **overrides_from_config(program(SPECS[name]), config))


@needs_references
@pytest.mark.parametrize("name", DECODED)
def test_a_fresh_model_gives_probabilities(name: str, tmp_path: Path) -> None:
    """Neither NaN, nor one token for sure, nor the same for every token."""
    module = imported(small(name), tmp_path)
    torch.manual_seed(0)
    model = module.Model(module.Config())
    tokens = torch.randint(model.config.vocab_size, (2, 9))
    with torch.no_grad():
        probabilities = model(tokens).float().softmax(-1)
    assert probabilities.isfinite().all()
    assert probabilities.max() < 0.5
    assert probabilities.std(dim=-1).min() > 0
    assert (probabilities[:, 0] - probabilities[:, 1]).abs().max() > 0


@needs_references
@pytest.mark.parametrize("name", DECODED)
def test_gains_are_one_and_biases_zero_as_in_transformers(name: str, tmp_path: Path) -> None:
    """Vectors begin with what transformers gives them, but for those that it draws."""
    from transformers import AutoConfig, AutoModelForCausalLM

    module = imported(small(name), tmp_path)
    model = module.Model(module.Config())
    config = AutoConfig.from_pretrained(saved(name))
    theirs = dict(AutoModelForCausalLM.from_config(config).named_parameters())
    compared = 0
    for released, ours in stored(module, model).items():
        other = theirs.get(released)
        if other is None or other.dim() != 1 or other.unique().numel() != 1:
            continue
        compared += 1
        assert ours.unique().tolist() == other.unique().tolist(), released
    assert compared > 2


def test_resetting_fills_what_was_made_empty(tmp_path: Path) -> None:
    module = imported(program("deepseek_v3", **SMALL), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
    assert all(row.is_meta for row in model.parameters())
    model.to_empty(device="cpu")
    with torch.no_grad():
        for row in model.parameters():
            row.fill_(torch.nan)
    model.reset_parameters(std=0.1)
    assert all(row.isfinite().all() for row in model.parameters())
    assert model.head.weight.std().item() == pytest.approx(0.1, rel=0.1)


ROWS = """language 1
model rows "Rows" {
  params { n : size = 4 }
  tensors {
    gain     : [n]      "multiplied"
    halved   : [n]      "multiplied once it is cast, cut, and times a number"
    handed   : [n]      "multiplied in a function"
    beside   : [n]      "1 + it is multiplied"
    shift    : [n]      "added"
    contract : [n]      "multiplied, and summed"
    heads    : [2, n]   "a gain for each head"
    scores   : [n, n]   "contracted"
    places   : [n, n]   "added"
    numbers  : [n] as i64
    m        : n -> n
    m.bias   : [n]
  }
  forward(x: [B, S, n]) -> [B, S, n] {
    a = x * gain * (1 + beside) + shift
    w = cast(halved, f32)
    b = cast(cast(a, f32) * (2 * w), like = x)
    c = scaled(b, handed) * sum(b * contract, keep = true)
    d = einsum("b s i, o i -> b s o", c, scores)
    e = repeat(d, "b s i -> b s h i", h = 2) * heads
    f = einsum("b s h i, j i -> b s j", e, places + places)
    return m(f) + cast(numbers, like = x)
  }
}
function scaled(x: [B, S, N], by: [N]) -> [B, S, N] { return twice(x, by) }
function twice(x: [B, S, N], by: [N]) -> [B, S, N] { return x * by }
"""


def test_what_a_row_is_for_is_read_from_the_forward(tmp_path: Path) -> None:
    path = tmp_path / "rows.dsv3"
    path.write_text(ROWS)
    table = load_program(path)
    found = {row.name: beginning(table, table.model, row) for row in table.model.tensors}
    assert found == {
        "gain": "ones",
        "halved": "ones",
        "handed": "ones",
        "beside": "zeros",
        "shift": "zeros",
        "contract": "normal",
        "heads": "ones",
        "scores": "normal",
        "places": "normal",
        "numbers": "zeros",
        "m": "normal",
        "m.bias": "zeros",
    }
    module = imported(table, tmp_path)
    model = module.Model(module.Config(n=6))
    assert model.gain.eq(1).all()
    assert model.m.bias.eq(0).all()
    assert model.numbers.eq(0).all()
    assert model(torch.ones(1, 2, 6)).isfinite().all()


# ---- the docstring


def shown(module: ModuleType) -> str:
    """The program in the file's docstring, behind the tree of its modules."""
    _, _, program = str(inspect.getdoc(module)).partition("\n    Model ")
    lines = program.partition("\n\n")[2].splitlines()
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))


@pytest.mark.parametrize(
    ("table", "sizes", "way"),
    [
        (
            "gpt2",
            {"n_layers": 1, "dim": 24, "inter_dim": 96, "n_heads": 2, "vocab_size": 40},
            "direct",
        ),
        ("deepseek_v3@v3_671b", SMALL, "meta"),
    ],
)
def test_the_docstring_is_a_program(
    table: str, sizes: dict[str, Any], way: str, tmp_path: Path
) -> None:
    """At the file's own size it would take what the model takes: its Config is made small."""
    name, _, variant = table.partition("@")
    module = imported(program(name, variant or None), tmp_path)
    text = shown(module)
    assert ('torch.device("meta")' in text) == (way == "meta")
    config = partial(config_of, module, sizes)
    small = imported(program(name, variant or None, **sizes), tmp_path)
    model = small.Model(small.Config())
    tensors = {}
    for one in small.checkpoints().stored_tensors(model):
        for name, (dtype, shape) in one.kinds.items():
            kind = {"F8_E4M3": torch.float8_e4m3fn}.get(dtype, torch.float32)
            tensors[name] = torch.zeros(shape).to(kind)
    save_file(tensors, tmp_path / "model.safetensors")
    names: dict[str, Any] = {
        **vars(module),
        "Config": config,
        "path": tmp_path,
        "tokens": torch.tensor([[1, 2, 3]]),
        "batch": 1,
        "length": 8,
    }
    exec(text, names)
    assert names["logits"].shape == (1, 3, sizes["vocab_size"])
    assert names["cache"].length == 3
    loaded = list(names["model"].parameters())
    assert all(row.eq(0).all() for row in loaded)
    assert {row.dtype for row in loaded} <= {torch.bfloat16, torch.float32}


def test_the_docstring_of_a_layer_is_a_program(tmp_path: Path) -> None:
    path = tmp_path / "rows.dsv3"
    path.write_text(ROWS)
    module = imported(load_program(path), tmp_path)
    text = "\n".join(line for line in shown(module).splitlines() if "load" not in line)
    names: dict[str, Any] = {**vars(module), "x": torch.ones(1, 2, 4)}
    exec(text, names)
    assert names["results"].shape == (1, 2, 4)


# ---- what it says


def test_without_safetensors_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torch is enough for all else."""
    monkeypatch.setitem(sys.modules, "safetensors", None)
    module = imported(program("deepseek_v3", **SMALL), tmp_path)
    model = module.Model(module.Config())
    assert model(torch.tensor([[1, 2]])).isfinite().all()
    with pytest.raises(ImportError, match="pip install safetensors"):
        model.load_checkpoint(tmp_path)


@pytest.mark.parametrize("table", ["llama@llama3_8b", "deepseek_v3@v3_671b", "gpt_oss"])
def test_a_model_shows_its_parameters_and_equal_layers_once(table: str, tmp_path: Path) -> None:
    name, _, variant = table.partition("@")
    module = imported(program(name, variant or None), tmp_path)
    with torch.device("meta"):
        model = module.Model(module.Config())
    said = repr(model)
    assert said.count("\n") < 60
    shapes = set(re.findall(r"\[[\d, ]+\]", said))
    for module in model.modules():
        for row in module.parameters(recurse=False):
            assert isinstance(module, torch.nn.Linear) or str(list(row.shape)) in shapes
