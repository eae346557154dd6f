"""Keys of a config.json one by one: which are passed over, by name and for a reason, and which never.

A key that no row of a table reads says nothing only if it is listed; null, false, 0 and what is empty
are values like others.
"""

from __future__ import annotations

import json
import re
import shlex
import string
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.quantities.ledger import ledger
from specgen.analysis.table.config import config
from specgen.diagnostics.diagnostic import SpecError
from specgen.documents.params import describe_program
from specgen.frontend.load import load_program
from specgen.huggingface import imported
from specgen.huggingface.account import FAMILIES
from specgen.huggingface.binding import Bound, BoundTable, bind, load_table
from specgen.huggingface.choosing import choose
from specgen.huggingface.configuration import MAX_VALUES, read, spelled
from specgen.huggingface.immaterial import IMMATERIAL, UNSAID
from specgen.huggingface.select import select
from specgen.huggingface.unquantised import KEPT
from specgen.ir.model import Program
from specgen.resources import folder
from tests.cli.running import specgen_here
from tests.families import spec_of

LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 97,
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "hidden_act": "silu", "torch_dtype": "bfloat16",
}  # fmt: skip

V2: dict[str, Any] = {
    "model_type": "deepseek_v2", "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48,
    "moe_intermediate_size": 12, "num_hidden_layers": 3, "first_k_dense_replace": 1,
    "num_attention_heads": 4, "num_key_value_heads": 4, "q_lora_rank": None, "kv_lora_rank": 16,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 8,
    "n_shared_experts": 1, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1,
    "routed_scaling_factor": 2.5, "max_position_embeddings": 64, "norm_topk_prob": False,
}  # fmt: skip

GPT_OSS: dict[str, Any] = {
    "model_type": "gpt_oss", "vocab_size": 97, "hidden_size": 32, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
    "num_local_experts": 4, "num_experts_per_tok": 2, "initial_context_length": 32,
    "max_position_embeddings": 64, "torch_dtype": "bfloat16",
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": 32.0, "beta_slow": 1.0,
                     "truncate": False, "original_max_position_embeddings": 32},
}  # fmt: skip


@cache
def table(spec: str) -> BoundTable:
    return load_table(folder("specs") / f"{spec}.dsv3")


def bound(content: dict[str, Any]) -> Bound:
    """A configuration bound to the table of its class, without looking for the table if it is shipped."""
    found = spelled("config.json", content)
    spec = spec_of(str(content.get("model_type")))
    if spec in ("llama", "gpt_oss", "deepseek_v3"):
        return bind(table(spec), found)
    return bind(*choose(found))


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        bound(content)
    return str(caught.value)


def use_of(model: Bound, key: str) -> str:
    return next(use.how for use in model.uses if use.key == key)


# ---- passed over by name, never by value -------------------------------------------------------

OFF = (None, False, 0, 0.0, "", [], {})


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.text(string.ascii_lowercase + "_", min_size=3, max_size=20),
    st.one_of(st.sampled_from(OFF), st.integers(), st.booleans(), st.text(max_size=4)),
)
def test_an_unknown_key_is_refused_whatever_it_says(key: str, value: object) -> None:
    rows = {row.key.partition(".")[0] for row in table("llama").rows}
    if key in {*rows, *IMMATERIAL, *UNSAID, "dtype"} or key.startswith(FAMILIES):
        return
    assert f"`{key}`" in refusal({**LLAMA, key: value})


@pytest.mark.parametrize("value", [False, None, 0, "", [], {}, "true", 1])
@pytest.mark.parametrize("content", [LLAMA, V2, GPT_OSS], ids=lambda c: str(c["model_type"]))
def test_a_switch_that_false_switches_on_is_refused(content: dict[str, Any], value: object) -> None:
    """Transformers makes the masks of `is_causal` false bidirectional, in every family."""
    assert "`is_causal`" in refusal({**content, "is_causal": value})
    assert use_of(bound({**content, "is_causal": True}), "is_causal") == "unsaid"


def test_listed_keys_have_reasons_and_no_key_is_in_two_lists() -> None:
    assert all(reason for reason in IMMATERIAL.values())
    assert all(values and reason for values, reason in UNSAID.values())
    assert not IMMATERIAL.keys() & UNSAID.keys()
    assert not any(None in values and key == "is_causal" for key, (values, _) in UNSAID.items())


