"""`import`: released configurations bind to their tables, and nothing in them is passed over.

The figures are the releases'; the defaults of classes are transformers' own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.huggingface import imported
from specgen.huggingface.binding import Bound, BoundTable, bind, load_table
from specgen.huggingface.choosing import choose
from specgen.huggingface.configuration import Configuration, read, spelled
from specgen.huggingface.immaterial import IMMATERIAL
from tests.cli.running import PURE, specgen_here
from tests.families import VARIANTS, spec_of
from tests.truth import outside
from tests.truth.outside import REPOSITORY

#: Configurations whose every key is changed, removed and joined by others.
MUTATED = ("deepseek-v3", "llama-3.1-8b", "gemma2-9b", "gpt-oss-20b", "qwen2.5-7b")

#: Files made of their class's defaults, which are not those of the release: what the release has
#: instead.
UNSAID = {"cohere2-r7b": {"logit_scale"}, "phi-3-mini-4k": {"window"}}

#: Variants that are the same model as another.
TWINS = {"qwen2@qwen25_7b": "qwen2@qwen2_7b"}


@cache
def table(spec: str) -> BoundTable:
    return load_table(REPOSITORY / "specs" / f"{spec}.dsv3")


def bound(content: Mapping[str, Any], ignore: tuple[str, ...] = ()) -> Bound:
    """A configuration bound to the table of its `model_type`."""
    return bind(table(spec_of(str(content["model_type"]))), spelled("config.json", content), ignore)


def refusal(content: Mapping[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        bound(content)
    return str(caught.value)


LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
}


def released(model_type: str, **more: object) -> dict[str, Any]:
    """A released configuration of a type, with other values."""
    name = {
        "mistral": "mistral-7b-v0.3",
        "qwen2": "qwen2.5-7b",
        "qwen3": "qwen3-8b",
        "glm4_moe": "glm-4.5-air",
        "gpt_oss": "gpt-oss-20b",
        "deepseek_v3": "deepseek-v3",
        "gpt_neox": "pythia-70m",
        "gpt2": "gpt2",
    }[model_type]
    return {**outside.config(name), **more}


# ---- released configurations ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_released_configuration_is_its_variant_with_its_exact_count(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / f"{name}.json"
    file.write_text(json.dumps(outside.config(name)))
    found = read(file)
    model = bind(*choose(found))
    document = imported.document(model, name)
    quantities = document["quantities"]
    # counts.csv counts what transformers builds, which leaves prediction heads out
    counted = quantities["parameters"] - quantities["parameters_outside_forward"]
    assert counted == int(outside.totals()[name]["total_with_buffers"])
    spec, _, variant = TWINS.get(VARIANTS[name], VARIANTS[name]).partition("@")
    assert document["spec"] == spec
    assert document["closest"]["variant"] == variant.replace("v3_671b", "v3_671b_mtp")
    assert set(document["closest"]["differs"]) == UNSAID.get(name, set())
    assert {use["key"] for use in document["keys"]} == keys(outside.config(name))


def keys(content: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Every key with a value of its own."""
    found: set[str] = set()
    for key, value in content.items():
        inner = isinstance(value, dict) and value
        found |= keys(value, f"{prefix}{key}.") if inner else {prefix + key}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["phi-4-mini", "kimi-k2-instruct", "deepseek-v2-lite", "gpt2"])
def test_the_variant_block_makes_the_model(name: str, tmp_path: Path) -> None:
    model = bound(outside.config(name))
    source = model.table.path.read_text(encoding="utf-8").rstrip()
    assert source.endswith("}")
    block = imported.block(model)
    for path in (model.table.path.parent / "std").iterdir():
        (tmp_path / "std").mkdir(exist_ok=True)
        (tmp_path / "std" / path.name).write_text(path.read_text(encoding="utf-8"))
    copy = tmp_path / model.table.path.name
    copy.write_text(f"{source[:-1]}\n{block}\n}}\n", encoding="utf-8")
    assert load_program(copy, imported.VARIANT).values == model.program.values
    for row in block.splitlines()[1:-1]:  # and every row of it is needed
        if row.startswith("  ") and " = " in row and not row.endswith("["):
            copy.write_text(f"{source[:-1]}\n{block.replace(row, '')}\n}}\n", encoding="utf-8")
            try:
                assert load_program(copy, imported.VARIANT).values != model.program.values, row
            except SpecError:
                continue


