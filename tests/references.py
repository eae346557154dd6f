"""Small random models of transformers, saved in released layout, with what transformers computes.

Made when they are first asked for, from the sizes in truth/data/references.json, and kept in the
temporary folder under a name that changes with them; all workers of a run share them.

A folder holds config.json, model.safetensors, meta.json and reference.safetensors: `input_ids`
[16], `prefill_logits` [16, V], `decode_tokens` [4] and `decode_logits` [4, V], greedy and with a
cache, and `full_logits` [20, V].
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[1]
SIZES = Path(__file__).parent / "truth" / "data" / "references.json"

PROMPT, DECODED_TOKENS = 16, 4

#: Two tokens that are nearer than this would make greedy decoding a matter of rounding.
MARGIN = 0.03

needs_references = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("torch", "transformers")),
    reason="transformers, which computes the references, is not installed (`make setup` does)",
)

#: Each reference and the spec that is a table of it.
SPECS = {
    "cohere2": "cohere2",
    "deepseek_v2": "deepseek_v3",
    "deepseek_v2_lite": "deepseek_v3",
    "deepseek_v3": "deepseek_v3",
    "deepseek_v3_mscale": "deepseek_v3",
    "deepseek_v3_mtp": "deepseek_v3",
    "deepseek_v3_noqlora": "deepseek_v3",
    "deepseek_v3_norope_scaling": "deepseek_v3",
    "gemma2": "gemma2",
    "glm4_moe": "glm4_moe",
    "gpt2": "gpt2",
    "gpt_neox": "gpt_neox",
    "gpt_oss": "gpt_oss",
    "kimi_k2": "deepseek_v3",
    "llama": "llama",
    "llama3_rope": "llama",
    "llama_bias": "llama",
    "mistral": "mistral",
    "mixtral": "mixtral",
    "olmoe": "olmoe",
    "phi3": "phi3",
    "qwen2": "qwen2",
    "qwen2_moe": "qwen2_moe",
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3_moe",
}

#: The multi-token-prediction reference has no decoding: it is the main model and one more head.
DECODED = [name for name in SPECS if name != "deepseek_v3_mtp"]


def tolerance(meta: Mapping[str, Any]) -> float:
    """2e-5; where transformers differs from itself by more than 1e-5, twice that."""
    measured = (
        meta.get("cache_vs_full_max_abs_diff"),
        meta.get("sdpa_default_experts_max_abs_diff"),  # absent where there is no such form
    )
    own = max((found for found in measured if isinstance(found, float)), default=0.0)
    return 2 * own if own > 1e-5 else 2e-5


@cache
def saved(name: str) -> Path:
    """The folder of a reference, which is made if it is not there yet."""
    found = kept() / name
    if not found.is_dir():
        kept().mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=kept()))
        make(name, made)
        try:
            made.rename(found)
        except OSError:  # another worker was quicker, with the same files
            shutil.rmtree(made)
    return found


@cache
def kept() -> Path:
    versions = [importlib.metadata.version(name) for name in ("torch", "transformers")]
    said = [SIZES.read_text(), Path(__file__).read_text(), *versions]
    digest = hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"specgen-references-{digest}"


def sizes() -> dict[str, dict[str, Any]]:
    """What each reference has that its class does not have anyway."""
    found: dict[str, dict[str, Any]] = json.loads(SIZES.read_text())
    return found


def make(name: str, to: Path) -> None:
    """Writes a reference: the first seed whose greedy tokens are none of rounding."""
    import torch
    from safetensors.torch import save_file
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    given = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None, **sizes()[name]}
    of = CONFIG_MAPPING[given.pop("model_type")]
    heads = int(name not in DECODED)
    layers = given.get("num_hidden_layers")
    if heads:
        given["num_hidden_layers"] = layers + heads  # further layers are bodies of heads

    def opened(attention: str, config: Any) -> Any:
        found = AutoModelForCausalLM.from_config(
            config, attn_implementation=attention, dtype=torch.float32
        )
        return found.eval()

    with torch.random.fork_rng(), torch.no_grad():
        for seed in range(50):
            torch.manual_seed(seed)
            model = opened("eager", of(**given))
            fill(model)
            tokens = torch.randint(3, model.config.vocab_size, (PROMPT + heads,))
            if heads:
                predicted(model, layers, tokens, to)
                return
            arrays, margin = decoded(model, tokens)
            if margin >= MARGIN:
                break
        else:
            raise AssertionError(f"no seed gives {name} a margin of {MARGIN}")
        meta: dict[str, Any] = {"seed": seed, "greedy_margin_min": margin}
        cached = torch.cat([arrays["prefill_logits"], arrays["decode_logits"]])
        full = arrays["full_logits"]
        meta["cache_vs_full_max_abs_diff"] = (cached - full).abs().max().item()
        model.save_pretrained(to)
        try:
            other = AutoModelForCausalLM.from_pretrained(
                to, attn_implementation="sdpa", dtype=torch.float32
            ).eval()
        except ValueError:  # some classes have no such form
            pass
        else:
            whole = torch.cat([arrays["input_ids"], arrays["decode_tokens"]])
            found = other(whole[None]).logits[0]
            meta["sdpa_default_experts_max_abs_diff"] = (found - full).abs().max().item()
    save_file({k: v.contiguous() for k, v in arrays.items()}, to / "reference.safetensors")
    (to / "meta.json").write_text(json.dumps(meta))


def decoded(model: Any, tokens: Any) -> tuple[dict[str, Any], float]:
    """Logits of a prompt, of the tokens that follow it, and of all at once; the least margin
    between the first and the second of each choice."""
    import torch

    found = model(tokens[None], use_cache=True)
    prefill, last, cache_ = found.logits[0], found.logits[0, -1], found.past_key_values
    chosen, logits, margins = [], [], []
    for _ in range(DECODED_TOKENS):
        best = last.topk(2)
        margins.append((best.values[0] - best.values[1]).item())
        chosen.append(best.indices[:1])
        found = model(chosen[-1][None], past_key_values=cache_, use_cache=True)
        last = found.logits[0, -1]
        logits.append(last)
    whole = torch.cat([tokens, *chosen])
    arrays = {
        "input_ids": tokens,
        "prefill_logits": prefill,
        "decode_tokens": torch.cat(chosen),
        "decode_logits": torch.stack(logits),
        "full_logits": model(whole[None], use_cache=False).logits[0],
    }
    return arrays, min(margins)


def predicted(model: Any, layers: int, tokens: Any, to: Path) -> None:
    """Writes a model with a multi-token-prediction head, which sees one token further."""
    import torch
    from safetensors.torch import save_file

    from tests.mutants.references import with_head

    model.save_pretrained(to)
    model.config.num_hidden_layers = layers
    row, following = tokens[None, :PROMPT], tokens[None, 1 : PROMPT + 1]
    positions = torch.arange(PROMPT)[None]
    found = model(row, output_hidden_states=True, use_cache=False)
    hidden = found.hidden_states[-1]
    said = with_head(model, layers, hidden, following, positions, to)
    arrays = {
        "input_ids": row[0],
        "mtp_input_ids": following[0].clone(),
        "main_hidden_after_norm": hidden[0],
        "main_logits": found.logits[0],
        "mtp_logits": said[0],
    }
    save_file({k: v.contiguous() for k, v in arrays.items()}, to / "reference.safetensors")
    written = to / "config.json"
    config = json.loads(written.read_text())
    config |= {"num_hidden_layers": layers, "num_nextn_predict_layers": 1}
    written.write_text(json.dumps(config))
    (to / "meta.json").write_text("{}")


def fill(model: Any) -> None:
    """Weights that keep the stream's scale; gains and biases that differ from 1 and 0."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if "rotary" in name or "inv_freq" in name or "embed_scale" in name:
            continue
        if "embed" in name or name.endswith(("wte.weight", "wpe.weight")):
            tensor.normal_(std=0.6)
        elif tensor.dim() > 1:
            tensor.normal_(std=1.2 / tensor.shape[-1] ** 0.5)
        elif name.endswith("correction_bias"):  # more, and some experts would never be chosen
            tensor.normal_(std=0.05)
        elif name.endswith("bias"):
            tensor.normal_(std=0.2)
        else:
            tensor.add_(0.25 * tensor.new_empty(tensor.shape).normal_())