HARMLESS: dict[str, dict[str, Any]] = {
    "architectures_empty": {"architectures": []},
    "unsloth": {"unsloth_version": "2024.9", "unsloth_fixed": True, "unsloth_anything": None},
    "neftune": {"neftune_noise_alpha": 5},
    "llama_note": {"is_llama_config": True, "rope_interleaved": False},
    "pipelines": {"custom_pipelines": {"text-generation": {"impl": "a.B", "pt": "C"}}},
    "all_features_rotate": {"partial_rotary_factor": 1.0},
    "scaling_empty": {"rope_scaling": {}},
    "rotary_default": {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
    "head_dim_absent": {"head_dim": None},
    "base_class": {"is_decoder": False, "is_encoder_decoder": False, "add_cross_attention": False,
                   "cross_attention_hidden_size": None, "pruned_heads": {}, "prefix": None,
                   "tie_encoder_decoder": False, "torchscript": False, "use_bfloat16": False},
    "infinite": {"initializer_range": float("inf"), "length_penalty": float("nan")},
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_keys_change_nothing(name: str) -> None:
    content = {**LLAMA, **HARMLESS[name]}
    if name == "rotary_default":
        del content["rope_theta"]
    assert bound(content).program.values == bound(LLAMA).program.values
    json.loads(imported.to_json(imported.document(bound(content), "x")), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("content", "key", "value"),
    [
        (V2, "mlp_bias", False),
        (V2, "n_group", None),
        (V2, "topk_group", None),
        (V2, "head_dim", 4),
    ],
)
def test_keys_of_one_class_are_read_by_its_table(
    content: dict[str, Any], key: str, value: object
) -> None:
    assert bound({**content, key: value}).program.values == bound(content).program.values


def test_what_no_class_computes_is_refused() -> None:
    """Transformers' class for softmax scores passes the key over; the released code does not."""
    for scale in (1.0, 2.5):
        said = refusal({**V2, "norm_topk_prob": True, "routed_scaling_factor": scale})
        assert "`norm_topk_prob` is true" in said
    assert "give `-D n_activated_experts=...`" in refusal({**V2, "num_experts_per_tok": None})


def test_a_kind_of_rotary_scaling_that_a_table_lacks_is_named() -> None:
    content = {
        k: v for k, v in GPT_OSS.items() if k not in ("rope_scaling", "initial_context_length")
    }
    said = refusal({**content, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}})
    assert '`rope_parameters.rope_type` is "default"' in said
    assert "E1004" not in said  # nothing that only other kinds have is asked for


NORMED = """language 1
model normed {
  params { dim : size = 8  grouped : flag = false  two : flag = grouped  kind : "a" | "b" = "a" }
  tensors { w : [dim]  v : [dim] when two  u : [dim] when kind == "b" }
  config hf {
    dim     -> "dim"
    grouped -> "grouped"
    1       -> "norms"   when grouped and not two
    2       -> "norms"   when grouped and two
    null    -> "norms"   when read
    null    -> "norms"   when absent
    null    -> "kind"    when kind == "a"
    "b"     -> "kind"    when kind == "b"
    null    -> "kind"    when absent
    "normed" -> "model_type"
  }
}
"""


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("norms", [..., None, 1, 2, 3, "2"])
@pytest.mark.parametrize("kind", [..., None, "b", "a"])
def test_null_and_absent_leave_what_a_key_decides_to_its_default(
    grouped: bool, norms: object, kind: object, tmp_path: Path
) -> None:
    """As classes have it that work a missing value out from others; a value is never guessed."""
    path = tmp_path / "normed.dsv3"
    path.write_text(NORMED, encoding="utf-8")
    content = {"model_type": "normed", "dim": 8, "grouped": grouped, "norms": norms, "kind": kind}
    found = spelled("x", {key: value for key, value in content.items() if value is not ...})
    sayable = norms in (..., None) or (grouped and norms in (1, 2) and norms != "2")
    if not sayable or kind == "a":
        with pytest.raises(SpecError):
            bind(load_table(path), found)
        return
    values = bind(load_table(path), found).program.values
    assert values["two"] == (grouped if norms in (..., None) else norms == 2)
    assert values["kind"] == ("b" if kind == "b" else "a")


# ---- dtypes, lists, nested and quantised -------------------------------------------------------


@pytest.mark.parametrize(("dtype", "name", "bytes_"), [
    ("float32", "f32", 4), ("float16", "f16", 2), ("bfloat16", "bf16", 2), (None, "bf16", 2),
])  # fmt: skip
@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
def test_a_dtype_changes_bytes_and_no_count(
    key: str, dtype: str | None, name: str, bytes_: int
) -> None:
    content = {k: v for k, v in LLAMA.items() if k != "torch_dtype"} | {key: dtype}
    model = bound(content)
    assert model.program.values["dtype"] == name
    found = ledger(model.program)
    assert found.value("parameters") == ledger(bound(LLAMA).program).value("parameters")
    assert found.value("stored_bytes") == found.value("parameters") * bytes_
    assert "`torch_dtype`" in refusal({**LLAMA, "torch_dtype": "float8_e4m3fn"})


QUANTISED: dict[str, dict[str, Any]] = {
    "mxfp4": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False},
    "awq": {"quant_method": "awq", "bits": 4, "zero_point": True},
    "bitsandbytes": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "modelopt": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "compressed-tensors": {"quant_method": "compressed-tensors", "config_groups": {"a": {"b": 4}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("content", [LLAMA, V2, GPT_OSS], ids=lambda c: str(c["model_type"]))
@pytest.mark.parametrize("method", QUANTISED)
def test_a_quantised_release_has_parameters_and_no_stored_figure(
    content: dict[str, Any], method: str
) -> None:
    model = bound({**content, "quantization_config": QUANTISED[method]})
    document = imported.document(model, "x")
    assert document["stored"] == method
    assert document["quantities"]["parameters"] == ledger(bound(content).program).value(
        "parameters"
    )
    assert not [name for name in document["quantities"] if name.startswith("stored_")]
    assert method in document["absent"]["stored_bytes"]
    assert f"stored otherwise than the table says: {method}".encode() in imported.to_text(document)
    assert {u.how for u in model.uses if u.key.startswith("quantization")} == {"not counted"}


def test_an_unknown_quantisation_is_refused() -> None:
    for said in ({"quant_method": "rotated"}, {"bits": 3}, {"quant_method": 4}):
        assert "`quantization_config." in refusal({**LLAMA, "quantization_config": said})


def test_a_quantisation_that_the_table_says_is_counted() -> None:
    base = table("deepseek_v3")
    written = config(base.program, "hf")
    for more in ({}, {"scale_fmt": "ue8m0"}):
        content = {**written, "quantization_config": {**written["quantization_config"], **more}}
        model = bound(content)
        assert not model.stored
        assert model.program.values == base.program.values


def unquantised(program: Program) -> list[str]:
    """The modules that a table stores in no format, from its tensors: those without scales."""
    tensors = describe_program(program, "hf")["tensors"]
    scaled = {t["name"].removesuffix("_scale_inv") for t in tensors if "_scale_inv" in t["name"]}
    maps = {t["name"] for t in tensors if len(t["shape"]) == 2} - scaled
    return sorted(n.removesuffix(".weight") for n in maps if n.endswith(".weight")
                  and "embed_tokens" not in n)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(KEPT))
def test_modules_that_are_not_quantised_are_those_of_the_table_or_not_counted(key: str) -> None:
    """Whatever the list is called: it says what the table stores in no format, or nothing is counted."""
    changes = {"n_layers": 3, "n_dense_layers": 1, "n_routed_experts": 8, "n_expert_groups": 1,
               "n_limited_groups": 1}  # fmt: skip
    program = load_program(folder("specs") / "deepseek_v3.dsv3", None, changes)
    written = config(program, "hf")
    plain = unquantised(program)
    assert plain[0] == "lm_head"

    def stored_of(listed: object) -> str:
        content = {
            **written,
            "quantization_config": {**written["quantization_config"], key: listed},
        }
        model = bound(content)
        found = imported.document(model, "x")
        assert ("stored_bytes" in found["quantities"]) == (not model.stored)
        assert found["quantities"]["parameters"] == ledger(program).value("parameters")
        return model.stored

    parents = ["lm_head", "model.embed_tokens", *(n for n in plain if n != "lm_head")]
    for listed in (plain, plain[::-1], parents, None):
        assert stored_of(listed) == ""
    others = (
        [], plain[1:], [*plain, "model.layers.1.self_attn"], [*plain, "nowhere"], ["re:.*"],
        [*plain, "model.layers.1.mlp.experts.0.up_proj"], "lm_head", [3], {"a": 1}, True,
    )  # fmt: skip
    for other in others:
        assert stored_of(other) == "fp8", other


@pytest.mark.slow
@pytest.mark.parametrize("method", [*QUANTISED, "beside"])
def test_no_figure_of_what_is_stored_is_given_anywhere(method: str, tmp_path: Path) -> None:
    """In no command, document or page: what the release stores is not what the table says."""
    said = {} if method == "beside" else {"quantization_config": QUANTISED[method]}
    (tmp_path / "config.json").write_text(json.dumps({**LLAMA, **said}))
    if method == "beside":
        text = json.dumps({"quantization": {"quant_algo": "NVFP4"}})
        (tmp_path / "hf_quant_config.json").write_text(text)
    way = "NVFP4 (hf_quant_config.json)" if method == "beside" else method
    reason = f"the release stores its weights otherwise than the table says: {way}"
    with pytest.warns(UserWarning, match="what is stored is not counted"):
        model = specgen.load(tmp_path)
    place = model.build(tmp_path / "out", ["report", "formulas", "checkpoint"])
    texts = {path.name: path.read_text() for path in place.iterdir()}
    assert reason in texts["report.md"]
    assert reason in texts["report.html"]
    assert reason in texts["formulas.json"]
    assert '"stored_tensors"' not in texts["tensors.json"]
    for arguments in (
        ["import", "."], ["params", "."], ["params", ".", "--format", "json"],
        ["params", ".", "--format", "md"], ["formula", ".", "stored_bytes"],
        ["formula", ".", "rank_stored_bytes"], ["whatif", ".", "-D", "n_layers=2"],
        ["whatif", ".", "--parallel", "tensor=2"], ["diff", ".", "llama"],
    ):  # fmt: skip
        done = specgen_here(*arguments, cwd=tmp_path)
        assert done.status == 0, done.err
        flat = " ".join(done.out.split())
        assert "--parallel" in arguments or way in flat
        texts[" ".join(arguments)] = done.out
    figure = re.compile(r"\bstored_(bytes|tensors|elements)\W{1,60}\d")
    for name, text in texts.items():
        if "diff" not in name:  # where the other table has figures
            assert not figure.search(text), name
    done = specgen_here("solve", ".", "stored_bytes == 7", "--for", "dim", cwd=tmp_path)
    assert done.status != 0
    assert way in " ".join(done.err.split())
    assert "stored_bytes" not in model.quantities
    with pytest.raises(KeyError, match="otherwise"):
        model.formula("stored_bytes")


def test_a_file_beside_says_how_weights_are_quantised(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    beside = tmp_path / "hf_quant_config.json"
    for content, said in (
        (json.dumps({"quantization": {"quant_algo": "FP8"}}), "FP8 (hf_quant_config.json)"),
        (json.dumps({"quantization": {"quant_algo": None}}), None),
        ("{", "hf_quant_config.json, which cannot be read"),
    ):
        beside.write_text(content)
        for path in (tmp_path, tmp_path / "config.json"):
            document = imported.document(bind(*choose(read(path))), "x")
            assert document["stored"] == said
            assert ("stored_bytes" in document["quantities"]) == (said is None)


@pytest.mark.slow
def test_a_nested_language_model_is_followed_and_said() -> None:
    outer = {"model_type": "see_and_say", "architectures": ["SeeAndSay"], "dtype": "bfloat16",
             "vision_config": {"hidden_size": 7}, "text_config": LLAMA, "image_token_id": 3}  # fmt: skip
    model = bound(outer)
    assert model.program.values == bound(LLAMA).program.values
    document = imported.document(model, "x")
    assert document["inside"] == "text_config"
    assert b"whose `text_config` is llama" in imported.to_text(document)
    assert use_of(model, "vision_config.hidden_size") == "outside"
    assert use_of(model, "text_config.hidden_size") == "param"
    quantised = bound({**outer, "quantization_config": QUANTISED["awq"]})
    assert quantised.stored == "awq"
    assert "`text_config.is_causal`" in refusal(
        {**outer, "text_config": {**LLAMA, "is_causal": False}}
    )
    with pytest.raises(SpecError, match="mean the same"):
        bound(
            {
                **outer,
                "tie_word_embeddings": True,
                "text_config": {**LLAMA, "tie_word_embeddings": False},
            }
        )
    other = {**outer, "text_config": {**LLAMA, "model_type": "x_text", "architectures": None}}
    said = refusal(other)
    assert '`text_config.model_type` is "x_text"' in said
    assert "its language model is in `text_config`" in said
    assert "the closest is `" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "closest"),
    [("qwen3_vl_text", "qwen3"), ("qwen2_vl_text", "qwen2"), ("mistral3_text", "mistral"),
     ("llama4_text", "llama")],
)  # fmt: skip
def test_of_tables_that_read_as_much_the_closest_is_of_the_same_name(
    model_type: str, closest: str
) -> None:
    keys = {k: v for k, v in LLAMA.items() if k not in ("architectures", "model_type")}
    text = {**keys, "model_type": model_type, "head_dim": 8}
    said = refusal({"model_type": "see_and_say", "text_config": text})
    assert f"the closest is `{closest}`" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "more"), [("qwen3_moe", {"use_qk_norm": True}), ("qwen2", {"head_dim": 128})]
)
def test_keys_that_other_classes_read_change_nothing(spec: str, more: dict[str, Any]) -> None:
    written = config(table(spec).program, "hf")
    model = bind(table(spec), spelled("x", {**written, **more}))
    assert model.program.values == table(spec).program.values


