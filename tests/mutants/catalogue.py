"""The mutants: edits that people make by mistake, each with what catches it.

A mutant that survives is a hole in the language, the checker or the tests.
"""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Mutant

V3 = "deepseek_v3.dsv3"
LLAMA = "llama.dsv3"
TABLE = "dsv3_table.dsv3"
NORM, FFN, MOE, ROPE, ATTENTION, QUANT = (
    f"std/{name}.dsv3" for name in ("norm", "ffn", "moe", "rope", "attention", "quant")
)

#: Slips of the pen: the text itself is damaged.
SYNTAX: Final = (
    Mutant("missing brace", V3, "  let {\n    qk_head_dim", "  let \n    qk_head_dim", "E0105"),
    Mutant("section never closed", V3, "  }\n\n  let {", "\n\n  let {", "E0106"),
    Mutant("brace too many", V3, "  require {", "  }\n  require {", "E0107"),
    Mutant("unicode minus", V3, "n_layers - n_dense_layers", "n_layers − n_dense_layers", "E0108"),
    Mutant("full-width colon", V3, "join       : 2", "join       ： 2", "E0108"),
    Mutant("text not closed", V3, '"vocabulary entries"', '"vocabulary entries', "E0109"),
    Mutant("number without digits", V3, "real = 1e-6", "real = 1.e-6", "E0110"),
    Mutant("keyword as a name", V3, "h = x + attn", "let = x + attn", "E0111"),
    Mutant("misspelt section", V3, "  dtypes {", "  dtype {", "E0112"),
    Mutant("equals for colon", V3, "wo    : n_heads", "wo    = n_heads", "E0117"),
    Mutant("if for when", MOE, "when has(bias) else scores", "if has(bias) else scores", "E0105"),
    Mutant("params by place", V3, "attn_norm : rmsnorm(width = dim)", "attn_norm : rmsnorm(dim)", "E0116"),
)  # fmt: skip

#: Names, values and variants.
NAMES: Final = (
    Mutant("misspelt file", V3, "use std.ffn  ", "use std.fnn  ", "E0201"),
    Mutant("misspelt import", V3, "{ swiglu }", "{ swigl }", "E0205"),
    Mutant("misspelt param", V3, "n_heads × v_head_dim -> dim", "n_head × v_head_dim -> dim", "E0301"),
    Mutant("param defined twice", V3, "    mscale_all_dim      : real", "    mscale : real", "E0302"),
    Mutant("misspelt choice", MOE, 'scores = sigmoid(logits) when score_func == "sigmoid"', 'scores = sigmoid(logits) when score_func == "sigmod"', "E0304"),
    Mutant("broken requirement", V3, "n_limited_groups    = 3", "n_limited_groups    = 9", "E0311"),
    Mutant("variant of none", V3, "of v3_671b ", "of v3_670b ", "E0312"),
    Mutant("variant sets no param", V3, "n_mtp_layers = 1\n", "n_mtp_layer = 1\n", "E0314"),
    Mutant("misspelt module", V3, "attn      : mla", "attn      : mal", "E0601"),
    Mutant("misspelt argument", V3, "attn_norm : rmsnorm(width", "attn_norm : rmsnorm(widht", "E0602"),
    Mutant("missing argument", V3, "attn_norm : rmsnorm(width = dim)", "attn_norm : rmsnorm", "E0603"),
    Mutant("format of no module", V3, "weight_format       = bf16\n  }\n\n  variant kimi", "weight_format       = bf61\n  }\n\n  variant kimi", "E0301"),
    Mutant("misspelt row in names", V3, 'wkv_a   -> "kv', 'wkv_aa  -> "kv', "E0701"),
    Mutant("brace in a name left open", V3, '"model.layers.{layer}"', '"model.layers.{layer"', "E0703"),
    Mutant("index of another part in a name", V3, '"model.layers.{layer}"', '"model.layers.{k}"', "E0301"),
    Mutant("misspelt row in a report", V3, ' : layers.attn.wq_a\n', ' : layers.attn.wqa\n', "E0705", times=2),
    Mutant("misspelt param in config", V3, 'dim                        -> "hidden_size"', 'dmi                        -> "hidden_size"', "E0301"),
)  # fmt: skip

