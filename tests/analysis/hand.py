"""Small programs written in the IR by hand, so that the analysis is tested without a compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from specgen.expr.node import TRUE, Apply, Const, Expr, Operator, Sym
from specgen.ir.model import Cache, Format, Function, Let, Module, Param, Part, Program, Tensor

E = Expr | int | str


def expr(value: E) -> Expr:
    """An int as a constant, a text as a symbol."""
    if isinstance(value, int):
        return Const(value)
    return Sym(value, "count") if isinstance(value, str) else value


def op(name: Operator, *args: E) -> Expr:
    return Apply(name, tuple(map(expr, args)))


def array(name: str, *shape: E, dtype: str = "bf16", when: Expr = TRUE) -> Tensor:
    return Tensor(name, "array", tuple(map(expr, shape)), dtype, None, "act", when)


def linear(
    name: str, into: E, out: E, format: str | None = None, dtype: str = "bf16", when: Expr = TRUE
) -> Tensor:
    form = Format(format, {"block": Const(128)}) if format else None
    shape = (expr(out), expr(into))
    return Tensor(name, "map", shape, None if form else dtype, form, "act", when)


def part(
    name: str, module: str, index: str | None = None, count: E | None = None,
    when: Expr = TRUE, **arguments: E,
) -> Part:  # fmt: skip
    return Part(
        name,
        module,
        {key: expr(value) for key, value in arguments.items()},
        index,
        None if count is None else expr(count),
        when,
    )


def module(
    name: str,
    params: Sequence[str] = (),
    tensors: Sequence[Tensor] = (),
    parts: Sequence[Part] = (),
    forwards: Sequence[Function] = (),
    functions: Sequence[Function] = (),
    caches: Sequence[Cache] = (),
    lets: Mapping[str, Expr] = {},
    values: Mapping[str, int | float | bool | str | None] = {},
    lexical: bool = False,
    names: Mapping[str, Mapping[str, tuple[str | Expr, ...]]] = {},
) -> Module:
    return Module(
        id=name,
        name=name,
        title=None,
        lexical=lexical,
        params=tuple(Param(p, "size", values.get(p)) for p in (*params, *values)),
        lets=tuple(Let(key, value) for key, value in lets.items()),
        requires=(),
        tensors=tuple(tensors),
        parts=tuple(parts),
        caches=tuple(caches),
        forwards=tuple(forwards),
        functions=tuple(functions),
        names=names,
    )


FP8 = module(
    "fp8_block",
    ("R", "C", "block"),
    (
        array("weight", "R", "C", dtype="f8e4m3"),
        array(
            "weight_scale_inv",
            op("ceil", op("/", "R", "block")),
            op("ceil", op("/", "C", "block")),
            dtype="f32",
        ),
    ),
)


def program(*modules: Module, formats: Sequence[Module] = (FP8,)) -> Program:
    """The last module is the model."""
    return Program(
        name=modules[-1].name,
        title=None,
        variant="hand",
        edition=1,
        root=modules[-1].id,
        modules={m.id: m for m in modules},
        functions={},
        formats={m.id: m for m in formats},
        activation_dtype="bf16",
        configs={},
        reports=(),
    )


def latent_moe() -> Program:
    """The tensors of DeepSeek-V3 with its multi-token-prediction layer, without dataflow."""
    layer, dense = "layer", op("<", "layer", "n_dense_layers")
    hf: dict[str, dict[str, tuple[str | Expr, ...]]] = {
        "block": {
            "attn": ("self_attn",), "attn_norm": ("input_layernorm",), "ffn": ("mlp",),
            "ffn_norm": ("post_attention_layernorm",),
        },
        "mla": {
            "wq_a": ("q_a_proj",), "q_norm": ("q_a_layernorm",), "wq_b": ("q_b_proj",),
            "wkv_a": ("kv_a_proj_with_mqa",), "kv_norm": ("kv_a_layernorm",),
            "wkv_b": ("kv_b_proj",), "wo": ("o_proj",),
        },
        "moe": {"router": ("gate",), "shared": ("shared_experts",)},
        "gate": {"bias": ("e_score_correction_bias",)},
        "mlp": {"w1": ("gate_proj",), "w2": ("down_proj",), "w3": ("up_proj",)},
        "mtp": {
            "token_norm": ("enorm",), "hidden_norm": ("hnorm",), "join": ("eh_proj",),
            "layer_": ("",), "norm": ("shared_head.norm",), "head": ("shared_head.head",),
            "embed": ("embed_tokens.weight",),
        },
        "root": {
            "embed": ("model.embed_tokens",), "layers": ("model.layers.", Sym(layer)),
            "norm": ("model.norm",), "head": ("lm_head",),
            "mtp": ("model.layers.", op("+", "n_layers", "k")),
        },
    }  # fmt: skip
    qk = op("+", "qk_nope_head_dim", "qk_rope_head_dim")
    norm = module("rmsnorm", ("width",), (array("weight", "width"),))
    embedding = module("embedding", ("vocab", "width"), (array("weight", "vocab", "width"),))
    mlp = module(
        "mlp", ("width", "hidden"),
        (
            linear("w1", "width", "hidden", "fp8_block"),
            linear("w2", "hidden", "width", "fp8_block"),
            linear("w3", "width", "hidden", "fp8_block"),
        ),
        names={"hf": hf["mlp"]},
    )  # fmt: skip
    gate = module(
        "gate", (),
        (array("weight", "n_routed_experts", "dim"), array("bias", "n_routed_experts", dtype="f32")),
        lexical=True, names={"hf": hf["gate"]},
    )  # fmt: skip
    moe = module(
        "moe",
        parts=(
            part("router", "gate"),
            part("experts", "mlp", "e", "n_routed_experts", width="dim", hidden="moe_inter_dim"),
            part("shared", "mlp", width="dim", hidden="moe_inter_dim"),
        ),
        lexical=True, names={"hf": hf["moe"]},
    )  # fmt: skip
    mla = module(
        "mla",
        tensors=(
            linear("wq_a", "dim", "q_lora_rank", "fp8_block"),
            linear("wq_b", "q_lora_rank", op("*", "n_heads", "qk_head_dim"), "fp8_block"),
            linear("wkv_a", "dim", op("+", "kv_lora_rank", "qk_rope_head_dim"), "fp8_block"),
            linear(
                "wkv_b", "kv_lora_rank",
                op("*", "n_heads", op("+", "qk_nope_head_dim", "v_head_dim")), "fp8_block",
            ),
            linear("wo", op("*", "n_heads", "v_head_dim"), "dim", "fp8_block"),
        ),
        parts=(
            part("q_norm", "rmsnorm", width="q_lora_rank"),
            part("kv_norm", "rmsnorm", width="kv_lora_rank"),
        ),
        lexical=True, names={"hf": hf["mla"]},
    )  # fmt: skip
    block = module(
        "block", ("layer",),
        parts=(
            part("attn_norm", "rmsnorm", width="dim"),
            part("attn", "mla"),
            part("ffn_norm", "rmsnorm", width="dim"),
            part("ffn", "mlp", when=dense, width="dim", hidden="inter_dim"),
            part("ffn", "moe", when=op(">=", "layer", "n_dense_layers")),
        ),
        lexical=True, names={"hf": hf["block"]},
    )  # fmt: skip
    copy = Tensor(
        "embed", "array", (Sym("vocab_size", "size"), Sym("dim", "size")), "bf16", None, "act",
        shared="copy", target="embed.weight",
    )  # fmt: skip
    head = Tensor(
        "head", "map", (Sym("vocab_size", "size"), Sym("dim", "size")), "bf16", None, "act",
        shared="copy", target="head",
    )  # fmt: skip
    mtp = module(
        "mtp", ("k",),
        (linear("join", op("*", 2, "dim"), "dim"), copy, head),
        (
            part("token_norm", "rmsnorm", width="dim"),
            part("hidden_norm", "rmsnorm", width="dim"),
            part("layer_", "block", layer=op("+", "n_layers", "k")),
            part("norm", "rmsnorm", width="dim"),
        ),
        lexical=True, names={"hf": hf["mtp"]},
    )  # fmt: skip
    model = module(
        "hand_v3",
        values={
            "vocab_size": 129280, "dim": 7168, "inter_dim": 18432, "moe_inter_dim": 2048,
            "n_layers": 61, "n_dense_layers": 3, "n_mtp_layers": 1, "n_heads": 128,
            "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
            "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
        },
        lets={"qk_head_dim": qk},
        tensors=(linear("head", "dim", "vocab_size"),),
        parts=(
            part("embed", "embedding", vocab="vocab_size", width="dim"),
            part("layers", "block", "layer", "n_layers", layer="layer"),
            part("norm", "rmsnorm", width="dim"),
            part("mtp", "mtp", "k", "n_mtp_layers", k="k"),
        ),
        names={"hf": hf["root"]},
    )  # fmt: skip
    return program(norm, embedding, mlp, gate, moe, mla, block, mtp, model)