# ---- a configuration as a spec -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"dtype": "float32", "torch_dtype": None}, {"head_dim": 4}])
def test_a_configuration_stands_for_its_table(tmp_path: Path, more: dict[str, Any]) -> None:
    content = {**LLAMA, **more}
    if "dtype" in more:
        del content["torch_dtype"]
    (tmp_path / "config.json").write_text(json.dumps(content))
    wanted = bound(content).program.values
    for path in (tmp_path, tmp_path / "config.json"):
        assert select(str(path)).program().values == wanted
        assert specgen.load(path).params == wanted
        assert specgen.load(path, n_layers=1).params == {**wanted, "n_layers": 1}
    with pytest.raises(ValueError, match="no variants"):
        specgen.load(tmp_path, variant="llama2_7b")


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.sampled_from((64, 128)), st.sampled_from((8, 16, 32, 64)), st.sampled_from((1, 512, 2048, 4096)),
       st.sampled_from((..., 64, 128)))  # fmt: skip
def test_params_that_follow_others_are_those_of_the_file(
    layers: int, heads: int, width: int, head_dim: object
) -> None:
    """Also where the file gives one the value that the nearest variant has, and another no longer."""
    import tempfile

    content = {**LLAMA, "hidden_size": width, "num_attention_heads": heads, "num_hidden_layers": layers,
               "num_key_value_heads": 8, "vocab_size": 128256}  # fmt: skip
    content |= {} if head_dim is ... else {"head_dim": head_dim}
    try:
        wanted = bound(content).program.values
    except SpecError:
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(content))
        assert select(folder).program().values == wanted


