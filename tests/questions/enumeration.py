"""Ranks by brute force: every tensor, every rank, every index of the divided dim.

Written from how Megatron and vLLM lay models out, by the names of tensors; it reads no declaration
and no closed form.  Pieces are numpy.array_split's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

#: Name of a tensor -> dim that tensor ranks divide, and the params whose units they hold.
DIVIDED: Sequence[tuple[str, int, str]] = (
    (r"(embed\.weight|embed_copy|head|head_copy)", 0, "vocab_size"),
    (r"attn\.(wq|wq_b|wkv_b|wq\.bias|q_norm_full\.weight|sink)", 0, "n_heads"),
    (r"attn\.(wk|wv|wk\.bias|wv\.bias|k_norm_full\.weight)", 0, "n_kv_heads"),
    (r"attn\.wo", 1, "n_heads"),
    (r"experts\.\d+\.(w1|w3)(\.bias)?", 0, "expert_dim"),
    (r"experts\.\d+\.w2", 1, "expert_dim"),
    (r"ffn\.shared\.(w1|w3)", 0, "shared_dim"),
    (r"ffn\.shared\.w2", 1, "shared_dim"),
    (r"ffn\.(w1|w3)(\.bias)?", 0, "inter_dim"),
    (r"ffn\.w2", 1, "inter_dim"),
)

SCALE = ".weight_scale_inv"
TILE = 128
BYTES = {"bf16": 2, "f32": 4, "f8e4m3": 1}


@dataclass(frozen=True)
class Layout:
    tensor: int
    expert: int
    expert_tensor: int
    pipeline: int
    data: int
    stages: tuple[int, ...] | None = None

    @property
    def per_stage(self) -> int:
        return self.tensor * self.data

    @property
    def ranks(self) -> int:
        return self.pipeline * self.per_stage


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: tuple[int, ...]
    dtype: str


def pieces(count: int, ranks: int) -> list[list[int]]:
    return [piece.tolist() for piece in np.array_split(np.arange(count), ranks)]


@dataclass
class Model:
    """A table's tensors, and its sizes by the names that DIVIDED has.

    `tied` tells that the embedding is the head too, `full_norms` that query and key norms are
    over all heads.
    """

    tensors: Sequence[Tensor]
    sizes: Mapping[str, int]
    layers: int
    experts: int
    tied: bool
    caches: Sequence[Tensor]
    full_norms: bool = False
    _units: dict[tuple[str, int, int], list[int]] = field(default_factory=dict)

    def units(self, name: str, rank: int, ranks: int) -> list[int]:
        """Which units of a param a rank holds."""
        key = (name, rank, ranks)
        if key not in self._units:
            if name == "n_kv_heads":
                group = self.sizes["n_heads"] / self.sizes["n_kv_heads"]
                heads = pieces(self.sizes["n_heads"], ranks)[rank]
                found = sorted({int(head // group) for head in heads})
            else:
                found = pieces(self.sizes[name], ranks)[rank]
            self._units[key] = found
        return self._units[key]

    def rule(self, name: str) -> tuple[int, str] | None:
        if self.full_norms:
            name = re.sub(r"\.([qk]_norm)\.", r".\1_full.", name)
        for pattern, dim, param in DIVIDED:
            if re.fullmatch(rf"(.*\.)?{pattern}", name):
                return dim, param if param in self.sizes else "n_heads"
        return None

    def held(self, tensor: Tensor, rank: int, ranks: int) -> tuple[int, set[int]]:
        """The dim that is divided, and which of its indices one of so many ranks holds."""
        weight = tensor.name.removesuffix(SCALE)
        rule = self.rule(weight)
        if rule is None:
            return 0, set(range(tensor.shape[0]))
        dim, param = rule
        whole = (
            next(t for t in self.tensors if t.name == weight) if weight != tensor.name else tensor
        )
        unit, rest = divmod(whole.shape[dim], self.sizes[param])
        assert rest == 0, (tensor, param)
        rows = {u * unit + i for u in self.units(param, rank, ranks) for i in range(unit)}
        if weight != tensor.name:
            rows = {row // TILE for row in rows}
        return dim, rows

    def stages(self, tensor: Tensor, layout: Layout, *, memory: bool) -> set[int]:
        """The stages that read a tensor; in memory a copy is the tensor that it copies."""
        first, last = 0, layout.pipeline - 1
        layer = re.match(r"layers\.(\d+)\.", tensor.name)
        if layer is not None:
            return {stage_of(int(layer[1]), self.layers, layout)}
        if tensor.name in ("embed.weight", "place.weight"):
            copied = memory and any(t.name.endswith("embed_copy") for t in self.tensors)
            again = tensor.name == "embed.weight" and (self.tied or copied)
            return {first, last} if again else {first}
        return {last}

    def of_rank(self, layout: Layout, number: int, *, memory: bool) -> Iterator[Held]:
        """What a rank holds of every tensor, in the order of `tensors`."""
        stage, place = divmod(number, layout.per_stage)
        tensor_rank = place % layout.tensor
        expert_rank = place // layout.expert_tensor % layout.expert
        for tensor in self.tensors:
            if stage not in self.stages(tensor, layout, memory=memory):
                continue
            expert = re.search(r"\.experts\.(\d+)\.", tensor.name)
            if expert is None:
                yield Held(tensor, *self.held(tensor, tensor_rank, layout.tensor))
            elif int(expert[1]) in pieces(self.experts, layout.expert)[expert_rank]:
                rank = place % layout.expert_tensor
                yield Held(tensor, *self.held(tensor, rank, layout.expert_tensor))

    def cache_bytes(self, layout: Layout, number: int, batch: int, tokens: int) -> int:
        stage, place = divmod(number, layout.per_stage)
        sequences = len(pieces(batch, layout.data)[place // layout.tensor])
        found = 0
        for cache in self.caches:
            layer = re.match(r"layers\.(\d+)\.", cache.name)
            assert layer is not None
            if stage_of(int(layer[1]), self.layers, layout) != stage:
                continue
            size = 1
            for dim in cache.shape:
                size *= dim
            for name in ("n_kv_heads", "n_heads"):
                if cache.name.endswith((".key", ".value")) and name in self.sizes:
                    heads = self.units(name, place % layout.tensor, layout.tensor)
                    size = size // cache.shape[0] * len(heads)
                    break
            found += size * BYTES[cache.dtype] * sequences * tokens
        return found


@dataclass(frozen=True)
class Held:
    tensor: Tensor
    dim: int
    indices: set[int]

    @property
    def elements(self) -> int:
        found = len(self.indices)
        for at, size in enumerate(self.tensor.shape):
            if at != self.dim:
                found *= size
        return found


def stage_of(layer: int, layers: int, layout: Layout) -> int:
    sizes = layout.stages or [len(piece) for piece in pieces(layers, layout.pipeline)]
    for stage, size in enumerate(sizes):
        if layer < size:
            return stage
        layer -= size
    raise AssertionError(layer)


def is_parameter(tensor: Tensor) -> bool:
    return not tensor.name.endswith((SCALE, "embed_copy", "head_copy"))


def follows_precision(tensor: Tensor, fixed: Sequence[str]) -> bool:
    """Whether it is a matrix in the precision that all weights have."""
    last = tensor.name.rpartition(".")[2]
    matrix = bool(re.fullmatch(r"w\w+|head|router|shared_gate|join", last)) and last != "weight"
    return matrix and last not in fixed
