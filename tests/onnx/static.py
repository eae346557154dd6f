"""Two static graphs, run in onnxruntime as a client would run them, for each way to keep a cache.

Knows the files and what docs/onnx.md says of them; nothing of the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from specgen.backends.onnx.build import pair
from specgen.backends.onnx.options import Options
from specgen.ir.model import Program
from tests.onnx.session import Arrays, fill, onnx, ort, parsed

Array = np.ndarray

#: What static graphs have none of: what asks for dims, or decides by values what is evaluated.
FORBIDDEN = frozenset(
    {"Shape", "Size", "Range", "Loop", "Scan", "If", "NonZero", "Unique", "Compress"}
)


def graphs(program: Program, options: Options) -> dict[str, bytes]:
    """The two files by their names."""
    assert options.lengths is not None
    files = pair(program, options, options.lengths)
    return {name: data for name, data in files.items() if isinstance(data, bytes)}


def in_onnxruntime(path: Path) -> Any:
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3  # it warns of each copy of a cache
    return ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


@dataclass
class StaticSession:
    """Both graphs, and the cache of the tokens that they have seen."""

    options: Options
    sessions: dict[str, Any]
    cache: dict[str, Array] = field(default_factory=dict)
    mask: Array = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    next: int = 0
    seen: Array = field(default_factory=lambda: np.zeros(0, np.int64))

    @staticmethod
    def open(
        program: Program,
        options: Options,
        weights: Arrays,
        folder: Path,
        runtime: Callable[[Path], Any] | None = None,
    ) -> StaticSession:
        """Both graphs of a program, with weights of a checkpoint; in onnxruntime if in no other."""
        paths = {}
        for name, data in graphs(program, options).items():
            place = folder / f"{name}-{options.cache}"
            place.mkdir(parents=True, exist_ok=True)
            paths[name] = fill(data, weights, place)
        return StaticSession.start(options, paths, runtime or in_onnxruntime)

    @staticmethod
    def start(
        options: Options, paths: Mapping[str, Path], runtime: Callable[[Path], Any] | None = None
    ) -> StaticSession:
        opened = runtime or in_onnxruntime
        made = StaticSession(options, {name: opened(path) for name, path in paths.items()})
        made.restart()
        return made

    @property
    def length(self) -> int:
        """Slots that a client keeps: with `new`, those that the decoding graph takes."""
        assert self.options.lengths is not None
        return self.options.lengths.context - (self.options.cache == "new")

    def restart(self) -> None:
        """Forgets all tokens; what was in the cache is no number any more."""
        lengths = self.options.lengths
        assert lengths is not None
        self.mask = np.zeros((lengths.batch, self.length), np.int64)
        self.next, self.seen = 0, np.zeros(lengths.batch, np.int64)
        for value in self.sessions["decode.onnx"].get_inputs():
            if value.name.startswith("past_key_values."):
                shape = (value.shape[0], self.length, *value.shape[2:])
                self.cache[value.name] = np.full(shape, 1e4, np.float32)

    def prefill(self, tokens: Array, mask: Array | None = None, kept: int | None = None) -> Array:
        """Logits of new tokens [B, prefill]; the next ones go behind the first `kept` of them."""
        return self._call("prefill.onnx", tokens, mask, kept)

    def decode(self, tokens: Array) -> Array:
        """Logits of one new token [B, 1]."""
        return self._call("decode.onnx", tokens, None, None)

    def _call(self, name: str, tokens: Array, mask: Array | None, kept: int | None) -> Array:
        new = np.ones_like(tokens) if mask is None else mask
        counted = self.seen[:, None] + np.cumsum(new, axis=1)
        positions = np.maximum(counted - 1, 0)
        self.seen = counted[:, -1]
        session, form, count = self.sessions[name], self.options.cache, tokens.shape[1]
        slots = (self.next + np.arange(count)) % self.length
        given = {"input_ids": tokens, "position_ids": positions}
        cache = self.cache
        if form == "position":
            self.mask[:, slots] = new
            given |= {"attention_mask": self.mask, "cache_position": np.array([self.next])}
        elif form == "shift":
            self.mask = np.concatenate([self.mask[:, count:], new], axis=1)
            given["attention_mask"] = self.mask
        else:
            older = self.length + 1 - count
            assert older == self.length or self.next + count <= older, "a ring of another length"
            cache = {name: array[:, :older] for name, array in cache.items()}
            given["attention_mask"] = np.concatenate([self.mask[:, :older], new], axis=1)
            given["cache_position"] = np.array([self.next % older])
        dtype = {"i64": np.int64, "i32": np.int32}[self.options.index]
        feeds = {key: array.astype(dtype) for key, array in given.items()}
        names = [value.name for value in session.get_outputs()]
        found = dict(zip(names, session.run(names, {**feeds, **cache}), strict=True))
        for key in self.cache:
            made = found[key.replace("past_key_values", "present")]
            if form == "new":
                self.cache[key][:, slots] = made
            else:
                self.cache[key] = made
        if form == "new":
            self.mask[:, slots] = new
        self.next += count if kept is None else kept
        result: Array = found["logits"]
        return result


def faults(data: bytes, allowed: frozenset[str] = frozenset(), rank: int = 4) -> Iterator[str]:
    """What of a graph is not static: an operator, or a dim of a value that is no number."""
    model = parsed(data)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    constants = {t.name for t in inferred.graph.initializer}
    for node, _ in nodes(inferred.graph):
        if node.op_type == "Constant":
            constants.update(node.output)
    for node, inner in nodes(inferred.graph):
        if node.op_type in FORBIDDEN - allowed:
            yield f"{node.op_type}{' in a body' if inner else ''}"
        if node.op_type == "ConstantOfShape" and node.input[0] not in constants:
            yield "ConstantOfShape of a computed shape"
        if node.op_type in ("Reshape", "Expand", "Tile") and node.input[1] not in constants:
            yield f"{node.op_type} to a computed shape"
    foldable = {"Add", "Sub", "Mul", "Cast", "Reshape", "Unsqueeze", "Squeeze", "Less", "Equal"}
    whole = {n.output[0] for n, _ in nodes(model.graph) if n.op_type == "Constant" and integers(n)}
    for node, _ in nodes(inferred.graph):
        if node.op_type in foldable and whole.issuperset(node.input):
            yield f"{node.op_type} of constants"
    known = {}
    graph = inferred.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        shape = value.type.tensor_type.shape
        known[value.name] = len(shape.dim)
        if not all(dim.HasField("dim_value") for dim in shape.dim):
            yield f"dims of {value.name}"
        elif len(shape.dim) > rank:
            yield f"{value.name} has {len(shape.dim)} dims"
    for node, inner in nodes(graph):
        if not inner:
            yield from (f"no dims of {name}" for name in node.output if name not in known)


def integers(constant: Any) -> bool:
    """Whether a Constant holds whole numbers, and not very many."""
    tensor = constant.attribute[0].t
    return tensor.data_type in (6, 7, 9) and prod(tensor.dims) < 256


def nodes(graph: Any, inner: bool = False) -> Iterator[tuple[Any, bool]]:
    for node in graph.node:
        yield node, inner
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g, True)