#: Rows that overlap, are absent, are never used, or have no partner.
ROWS: Final = (
    Mutant("unguarded absent row", V3, "        q = wq(x)", "        q = wq_b(q_norm(wq_a(x)))", "E0501"),
    Mutant("guard the wrong way round", V3, "      if q_lora_rank > 0 {", "      if q_lora_rank == 0 {", "E0501"),
    Mutant("layer without an MLP", V3, "when layer >= n_dense_layers", "when layer >  n_dense_layers", "E0501"),
    Mutant("overlapping layers", V3, "when layer >= n_dense_layers", "when layer >= 1", "E0511"),
    Mutant("overlapping tables", V3, 'when rope_scaling == "none"    "rotary table"', 'when rope_scaling == "yarn"    "rotary table"', "E0511"),
    Mutant("head that is free and tied", LLAMA, "when not tie_embeddings", "when tie_embeddings", "E0511"),
    Mutant("head tied to nothing", LLAMA, "tied embed.weight", "tied embed.weights", "E0505"),
    Mutant("dropped norm", V3, "attn(attn_norm(x), cos", "attn(x, cos", "E0512"),
    Mutant("dropped latent norm", V3, "concat([kv_norm(c), re", "concat([c, re", "E0512"),
    Mutant("dropped final norm", V3, "return norm(layers(embed(tokens), cos, sin, visible))", "return layers(embed(tokens), cos, sin, visible)", "E0512"),
    Mutant("dropped shared expert", V3, "routed + shared(x) when has(shared) else routed", "routed", "E0512"),
    Mutant("dropped gain of a norm", NORM, "like = x) * weight", "like = x)", "E0512"),
    Mutant("cache that does not grow", V3, "latent : [B, T, kv_lora_rank + ", "latent : [B, S, kv_lora_rank + ", "E0506"),
    Mutant("unknown kind of dtype", V3, "    caches      = dtype", "    cache       = dtype", "E0509"),
    Mutant("bias of no map", LLAMA.replace("llama", "std/attention"), "wo.bias : ", "w0.bias : ", "E0504"),
)  # fmt: skip

#: Dataflow whose sizes or dtypes do not fit.
DATAFLOW: Final = (
    Mutant("no rotary key in wkv_a", V3, "wkv_a : dim -> kv_lora_rank + qk_rope_head_dim", "wkv_a : dim -> kv_lora_rank", "E0431"),
    Mutant("query of the table, 128 wide", V3, "wq_b  : q_lora_rank -> n_heads × qk_head_dim", "wq_b  : q_lora_rank -> n_heads × qk_nope_head_dim", "E0431"),
    Mutant("keys without values", V3, "n_heads × (qk_nope_head_dim + v_head_dim)", "n_heads × qk_nope_head_dim", "E0431"),
    Mutant("output as wide as the query", V3, "wo    : n_heads × v_head_dim -> dim", "wo    : n_heads × qk_head_dim -> dim", "E0430"),
    Mutant("query split the wrong way round", V3, "split(heads, [qk_nope_head_dim, qk_rope_head_dim])", "split(heads, [qk_rope_head_dim, qk_nope_head_dim])", "E0430"),
    Mutant("values before keys, both 128", V3, "split(expanded, [qk_nope_head_dim, v_head_dim])", "split(expanded, [v_head_dim, qk_nope_head_dim])", "E0430"),
    Mutant("transposed einsum", V3, '"b s h d, h d c -> b s h c"', '"b s h d, h c d -> b s h c"', "E0425"),
    Mutant("einsum over the wrong half", V3, "h d c -> b s h d\", read, up_v)", "h d c -> b s h d\", read, up_k)", "E0430"),
    Mutant("einsum that keeps a lost axis", MOE, '"... d, e d -> ... e"', '"... d, e d -> ... f"', "E0427", times=2),
    Mutant("rearrange that loses an axis", V3, '"b s 1 r -> b s r")', '"b s 1 r -> b s")', "E0428"),
    Mutant("latent without its rotary key in the cache", V3, "append(latent, compress(x, cos, sin))\n      c, k_rope", "append(latent, slice(compress(x, cos, sin), 0, kv_lora_rank))\n      c, k_rope", "E0449"),
    Mutant("cast dropped after softmax", ATTENTION, "cast(softmax(shown, over = T), like = q)", "softmax(shown, over = T)", "E0402", times=2),
    Mutant("cast dropped in the router", MOE, "cast(weight, f32)", "weight", "E0402"),
    Mutant("routing weights left in f32", MOE, "cast(share * route_scale, like = x)", "share * route_scale", "E0456"),
    Mutant("gate bias in bf16", MOE, "[n_routed_experts]      as f32", "[n_routed_experts]      as bf16", "E0402"),
    Mutant("index and values swapped", MOE, "_, index = topk", "index, _ = topk", "E0413"),
    Mutant("misspelt op", FFN, "w2(silu(w1(x)) * ", "w2(sliu(w1(x)) * ", "E0442"),
    Mutant("function not imported", V3, "{ rotary_table, yarn_table, rotate_pairs }", "{ rotary_table, yarn_table }", "E0442"),
    Mutant("argument forgotten", V3, "layers(embed(tokens), cos, sin, visible)", "layers(embed(tokens), cos, sin)", "E0444"),
    Mutant("name bound twice", V3, "      q              = concat([q_nope, q_rope])", "      c              = concat([q_nope, q_rope])", "E0405"),
    Mutant("return forgotten", V3, "      return h + ffn(ffn_norm(h))", "      y = h + ffn(ffn_norm(h))", "E0406"),
    Mutant("requirement dropped: pairs", V3, '    qk_rope_head_dim % 2 == 0                "rotary features come in pairs"\n', "", "E0435"),
    Mutant("requirement dropped: equal groups", MOE, '    n_routed_experts % n_expert_groups == 0  "expert groups have equal size"\n', "", "E0435"),
    Mutant("claim of no known operation", NORM, "as rms_norm", "as rmsnorm", "E0408"),
    Mutant("next token one place too late", V3, "slice(following, k, k + S)", "slice(following, k + 1, k + S)", "E0432"),
)  # fmt: skip

