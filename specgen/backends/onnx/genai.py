"""What onnxruntime-genai needs beside model.onnx: genai_config.json, and a graph to call.

Knows a finished document and the names of its caches; nothing of the table behind them.

Note [One head]: genai keeps a key and a value of equal shapes [batch, heads, total, features]
for each layer.  A layer's cache rows are whatever the table says, [batch, total, ...], in the
order of its dataflow.  Two rows of equal size are key and value of one head that has all their
features: a reshape.  Any others are joined along the features and cut into halves.  The graph
is model.onnx with these steps before and behind it, and reads the same weights.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Final

from specgen.backends.onnx.dims import DimExtent
from specgen.backends.onnx.nodes import ConstantData, Edge, GraphNode, rename
from specgen.backends.onnx.proto import Document
from specgen.records import dataclass
from specgen.text.json_text import json_text

GRAPH: Final = "model.genai.onnx"
CONFIG: Final = "genai_config.json"

#: genai's names of a layer's caches are these, with the layer and the half.
PAST, PRESENT = "past_key_values", "present"
HALVES: Final = ("key", "value")

#: What Hugging Face's configurations call the longest context; genai asks for a number.
CONTEXT: Final = ("max_position_embeddings", "n_positions")
UNBOUNDED: Final = 2**20


@dataclass(frozen=True, slots=True)
class Layer:
    """The caches of a layer: inputs of model.onnx, and the outputs that belong to them."""

    pasts: list[Edge]
    presents: list[Edge]

    @property
    def size(self) -> int:
        """How many numbers they hold for a token."""
        return sum(map(features, self.pasts))


def features(cache: Edge) -> int:
    """How many numbers a cache [batch, ...] holds for a token."""
    return prod(dim for dim in cache.shape[1:] if isinstance(dim, int))


def layers(document: Document) -> list[Layer]:
    """The caches of each layer that has any, in order."""
    presents = {edge.name.removeprefix(f"{PRESENT}."): edge for edge in document.outputs}
    found: dict[int, Layer] = {}
    for past in document.inputs:
        prefix, _, key = past.name.partition(".")
        if prefix == PAST:
            layer = found.setdefault(int(key.partition(".")[0]), Layer([], []))
            layer.pasts.append(past)
            layer.presents.append(presents[key])
    return [found[number] for number in sorted(found)]


def expressible(caches: Sequence[Layer]) -> bool:
    """Whether genai can keep them: as much in each layer, and tokens along the second axis."""
    sizes = {layer.size for layer in caches}
    tokens = {past.shape[:2] for layer in caches for past in layer.pasts}
    grows = all(isinstance(shape[-1], DimExtent) for shape in tokens)
    return len(sizes) == len(tokens) == 1 and grows and not any(size % 2 for size in sizes)


def settings(
    document: Document,
    caches: Sequence[Layer],
    model: Mapping[str, Any],
    ending: Sequence[int] = (),
) -> bytes:
    """genai_config.json; `model` is Hugging Face's configuration of the table, if it has one.

    `ending` are the ids of the tokens that end a text, if any are known.
    """
    lengths = [model[key] for key in CONTEXT if key in model]
    content = {
        "model": {
            "type": "decoder",
            "vocab_size": document.outputs[0].shape[-1],
            "context_length": lengths[0] if lengths else UNBOUNDED,
            **({"eos_token_id": ending[0] if len(ending) == 1 else list(ending)} if ending else {}),
            "decoder": {
                "filename": GRAPH,
                "num_hidden_layers": len(caches),
                "num_key_value_heads": 1,
                "head_size": caches[0].size // 2,
                "inputs": {
                    **{name: name for name in ("input_ids", "attention_mask", "position_ids")},
                    **{f"past_{half}_names": f"{PAST}.%d.{half}" for half in HALVES},
                },
                "outputs": {
                    "logits": "logits",
                    **{f"present_{half}_names": f"{PRESENT}.%d.{half}" for half in HALVES},
                },
            },
        },
        "search": {"do_sample": False},
    }
    return json_text(content).encode()


def adapted(document: Document, caches: Sequence[Layer]) -> Document:
    """The document with genai's caches; see Note [One head]."""
    own = [edge for layer in caches for edge in (*layer.pasts, *layer.presents)]
    inside = {edge.name: replace(edge, name=f"genai/{edge.name}") for edge in own}
    before, behind = Steps("genai/before"), Steps("genai/behind")
    pasts: list[Edge] = []
    presents: list[Edge] = []
    for number, layer in enumerate(caches):
        halves = [half(f"{PAST}.{number}.{which}", layer, layer.pasts[0]) for which in HALVES]
        before.carry(halves, [inside[edge.name] for edge in layer.pasts])
        pasts += halves
        halves = [half(f"{PRESENT}.{number}.{which}", layer, layer.presents[0]) for which in HALVES]
        behind.carry([inside[edge.name] for edge in layer.presents], halves)
        presents += halves
    renamed = {old: edge.name for old, edge in inside.items()}
    added = [*inside.values(), *before.edges, *behind.edges, *pasts, *presents]
    return replace(
        document,
        inputs=[edge for edge in document.inputs if edge.name not in inside] + pasts,
        outputs=[edge for edge in document.outputs if edge.name not in inside] + presents,
        nodes=[*before.nodes, *(rename(node, renamed) for node in document.nodes), *behind.nodes],
        edges={**document.edges, **{edge.name: edge for edge in added}},
    )


