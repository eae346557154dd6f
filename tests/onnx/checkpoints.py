"""Checkpoints in released layout, made up for a graph: each tensor under its released name."""

from __future__ import annotations

from math import ceil

import numpy as np

from tests.onnx.session import parsed

#: Rows and columns that share a scale.
TILE = 128


def random_weights(data: bytes, seed: int) -> dict[str, np.ndarray]:
    """One f32 array for each released tensor that the graph's initializers stand for."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for tensor in parsed(data).graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.metadata_props}
        names, stacked = [entries.pop("released_name")], list(entries)
        for index, length in zip(stacked, tensor.dims, strict=False):
            names = [n.replace(f"{{{index}}}", str(i)) for n in names for i in range(length)]
        shape = tuple(tensor.dims)[len(stacked) :]
        for name in names:
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