#: Rows that fit, and are not those of the release.
TENSORS: Final = (
    Mutant("dense layer that is a mixture too", V3, "layer <  n_dense_layers    \"dense", "layer <= n_dense_layers    \"dense", "E0511"),
    Mutant("experts as wide as the MLP", V3, "swiglu(width = dim, hidden = moe_inter_dim)", "swiglu(width = dim, hidden = inter_dim)", "tensors"),
    Mutant("only the activated experts", V3, ") × n_routed_experts ", ") × n_activated_experts ", "tensors"),
    Mutant("one shared expert always", V3, "hidden = n_shared_experts × moe_inter_dim", "hidden = moe_inter_dim", "tensors"),
    Mutant("gate bias whatever the width", V3, "flag  = dim == 7168", "flag  = dim >= 5120", "tensors"),
    Mutant("head in fp8", V3, "head : dim -> vocab_size    as dtype", "head : dim -> vocab_size            ", "tensors"),
    Mutant("joining projection in fp8", V3, "2 × dim -> dim     as dtype", "2 × dim -> dim             ", "tensors"),
    Mutant("embedding of the head not stored again", V3, "embed_copy : copy", "embed_copy : tied", "tensors"),
    Mutant("scales of half a tile", QUANT, "block : size = 128", "block : size = 64 ", "tensors"),
    Mutant("scales rounded down", QUANT, "ceil(R / block), ceil(C / block)", "floor(R / block), floor(C / block)", "tensors"),
    Mutant("two rows with one name", V3, 'wkv_b   -> "kv_b_proj"', 'wkv_b   -> "kv_a_proj_with_mqa"', "E0706"),
    Mutant("all layers with one name", V3, '"model.layers.{layer}"', '"model.layers.0"', "E0706"),
    Mutant("head numbered from 0", V3, '"model.layers.{n_layers + k}"', '"model.layers.{k}"', "E0706"),
    Mutant("w1 and w3 misnamed", FFN, 'w1 -> "gate_proj"\n    w2 -> "down_proj"\n    w3 -> "up_proj"', 'w1 -> "up_proj"\n    w2 -> "down_proj"\n    w3 -> "gate_proj"', "deepseek_v3", times=2),
    Mutant("untied small head", LLAMA, "head : tied embed.weight    when tie_embeddings", "head : copy embed.weight    when tie_embeddings", "tensors"),
    Mutant("keys for every query head", ATTENTION, "wk      : dim -> n_kv_heads × head_dim", "wk      : dim -> n_heads × head_dim   ", "E0430"),
    Mutant("table counts its gate bias", TABLE, "count_gate_bias  : flag  = false", "count_gate_bias  : flag  = true ", "tensors"),
    Mutant("table corrected in secret", TABLE, "qk_head_dim      : size  = 128", "qk_head_dim      : size  = 192", "tensors"),
)  # fmt: skip