def half(name: str, layer: Layer, like: Edge) -> Edge:
    """One of genai's two caches of a layer, as long as `like`."""
    batch, length = like.shape[:2]
    return Edge(name, like.dtype, (batch, 1, length, layer.size // 2))


class Steps:
    """Nodes that bring caches into other shapes, and the edges between them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.nodes: list[GraphNode] = []
        self.edges: list[Edge] = []
        self._constants: dict[tuple[int, ...], str] = {}

    def carry(self, sources: Sequence[Edge], targets: Sequence[Edge]) -> None:
        """All that the sources hold for a token, in the same order, into the targets."""
        sizes = tuple(map(features, targets))
        if tuple(map(features, sources)) != sizes:
            sources = self._recut(sources, sizes, targets[0].name)
        for source, target in zip(sources, targets, strict=True):
            self._reshape(source, target)

    def _recut(self, sources: Sequence[Edge], sizes: tuple[int, ...], name: str) -> list[Edge]:
        """The sources as [batch, length, size] of other sizes."""
        batch, length = (dim for dim in sources[0].shape if isinstance(dim, DimExtent))

        def flat(which: str, size: int) -> Edge:
            made = Edge(f"{name}/{which}", sources[0].dtype, (batch, length, size))
            self.edges.append(made)
            return made

        pieces = [flat(f"piece_{at}", features(edge)) for at, edge in enumerate(sources)]
        for source, piece in zip(sources, pieces, strict=True):
            self._reshape(source, piece)
        joined = flat("joined", sum(sizes))
        parts = [flat(f"part_{at}", size) for at, size in enumerate(sizes)]
        axis = (("axis", -1),)
        names = tuple(piece.name for piece in pieces)
        self.nodes.append(GraphNode("Concat", names, (joined.name,), axis))
        cut = self._integers(sizes)
        names = tuple(part.name for part in parts)
        self.nodes.append(GraphNode("Split", (joined.name, cut), names, axis))
        return parts

    def _reshape(self, source: Edge, target: Edge) -> None:
        """The batch stays, and the length is what remains."""
        dims = (dim if isinstance(dim, int) else -1 for dim in target.shape[1:])
        shape = self._integers((0, *dims))
        self.nodes.append(GraphNode("Reshape", (source.name, shape), (target.name,)))

    def _integers(self, values: tuple[int, ...]) -> str:
        if values not in self._constants:
            name = f"{self._name}/constant_{len(self._constants)}"
            data = struct.pack(f"<{len(values)}q", *values)
            literal = ConstantData("i64", (len(values),), data)
            self.nodes.append(GraphNode("Constant", (), (name,), (("value", literal),)))
            self._constants[values] = name
        return self._constants[values]