# ---- every key, one at a time ---------------------------------------------------------------


def paths(content: Mapping[str, Any], outer: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in content.items():
        yield (*outer, key)
        if isinstance(value, dict):
            yield from paths(value, (*outer, key))


def changed(content: Mapping[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """A copy with another value there; without the key for `...`."""
    first, *rest = path
    copy = dict(content)
    if rest:
        copy[first] = changed(content[first], tuple(rest), value)
    elif value is ...:
        del copy[first]
    else:
        copy[first] = value
    return copy


def others(value: object) -> list[object]:
    """Values that do not say the same."""
    match value:
        case bool():
            return [not value, None]
        case int():
            return [value + 1, str(value)]
        case float():
            return [value * 1.5 + 1, None]
        case str():
            return ["other", None]
        case None:
            return [7, {"a": 1}]
        case list():
            return [[*value, 3], None]
        case _:
            return [None, 5]


def accounted(content: Mapping[str, Any], base: Bound, path: tuple[str, ...]) -> bool:
    """Whether a changed file is refused, answered differently, or differs where nothing matters.

    What is stored is no matter where both say that it is not counted.
    """
    try:
        model = bound(content)
    except (SpecError, ValueError):
        return True
    if model.program.values != base.program.values:
        return True
    key = ".".join(path)
    uses = [use for use in (*model.uses, *base.uses) if f"{use.key}.".startswith(f"{key}.")]
    if model.stored:  # no figure of it is given, whatever the file says of it
        said = {"no effect", "not counted"}
        return all(use.how in said for use in model.uses if f"{use.key}.".startswith(f"{key}."))
    return bool(uses) and all(use.how == "no effect" for use in uses)


def redundant(base: Bound, path: tuple[str, ...], without: Bound) -> bool:
    """Whether a key that is not there is one that the table says the meaning of, or says twice."""
    key = path[0] if path[0] in ("architectures", "model_type") else ".".join(path)
    if key in ("architectures", "model_type", "torch_dtype"):
        return True  # each names the class; the dtype is the table's
    if path[0] == "quantization_config":
        return bool(without.stored) or path == ("quantization_config",)
    rows = {row.key for row in base.table.rows if row.role == "read" or row.index is not None}
    twice = {"num_key_value_heads", "experts_per_token", "initial_context_length"}
    return key in without.assumed or key in rows or key in twice


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATED)
def test_no_change_of_a_key_is_passed_over(name: str) -> None:
    content = outside.config(name)
    base = bound(content)
    for path in paths(content):
        if path == ("model_type",):
            continue  # another table, or none: see below
        value: object = content
        for key in path:
            assert isinstance(value, dict)
            value = value[key]
        for other in (*others(value), ...):
            mutant = changed(content, path, other)
            if accounted(mutant, base, path) or (other in (None, ...) and is_off(value)):
                continue
            assert other in (None, ...), (path, other)
            assert redundant(base, path, bound(mutant)), path


def is_off(value: object) -> bool:
    return value in (None, False, 0, "", [], {})


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATED)
def test_no_added_key_is_passed_over(name: str) -> None:
    content = outside.config(name)
    added = {"attn_sinks": 4, "layer_types": ["chunked_attention"], "partial_rotary_factor": 0.3,
             "use_alibi": True, "text_config": {"hidden_size": 8}}  # fmt: skip
    with pytest.raises(SpecError) as caught:
        bound({**content, **added})
    said = str(caught.value)
    assert all(f"`{key}" in said for key in added)


@pytest.mark.slow
def test_another_class_is_another_table_or_none() -> None:
    for content in (
        {**LLAMA, "model_type": "mistral"},
        {**LLAMA, "architectures": ["MistralForCausalLM"]},
        {**LLAMA, "architectures": ["LlamaForSequenceClassification"]},
        {**LLAMA, "architectures": ["LlamaForCausalLM", "Other"]},
    ):
        found = spelled("config.json", content)
        with pytest.raises(SpecError):
            bind(*choose(found))


# ---- what was read wrongly before -----------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "more", "said"),
    [
        ("gpt_oss", {"layer_types": ["full_attention"] * 24}, "item 0 is"),
        ("gpt_oss", {"layer_types": ["sliding_attention", "full_attention"]}, "2 items"),
        ("qwen2", {"use_sliding_window": True}, "`use_sliding_window` is true"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 28}, "item 0 is"),
        ("qwen3", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling.rope_type"),
        (
            "mistral",
            {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}},
            "rope_parameters",
        ),
        ("qwen3", {"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling.type"),
        ("qwen3", {"partial_rotary_factor": 0.5}, "`partial_rotary_factor` is 0.5"),
        ("mistral", {"attention_bias": True}, "`attention_bias` is true"),
        ("mistral", {"hidden_act": "gelu"}, '`hidden_act` is "gelu"'),
        ("mistral", {"rope_scaling": {"type": "llama3", "factor": 8.0}}, "rope_scaling"),
        ("glm4_moe", {"num_nextn_predict_layers": -1}, "from 0"),
        ("gpt2", {"tie_word_embeddings": False}, "`tie_word_embeddings` is false"),
        ("gpt2", {"scale_attn_weights": False}, "`scale_attn_weights` is false"),
        ("deepseek_v3", {"attention_bias": True}, "`attention_bias` is true"),
        ("deepseek_v3", {"moe_layer_freq": 2}, "`moe_layer_freq` is 2"),
        ("deepseek_v3", {"n_routed_experts": None}, "`n_routed_experts` is null"),
        ("deepseek_v3", {"scoring_func": "softmax"}, "model_type"),
        ("deepseek_v3", {"torch_dtype": "int8"}, "`torch_dtype`"),
        ("deepseek_v3", {"quantization_config": {"quant_method": "x"}}, "quant_method"),
        ("gpt_neox", {"use_parallel_residual": "no"}, "true or false"),
    ],
)
def test_what_a_table_cannot_say_is_refused(
    model_type: str, more: dict[str, Any], said: str
) -> None:
    assert said in refusal(released(model_type, **more))


