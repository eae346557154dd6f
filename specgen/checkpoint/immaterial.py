"""Keys of a config.json that change nothing that a table says, each with the reason.

Data, and no code.  A key belongs here only if no value of it can change which numbers a model has
or what its forward computes; whatever a table reads itself is decided there, and not here.
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

#: Key -> why it does not matter; what stands below such a key does not matter either.
IMMATERIAL: Final[Mapping[str, str]] = {
    "_commit_hash": NAMES,
    "_name_or_path": NAMES,
    "auto_map": "names code beside the file; `architectures` names the class",
    "name_or_path": NAMES,
    "task_specific_params": NAMES,
    "tokenizer_class": NAMES,
    "transformers_version": NAMES,
    "bos_token_id": TOKENS,
    "decoder_start_token_id": TOKENS,
    "eos_token_id": TOKENS,
    "forced_bos_token_id": TOKENS,
    "forced_eos_token_id": TOKENS,
    "pad_token_id": TOKENS,
    "sep_token_id": TOKENS,
    "suppress_tokens": TOKENS,
    "begin_suppress_tokens": TOKENS,
    "aux_loss_alpha": TRAINING,
    "initializer_range": TRAINING,
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
    "attn_implementation": RUNTIME,
    "cache_implementation": "says how a runtime allocates the cache",
    "chunk_size_feed_forward": RUNTIME,
    "ep_size": RUNTIME,
    "experts_implementation": RUNTIME,
    "prefill_chunk_size": "says how a runtime cuts a prompt",
    "pretraining_tp": RUNTIME,
    "sequence_parallel_enabled": RUNTIME,
    "torchscript": RUNTIME,
    "use_cache": "says whether a call keeps the cache; its size is the same",
    "bad_words_ids": GENERATION,
    "diversity_penalty": GENERATION,
    "do_sample": GENERATION,
    "early_stopping": GENERATION,
    "encoder_no_repeat_ngram_size": GENERATION,
    "exponential_decay_length_penalty": GENERATION,
    "length_penalty": GENERATION,
    "max_length": GENERATION,
    "min_length": GENERATION,
    "no_repeat_ngram_size": GENERATION,
    "num_beam_groups": GENERATION,
    "num_beams": GENERATION,
    "num_return_sequences": GENERATION,
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