def test_a_released_configuration_is_its_variant() -> None:
    found = select(str(folder("specs").parent / "generated" / "llama" / "llama3_8b"))
    assert (found.path.stem, found.variant, dict(found.overrides)) == ("llama", "llama3_8b", {})


def test_python_says_which_figures_are_not_the_release_s(tmp_path: Path) -> None:
    content = {**LLAMA, "quantization_config": QUANTISED["gptq"]}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.warns(UserWarning, match="stored otherwise than the table says: gptq"):
        specgen.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["params", "m"], ["check", "m"], ["formula", "m", "parameters"], ["build", "m", "-o", "out"],
        ["whatif", "m", "-D", "inter_dim=64"], ["solve", "m", "parameters == 1", "--for", "vocab_size"],
        ["sensitivity", "m", "parameters"], ["diff", "m", "llama"],
    ],
)  # fmt: skip
def test_every_command_takes_a_released_folder(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "m").mkdir()
    place = tmp_path / "m" / "config.json"
    place.write_text(json.dumps({**LLAMA, "quantization_config": QUANTISED["awq"]}))
    done = specgen_here(*command, cwd=tmp_path)
    assert done.status in (0, 1), done.err
    assert "W1005" in done.err
    assert "error" not in done.err
    place.write_text(json.dumps({**LLAMA, "is_causal": False}))
    done = specgen_here(*command, cwd=tmp_path)
    assert done.status == 1
    assert "error[E1003]: `is_causal` is false" in done.err