@pytest.mark.slow
def test_a_mixture_is_never_read_as_dense() -> None:
    """As InferSim reads DeepSeek-V3's configuration, at a fiftieth of its size."""
    content = released("deepseek_v3")
    words = ("expert", "moe", "n_group", "topk", "first_k_dense", "score", "scoring", "routed")
    for key in [key for key in content if any(word in key for word in words)]:
        try:
            model = bound({k: v for k, v in content.items() if k != key})
        except SpecError:
            continue
        assert key in model.assumed
        assert model.program.values == bound(content).program.values
    dense = {k: v for k, v in content.items() if not any(word in k for word in words)}
    said = refusal(dense)
    assert "`n_routed_experts` is not there" in said
    assert "`first_k_dense_replace` is not there" in said


@pytest.mark.slow
def test_the_class_decides_what_an_absent_key_means() -> None:
    content = released("mistral")
    del content["sliding_window"]
    assert bound(content).program.values["window"] == 4096
    assert bound({**content, "sliding_window": None}).program.values["window"] == 0
    content = released("deepseek_v3")
    del content["q_lora_rank"]
    model = bound(content)
    assert model.program.values["q_lora_rank"] == 1536
    assert model.assumed["q_lora_rank"] == 1536


def test_an_absent_size_is_refused() -> None:
    for key in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"):
        content = {k: v for k, v in LLAMA.items() if k != key}
        assert f"`{key}` is not there" in refusal(content)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("4096", "a whole number"), ([4096], "a whole number"), (4096.5, "a whole number"),
        (True, "a whole number"), (None, "a whole number"), (0, "from 1"), (-1, "from 1"),
        (10**400, "from 1"), ({"a": 1}, "hidden_size.a"), ("dim == 1", "a whole number"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(value: object, said: str) -> None:
    assert said in refusal({**LLAMA, "hidden_size": value})


def test_faults_of_values_say_which_keys_they_are_from() -> None:
    said = refusal({**LLAMA, "num_key_value_heads": 5})
    assert "`n_kv_heads` is read from `num_key_value_heads`" in said


def test_spellings_that_disagree_are_refused() -> None:
    for more in (
        {"rope_theta": 5.0, "rope_parameters": {"rope_theta": 6.0}},
        {"rope_scaling": None, "rope_parameters": {"rope_type": "yarn"}},
        {"torch_dtype": "bfloat16", "dtype": "float16"},
    ):
        with pytest.raises(ValueError, match=r"mean the same|says otherwise"):
            spelled("config.json", {**LLAMA, **more})
    agreeing = {"rope_theta": 5, "rope_parameters": {"rope_theta": 5.0, "rope_type": "default"}}
    assert bound({**LLAMA, **agreeing}).program.values["rope_theta"] == 5.0


def test_a_key_with_dots_is_no_path() -> None:
    assert "rope_scaling.factor" in refusal({**LLAMA, "rope_scaling.factor": 8.0})


def test_ignored_keys_are_as_if_not_there() -> None:
    content = {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.0}, "extra": 1}
    model = bound(content, ("rope_scaling", "extra"))
    assert model.program.values["rope_scaling"] == "none"
    assert {use.key for use in model.uses if use.how == "ignored"} == {
        "rope_scaling.type", "rope_scaling.factor", "extra",
    }  # fmt: skip


