"""Configurations that transformers writes: each is its table with its count, or refused truly.

The truth is transformers itself: the parameters of its model, on the meta device, and the logits of
small ones.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.table.config import config
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.frontend.selection import Selection
from specgen.huggingface.account import IDENTITY
from specgen.huggingface.binding import Bound, bind
from specgen.huggingface.choosing import choose
from specgen.huggingface.configuration import spelled
from specgen.resources import folder
from tests.huggingface import saved
from tests.huggingface.saved import TYPES

#: Draws of each family; each is read in two spellings.
DRAWS = 6

#: Classes whose defaults are no model: without a number of experts for a token the forward of one
#: fails, and the rotary features of the other, 21 of 42, are no pairs.
REFUSED = {"deepseek_v2": "`num_experts_per_tok` is null", "glm4_moe": "features come in pairs"}

#: What a key is set to in turn; `...` takes it out.
NOTHING: tuple[object, ...] = (None, False, 0, "", [], {}, ...)

#: How many of them each key is set to.
EACH = 1

#: Keys that are not set to nothing in turn: they name the class, or say what a call returns.
CLASS = {*IDENTITY, "transformers_version", "return_dict"}


def bound(content: Mapping[str, Any]) -> Bound:
    table, found = choose(spelled("config.json", content))
    return bind(table, found)


def ours(model: Bound) -> int:
    """What transformers builds: prediction heads are left out there."""
    found = ledger(model.program)
    return found.value("parameters") - found.value("parameters_outside_forward")


def theirs(made: Any) -> int:
    """The numbers of transformers' model of a configuration, which has no weights."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    with torch.device("meta"):
        return saved.counted(transformers.AutoModelForCausalLM.from_config(made))


def read_back(content: Mapping[str, Any], path: Path) -> Any:
    """The configuration as transformers reads it from a file."""
    transformers = pytest.importorskip("transformers")
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(content), encoding="utf-8")
    return transformers.AutoConfig.from_pretrained(path)


# ---- written by transformers -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TYPES)
def test_a_saved_configuration_is_counted_or_refused_truly(model_type: str) -> None:
    transformers = pytest.importorskip("transformers")
    read = 0
    for seed in range(DRAWS):
        draw = random.Random(f"{model_type} {seed}")
        given = saved.drawn(model_type, draw, changes=seed % 3)
        made = transformers.AutoConfig.for_model(model_type, **given)
        new = saved.saved(made)
        for content in (new, saved.older(new, draw)):
            try:
                model = bound(content)
            except SpecError as error:
                refused = [diagnostic.message for diagnostic in error.diagnostics]
            else:
                refused = []
            if refused:
                assert seed % 3, refused  # a draw without a switch is always read
                switched = saved.SWITCHES[model_type].keys() & given.keys()
                assert all(about(message, switched) for message in refused), refused
                continue
            read += 1
            assert ours(model) == theirs(made), given
            dtype = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}.get(
                given.get("dtype", "")
            )
            assert dtype in (None, model.program.values["dtype"])
            assert ledger(model.program).value("stored_bytes") >= ours(model) * (
                4 if dtype == "f32" else 2
            )
    assert read >= DRAWS // 2


def about(message: str, switched: set[str]) -> bool:
    """Whether a fault is about a switch that was drawn, or about what it switches on."""
    windows = ("sliding_window", "max_window_layers", "layer_types")
    keys = {*switched, *(windows if {"use_sliding_window"} & switched else ())}
    keys |= {"rope_scaling", "partial_rotary_factor"} if "rope_parameters" in switched else set()
    return any(f"`{key}" in message for key in keys)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TYPES)
