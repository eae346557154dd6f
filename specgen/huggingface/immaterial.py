"""Keys of a config.json that change nothing that a table says, each with the reason.

Data, and no code.  A key belongs to `IMMATERIAL` only if no value of it can change which numbers a
model has or what its forward computes; to `UNSAID` with the value that says what a file without
the key says.  Nothing is passed over because it looks as if it were off: false may switch something
on.  Whatever a table reads itself is decided there, and not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMES: Final = "names things, and computes nothing"
TOKENS: Final = "says which token means what"
TRAINING: Final = "only training reads it"
DROPOUT: Final = "dropout is off outside of training"
RUNTIME: Final = "says how a runtime computes the model, and not what"
GENERATION: Final = "a default of text generation"
HEADS: Final = "belongs to heads for other tasks than language modelling"
RESULTS: Final = "says what else a call returns"
TOOL: Final = "a tool's note about itself"

#: Key -> why it does not matter; what stands below such a key does not matter either.  A name that
#: ends in `*` is that of all keys that begin so.
IMMATERIAL: Final[Mapping[str, str]] = {
    "_commit_hash": NAMES,
    "_name_or_path": NAMES,
    "custom_pipelines": "names code beside the file",
    "dataset": NAMES,
    "is_llama_config": "a converter's note on where the file is from",
    "model_name": NAMES,
    "auto_map": "names code beside the file; `architectures` names the class",
    "name_or_path": NAMES,
    "task_specific_params": NAMES,
    "tokenizer_class": NAMES,
    '"transformers.js_config"': "says how a runtime in a browser loads the files",
    "transformers_version": NAMES,
    "bos_token_id": TOKENS,
    "decoder_start_token_id": TOKENS,
    "eod_token_id": TOKENS,
    "eos_token_id": TOKENS,
    "forced_bos_token_id": TOKENS,
    "forced_eos_token_id": TOKENS,
    "pad_token_id": TOKENS,
    "unk_token_id": TOKENS,
    "sep_token_id": TOKENS,
    "suppress_tokens": TOKENS,
    "begin_suppress_tokens": TOKENS,
    "aux_loss_alpha": TRAINING,
    "gradient_checkpointing": TRAINING,
    "initializer_range": TRAINING,
    "loss_type": TRAINING,
    "neftune_noise_alpha": "noise on the embeddings while training",
    "router_aux_loss_coef": TRAINING,
    "router_jitter_noise": TRAINING,
    "router_z_loss_coef": TRAINING,
    "selective_checkpoint_enabled": TRAINING,
    "seq_aux": TRAINING,
    "attention_dropout": DROPOUT,
    "attn_pdrop": DROPOUT,
    "classifier_dropout": DROPOUT,
    "embd_pdrop": DROPOUT,
    "hidden_dropout": DROPOUT,
    "resid_pdrop": DROPOUT,
    "_attn_implementation": RUNTIME,
    "_attn_implementation_autoset": RUNTIME,
    "attention_sink_size": "a streaming cache of a runtime keeps so many first tokens",
    "_attn_implementation_internal": RUNTIME,
    "_experts_implementation": RUNTIME,
    "_flash_attn_2_enabled": RUNTIME,
    "attn_implementation": RUNTIME,
    "base_model_pp_plan": RUNTIME,
    "base_model_tp_plan": RUNTIME,
    "cache_implementation": "says how a runtime allocates the cache",
    "chunk_size_feed_forward": RUNTIME,
    "ep_size": RUNTIME,
    "experts_implementation": RUNTIME,
    "prefill_chunk_size": "says how a runtime cuts a prompt",
    "pretraining_tp": RUNTIME,
    "sequence_parallel_enabled": RUNTIME,
    "tf_legacy_loss": RUNTIME,
    "torchscript": RUNTIME,
    "unsloth_*": TOOL,
    "use_bfloat16": RUNTIME,
    "xla_device": RUNTIME,
    "use_cache": "says whether a call keeps the cache; its size is the same",
    "bad_words_ids": GENERATION,
    "diversity_penalty": GENERATION,
    "do_sample": GENERATION,
    "epsilon_cutoff": GENERATION,
    "eta_cutoff": GENERATION,
    "early_stopping": GENERATION,
    "encoder_no_repeat_ngram_size": GENERATION,
    "exponential_decay_length_penalty": GENERATION,
    "length_penalty": GENERATION,
    "max_length": GENERATION,
    "max_new_tokens": GENERATION,
    "min_length": GENERATION,
    "min_new_tokens": GENERATION,
    "min_p": GENERATION,
    "no_repeat_ngram_size": GENERATION,
    "num_beam_groups": GENERATION,
    "num_beams": GENERATION,
    "num_return_sequences": GENERATION,
    "penalty_alpha": GENERATION,
    "prefix": "text that is put before a prompt",
    "remove_invalid_values": GENERATION,
    "repetition_penalty": GENERATION,
    "temperature": GENERATION,
    "top_k": GENERATION,
    "top_p": GENERATION,
    "typical_p": GENERATION,
    "finetuning_task": HEADS,
    "id2label": HEADS,
    "label2id": HEADS,
    "num_labels": HEADS,
    "problem_type": HEADS,
    "summary_activation": HEADS,
    "summary_first_dropout": HEADS,
    "summary_proj_to_labels": HEADS,
    "summary_type": HEADS,
    "summary_use_proj": HEADS,
    "output_attentions": RESULTS,
    "output_hidden_states": RESULTS,
    "output_router_logits": RESULTS,
    "output_scores": RESULTS,
    "return_dict": RESULTS,
    "return_dict_in_generate": RESULTS,
}

BASE: Final = "the default of the library's base class"
NOTHING: Final = "null means none, as without the key"

#: Key -> the values that say what a file without the key says, and why; any other value of them is
#: one that a table must say.  A list of the file is no value here: an empty one is `[]`.
UNSAID: Final[Mapping[str, tuple[tuple[object, ...], str]]] = {
    "add_cross_attention": ((False,), BASE),
    "attention_chunk_size": ((None,), NOTHING),
    "cross_attention_hidden_size": ((None,), NOTHING),
    "is_causal": ((True,), "what the library's masks are without the key"),
    "is_decoder": ((False,), BASE),
    "is_encoder_decoder": ((False,), BASE),
    "layer_types": ((None,), NOTHING),
    "partial_rotary_factor": ((1, None), "all features of a head, as without the key"),
    "pruned_heads": (({}, None), "no head is left out"),
    "quantization_config": ((None, {}), "nothing is quantised"),
    "rope_scaling": ((None, {}), "the context is not extended"),
    "sliding_window": ((None,), NOTHING),
    "tie_encoder_decoder": ((False,), BASE),
}