def test_values_given_by_hand_win_over_the_file() -> None:
    model = bind(table("llama"), spelled("config.json", LLAMA), (), {"dim": "8192"})
    assert model.program.values["dim"] == 8192


@pytest.mark.slow
def test_reasons_are_given_for_keys_without_effect() -> None:
    assert all(reason and not reason.endswith(".") for reason in IMMATERIAL.values())
    read_by_tables = {row.key for spec in ("llama", "gpt_oss") for row in table(spec).rows}
    assert not read_by_tables & set(IMMATERIAL)


# ---- transformers' own defaults -------------------------------------------------------------

#: What the class needs besides its defaults, since the table knows no such model.
NEEDED: dict[str, dict[str, Any]] = {
    "deepseek_v2": {"num_experts_per_tok": 6},
    "glm4_moe": {"head_dim": 128, "num_nextn_predict_layers": 0},
    "qwen3_moe": {"head_dim": 64},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_type",
    [
        "cohere2", "deepseek_v2", "deepseek_v3", "gemma2", "glm4_moe", "gpt2", "gpt_neox", "gpt_oss",
        "llama", "mistral", "mixtral", "olmoe", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe",
    ],
)  # fmt: skip
def test_absent_keys_mean_what_the_class_of_transformers_says(model_type: str) -> None:
    """All that a class has by default is read; without a key it is the same, or refused."""
    transformers = pytest.importorskip("transformers")
    made = transformers.AutoConfig.for_model(model_type, **NEEDED.get(model_type, {}))
    content = json.loads(json.dumps(made.to_dict()))
    model = bound(content)
    for key in content:
        if key == "model_type":
            continue
        try:
            without = bound({k: v for k, v in content.items() if k != key})
        except SpecError:
            continue
        assert without.program.values == model.program.values, key