#: Rows that are right, and a config.json that is not the release's.
CONFIG: Final = (
    Mutant("misspelt key", V3, '-> "hidden_size"', '-> "hiden_size"', "config"),
    Mutant("key of another param", V3, 'n_limited_groups       -> "topk_group"', 'n_limited_groups       -> "topk_groups"', "config"),
    Mutant("rank 0 for no rank", V3, '-> "q_lora_rank"                                    when q_lora_rank > 0\n    null                       -> "q_lora_rank"                                    when q_lora_rank == 0', '-> "q_lora_rank"', "config"),
    Mutant("scaling beside its section", LLAMA, '"rope_scaling.rope_type"  ', '"rope_scaling_rope_type"  ', "config"),
    Mutant("scales of other tiles", V3, "[128, 128]  ", "[128, 64]  ", "config"),
)  # fmt: skip

#: Everything fits, and the numbers are others: caught by a reference's logits.
NUMBERS: Final = (
    Mutant("rotate_half for rotate_pairs", V3, "rotate_pairs", "rotate_half", "deepseek_v3", times=3),
    Mutant("route scale lost", MOE, "cast(share * route_scale, like = x)", "cast(share, like = x)", "deepseek_v3"),
    Mutant("bias used as a weight", MOE, "gather(scores, index)", "gather(ranked, index)", "deepseek_v3"),
    Mutant("bias ignored in the choice", MOE, "scores + bias when", "scores + 0 * bias when", "deepseek_v3"),
    Mutant("shares not made to sum to 1", MOE, "picked / (sum(picked, keep = true) + 1e-20) when", "picked * 1 when", "deepseek_v3"),
    Mutant("shares made to sum to 1 always", MOE, "1e-20) when norm_topk else picked", "1e-20) when true else picked", "deepseek_v3_plain"),
    Mutant("softmax for sigmoid", MOE, "sigmoid(logits) when", "softmax(logits) when", "deepseek_v3"),
    Mutant("sigmoid for softmax", MOE, "else softmax(logits)", "else sigmoid(logits)", "deepseek_v2"),
    Mutant("groups ranked by their best expert", MOE, "2 when has(bias) else 1", "1 when has(bias) else 1", "deepseek_v3"),
    Mutant("group limit dropped", MOE, "topk(sum(best), n_limited_groups)", "topk(sum(best), n_expert_groups)", "deepseek_v3"),
    Mutant("mscale not squared", V3, "gain ** 2 when", "gain when", "deepseek_v3"),
    Mutant("temperature dropped", V3, "gain ** 2 when", "1 when", "deepseek_v3"),
    Mutant("rotary temperature dropped", V3, ", amplitude = rotary_gain / gain)", ")", "deepseek_v3_mscale"),
    Mutant("rotary temperature upside down", V3, "amplitude = rotary_gain / gain", "amplitude = gain / rotary_gain", "deepseek_v3_mscale"),
    Mutant("scale of the features without position", V3, "qk_head_dim ** -0.5 *", "qk_nope_head_dim ** -0.5 *", "deepseek_v3"),
    Mutant("YaRN never", V3, "when max_seq_len > original_seq_len else", "when max_seq_len < original_seq_len else", "deepseek_v3"),
    Mutant("YaRN's ramp reversed", ROPE, "kept  = 1 - ramp", "kept  = ramp", "deepseek_v3"),
    Mutant("YaRN's bounds swapped", ROPE, "2 * pi * beta_fast", "2 * pi * beta_slow", "deepseek_v3"),
    Mutant("wavelengths squared", ROPE, "2 * iota(rope_half) / rope_width", "4 * iota(rope_half) / rope_width", "deepseek_v3", times=4),
    Mutant("sine for cosine", ROPE, "return cos(angle) * amplitude, sin(angle)", "return sin(angle) * amplitude, cos(angle)", "deepseek_v3", times=2),
    Mutant("rotated backwards", ROPE, "a * c - b * s, b * c + a * s", "a * c + b * s, b * c - a * s", "deepseek_v3", times=2),
    Mutant("sees the next token", ATTENTION, "iota(T) == here or", "iota(T) == here + 1 or", "deepseek_v3"),
    Mutant("does not see the last token", ATTENTION, "iota(T) < here and", "iota(T) < here - 1 and", "deepseek_v3"),
    Mutant("slots counted from 0 with a cache", ATTENTION, "iota(S) + (T - S)", "iota(S)", "deepseek_v3"),
    Mutant("padding seen", ATTENTION, 'iota(T) < here and rearrange(mask, "b t -> b 1 t")', 'iota(T) < here and rearrange(mask or not mask, "b t -> b 1 t")', "deepseek_v3"),
    Mutant("softmax over the queries", ATTENTION, "softmax(shown, over = T)", "softmax(shown, over = S)", "E0458", times=2),
    Mutant("scores not scaled", ATTENTION, "grouped, k) * scale", "grouped, k) * (scale / scale)", "deepseek_v3", times=3),
    Mutant("query heads grouped the other way", ATTENTION, '"b s (k g) d -> b s k g d"', '"b s (g k) d -> b s k g d"', "llama", times=3),
    Mutant("w1 and w3 swapped", FFN, "silu(w1(x)) * w3(x)", "silu(w3(x)) * w1(x)", "deepseek_v3"),
    Mutant("sigmoid for silu", FFN, "silu(w1(x))", "sigmoid(w1(x))", "deepseek_v3"),
    Mutant("mean of the sum", NORM, "mean(y * y, keep = true)", "sum(y * y, keep = true)", "deepseek_v3", times=2),
    Mutant("latent norms with the stream's epsilon", V3, "kv_lora_rank, norm_eps = 1e-6)", "kv_lora_rank)", "deepseek_v3"),
    Mutant("epsilon lost", NORM, "keep = true) + norm_eps)", "keep = true) + 0 * norm_eps)", "deepseek_v3", times=3),
    Mutant("residual dropped", V3, "h = x + attn(", "h = attn(", "deepseek_v3"),
    Mutant("MLP on the stream before attention", V3, "return h + ffn(ffn_norm(h))", "return h + ffn(ffn_norm(x))", "deepseek_v3"),
    Mutant("absorbed query in the wrong order", V3, "concat([q_latent, q_rope])", "concat([q_rope, q_latent])", "E0458"),
    Mutant("another cache when absorbed", V3, "append(latent, compress(x, cos, sin))\n      up ", "append(latent, 0 * compress(x, cos, sin))\n      up ", "E0458"),
    Mutant("latent norm twice", V3, "concat([kv_norm(c), re", "concat([kv_norm(kv_norm(c)), re", "deepseek_v3"),
    Mutant("next token after the hidden state", V3, "concat([token_norm(token), hidden_norm(hidden)])", "concat([hidden_norm(hidden), token_norm(token)])", "deepseek_v3_mtp"),
    Mutant("first head's norm dropped", V3, "return norm(body(join(both), cos, sin, visible))", "return body(join(both), cos, sin, visible)", "E0512"),
    Mutant("long wavelengths kept", ROPE, "(1 - smooth) * plain / rope_factor", "(1 - smooth) * plain", "llama3_rope"),
    Mutant("two regimes for three", ROPE, "clamp((turns - low_freq_factor) / (high_freq_factor - low_freq_factor), 0, 1)", "clamp(turns - low_freq_factor, 0, 1)", "llama3_rope"),
    Mutant("key and value swapped", ATTENTION, "mixed = attention(q_at, k_at, append(value, v)", "mixed = attention(q_at, append(value, v), k_at", "llama"),
    Mutant("window one token wider", ATTENTION, "> here - window", ">= here - window", "mistral"),
    Mutant("cap not given back", ATTENTION, "tanh(cast(scores, f32) / cap) * cap", "tanh(cast(scores, f32) / cap)", "gemma2"),
    Mutant("sinks without a score", ATTENTION, "concat([shown, nowhere])", "concat([shown, 0 * nowhere])", "gpt_oss"),
    Mutant("last features turned", ATTENTION, "first, rest = split(x, [rotary_dim, head_dim - rotary_dim])", "rest, first = split(x, [head_dim - rotary_dim, rotary_dim])", "glm4_moe"),
    Mutant("heads normed in one half", ATTENTION, "k = k_norm(rearrange(wk(x)", "k = 0.5 * k_norm(rearrange(wk(x)", "qwen3"),
    Mutant("shares of all experts", MOE, "picked / sum(picked, keep = true) when", "picked * 1 when", "mixtral"),
    Mutant("shared expert taken whole", "qwen2_moe.dsv3", "sigmoid(shared_gate(x)) * shared(x)", "shared(x) * (1 + 0 * shared_gate(x))", "qwen2_moe"),
    Mutant("positions in every layer", "cohere2.dsv3", 'rotary = "none", ', 'rotary = "pairs", ', "cohere2"),
    Mutant("MLP behind the attention", "cohere2.dsv3", "return x + attn(y, cos, sin, visible when full else near) + ffn(y)", "h = x + attn(y, cos, sin, visible when full else near)\n      return h + ffn(norm(h))", "cohere2"),
    Mutant("window of the layers that see all", "cohere2.dsv3", "visible when full else near", "near when full else visible", "cohere2"),
)  # fmt: skip

MUTANTS: Final = (*SYNTAX, *NAMES, *ROWS, *DATAFLOW, *TENSORS, *CONFIG, *NUMBERS)