@pytest.mark.slow
def test_what_a_configuration_means_is_remembered_by_its_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No table is loaded for a second time; every change of what it depends on is another key."""
    monkeypatch.setenv("SPECGEN_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "m"
    place.mkdir()
    file, beside = place / "config.json", place / "hf_quant_config.json"
    file.write_text(json.dumps({**LLAMA, "head_dim": 4}))
    asked: list[str] = []
    found = imported.selection

    def counted(text: str, overrides: Any) -> Any:
        asked.append(text)
        return found(text, overrides)

    monkeypatch.setattr(imported, "selection", counted)
    first = select(str(place))
    for text in (str(place), str(file)):
        again = select(text)
        assert (again, again.program().values) == (first, first.program().values)
        for name, value in again.overrides.items():
            assert type(value) is type(first.overrides[name])
    assert len(asked) == 1
    assert select(str(place), {"n_layers": 1}).program().values["n_layers"] == 1
    beside.write_text(json.dumps({"quantization": {"quant_algo": "FP8"}}))
    assert select(str(place)).stored == "FP8 (hf_quant_config.json)"
    beside.unlink()
    file.write_text(json.dumps({**LLAMA, "head_dim": 8}))
    assert select(str(place)).program().values["head_dim"] == 8
    assert len(asked) == 4
    file.write_text(json.dumps({**LLAMA, "is_causal": False}))
    for _ in range(2):  # a refusal is worked out and said each time
        with pytest.raises(SpecError, match="is_causal"):
            select(str(place))
    assert len(asked) == 6


# ---- size --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_many_keys_take_time_in_proportion(tmp_path: Path) -> None:
    """30,000 keys took half a minute: each was compared with every other."""
    from time import process_time

    def seconds(keys: int) -> float:
        content = {**LLAMA, **{f"k{i}": {"a": i} for i in range(keys)}}
        before = process_time()
        with pytest.raises(SpecError):
            bound(content)
        return process_time() - before

    assert MAX_VALUES >= 60_000
    seconds(100)
    few = seconds(5_000)
    assert seconds(30_000) < 5 + 12 * few


PRUNED = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000,
    "hidden_size": 96, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 128, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
    "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        ("whatif {} --quantity parameters", {}),
        ("whatif {} -D n_kv_heads=4 --quantity parameters", {"n_kv_heads": 4}),
        ("whatif {} --sweep n_layers=3,6 --quantity parameters", {"n_layers": 6}),
        ("whatif {} --parallel tensor=1 -D n_layers=6", {"n_layers": 6}),
        ("solve {} 'parameters == {count}' --for n_layers", {"n_layers": 6}),
        ("sensitivity {} parameters", {}),
    ],
)
def test_a_question_is_asked_of_the_configuration_and_not_of_the_variant_nearest(
    command: str, changed: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PRUNED))
    count = ledger(select(str(tmp_path), changed).program()).value("parameters")
    variant = select(str(tmp_path)).variant
    nearest = ledger(load_program(folder("specs") / "llama.dsv3", variant)).value("parameters")
    words = shlex.split(command.replace("{}", shlex.quote(str(tmp_path))))
    asked = specgen_here(*(word.replace("{count}", str(count)) for word in words), cwd=tmp_path)
    assert asked.status == 0, asked.err
    assert f"{count:,}" in asked.out or "n_layers = 6" in asked.out
    assert f"{nearest:,}" not in asked.out