def test_the_defaults_of_a_class_are_read(model_type: str) -> None:
    transformers = pytest.importorskip("transformers")
    made = transformers.AutoConfig.for_model(model_type)
    every = json.loads(made.to_json_string(use_diff=False))
    for content in (saved.saved(made), every, saved.older(every, random.Random(1))):
        try:
            model = bound(content)
        except SpecError as error:
            said = str(error)
        else:
            said = ""
            assert ours(model) == theirs(made)
        assert REFUSED.get(model_type, "") in said
        assert bool(said) == (model_type in REFUSED)


# ---- each key, set to nothing ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("model_type", TYPES)
def test_a_key_set_to_nothing_is_refused_or_means_what_transformers_reads(
    model_type: str, tmp_path: Path
) -> None:
    """Counts always, and logits where the file is read as the same model as before."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    draw = random.Random(model_type)
    given = {**saved.drawn(model_type, draw, changes=0), "dtype": "float32"}
    made = transformers.AutoConfig.for_model(model_type, **given)
    content = json.loads(made.to_json_string(use_diff=False))
    content |= {"is_causal": True, "attention_dropout": 0.0, "use_cache": True}
    base = bound(content)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(read_back(content, tmp_path)).eval()
    weights = {name: torch.randn_like(value) * 0.3 for name, value in model.state_dict().items()}
    model.load_state_dict(weights)
    tokens = torch.arange(2, 20).reshape(2, 9)
    logits = model(tokens).logits
    for key in sorted(content.keys() - CLASS):
        for value in draw.sample(NOTHING, EACH):
            changed = {k: v for k, v in content.items() if k != key}
            if value is not ...:
                changed[key] = value
            try:
                answer = bound(changed)
            except SpecError:
                continue
            try:
                read = read_back(changed, tmp_path)
                other = transformers.AutoModelForCausalLM.from_config(read).eval()
            except Exception:
                continue  # transformers refuses it: there is nothing to compare with
            assert ours(answer) == saved.counted(other), (key, value)
            if answer.program.values == base.program.values:
                other.load_state_dict(weights)
                assert torch.equal(other.float()(tokens).logits, logits), (key, value)


# ---- written by the tables ---------------------------------------------------------------------

SPECS = sorted(path.stem for path in folder("specs").glob("*.dsv3") if path.stem != "dsv3_table")


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_transformers_reads_what_a_table_writes(spec: str, tmp_path: Path) -> None:
    """The same parameters, and the same layers with the same windows, of every variant."""
    path = folder("specs") / f"{spec}.dsv3"
    for program in Selection(path).programs():
        written = config(program, "hf")
        if "architectures" not in written:
            continue
        written.pop("quantization_config", None)
        read = read_back(written, tmp_path)
        assert type(read).__name__ != "PretrainedConfig"
        found = ledger(program)
        counted = found.value("parameters") - found.value("parameters_outside_forward")
        assert counted == theirs(read), program.variant
        for key in ("layer_types", "sliding_window"):
            if key in written:
                assert getattr(read, key) == written[key], program.variant
        again = bound(saved.saved(read))
        window = program.values.get("window", 0)
        assert again.program.values.get("window", 0) == window
        same = {
            k: v for k, v in program.values.items() if k not in ("weight_format", "n_mtp_layers")
        }
        assert {k: again.program.values[k] for k in same} == same, program.variant


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "changes", "layers"),
    [
        ("cohere2", {"full_every": 3, "n_layers": 7}, {2, 5}),
        ("gemma2", {"n_layers": 5}, {1, 3}),
        ("gpt_oss", {"n_layers": 3}, {1}),
    ],
)
def test_lists_of_layers_are_written_for_any_values(
    spec: str, changes: dict[str, Any], layers: set[int], tmp_path: Path
) -> None:
    program = load_program(folder("specs") / f"{spec}.dsv3", None, changes)
    read = read_back(config(program, "hf"), tmp_path)
    assert {i for i, kind in enumerate(read.layer_types) if kind == "full_attention"} == layers
    content = saved.saved(read)
    content.pop("sliding_window_pattern", None)  # files of transformers 5 may have the list alone
    assert bound(content).program.values == program.values
