"""Checkpoints in released layout, made up for a graph: each tensor under its released name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path

import numpy as np

from tests.onnx.session import parsed, released, weights_of

#: Rows and columns that share a scale.
TILE = 128


def random_weights(data: bytes, seed: int) -> dict[str, np.ndarray]:
    """One f32 array for each released tensor that the graph's weights stand for."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    model = parsed(data)
    names = released(model)
    for tensor in weights_of(model):
        dims, count = tuple(tensor.dims), len(names[tensor.name])
        shape = next(dims[k:] for k in range(len(dims)) if prod(dims[:k]) == count)
        for name in names[tensor.name]:
            values = rng.standard_normal(shape, np.float32)
            found[name] = values / shape[-1] ** 0.5 if len(shape) > 1 else 1 + 0.1 * values
    return found


def quantised(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bytes of f8e4m3, a scale for each tile, and the f32 matrix that they stand for."""
    import ml_dtypes

    tiles = np.zeros([ceil(n / TILE) * TILE for n in matrix.shape], np.float32)
    tiles[: matrix.shape[0], : matrix.shape[1]] = matrix
    split = tiles.reshape(tiles.shape[0] // TILE, TILE, tiles.shape[1] // TILE, TILE)
    scale = np.abs(split).max(axis=(1, 3)) / 448
    spread = np.repeat(np.repeat(scale, TILE, 0), TILE, 1)[: matrix.shape[0], : matrix.shape[1]]
    stored = (matrix / spread).astype(ml_dtypes.float8_e4m3fn)
    return stored.view(np.uint8), scale, stored.astype(np.float32) * spread


#: safetensors' names of dtypes, and how numpy's arrays become their bytes.
BFLOAT16 = "BF16"


@dataclass(frozen=True)
class Held:
    """A tensor as a file holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def values(self) -> np.ndarray:
        """The f32 values, or the bytes of 8-bit floats."""
        if self.dtype == BFLOAT16:
            halves = np.frombuffer(self.data, np.uint16).astype(np.uint32)
            return (halves << 16).view(np.float32).reshape(self.shape)
        dtype = {"F32": np.float32, "F16": np.float16, "F8_E4M3": np.uint8}[self.dtype]
        found = np.frombuffer(self.data, dtype).reshape(self.shape)
        return found.astype(np.float32) if self.dtype == "F16" else found


def held(array: np.ndarray, dtype: str = "F32") -> Held:
    """The array in a dtype; bytes are 8-bit floats."""
    if array.dtype == np.uint8:
        return Held("F8_E4M3", array.shape, array.tobytes())
    if dtype == BFLOAT16:
        halves = (array.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return Held(dtype, array.shape, halves.tobytes())
    numbers = array.astype({"F32": np.float32, "F16": np.float16}[dtype])
    return Held(dtype, array.shape, numbers.tobytes())


def write_file(path: Path, tensors: Mapping[str, Held], *, odd: bool = False) -> None:
    """A safetensors file with the tensors in this order, from an odd place on if so wished."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + len(tensor.data)],
        }
        end += len(tensor.data)
    text = json.dumps(header).encode()
    text += b" " * ((len(text) + odd) % 2)
    data = b"".join(tensor.data for tensor in tensors.values())
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def write_shards(folder: Path, tensors: Mapping[str, Held], count: int) -> None:
    """Several files and the index that says which tensor is in which; all start at odd places."""
    names = list(tensors)
    size = -(-len(names) // count)
    places = {}
    for number in range(count):
        file = f"model-{number + 1:05}-of-{count:05}.safetensors"
        own = names[number * size : (number + 1) * size]
        write_file(folder / file, {name: tensors[name] for name in own}, odd=True)
        places |= dict.fromkeys(own, file)
    index = {"metadata": {}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