# ---- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no JSON"),
        (b"{", "line 1"),
        (b"[]", "no JSON object"),
        (b"3", "no JSON object"),
        (b'{"a": 1} x', "no JSON"),
        (b'{"a": 1, "a": 2}', 'key "a" is there twice'),
        (b'{"a": {"b": 1, "b": 1}}', 'key "b" is there twice'),
        (b'{"a": 1e999}', "beyond what a real number can hold"),
        (b'{"a": [-1.5E-400]}', "nearer to zero than a real number can be"),
        (b'{"a": ' + b"9" * 5000 + b"}", "beyond what a real number can hold"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "levels"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "levels"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "levels"),
        (b'{"a": [' + b"1," * 200_000 + b"1]}", "values"),
        (b" " * 4_000_001, "4,000,000 bytes"),
    ],
)
def test_damaged_files_are_refused(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(data)
    done = specgen_here("import", "config.json", cwd=tmp_path)
    assert (done.status, done.out) == (1, "")
    assert "error[E1001]" in done.err
    assert said in done.err
    assert "Traceback" not in done.err


def test_absent_files_are_refused(tmp_path: Path) -> None:
    for name in ("config.json", ".", "a\0b"):
        done = specgen_here("import", name, cwd=tmp_path)
        assert done.status == 1
        assert "error[E1001]" in done.err


@pytest.mark.slow
def test_texts_of_a_file_are_shown_as_data(tmp_path: Path) -> None:
    """Escape codes, markup and lone surrogates reach no terminal and break no JSON."""
    nasty = '{"\\u001b[31mred": "\\ud800", "model_type": "llama\\u001b]0;"}'
    (tmp_path / "config.json").write_text(nasty)
    for arguments in ((), ("--spec", "llama"), ("--spec", "llama", "--diagnostics", "json")):
        done = specgen_here("import", "config.json", *arguments, cwd=tmp_path)
        assert done.status == 1
        assert "\x1b" not in done.out + done.err
        done.err.encode()


# ---- the command ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "pure.dsv3").write_text(PURE, encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_command_answers(folder: Path) -> None:
    done = specgen_here("import", "config.json", cwd=folder)
    assert done.status == 0, done.err
    assert "config.json is llama@llama2_7b" in done.out
    assert "6,738,415,616" in done.out
    assert "variant imported { }" in done.out
    assert "rope_theta 10000.0" in done.out  # what the file leaves to its class
    found = json.loads(specgen_here("import", ".", "--format", "json", cwd=folder).out)
    assert found["equals"] == "llama2_7b"
    assert found["quantities"]["parameters"] == 6_738_415_616
    assert {use["key"]: use["use"] for use in found["keys"]}["hidden_size"] == "param"


@pytest.mark.slow
def test_the_command_says_how_a_model_differs(folder: Path) -> None:
    done = specgen_here("import", "config.json", "-D", "inter_dim=8192", cwd=folder)
    assert "the closest variant is llama2_7b, which differs by inter_dim 11008 → 8192" in done.out
    assert "  inter_dim = 8192" in done.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (0, ["config.json", "--spec", "llama"]),
        (0, ["config.json", "--spec", "llama.dsv3", "--ignore", "rms_norm_eps"]),
        (1, ["config.json", "--spec", "mistral"]),
        (1, ["config.json", "--spec", "pure.dsv3"]),
        (1, ["config.json", "--spec", "nowhere.dsv3"]),
        (1, ["config.json", "-D", "dmi=3"]),
        (1, ["config.json", "-D", "dim=__import__('os')"]),
        (2, ["config.json", "--spec", "llama@llama2_7b"]),
        (2, ["config.json", "--format", "yaml"]),
        (2, []),
    ],
)
def test_exit_status(folder: Path, status: int, arguments: list[str]) -> None:
    done = specgen_here("import", *arguments, cwd=folder)
    assert done.status == status, done.err
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_family_without_a_table_is_refused_with_the_closest(folder: Path) -> None:
    other = {"architectures": ["FalconForCausalLM"], "model_type": "falcon", "hidden_size": 4544,
             "num_hidden_layers": 32, "vocab_size": 65024, "multi_query": True}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(other))
    done = specgen_here("import", "config.json", cwd=folder)
    assert done.status == 1
    assert "error[E1002]" in done.err
    assert "there are tables of cohere2, deepseek_v3" in done.err
    assert "the closest is `" in done.err
    assert "`multi_query` is true" in done.err


def test_a_file_that_names_no_class_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"hidden_size": 8}')
    done = specgen_here("import", "config.json", cwd=folder)
    assert "neither `architectures` nor `model_type`" in done.err


def test_configurations_are_read_the_same_from_a_file(folder: Path) -> None:
    found = read(folder)
    assert isinstance(found, Configuration)
    assert found.entries == spelled("x", LLAMA).entries
